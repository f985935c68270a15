//! The tool for people whose hands know ipvsadm: `lvsadm`.

use std::process::ExitCode;
use std::{env, io};

fn main() -> ExitCode {
    caribe::lvsadm::run(
        env::args_os().skip(1),
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    )
}
