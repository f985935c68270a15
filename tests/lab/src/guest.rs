//! Process 1 of a guest: mounts, modules, a writable root, and the program that it is all for.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{Pid, WaitOptions};
use rustix::system::{RebootCommand, reboot};

use crate::{Lab, links};

/// Environment variable that tells this program which of its selves it is.
pub const STAGE: &str = "CARIBE_LAB";
/// Environment variable with the folder on the host for what outlives the guest.
pub const OUT: &str = "CARIBE_LAB_OUT";
/// File in that folder with the exit status of the guest's program.
pub const RESULT: &str = "result";
/// File in that folder with the arguments of the guest's program, each ended by a NUL.
pub const ARGS: &str = "args";
/// The console's line that parts the kernel's boot messages from ours.
pub const BEGINS: &str = "lab: the guest is up";

/// Where [`OUT`] is seen in the guest.
const GUEST_OUT: &str = "/out";

/// Where Debian's package keeps the kernel's modules.
pub const MODULE_FOLDER: &str = "/usr/lib/uml/modules";

/// Modules that the lab's kernel needs; schedulers come on demand.
const MODULES: &[&str] = &[
    "veth",
    "bridge",
    "dummy",
    "ip_vs",
    "ipip",
    "sch_netem",
    "af_packet",
];

/// Which of its selves this program is.
#[derive(Debug)]
pub enum Stage {
    /// On the host: to boot a guest.
    Host,
    /// Process 1 of a guest.
    Init,
    /// The program that the guest is for.
    Body(Lab),
}

/// Reads [`STAGE`].
#[must_use]
pub fn stage() -> Stage {
    match std::env::var(STAGE).as_deref() {
        Ok("init") => Stage::Init,
        Ok("body") => Stage::Body(Lab {
            out: PathBuf::from(GUEST_OUT),
        }),
        _ => Stage::Host,
    }
}

/// Runs as process 1: prepares the guest, runs this program's second self with the same arguments,
/// tells its exit status and switches the guest off.
pub fn init() -> ! {
    say(BEGINS);
    let status = match prepare().and_then(|()| body()) {
        Ok(status) => status,
        Err(error) => {
            say(&format!("lab: cannot prepare the guest: {error}"));
            70
        }
    };
    let told = fs::write(Path::new(GUEST_OUT).join(RESULT), format!("{status}\n"));
    if let Err(error) = told {
        say(&format!("lab: cannot tell the result: {error}"));
    }
    rustix::fs::sync();
    // The kernel's own farewell would end up among what the guest has to say.
    let _ = fs::write("/proc/sys/kernel/printk", "0");
    let refused = reboot(RebootCommand::PowerOff);
    say(&format!("lab: cannot switch off: {refused:?}"));
    std::process::exit(70)
}

/// Mounts and modules, and a writable copy of the host's files as the new root.
fn prepare() -> Result<(), String> {
    let out = std::env::var(OUT).map_err(|_| format!("{OUT} is not set"))?;
    attach("proc", "/proc", "proc", "")?;
    // A place of our own to build the new root in; the host's files are read-only here.
    attach("tmpfs", "/run", "tmpfs", "")?;
    load_modules()?;
    for folder in ["up", "work", "root"] {
        make(&Path::new("/run").join(folder))?;
    }
    attach(
        "overlay",
        "/run/root",
        "overlay",
        "lowerdir=/,upperdir=/run/up,workdir=/run/work",
    )?;
    let root = Path::new("/run/root");
    make(&root.join("out"))?;
    attach("none", "/run/root/out", "hostfs", &out)?;
    for (folder, kind) in [("proc", "proc"), ("sys", "sysfs"), ("dev", "devtmpfs")] {
        attach(kind, &format!("/run/root/{folder}"), kind, "")?;
    }
    for folder in ["run", "dev/shm"] {
        make(&root.join(folder))?;
        attach("tmpfs", &format!("/run/root/{folder}"), "tmpfs", "")?;
    }
    make(&root.join("dev/pts"))?;
    attach("devpts", "/run/root/dev/pts", "devpts", "")?;
    enter_root(root).map_err(|e| format!("cannot enter the new root: {e}"))?;
    // Where modprobe looks for the running kernel's modules, whoever calls it.
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let modules = Path::new("/lib/modules");
    make(modules)?;
    symlink(
        Path::new(MODULE_FOLDER).join(&release),
        modules.join(&release),
    )
    .map_err(|e| format!("cannot link the modules of {release}: {e}"))?;
    bring_up_loopback()
}

