//! The demonstration: a pair in front of three servers loses a server, a daemon and a cable.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::farm::Settings;
use lab::{Director, Family, Farm, Lab, Load, Mode, Report, wait};

/// With deadtime 300 ms: what an unplanned takeover may cost a client.
const TAKEOVER_GAP: Duration = Duration::from_millis(450);
/// What `caribe status` may take at any moment.
const STATUS: Duration = Duration::from_millis(50);
/// How long a step may take to come about.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the state after a step has to last.
const WATCH: Duration = Duration::from_secs(2);
const GROUP: &str = "web";

/// A row of the closing table.
struct Row {
    what: &'static str,
    expected: &'static str,
    seen: String,
    held: bool,
    requests: usize,
    lost: usize,
    gap: Duration,
}

/// A step: something is done to the farm, and something has to come about.
struct Step {
    what: &'static str,
    expected: &'static str,
    /// What is done.
    act: fn(&mut Farm),
    /// Whether it has come about. Asked often, so it may only be cheap.
    come_about: fn(&Farm, &Report) -> bool,
    /// The state afterwards in words, or what is wrong with it.
    seen: fn(&Farm, &Report) -> Result<String, String>,
    /// The longest gap that a client may see, if the step limits it.
    most: Option<Duration>,
}

const STEPS: [Step; 8] = [
    Step {
        what: "the pair starts",
        expected: "one owner, three servers",
        act: |farm| {
            farm.ha1.start();
            farm.ha2.start();
        },
        come_about: |farm, _| {
            farm.ha1.is_active(GROUP)
                && is_standby(&farm.ha2)
                && farm
                    .servers
                    .iter()
                    .all(|server| sees(farm, &server.address, "up"))
        },
        seen: owner,
        most: None,
    },
    Step {
        what: "the client asks on",
        expected: "all three servers answer",
        act: |_| {},
        come_about: |_, report| report.requests >= 150,
        seen: |farm, report| {
            let shares: Vec<String> = report
                .servers
                .iter()
                .map(|(name, count)| format!("{name} {}", count * 100 / report.requests.max(1)))
                .collect();
            let fair = farm.server_names().iter().all(|name| {
                report
                    .servers
                    .get(name)
                    .is_some_and(|count| count * 100 >= report.requests * 25)
            });
            let text = format!("{} %", shares.join(", "));
            if fair { Ok(text) } else { Err(text) }
        },
        most: Some(Duration::from_millis(200)),
    },
    Step {
        what: "nginx on rs2 is killed",
        expected: "rs2 leaves both tables",
        act: |farm| farm.servers[1].kill(),
        come_about: |farm, _| sees(farm, &farm.servers[1].address, "down"),
        seen: |farm, _| tables(farm, false),
        most: Some(Duration::from_millis(200)),
    },
    Step {
        what: "nginx on rs2 is started",
        expected: "rs2 is back and answers",
        act: |farm| farm.servers[1].start(),
        come_about: |farm, report| {
            sees(farm, &farm.servers[1].address, "up") && report.servers.contains_key("rs2")
        },
        seen: |farm, _| tables(farm, true),
        most: Some(Duration::from_millis(200)),
    },
    Step {
        what: "caribe on ha1 gets SIGKILL",
        expected: "ha2 takes over",
        act: |farm| farm.ha1.kill(),
        come_about: |farm, _| farm.ha2.is_active(GROUP),
        seen: |farm, _| told_owner(farm, &farm.ha2),
        most: Some(TAKEOVER_GAP),
    },
    Step {
        what: "caribe on ha1 is started",
        expected: "ha1 yields to ha2",
        act: |farm| farm.ha1.start(),
        come_about: |farm, _| is_standby(&farm.ha1) && farm.ha2.is_active(GROUP),
        seen: owner,
        most: Some(TAKEOVER_GAP),
    },
    Step {
        what: "the cable of ha2 is cut",
        expected: "ha1 takes over",
        act: |farm| farm.service_cables[1].unplug(),
        come_about: |farm, _| farm.ha1.is_active(GROUP),
        seen: |farm, _| told_owner(farm, &farm.ha1),
        most: Some(TAKEOVER_GAP),
    },
    Step {
        what: "the cable is plugged in",
        expected: "one owner remains",
        act: |farm| farm.service_cables[1].plug(),
        come_about: |farm, _| {
            farm.ha1.is_active(GROUP) && is_standby(&farm.ha2) && hears(&farm.ha1, "ha2")
        },
        seen: owner,
        most: Some(TAKEOVER_GAP),
    },
];

/// Runs all of it; 0 only if everything held.
pub(crate) fn run(lab: &Lab, _args: &[String]) -> u8 {
    let start = Instant::now();
    say(
        start,
        "building two directors (ha1, ha2), three web servers (rs1, rs2, rs3) and a client",
    );
    let settings = Settings {
        deadtime: "300ms",
        monitor_links: true,
        ..Settings::default()
    };
    let mut farm = Farm::with(lab, Mode::Direct, Family::V4, &settings);
    say(
        start,
        "heartbeats every 100 ms, dead after 300 ms; the client asks the VIP every 8 ms",
    );
    let load = farm.client.load(farm.vip);
    // What a daemon takes to start is no answer's time.
    let [first, others @ ..] = &STEPS;
    let mut rows = vec![perform(first, &mut farm, &load, start)];
    let watch = StatusWatch::begin(&farm);
    rows.extend(
        others
            .iter()
            .map(|step| perform(step, &mut farm, &load, start)),
    );
    let (asked, slowest) = watch.end();
    drop(load);
    let text = table(&rows, asked, slowest);
    let _ = write!(io::stdout(), "\n{text}");
    u8::from(rows.iter().any(|row| !row.held) || asked == 0 || slowest > STATUS)
}

