//! `lvsadm-save` and `lvsadm-restore`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use super::run_on_system;

/// What ipvsadm's wrappers exit with when they are used wrongly.
const USAGE: u8 = 1;

/// Prints the table as command lines: `lvsadm -S`, or `lvsadm -S -n` with `-n`.
pub fn save(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut command = vec![OsString::from("lvsadm"), OsString::from("-S")];
    for arg in args.into_iter().skip(1) {
        match arg.to_str() {
            Some("-n") => command.push(arg),
            _ if arg.as_encoded_bytes().starts_with(b"-") => {
                return usage(
                    "lvsadm-save: prints the IPVS table as command lines\n   \
                     With -n, addresses and ports are numbers.\n",
                );
            }
            _ => {}
        }
    }
    command.dedup();
    run_on_system(command).into()
}

/// Makes the table equal to command lines from standard input: `lvsadm -R --replace`.
pub fn restore(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    if args.into_iter().nth(1).is_some() {
        return usage(
            "lvsadm-restore: makes the IPVS table what standard input says\n   \
             It reads what lvsadm-save prints, and has no options.\n",
        );
    }
    run_on_system(["lvsadm", "-R", "--replace"].map(OsString::from)).into()
}

fn usage(text: &str) -> ExitCode {
    let _ = io::stderr().write_all(text.as_bytes());
    USAGE.into()
}
