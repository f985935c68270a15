//! Makes daemons and settings as they are desired, and tells what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ipvs::{Command, Kernel, SyncDaemon, SyncRole};

use super::{Actual, Desired, Duty, Host, Note, NoteFile, Started, Step, plan};
use crate::config::model::BACKUP_ONLY;

/// What became of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// The daemons that run, ours or not; empty while none is desired.
    pub daemons: Vec<SyncDaemon>,
    /// The desired settings as the kernel has them now.
    pub sysctls: BTreeMap<String, String>,
    /// Desired settings that the kernel does not have.
    pub lacking: BTreeSet<String>,
    /// What prevents that all is as desired.
    pub problems: Vec<String>,
    /// Changes of others that have been undone since the start.
    pub drift: u64,
}

/// What is known from one round to the next.
#[derive(Debug)]
pub struct Work<H> {
    pub(super) host: H,
    note: NoteFile,
    duty: Duty,
    /// What was wholly there after the round before.
    settled: Option<Desired>,
    report: Report,
}

impl<H: Host> Work<H> {
    /// Nothing has been looked at yet.
    pub fn new(host: H, note: NoteFile, duty: Duty) -> Self {
        Self {
            host,
            note,
            duty,
            settled: None,
            report: Report::default(),
        }
    }

    /// Whom it asks whether this director balances.
    #[must_use]
    pub fn duty(&self) -> Duty {
        self.duty.clone()
    }

    /// Compares, changes what differs, and tells how it went.
    pub fn round(&mut self, kernel: &mut impl Kernel, desired: &Desired) -> &Report {
        let nothing = desired.is_empty() && *self.note.get() == Note::default();
        if nothing {
            self.settled = None;
            self.report = Report {
                drift: self.report.drift,
                ..Report::default()
            };
            return &self.report;
        }
        let problems = match self.try_round(kernel, desired) {
            Ok(problems) => problems,
            Err(error) => vec![error.to_string()],
        };
        self.tell(&problems);
        self.settled = problems.is_empty().then(|| desired.clone());
        self.report.problems = problems;
        &self.report
    }

    /// Stops a sender of ours, before a table is emptied that the others still need. What fails is
    /// tried again, and told, by the next round without daemons.
    pub fn hush(&mut self, kernel: &mut impl Kernel) {
        if self.note.get().daemons.contains_key(&SyncRole::Sender) {
            let _ = kernel.command(Command::StopDaemon(SyncRole::Sender));
        }
    }

    /// Does one round; what of it did not work.
    fn try_round(
        &mut self,
        kernel: &mut impl Kernel,
        asked: &Desired,
    ) -> Result<Vec<String>, ipvs::Error> {
        let mut problems = Vec::new();
        if !asked.stands_aside() {
            self.duty.give_back();
        }
        let before = self.duty.applied(asked);
        let actual = self.look(kernel, asked, &mut problems)?;
        let desired = self.duty.applied(asked);
        let steps = plan(&desired, &actual, self.note.get());
        // A group that came or went meanwhile is no change of somebody else.
        if self.settled.as_ref() == Some(asked) && before == desired {
            for step in &steps {
                self.report.drift += 1;
                tracing::warn!(%step, "somebody else changed connection sync; mending it");
            }
        }
        // Whatever happens from here on, the next run must know what may have to be undone.
        self.write_note(remembering(self.note.get(), &desired, &actual, &steps));
        if asked.stands_aside() && actual.sysctls.contains_key(BACKUP_ONLY) {
            // What fails is told below, by the step to it.
            let _ = self.duty.keep(&mut self.host);
        }
        for step in &steps {
            match self.carry_out(kernel, step) {
                Ok(()) => tracing::info!(%step, "connection sync changed"),
                Err(problem) => problems.push(problem),
            }
        }
        let actual = if steps.is_empty() {
            actual
        } else {
            self.look(kernel, &desired, &mut Vec::new())?
        };
        self.write_note(forgetting(self.note.get(), &desired, &actual));
        let shown = |name: &String| desired.sysctls.contains_key(name);
        self.report.daemons = actual.daemons;
        self.report.sysctls = actual.sysctls;
        self.report.sysctls.retain(|name, _| shown(name));
        if desired.daemons.is_empty() {
            self.report.daemons.clear();
        }
        Ok(problems)
    }

