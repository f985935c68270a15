//! The tool for people whose hands know ipvsadm: the same options, and the same output to the byte.

mod listing;
mod options;
mod order;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use ipvs::{Client, Error, Info, Kernel, ListedService};
use options::Command;

/// Wrong usage, no IPVS, or no right to use it.
const UNUSABLE: u8 = 2;
/// The kernel refused the command.
const REFUSED: u8 = 255;
/// The output could not be written.
const UNWRITTEN: u8 = 1;

/// Runs `lvsadm` with its arguments, without the program's name.
///
/// The status is 0 when all went well, 2 for wrong usage and where IPVS or the right to use it is
/// missing, 255 when the kernel refuses, and 1 when the output could not be written. A reader that
/// has seen enough and closes the pipe is no failure.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    stdout: &mut impl Write,
    stderr: &mut impl Write,
) -> ExitCode {
    run_with(args, stdout, stderr, read_kernel).into()
}

fn read_kernel() -> Result<(Info, Vec<ListedService>), Error> {
    let mut client = Client::open()?;
    Ok((client.info()?, client.listing()?))
}

fn run_with(
    args: impl IntoIterator<Item = OsString>,
    stdout: &mut impl Write,
    stderr: &mut impl Write,
    read: impl FnOnce() -> Result<(Info, Vec<ListedService>), Error>,
) -> u8 {
    let text = match options::parse(args) {
        Ok(Command::Help) => options::HELP.to_owned(),
        Ok(Command::Version) => format!("lvsadm {}\n", env!("CARGO_PKG_VERSION")),
        Ok(Command::List) => match read() {
            Ok((info, services)) => listing::render(info, &services),
            Err(error) => return complain(stderr, &explain(&error), status(&error)),
        },
        Err(mistake) => {
            let hint = format!("{mistake}; `lvsadm -h` lists what is available");
            return complain(stderr, &hint, UNUSABLE);
        }
    };
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => complain(
            stderr,
            &format!("cannot write the output: {error}"),
            UNWRITTEN,
        ),
        Ok(()) | Err(_) => 0,
    }
}

/// Says what went wrong. Where even that cannot be written, the status must tell.
fn complain(stderr: &mut impl Write, what: &str, status: u8) -> u8 {
    let _ = writeln!(stderr, "lvsadm: {what}");
    status
}

fn status(error: &Error) -> u8 {
    match error {
        Error::NoIpvs | Error::NotPermitted => UNUSABLE,
        Error::NoService(_)
        | Error::Unreadable(_)
        | Error::Refused(_)
        | Error::Connection(_)
        | Error::File { .. }
        | Error::Netlink { .. } => REFUSED,
    }
}

fn explain(error: &Error) -> String {
    match error {
        Error::NoIpvs => "the kernel has no IPVS; load it with `modprobe ip_vs`, or try it in a \
                          kernel of its own with `cargo lab demo`"
            .to_owned(),
        Error::NotPermitted => "reading the IPVS table needs CAP_NET_ADMIN; run this as root, or \
                                try it in a kernel of its own with `cargo lab demo`"
            .to_owned(),
        Error::NoService(_)
        | Error::Unreadable(_)
        | Error::Refused(_)
        | Error::Connection(_)
        | Error::File { .. }
        | Error::Netlink { .. } => error.to_string(),
    }
}
