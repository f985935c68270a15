//! Boots a User-Mode Linux kernel as an ordinary process and reports what became of it.

mod meter;

pub use meter::Reading;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{Lab, guest, packages};

/// What a kernel test may take, boot included, on a slow machine.
const TEST_LIMIT: Duration = Duration::from_secs(600);

/// How many guests run side by side; each keeps one processor busy.
const SLOTS: usize = 2;

/// Lines of the console that a failure shows.
const LAST_LINES: usize = 60;

/// A kernel to boot, and what runs in it.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Names the folder of its results.
    pub name: String,
    /// Arguments of this program's second self in the guest.
    pub args: Vec<String>,
    /// The guest is killed, and an error, after this long; `None` for a person at a prompt.
    pub limit: Option<Duration>,
    /// What becomes of its console.
    pub console: Console,
    /// Whether it can ask what it takes of the processors ([`Lab::processor`]).
    pub metered: bool,
}

/// What becomes of a guest's console.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Console {
    /// Kept, and shown when the guest fails.
    Kept,
    /// Shown as it comes.
    Shown,
    /// Joined to our own terminal, both ways.
    Terminal,
}

/// How a guest ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit status of the program in the guest.
    pub status: i32,
    /// What it left behind.
    pub out: PathBuf,
    /// The console's last lines.
    pub last_lines: String,
}

/// Runs `body` in a kernel of its own. What [`crate::kernel_test!`] expands to.
///
/// # Panics
///
/// When the guest cannot be started, crashes, hangs, or the body fails in it.
pub fn kernel_test(path: &str, body: impl FnOnce(&Lab)) {
    match guest::stage() {
        guest::Stage::Init => guest::init(),
        guest::Stage::Body(lab) => {
            let outcome = catch_unwind(AssertUnwindSafe(|| body(&lab)));
            if let Err(panic) = outcome {
                lab.keep_kernel_log();
                resume_unwind(panic);
            }
        }
        guest::Stage::Host => {
            // libtest knows a test by its path below the crate.
            let name = path.split_once("::").map_or(path, |(_crate, rest)| rest);
            let guest = Guest {
                name: path.replace("::", "."),
                args: ["--exact", name, "--nocapture", "--test-threads=1"]
                    .map(str::to_owned)
                    .into(),
                limit: Some(TEST_LIMIT),
                console: Console::Kept,
                metered: false,
            };
            match guest.run() {
                Ok(ended) if ended.status == 0 => {}
                Ok(ended) => fail(&format!(
                    "failed in its kernel (status {}); its logs are in {}\n{}{}",
                    ended.status,
                    ended.out.display(),
                    ended.last_lines,
                    logs(&ended.out)
                )),
                Err(error) => fail(&format!("could not be run in a kernel: {error}")),
            }
        }
    }
}

#[expect(clippy::panic, reason = "how a test fails")]
fn fail(text: &str) -> ! {
    panic!("{text}")
}

/// The ends of all logs in a guest's folder.
#[must_use]
pub fn logs(out: &Path) -> String {
    let mut files: Vec<PathBuf> = fs::read_dir(out)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.retain(|file| file.extension().is_some_and(|ext| ext == "log"));
    files.sort();
    let mut text = String::new();
    for file in files {
        let Ok(bytes) = fs::read(&file) else { continue };
        let content = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = content.lines().collect();
        let from = lines.len().saturating_sub(LAST_LINES);
        let name = file.file_name().unwrap_or_default().display();
        text.push_str(&format!(
            "--- {name}, last lines\n{}\n",
            lines[from..].join("\n")
        ));
    }
    text
}

impl Guest {
    /// Boots the kernel, waits for its end and tells how it ended.
    ///
    /// # Errors
    ///
    /// A text for a person when there is no kernel to boot, when it crashes, hangs or ends without
    /// having told a result; never a silent success.
    pub fn run(&self) -> Result<Ended, String> {
        if let Some(complaint) = packages::complaint() {
            return Err(complaint);
        }
        let _slot = Slot::take()?;
        let out = self.make_out()?;
        let own = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        self.boot(&own, &out)
    }

