//! Makes the IPVS table what standard input says: `lvsadm-restore`.

use std::process::ExitCode;

fn main() -> ExitCode {
    caribe::lvsadm::restore(std::env::args_os())
}
