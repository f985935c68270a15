//! The tool for people whose hands know ipvsadm: `lvsadm`.

use std::process::ExitCode;

fn main() -> ExitCode {
    caribe::lvsadm::run(std::env::args_os())
}