    fn look(
        &mut self,
        kernel: &mut impl Kernel,
        desired: &Desired,
        problems: &mut Vec<String>,
    ) -> Result<Actual, ipvs::Error> {
        let daemons = kernel.daemons()?;
        let noted = self.note.get().sysctls.keys();
        let names: BTreeSet<String> = desired.sysctls.keys().chain(noted).cloned().collect();
        let mut sysctls = BTreeMap::new();
        self.report.lacking.retain(|name| names.contains(name));
        for name in names {
            match self.host.read(&name) {
                Ok(value) => {
                    self.report.lacking.remove(&name);
                    let parts: Vec<&str> = value.split_whitespace().collect();
                    sysctls.insert(name, parts.join(" "));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if self.report.lacking.insert(name.clone()) {
                        tracing::warn!(name, "the kernel has no such setting; going without");
                    }
                }
                Err(error) => problems.push(format!(
                    "cannot read net.ipv4.vs.{name}: {}",
                    words::of(&error)
                )),
            }
        }
        Ok(Actual {
            daemons,
            link: desired.interface().and_then(|name| self.host.link(name)),
            sysctls,
        })
    }

    fn carry_out(&mut self, kernel: &mut impl Kernel, step: &Step) -> Result<(), String> {
        let command = match step {
            Step::Set { name, value } => {
                let written = if name == BACKUP_ONLY && self.duty.is_kept() {
                    self.duty.write(&mut self.host)
                } else {
                    self.host.write(name, value)
                };
                return written.map_err(|error| format!("cannot {step}: {}", words::of(&error)));
            }
            Step::Stop(role) => Command::StopDaemon(*role),
            Step::Start(daemon) => Command::StartDaemon(daemon.clone()),
        };
        kernel.command(command).map_err(|error| error.to_string())
    }

    fn write_note(&mut self, note: Note) {
        if let Err(error) = self.note.set(note) {
            let path = self.note.path().display().to_string();
            tracing::error!(error = %words::of(&error), path, "a restart will not know what to restore");
        }
    }

    /// Tells what has become known since the round before.
    fn tell(&self, problems: &[String]) {
        for problem in problems {
            if !self.report.problems.contains(problem) {
                tracing::error!(%problem, "connection sync is not as configured");
            }
        }
        if problems.is_empty() && !self.report.problems.is_empty() {
            tracing::info!("connection sync is as configured again");
        }
    }
}

/// The note with what is about to be changed: what settings are now, and daemons that start.
fn remembering(note: &Note, desired: &Desired, actual: &Actual, steps: &[Step]) -> Note {
    let mut note = note.clone();
    for (name, value) in &actual.sysctls {
        if desired.sysctls.contains_key(name) {
            let noted = note.sysctls.entry(name.clone());
            noted.or_insert_with(|| value.clone());
        }
    }
    for step in steps {
        match step {
            Step::Start(daemon) => {
                let started = Started {
                    daemon: daemon.clone(),
                    link: actual.link,
                };
                note.daemons.insert(daemon.role, started);
            }
            Step::Stop(_) | Step::Set { .. } => {}
        }
    }
    note
}

/// The note without what has been undone.
fn forgetting(note: &Note, desired: &Desired, actual: &Actual) -> Note {
    let mut note = note.clone();
    note.daemons.retain(|role, _| {
        let same = |daemon: &SyncDaemon| daemon.role == *role;
        desired.daemons.iter().any(same) || actual.daemons.iter().any(same)
    });
    note.sysctls.retain(|name, before| {
        let there = actual.sysctls.get(name);
        desired.sysctls.contains_key(name) || there.is_some_and(|there| there != before)
    });
    note
}
