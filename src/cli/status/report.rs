//! The text of `caribe status`: problems first, then directors, groups and services.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::problems::{self, Gravity, Problem, Subject, path_name};
use super::services;
use crate::cli::format::{Style, duration, harmless, wrap};
use crate::cli::output::Screen;
use crate::cli::table::{Align, Cell, Table};
use crate::director::Snapshot;
use crate::director::snapshot::{
    DirectorStatus, GroupStatus, Liveness, PathStatus, ProbesStatus, Role, SyncStatus, VipStatus,
};

/// More would push the tables off the screen; `--problems` shows all.
const PROBLEMS_SHOWN: usize = 20;
/// Room for the mark in front of a problem.
const INDENT: usize = 3;

/// How much is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent<'a> {
    /// What has a problem, and nothing else.
    pub(super) only_problems: bool,
    /// What the probes took.
    pub(super) wide: bool,
    /// These services, and nothing else; everything if there is none.
    pub(super) services: &'a [String],
}

impl Extent<'_> {
    fn has(&self, subject: Subject<'_>) -> bool {
        let named = |name: &str| self.services.iter().any(|it| it == name);
        match subject {
            _ if self.services.is_empty() => true,
            Subject::Service(name) => named(name),
            Subject::Group(_) | Subject::Director(_) | Subject::Sync => false,
        }
    }
}

/// Shows of `snapshot` as much as is wanted.
pub(super) fn render(snapshot: &Snapshot, extent: Extent<'_>, screen: &Screen) -> String {
    let only_problems = extent.only_problems;
    let problems = problems::find(snapshot).into_iter();
    let problems: Vec<_> = problems.filter(|it| extent.has(it.subject)).collect();
    let concerned: BTreeSet<Subject<'_>> = problems.iter().map(|it| it.subject).collect();
    let shown = |subject: Subject<'_>| {
        extent.has(subject) && (!only_problems || concerned.contains(&subject))
    };

    let directors: Vec<_> = snapshot
        .directors
        .iter()
        .filter(|director| shown(Subject::Director(&director.name)))
        .collect();
    let groups: Vec<_> = snapshot
        .groups
        .iter()
        .filter(|group| shown(Subject::Group(&group.name)))
        .collect();
    let services: Vec<_> = snapshot
        .services
        .iter()
        .filter(|service| shown(Subject::Service(&service.name)))
        .collect();

    let limit = if only_problems {
        usize::MAX
    } else {
        PROBLEMS_SHOWN
    };
    let mut sections = vec![
        heading(snapshot, screen),
        problem_list(&problems, limit, screen),
    ];
    let everything = !only_problems && extent.services.is_empty();
    if !directors.is_empty() {
        let mut text = director_table(&directors).render(screen);
        if everything {
            text.push_str(&dropped_line(&snapshot.counters.dropped, screen));
        }
        sections.push(text);
    }
    if !groups.is_empty() {
        sections.push(group_table(&groups).render(screen));
    }
    if !services.is_empty() {
        sections.push(services::table(&services, extent.wide).render(screen));
    }
    if snapshot.probes.targets > 0 && everything {
        sections.push(probes_line(&snapshot.probes, screen));
    }
    if let Some(sync) = snapshot.sync.as_ref().filter(|_| shown(Subject::Sync)) {
        sections.push(sync_line(sync, screen));
    }
    // The heading and the verdict belong together.
    let verdict = sections.remove(1);
    sections[0].push_str(&verdict);
    sections.join("\n")
}

fn heading(snapshot: &Snapshot, screen: &Screen) -> String {
    let who = format!("{} of cluster {}", snapshot.node, snapshot.cluster);
    let details = format!(
        "up {}, caribe {}, configuration {}",
        duration(snapshot.uptime),
        snapshot.version,
        snapshot.config
    );
    let text = harmless(&format!("{who}: {details}"));
    let lines = wrap(&text, screen.size.map(|(columns, _)| columns)).join("\n");
    format!("{}\n", Style::Title.paint(&lines, screen.colour))
}