    /// Boots with `init` as process 1.
    fn boot(&self, init: &Path, out: &Path) -> Result<Ended, String> {
        let interactive = self.console == Console::Terminal;
        let nul_ended: String = self.args.iter().map(|arg| format!("{arg}\0")).collect();
        fs::write(out.join(guest::ARGS), nul_ended).map_err(|e| unwritable(out, &e))?;
        // Whoever ends this program, and however: its guest ends with it.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "linux.uml"])
            .args([
                "mem=1G",
                "rootfstype=hostfs",
                "rootflags=/",
                "ro",
                "quiet",
                "panic=-1",
            ])
            .arg("con=null")
            .arg(if interactive {
                "con0=fd:0,fd:1"
            } else {
                "con0=null,fd:1"
            })
            .arg(format!("init={}", init.display()))
            .arg(format!("{}=init", guest::STAGE))
            .arg(format!("{}={}", guest::OUT, out.display()))
            // Programs in the guest see a terminal, whatever its console leads to.
            .args((!io::stdout().is_terminal()).then_some("NO_COLOR=1"))
            .args(self.args_of_process_1())
            .stdin(if interactive {
                Stdio::inherit()
            } else {
                Stdio::null()
            })
            .stdout(if interactive {
                Stdio::inherit()
            } else {
                Stdio::piped()
            })
            .stderr(File::create(out.join("boot.txt")).map_err(|e| unwritable(out, &e))?);
        if !interactive {
            // So that a hung kernel goes with all the processes that it is made of.
            command.process_group(0);
        }
        let mut child = command
            .spawn()
            .map_err(|e| format!("cannot start linux.uml: {e}"))?;
        // Its process group has its number, or, at a terminal, is that of whoever sits there.
        let _meter = (self.metered && !interactive).then(|| meter::Meter::start(child.id(), out));
        let console = Tail::follow(&mut child, &out.join("console.txt"), self.console)?;
        let hung = !self.wait(&mut child)?;
        let last_lines = console.map(Tail::finish).unwrap_or_default();
        if hung {
            let limit = self.limit.unwrap_or_default();
            return Err(format!(
                "the guest was still running after {limit:?} and has been killed\n{last_lines}{}",
                logs(out)
            ));
        }
        let told = fs::read_to_string(out.join(guest::RESULT)).unwrap_or_default();
        let Ok(status) = told.trim().parse() else {
            return Err(format!(
                "the guest ended without a result: its kernel or its process 1 crashed\n{last_lines}{}",
                logs(out)
            ));
        };
        Ok(Ended {
            status,
            out: out.to_owned(),
            last_lines,
        })
    }

    /// Waits for the kernel's end; kills it at the limit. Whether it ended by itself.
    fn wait(&self, child: &mut Child) -> Result<bool, String> {
        let start = Instant::now();
        loop {
            let ended = child
                .try_wait()
                .map_err(|e| format!("cannot wait for linux.uml: {e}"))?;
            if ended.is_some() {
                return Ok(true);
            }
            if self.limit.is_some_and(|limit| start.elapsed() > limit) {
                if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                    // It may have ended in between; either way it is gone.
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = child.wait();
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Process 1 of a test has to know its test. The kernel's command line parts words at blanks
    /// and knows quotes, so arguments with either reach only the guest's program.
    fn args_of_process_1(&self) -> Vec<&str> {
        let plain = |arg: &String| !arg.contains(|c: char| c.is_whitespace() || c == '"');
        if !self.args.iter().all(plain) {
            return Vec::new();
        }
        std::iter::once("--")
            .chain(self.args.iter().map(String::as_str))
            .collect()
    }

    fn make_out(&self) -> Result<PathBuf, String> {
        let folder = lab_folder().join(&self.name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|e| unwritable(&folder, &e))?;
        Ok(folder)
    }
}

/// Where guests leave their results: `target/lab`.
fn lab_folder() -> PathBuf {
    let programs = crate::programs();
    programs.parent().unwrap_or(&programs).join("lab")
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("cannot write to {}: {error}", path.display())
}

/// One of the places for guests that run at the same time, whichever process they belong to.
struct Slot {
    _file: File,
}

impl Slot {
    fn take() -> Result<Self, String> {
        let folder = lab_folder();
        fs::create_dir_all(&folder).map_err(|e| unwritable(&folder, &e))?;
        loop {
            for number in 0..SLOTS {
                let path = folder.join(format!("slot.{number}"));
                let file = File::create(&path).map_err(|e| unwritable(&path, &e))?;
                if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    return Ok(Self { _file: file });
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Follows a guest's console: to a file, to ours if wanted, and keeps the last lines.
struct Tail {
    thread: std::thread::JoinHandle<()>,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Tail {
    fn follow(child: &mut Child, file: &Path, console: Console) -> Result<Option<Self>, String> {
        let Some(pipe) = child.stdout.take() else {
            return Ok(None);
        };
        let mut file = File::create(file).map_err(|e| unwritable(file, &e))?;
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&lines);
        let started = AtomicBool::new(false);
        let thread = std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line)
                    .trim_end_matches('\r')
                    .to_owned();
                // What the kernel says before our process 1 does is kept, but nobody's business.
                let begins = line == guest::BEGINS;
                let shown = console == Console::Shown && started.load(Ordering::Relaxed);
                started.fetch_or(begins, Ordering::Relaxed);
                let _ = writeln!(file, "{line}");
                if shown {
                    let _ = writeln!(io::stdout(), "{line}");
                }
                if let Ok(mut kept) = kept.lock() {
                    if kept.len() == LAST_LINES {
                        kept.pop_front();
                    }
                    kept.push_back(line);
                }
            }
        });
        Ok(Some(Self { thread, lines }))
    }

    fn finish(self) -> String {
        let _ = self.thread.join();
        let lines = self
            .lines
            .lock()
            .map(|lines| lines.iter().cloned().collect::<Vec<_>>());
        format!(
            "--- console, last lines\n{}\n",
            lines.unwrap_or_default().join("\n")
        )
    }
}

#[cfg(test)]
mod tests;
