//! Writes what the cluster machine is told and decides to a file, without delaying it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::clock::Time;
use crate::cluster::{Input, Line, Machine, Output, Settings, Start, Step};

/// Lines that may wait to be written.
const WAITING: usize = 4096;

/// The cluster machine, recorded if that is wanted.
#[derive(Debug)]
pub(super) struct Recorded {
    machine: Machine,
    recorder: Option<Recorder>,
    /// What was recorded and is still to be done.
    outputs: VecDeque<Output>,
}

/// The way to the thread that writes.
#[derive(Debug)]
pub(super) struct Recorder {
    lines: SyncSender<Line>,
    /// Lines that it had no room for.
    lost: u64,
}

impl Recorded {
    /// A new machine; its run is recorded if there is a recorder.
    pub(super) fn new(
        settings: Settings,
        session: u64,
        at: Time,
        mut recorder: Option<Recorder>,
    ) -> Self {
        if let Some(recorder) = &mut recorder {
            recorder.write(Line::Start(Box::new(Start {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                settings: settings.clone(),
                session,
                at,
            })));
        }
        Self {
            machine: Machine::new(settings, session, at),
            recorder,
            outputs: VecDeque::new(),
        }
    }

    /// As of [`Machine::handle`].
    pub(super) fn handle(&mut self, input: Input, now: Time) {
        let Some(recorder) = &mut self.recorder else {
            self.machine.handle(input, now);
            return;
        };
        self.machine.handle(input.clone(), now);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.machine.poll_output()).collect();
        self.outputs.extend(outputs.iter().cloned());
        recorder.write(Line::Step(Box::new(Step {
            at: now,
            input,
            outputs,
        })));
    }

    /// As of [`Machine::poll_output`].
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs
            .pop_front()
            .or_else(|| self.machine.poll_output())
    }

    /// The machine, for what changes nothing.
    pub(super) fn get(&self) -> &Machine {
        &self.machine
    }

    /// As of [`Machine::count_dropped`], which decides nothing.
    pub(super) fn count_dropped(&mut self, why: crate::cluster::Dropped) {
        self.machine.count_dropped(why);
    }
}

impl Recorder {
    /// Opens the file, which is added to if it is there, and starts the thread.
    pub(super) fn spawn(path: &Path) -> io::Result<Self> {
        let (mut file, end) = open(path)?;
        let (lines, receiver) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || write_all(&receiver, &mut file, end))?;
        Ok(Self { lines, lost: 0 })
    }

    fn write(&mut self, line: Line) {
        if self.lost > 0 && self.lines.try_send(Line::Lost(self.lost)).is_ok() {
            self.lost = 0;
        }
        match self.lines.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.lost += 1,
        }
    }
}

/// Opens the file to be added to, and tells where. A line that breaks off, as after a power cut, is
/// ended, or the next one would be lost with it.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    // What is no regular file has no end to look at.
    if end > 0 {
        file.read_exact_at(&mut last, end - 1)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
        return Ok((file, end + 1));
    }
    Ok((file, end))
}

/// The file that is written to.
trait Target: Write {
    /// Cuts it to a length, and goes on there.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Target for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(drop)
    }
}

/// Writes until there is nobody left who records. What the disk does not take is counted, and the
/// number written once it takes something again.
fn write_all(lines: &Receiver<Line>, file: &mut impl Target, mut end: u64) {
    let mut lost = 0;
    while let Ok(line) = lines.recv() {
        let mut text = Vec::new();
        if lost > 0 {
            append(&mut text, &Line::Lost(lost));
        }
        append(&mut text, &line);
        match file.write_all(&text) {
            Ok(()) => {
                end += u64::try_from(text.len()).unwrap_or(0);
                lost = 0;
            }
            Err(error) => {
                if lost == 0 {
                    tracing::warn!(error = %words::of(&error), "the recording has gaps");
                }
                lost += match line {
                    Line::Lost(lines) => lines,
                    Line::Start(_) | Line::Step(_) => 1,
                };
                // Half a line would make the next one unreadable.
                if let Err(error) = file.cut(end) {
                    tracing::error!(error = %words::of(&error), "the recording ends");
                    return;
                }
            }
        }
    }
}

fn append(text: &mut Vec<u8>, line: &Line) {
    let length = text.len();
    if let Err(error) = serde_json::to_writer(&mut *text, line) {
        tracing::error!(%error, "a line of the recording cannot be written as JSON");
        text.truncate(length);
    } else {
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is full after so many bytes, until it is not.
    struct Disk {
        bytes: Vec<u8>,
        room: Vec<usize>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.room.first().copied().unwrap_or(usize::MAX);
            let taken = bytes.len().min(room.saturating_sub(self.bytes.len()));
            if taken == 0 {
                self.room.remove(0);
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Target for Disk {
        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.bytes.truncate(usize::try_from(length).unwrap());
            Ok(())
        }
    }

    fn timeout(at: u64) -> Line {
        Line::Step(Box::new(Step {
            at: Time::from_secs(at),
            input: Input::Timeout,
            outputs: Vec::new(),
        }))
    }

    fn written(disk: &Disk) -> Vec<Line> {
        let text = String::from_utf8(disk.bytes.clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_full_disk_leaves_whole_lines_and_the_number_of_those_that_are_missing() {
        let (sender, receiver) = sync_channel(8);
        for at in 1..=5 {
            sender.send(timeout(at)).unwrap();
        }
        drop(sender);
        // One line fits, then half a line, then nothing, then all.
        let mut disk = Disk {
            bytes: Vec::new(),
            room: vec![100, 100],
        };
        write_all(&receiver, &mut disk, 0);
        let expected = [timeout(1), Line::Lost(2), timeout(4), timeout(5)];
        assert_eq!(written(&disk), expected);
    }

    #[test]
    fn a_slow_disk_delays_nobody_and_what_is_missing_is_counted() {
        let (lines, receiver) = sync_channel(2);
        let mut recorder = Recorder { lines, lost: 0 };
        for at in 1..=5 {
            recorder.write(timeout(at));
        }
        assert_eq!(recorder.lost, 3);
        assert_eq!(
            receiver.try_iter().collect::<Vec<_>>(),
            [timeout(1), timeout(2)]
        );
        recorder.write(timeout(6));
        assert_eq!(
            receiver.try_iter().collect::<Vec<_>>(),
            [Line::Lost(3), timeout(6)]
        );
    }

    #[test]
    fn a_recording_is_added_to_and_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        for before in ["{\"lost\":1}\n", "{\"lost\":1}\n{\"step\":{\"a"] {
            std::fs::write(&path, before).unwrap();
            let (mut file, end) = open(&path).unwrap();
            let (sender, receiver) = sync_channel(1);
            sender.send(timeout(1)).unwrap();
            drop(sender);
            write_all(&receiver, &mut file, end);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(before), "{text}");
            let last = text.lines().last().unwrap();
            assert_eq!(serde_json::from_str::<Line>(last).unwrap(), timeout(1));
        }

        let path = folder.path().join("new.jsonl");
        Recorder::spawn(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