/// Makes `root` the root of this mount namespace, as switch_root(8) does: a bare chroot would be
/// undone for whoever enters a host's mounts.
fn enter_root(root: &Path) -> io::Result<()> {
    std::env::set_current_dir(root)?;
    mount_move(".", "/")?;
    rustix::process::chroot(".")?;
    std::env::set_current_dir("/")
}

fn bring_up_loopback() -> Result<(), String> {
    links::bring_up("lo").map_err(|e| format!("cannot bring up the loopback interface: {e}"))
}

fn load_modules() -> Result<(), String> {
    // The running root has no lib/modules for this kernel, so modprobe is shown another.
    let folder = Path::new("/run/modules");
    make(&folder.join("lib"))?;
    symlink(MODULE_FOLDER, folder.join("lib/modules"))
        .map_err(|e| format!("cannot link {MODULE_FOLDER}: {e}"))?;
    let status = command("modprobe")
        .arg("-d")
        .arg(folder)
        .args(["-a", "overlay"])
        .args(MODULES)
        .status()
        .map_err(|e| format!("cannot run modprobe: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("modprobe failed: {status}"))
    }
}

/// Runs this program's second self and, as process 1 must, reaps whatever is left to it.
fn body() -> Result<i32, String> {
    let own = std::env::args_os().next().unwrap_or_default();
    let args = fs::read(Path::new(GUEST_OUT).join(ARGS))
        .map_err(|e| format!("cannot read the arguments of the guest's program: {e}"))?;
    let args = args
        .split_inclusive(|byte| *byte == 0)
        .map(|arg| &arg[..arg.len() - 1]);
    let child = command_path(Path::new(&own))
        .args(args.map(OsStr::from_bytes))
        .env(STAGE, "body")
        .spawn()
        .map_err(|e| format!("cannot start {}: {e}", own.display()))?;
    let child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        let reaped = rustix::process::wait(WaitOptions::empty());
        let Ok(Some((pid, status))) = reaped else {
            return Err(format!("lost the guest's program: {reaped:?}"));
        };
        if Some(pid) == child {
            let code = status.exit_status();
            let signal = status.terminating_signal().map(|signal| 128 + signal);
            return Ok(code.or(signal).unwrap_or(70));
        }
    }
}

/// A command with an environment that does not depend on who booted the guest.
#[must_use]
pub fn command(program: &str) -> Command {
    command_path(Path::new(program))
}

fn command_path(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("HOME", "/root")
        .env("LC_ALL", "C.UTF-8")
        .env("RUST_BACKTRACE", "1");
    command
}

pub(crate) fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))
}

pub(crate) fn attach(source: &str, target: &str, kind: &str, data: &str) -> Result<(), String> {
    let data = CString::new(data).map_err(|_| format!("bad mount options for {target}"))?;
    mount(source, target, kind, MountFlags::empty(), data.as_c_str())
        .map_err(|e| format!("cannot mount {kind} on {target}: {e}"))
}

fn say(text: &str) {
    // Nobody is left to tell if even the console is gone.
    let _ = writeln!(io::stdout(), "{text}");
}

impl Lab {
    /// Writes the kernel's messages to `kernel.log` among the results.
    pub fn keep_kernel_log(&self) {
        if let Ok(output) = command("dmesg").output() {
            let _ = fs::write(self.out.join("kernel.log"), output.stdout);
        }
    }
}