fn problem_list(problems: &[Problem<'_>], limit: usize, screen: &Screen) -> String {
    if problems.is_empty() {
        return format!("{}\n", Style::Good.paint("No problems.", screen.colour));
    }
    let title = match problems.len() {
        1 => "1 problem:".to_owned(),
        count => format!("{count} problems:"),
    };
    let mut text = format!("{}\n", Style::Bad.paint(&title, screen.colour));
    for problem in problems.iter().take(limit) {
        let (mark, style) = match problem.gravity {
            Gravity::Outage => ("!!", Style::Bad),
            Gravity::Degraded => (" !", Style::Warning),
        };
        let columns = screen
            .size
            .map(|(columns, _)| columns.saturating_sub(INDENT));
        let wrapped = wrap(&harmless(&problem.text), columns);
        let lines = wrapped.join(&format!("\n{:INDENT$}", ""));
        text.push_str(&format!(
            "{}\n",
            style.paint(&format!("{mark} {lines}"), screen.colour)
        ));
    }
    if problems.len() > limit {
        let rest = problems.len() - limit;
        text.push_str(&format!("   and {rest} more, which --problems shows\n"));
    }
    text
}

fn director_table(directors: &[&DirectorStatus]) -> Table {
    let mut table = Table::new(&[
        ("DIRECTOR", Align::Left),
        ("STATE", Align::Left),
        ("PRIORITY", Align::Right),
        ("HEARS US", Align::Left),
        ("CONFIG", Align::Left),
        ("PATH", Align::Left),
        ("HEARD", Align::Left),
        ("LATE", Align::Right),
        ("ROUND TRIP", Align::Right),
    ]);
    for director in directors {
        let name = if director.local {
            format!("{} (here)", director.name)
        } else {
            director.name.clone()
        };
        let mut paths = director.paths.iter();
        let [address, heard, late, round_trip] = path_cells(paths.next(), director.local);
        table.row([
            name.into(),
            liveness_cell(director.liveness),
            director.priority.to_string().into(),
            answer_cell(director.hears_us, "yes", "NO"),
            answer_cell(director.same_config, "same", "DIFFERS"),
            address,
            heard,
            late,
            round_trip,
        ]);
        for path in paths {
            let [address, heard, late, round_trip] = path_cells(Some(path), director.local);
            let empty = Cell::default;
            table.row([
                empty(),
                empty(),
                empty(),
                empty(),
                empty(),
                address,
                heard,
                late,
                round_trip,
            ]);
        }
    }
    table
}

/// `heartbeats dropped: cluster 12, key 340`; nothing where there were none but those with which every
/// director begins.
fn dropped_line(dropped: &BTreeMap<String, u64>, screen: &Screen) -> String {
    let reasons: Vec<String> = dropped
        .iter()
        .filter(|(reason, count)| **count > 0 && reason.as_str() != "unproven")
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    if reasons.is_empty() {
        return String::new();
    }
    let text = harmless(&format!("heartbeats dropped: {}", reasons.join(", ")));
    let lines = wrap(&text, screen.size.map(|(columns, _)| columns)).join("\n");
    format!("{lines}\n")
}

/// `0.3ms`: most are far below one.
pub(super) fn milliseconds(time: Duration) -> String {
    if time >= Duration::from_millis(100) {
        return duration(time);
    }
    format!("{:.1}ms", time.as_secs_f64() * 1000.0)
}

fn liveness_cell(liveness: Liveness) -> Cell {
    match liveness {
        Liveness::Alive => Cell::new("alive", Style::Good),
        Liveness::Dead => Cell::new("DEAD", Style::Bad),
        Liveness::Unknown => Cell::new("never heard", Style::Warning),
    }
}

fn answer_cell(answer: Option<bool>, good: &str, bad: &str) -> Cell {
    match answer {
        Some(true) => good.into(),
        Some(false) => Cell::new(bad, Style::Bad),
        None => Cell::default(),
    }
}

/// Where it leads, when it was heard, how often it was late, and its round trip.
fn path_cells(path: Option<&PathStatus>, local: bool) -> [Cell; 4] {
    let Some(path) = path else {
        return Default::default();
    };
    let late = match path.late {
        _ if local => Cell::default(),
        0 => "0".into(),
        late => Cell::new(late.to_string(), Style::Warning),
    };
    let alive = path.liveness == Liveness::Alive;
    let round_trip = path.round_trip.filter(|_| alive);
    let round_trip = round_trip.map(milliseconds).unwrap_or_default().into();
    let heard = path
        .silence
        .map(|silence| format!("{} ago", duration(silence)));
    let heard = match (path.liveness, heard) {
        _ if local => Cell::default(),
        (Liveness::Alive, heard) => heard.unwrap_or_default().into(),
        (Liveness::Dead, Some(heard)) => Cell::new(format!("DEAD, {heard}"), Style::Bad),
        (Liveness::Dead, None) => Cell::new("DEAD", Style::Bad),
        (Liveness::Unknown, _) => Cell::new("never", Style::Warning),
    };
    [path_name(path).into(), heard, late, round_trip]
}

/// `probes: 3 targets, 1 running; started late by 2.0ms (half at most), 8.0ms (99 of 100), 12.5ms (most)`
fn probes_line(probes: &ProbesStatus, screen: &Screen) -> String {
    let mut text = format!(
        "probes: {} targets, {} running; started late by {} (half at most), {} (99 of 100), {} (most)",
        probes.targets,
        probes.running,
        milliseconds(probes.delay_p50),
        milliseconds(probes.delay_p99),
        milliseconds(probes.delay_max),
    );
    for (count, what) in [
        (probes.late, "later than 100ms"),
        (probes.overran, "longer than their interval"),
        (probes.not_run, "not run for want of something here"),
    ] {
        if count > 0 {
            text.push_str(&format!("; {count} of {} {what}", probes.started));
        }
    }
    let lines = wrap(&text, screen.size.map(|(columns, _)| columns)).join("\n");
    format!("{lines}\n")
}

/// `sync: eth1 id 1, sending and receiving; expire_nodest_conn 1, sync_retries 1`
fn sync_line(sync: &SyncStatus, screen: &Screen) -> String {
    let does = match (sync.sending, sync.receiving) {
        (true, true) => "sending and receiving",
        (true, false) => "sending, NOT RECEIVING",
        (false, true) => "receiving, NOT SENDING",
        (false, false) => "NEITHER SENDING NOR RECEIVING",
    };
    let runs = sync.interface.as_ref();
    let runs = runs.map(|interface| format!("sync: {interface} id {}, {does}", sync.id));
    let there = sync
        .sysctls
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    let lacking = sync.lacking.iter();
    let lacking = lacking.map(|name| format!("{name} not in this kernel"));
    let settings: Vec<String> = there.chain(lacking).collect();
    let settings = (!settings.is_empty()).then(|| settings.join(", "));
    let parts: Vec<String> = runs.into_iter().chain(settings).collect();
    let text = harmless(&parts.join("; "));
    let lines = wrap(&text, screen.size.map(|(columns, _)| columns)).join("\n");
    let style = if sync.problems.is_empty() {
        Style::Plain
    } else {
        Style::Warning
    };
    format!("{}\n", style.paint(&lines, screen.colour))
}

fn group_table(groups: &[&GroupStatus]) -> Table {
    let mut table = Table::new(&[
        ("GROUP", Align::Left),
        ("OWNER", Align::Left),
        ("HERE", Align::Left),
        ("SINCE", Align::Left),
        ("FIT", Align::Left),
        ("READY", Align::Left),
        ("EPOCH", Align::Right),
        ("VIP", Align::Left),
        ("HELD HERE", Align::Left),
        ("WHY", Align::Left),
    ]);
    for group in groups {
        let mut vips = group.vips.iter();
        let (vip, held) = vip_cells(vips.next(), group.role);
        table.row([
            group.name.as_str().into(),
            match &group.owner {
                Some(owner) => owner.into(),
                None => Cell::new("NONE", Style::Bad),
            },
            match group.role {
                Role::Active => Cell::new("active", Style::Good),
                Role::Standby => "standby".into(),
            },
            duration(group.since).into(),
            answer_cell(Some(group.fit), "yes", "NO"),
            answer_cell(Some(group.ready), "yes", "NO"),
            group.epoch.to_string().into(),
            vip,
            held,
            group.reason.as_str().into(),
        ]);
        for next in vips {
            let (vip, held) = vip_cells(Some(next), group.role);
            let empty = Cell::default;
            table.row([
                empty(),
                empty(),
                empty(),
                empty(),
                empty(),
                empty(),
                empty(),
                vip,
                held,
                empty(),
            ]);
        }
    }
    table
}

fn vip_cells(vip: Option<&VipStatus>, role: Role) -> (Cell, Cell) {
    let Some(vip) = vip else {
        return (Cell::default(), Cell::default());
    };
    let held = match (role, vip.present) {
        (Role::Active, true) => "yes".into(),
        (Role::Active, false) if vip.asking => Cell::new("asking", Style::Warning),
        (Role::Active, false) => Cell::new("NO", Style::Bad),
        (Role::Standby, true) => Cell::new("YES", Style::Bad),
        (Role::Standby, false) => "no".into(),
    };
    (format!("{} on {}", vip.address, vip.interface).into(), held)
}
