//! The command line of `caribe`: what it understands, what it prints, and how it ends.

pub mod args;
mod check;
mod events;
mod exit;
mod format;
mod guard;
mod handover;
mod key;
pub mod logging;
pub mod output;
mod release;
mod replay;
mod run;
mod status;
mod table;
mod tune;

use clap::Parser;

pub use args::{Cli, Command, RunArgs};
pub use exit::Exit;

/// Runs `caribe` with the arguments of this process.
#[must_use]
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(err) => {
            // Help and version come this way too, for standard output; a reader that has gone
            // away is no failure.
            let _ = err.print();
            return if err.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
        }
    };
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Status(args) => status::status(&args),
        Command::Release(args) => release::release(&args),
        Command::Guard(args) => guard::guard(&args),
        Command::Events(args) => events::events(&args),
        Command::Tune(args) => tune::tune(&args),
        Command::Handover(args) => handover::handover(&args),
        Command::Standby(args) => handover::standby(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Key(args) => match args.command {
            args::KeyCommand::Generate(args) => key::generate(&args),
        },
    }
}
