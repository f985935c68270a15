//! Prints the IPVS table: `lvsadm-save`.

use std::process::ExitCode;

fn main() -> ExitCode {
    caribe::lvsadm::save(std::env::args_os())
}