/// Does what a step says and notes what came of it and what the client saw.
fn perform(step: &Step, farm: &mut Farm, load: &Load, start: Instant) -> Row {
    say(start, step.what);
    let from = Instant::now();
    (step.act)(farm);
    let came = wait::holds_within(LIMIT, &mut || (step.come_about)(farm, &load.since(from)));
    let took = from.elapsed();
    say(
        start,
        &format!(
            "  {} after {:.2} s",
            if came { step.expected } else { "still not so" },
            took.as_secs_f64()
        ),
    );
    let steady = Instant::now();
    wait::holds_within(WATCH * 2, &mut || steady.elapsed() >= WATCH);
    let to = Instant::now();
    let report = load.between(from, to);
    let stays = (step.come_about)(farm, &report);
    let gap_holds = step.most.is_none_or(|most| report.longest_gap <= most);
    let (seen, right) = match (step.seen)(farm, &report) {
        Ok(seen) => (seen, true),
        Err(seen) => (seen, false),
    };
    for (fault, times) in &report.faults {
        say(start, &format!("  {times} requests lost: {fault}"));
    }
    Row {
        what: step.what,
        expected: step.expected,
        seen,
        held: came && stays && gap_holds && right,
        requests: report.requests,
        lost: report.lost,
        gap: report.longest_gap,
    }
}

fn table(rows: &[Row], asked: usize, slowest: Duration) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<27} {:<26} {:<34} {:>8} {:>5} {:>7}",
        "what", "expected", "seen", "requests", "lost", "gap ms"
    );
    for row in rows {
        let _ = writeln!(
            text,
            "{:<27} {:<26} {:<34} {:>8} {:>5} {:>7}  {}",
            row.what,
            row.expected,
            row.seen,
            row.requests,
            row.lost,
            row.gap.as_millis(),
            if row.held { "ok" } else { "FAILED" }
        );
    }
    let verdict = if asked > 0 && slowest <= STATUS {
        "ok"
    } else {
        "FAILED"
    };
    let _ = writeln!(
        text,
        "\nstatus was asked {asked} times; the slowest answer took {:.1} ms (at most {})  {verdict}",
        slowest.as_secs_f64() * 1e3,
        STATUS.as_millis()
    );
    let _ = writeln!(
        text,
        "a gap is the longest time without a good answer; after a takeover at most {} ms",
        TAKEOVER_GAP.as_millis()
    );
    text
}

fn is_standby(director: &Director) -> bool {
    director.role(GROUP).as_deref() == Some("standby")
}

/// Whether every director that can be asked sees a server in a state of health.
fn sees(farm: &Farm, address: &str, health: &str) -> bool {
    [&farm.ha1, &farm.ha2]
        .iter()
        .all(|d| d.health(address).as_deref() == Some(health))
}

/// Whether a director hears another one.
fn hears(director: &Director, peer: &str) -> bool {
    let Some(status) = director.status() else {
        return false;
    };
    let Some(directors) = status["directors"].as_array() else {
        return false;
    };
    directors
        .iter()
        .any(|d| d["name"] == peer && d["liveness"] == "alive")
}

/// Who carries the VIP, by the kernel's word; wrong unless it is exactly one.
fn owner(farm: &Farm, _report: &Report) -> Result<String, String> {
    let owners: Vec<&str> = [&farm.ha1, &farm.ha2]
        .into_iter()
        .filter(|director| farm.has_vip(director))
        .map(Director::name)
        .collect();
    match owners[..] {
        [] => Err("nobody has the VIP".to_owned()),
        [one] => Ok(format!("{one} has the VIP")),
        [..] => Err(format!("{} have the VIP", owners.join(" and "))),
    }
}

/// Whether a director serves while nobody can tell what the other one carries.
fn told_owner(farm: &Farm, director: &Director) -> Result<String, String> {
    let name = director.name();
    if farm.has_vip(director) {
        Ok(format!("{name} has the VIP"))
    } else {
        Err(format!("{name} has no VIP"))
    }
}

/// Whether rs2 is, or is not, in the kernel's tables of both directors.
fn tables(farm: &Farm, wanted: bool) -> Result<String, String> {
    let row = format!("-> {}:80 ", farm.servers[1].address);
    let has = [&farm.ha1, &farm.ha2].map(|director| director.table().contains(&row));
    let text = match has {
        [true, true] => "rs2 is in both tables",
        [false, false] => "rs2 is in neither table",
        [true, false] | [false, true] => "rs2 is in one table",
    };
    if has == [wanted, wanted] {
        Ok(text.to_owned())
    } else {
        Err(text.to_owned())
    }
}

/// Asks both directors for their status, again and again, and remembers the slowest answer.
struct StatusWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Duration)>,
}

impl StatusWatch {
    fn begin(farm: &Farm) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sockets = [&farm.ha1, &farm.ha2].map(Director::socket);
        let thread = std::thread::spawn(move || {
            let (mut asked, mut slowest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                for socket in &sockets {
                    if let Some((_, took)) = lab::director::ask_status(socket) {
                        asked += 1;
                        slowest = slowest.max(took);
                    }
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            (asked, slowest)
        });
        Self { stop, thread }
    }

    fn end(self) -> (usize, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn say(start: Instant, text: &str) {
    let _ = writeln!(
        io::stdout(),
        "[{:6.2} s] {text}",
        start.elapsed().as_secs_f64()
    );
}
