//! The kernel's refusals in ipvsadm's words.

use ipvs::netlink::KernelError;
use ipvs::{Change, Command, Error};

/// Error numbers (asm-generic/errno-base.h, asm-generic/errno.h).
mod errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const ENOENT: i32 = 2;
    pub(super) const ESRCH: i32 = 3;
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const EEXIST: i32 = 17;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const EMSGSIZE: i32 = 90;
    pub(super) const ENOPROTOOPT: i32 = 92;
    pub(super) const EOPNOTSUPP: i32 = 95;
    pub(super) const EAFNOSUPPORT: i32 = 97;
}

const NO_SERVICE: &str = "No such service";
const NOT_PERMITTED: &str = "Permission denied (you must be root)";

/// What a refusal of a command means.
pub(super) fn of_refusal(command: &Command, error: &KernelError) -> String {
    let number = error.errno;
    let special = match (command, number) {
        (Command::Change(change), _) => of_change(change, number),
        (Command::Zero(_), errno::ESRCH) => Some(NO_SERVICE),
        (Command::StartDaemon(_), errno::EEXIST) => Some("Daemon has already run"),
        (Command::StopDaemon(_), errno::ESRCH) => Some("No daemon is running"),
        (_, _) => None,
    };
    let general = match number {
        errno::EPERM => Some(NOT_PERMITTED),
        errno::EINVAL => {
            Some("Invalid operation.  Possibly wrong module version, address not unicast, ...")
        }
        errno::ENOPROTOOPT => Some("Protocol not available"),
        errno::ENOMEM => Some("Memory allocation problem"),
        errno::EOPNOTSUPP => Some("Operation not supported with IPv6"),
        errno::EAFNOSUPPORT => Some("Operation not supported with specified address family"),
        errno::EMSGSIZE => Some("Module is wrong version"),
        _ => None,
    };
    special
        .or(general)
        .map_or_else(|| words::of_number(number), str::to_owned)
}

fn of_change(change: &Change, number: i32) -> Option<&'static str> {
    Some(match (change, number) {
        (Change::AddService { .. }, errno::EEXIST) => "Service already exists",
        (Change::AddService { .. } | Change::EditService { .. }, errno::ENOENT) => {
            "Scheduler or persistence engine not found"
        }
        (Change::EditService { .. } | Change::RemoveService { .. }, errno::ESRCH) => NO_SERVICE,
        (
            Change::AddDestination { .. }
            | Change::EditDestination { .. }
            | Change::RemoveDestination { .. },
            errno::ESRCH,
        ) => "Service not defined",
        (Change::AddDestination { .. }, errno::EEXIST) => "Destination already exists",
        (Change::EditDestination { .. } | Change::RemoveDestination { .. }, errno::ENOENT) => {
            "No such destination"
        }
        (_, _) => return None,
    })
}

/// What prevented any work.
pub(super) fn of_error(error: &Error) -> String {
    match error {
        Error::NoIpvs => "Can't initialize ipvs: the kernel has no IPVS\n\
             Are you sure that IP Virtual Server is built in the kernel or as module? \
             `modprobe ip_vs' tells more."
            .to_owned(),
        Error::NotPermitted => {
            format!(
                "Can't initialize ipvs: {NOT_PERMITTED}\nIPVS needs the capability CAP_NET_ADMIN."
            )
        }
        Error::NoService(_) => NO_SERVICE.to_owned(),
        other => other.to_string(),
    }
}
