//! `caribe run`: the director in the foreground.

use super::Exit;
use super::args::RunArgs;
use super::output::complain;

pub(super) fn run(args: &RunArgs) -> Exit {
    complain(&format_args!(
        "no director to run with {} yet",
        args.config.display()
    ));
    Exit::Failed
}
