//! The tool for people whose hands know ipvsadm: the same options, and the same output to the byte.
//!
//! `table` holds every command and option; `popt` and `request` read a command line by it,
//! and what is asked for is listed, saved, restored or sent to the kernel.

mod completions;
mod connections;
mod help;
mod json;
mod kernel;
mod listing;
mod message;
mod names;
mod order;
mod popt;
mod rates;
mod request;
mod resolver;
mod restore;
mod save;
mod table;
#[cfg(test)]
mod tests;
mod values;
mod watch;
mod wrappers;

use std::ffi::OsString;
use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use ipvs::{Client, Error};

use kernel::Source;
use names::{Names, Resolver, System};
use request::{Format, Listing, Request, What};
use restore::{Fault, Replacement, Step};
pub use wrappers::{restore, save};

/// Wrong usage, no IPVS, or no right to use it.
const UNUSABLE: u8 = 2;
/// The kernel refused the command.
const REFUSED: u8 = 255;
/// The table could not be listed, or the output not be written.
const UNLISTED: u8 = 1;

/// Runs `lvsadm` with its arguments, the first of which is its name.
///
/// The status is 0 when all went well, 2 for wrong usage and where IPVS or the right to use it is
/// missing, 255 for switches that cannot be read and when the kernel refuses, and 1 when the table
/// could not be listed or the output not be written. A reader that has seen enough and closes the
/// pipe is no failure.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_on_system(args).into()
}

fn run_on_system(args: impl IntoIterator<Item = OsString>) -> u8 {
    let mut args = args
        .into_iter()
        .map(|arg| arg.to_string_lossy().into_owned());
    let program = args.next().unwrap_or_else(|| "lvsadm".to_owned());
    let args: Vec<String> = args.collect();
    let stdout = io::stdout();
    Session {
        program: &program,
        resolver: &System,
        open: Client::open,
        terminal: stdout.is_terminal(),
        stdin: io::stdin().lock(),
        // Much is written, and a terminal gets it as whole as a pipe.
        stdout: BufWriter::with_capacity(64 * 1024, stdout.lock()),
        stderr: io::stderr().lock(),
    }
    .run(&args)
}

/// What a command line is carried out with.
struct Session<'a, O, I, W, E> {
    program: &'a str,
    resolver: &'a dyn Resolver,
    /// Connects to the kernel.
    open: O,
    /// Whether the output is a terminal, whose screen can be cleared.
    terminal: bool,
    stdin: I,
    stdout: W,
    stderr: E,
}

/// Why a command line was not carried out, or not to its end.
enum Failure {
    /// The kernel could not be reached, or what befell it in the middle.
    Kernel { error: Error, status: u8 },
    /// The output could not be written.
    Output(io::Error),
    /// The input could not be read.
    Input(io::Error),
    /// Some of it could not be carried out; the last of it gives the status.
    Faults(Vec<Fault>),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::NoIpvs | Error::NotPermitted => UNUSABLE,
            _ => REFUSED,
        };
        Self::Kernel { error, status }
    }
}

/// A failure to list.
fn unlisted(error: Error) -> Failure {
    match Failure::from(error) {
        Failure::Kernel { error, status } if status == REFUSED => Failure::Kernel {
            error,
            status: UNLISTED,
        },
        failure => failure,
    }
}

impl<K, O, I, W, E> Session<'_, O, I, W, E>
where
    K: Source,
    O: Fn() -> Result<K, Error>,
    I: BufRead,
    W: Write,
    E: Write,
{
    /// Carries out the arguments that follow the program's name, and returns the exit status.
    fn run(mut self, args: &[String]) -> u8 {
        let request = if args.is_empty() {
            Ok(Request::List(Listing::default()))
        } else {
            request::parse(self.program, args, self.resolver)
        };
        let request = match request {
            Ok(request) => request,
            Err(mistake) => {
                self.complain(&mistake.to_string());
                return mistake.status();
            }
        };
        let outcome = self
            .carry_out(request)
            .and_then(|()| Ok(self.stdout.flush()?));
        match outcome {
            Ok(()) => 0,
            Err(failure) => self.tell(failure),
        }
    }

    fn carry_out(&mut self, request: Request) -> Result<(), Failure> {
        match request {
            Request::Help => Ok(self.stdout.write_all(help::text(self.program).as_bytes())?),
            Request::Version => Ok(self.stdout.write_all(help::version().as_bytes())?),
            Request::Completions(shell) => Ok(self
                .stdout
                .write_all(completions::script(shell).as_bytes())?),
            Request::Restore { replace } => self.restore(replace),
            Request::List(listing) => {
                let mut kernel = (self.open)()?;
                let Some(interval) = listing.watch else {
                    return self.list(&mut kernel, &listing);
                };
                watch::watch(self, &mut kernel, &listing, interval)
            }
            Request::Save { numeric } => {
                let mut kernel = (self.open)()?;
                self.save(&mut kernel, numeric)
            }
            Request::Kernel(command) => {
                let mut kernel = (self.open)()?;
                match kernel.execute(std::slice::from_ref(&command))?.pop() {
                    None | Some(Ok(())) => Ok(()),
                    Some(Err(error)) => Err(Failure::Faults(vec![Fault {
                        line: None,
                        text: message::of_refusal(&command, &error),
                        status: REFUSED,
                    }])),
                }
            }
        }
    }

    fn list(&mut self, kernel: &mut K, listing: &Listing) -> Result<(), Failure> {
        match listing.what {
            What::Table => {
                let info = kernel.info().map_err(unlisted)?;
                if listing.format == Format::Plain && !listing.json {
                    let services = kernel.outline().map_err(unlisted)?;
                    let mut names = Names::new(self.resolver, listing.numeric);
                    let out = &mut self.stdout;
                    listing::write_outline(out, info, &services, listing, &mut names)?;
                    return Ok(());
                }
                let services = kernel.listing().map_err(unlisted)?;
                self.write_table(info, &services, listing)
            }
            What::Service(key) => {
                let service = kernel.service(&key).map_err(unlisted)?;
                self.write_service(&service, listing)
            }
            What::Connections => self.list_connections(kernel, listing),
            What::Timeouts => {
                let timeouts = kernel.timeouts().map_err(unlisted)?;
                if listing.json {
                    json::write_timeouts(&mut self.stdout, timeouts)?;
                } else {
                    connections::write_timeouts(&mut self.stdout, timeouts)?;
                }
                Ok(())
            }
            What::Daemons => {
                let daemons = kernel.daemons().map_err(unlisted)?;
                if listing.json {
                    json::write_daemons(&mut self.stdout, &daemons)?;
                } else {
                    connections::write_daemons(&mut self.stdout, &daemons)?;
                }
                Ok(())
            }
        }
    }

    fn write_table(
        &mut self,
        info: ipvs::Info,
        services: &[ipvs::ListedService],
        listing: &Listing,
    ) -> Result<(), Failure> {
        if listing.json {
            let services = if listing.sorted {
                order::sort_services(services, |listed| listed.key)
            } else {
                services.iter().collect()
            };
            json::write_table(&mut self.stdout, info, &services)?;
        } else {
            let mut names = Names::new(self.resolver, listing.numeric);
            listing::write_table(&mut self.stdout, info, services, listing, &mut names)?;
        }
        Ok(())
    }

    fn write_service(
        &mut self,
        service: &ipvs::ListedService,
        listing: &Listing,
    ) -> Result<(), Failure> {
        if listing.json {
            json::write_service(&mut self.stdout, service)?;
        } else {
            let mut names = Names::new(self.resolver, listing.numeric);
            listing::write_service(&mut self.stdout, service, listing, &mut names)?;
        }
        Ok(())
    }

    /// Lists connections as they are read: there may be millions.
    fn list_connections(&mut self, kernel: &mut K, listing: &Listing) -> Result<(), Failure> {
        let engines = listing.format == Format::PersistentConnections;
        let mut names = Names::new(self.resolver, listing.numeric);
        let out = &mut self.stdout;
        let found = kernel.connections().map_err(unlisted)?;
        if listing.json {
            let mut before = "[";
            for connection in found {
                out.write_all(before.as_bytes())?;
                json::write_connection(out, &connection.map_err(unlisted)?)?;
                before = ",\n";
            }
            out.write_all(if before == "[" { b"[]\n" } else { b"]\n" })?;
            return Ok(());
        }
        connections::write_title(out, engines)?;
        for connection in found {
            let connection = connection.map_err(unlisted)?;
            connections::write_connection(out, &connection, engines, &mut names)?;
        }
        Ok(())
    }

    fn save(&mut self, kernel: &mut K, numeric: bool) -> Result<(), Failure> {
        let services = kernel.listing().map_err(unlisted)?;
        let mut names = Names::new(self.resolver, numeric);
        Ok(save::write(&mut self.stdout, &services, &mut names)?)
    }

    fn restore(&mut self, replace: bool) -> Result<(), Failure> {
        let steps = restore::read(self.program, &mut self.stdin, self.resolver)
            .map_err(Failure::Input)?
            .map_err(Failure::Faults)?;
        let faults = if replace {
            let replacement = Replacement::rehearse(steps).map_err(Failure::Faults)?;
            replacement.carry_out(&mut (self.open)()?)?
        } else {
            self.carry_out_steps(steps)?
        };
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Failure::Faults(faults))
        }
    }

    /// Carries out everything, whatever is refused.
    fn carry_out_steps(&mut self, steps: Vec<Step>) -> Result<Vec<Fault>, Failure> {
        let mut kernel = (self.open)()?;
        let mut faults = Vec::new();
        for step in steps {
            match step {
                Step::Commands(commands) => {
                    faults.extend(restore::execute(&mut kernel, &commands)?);
                }
                Step::Other(_, Request::List(listing)) => self.list(&mut kernel, &listing)?,
                Step::Other(_, other) => self.carry_out(other)?,
            }
        }
        Ok(faults)
    }

    /// Says why, and returns the exit status that tells it.
    fn tell(&mut self, failure: Failure) -> u8 {
        // What was listed before comes before what failed then.
        let _ = self.stdout.flush();
        match failure {
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Failure::Output(error) => {
                self.complain(&format!("cannot write the output: {}", words::of(&error)));
                UNLISTED
            }
            Failure::Input(error) => {
                self.complain(&format!("cannot read the input: {}", words::of(&error)));
                UNUSABLE
            }
            Failure::Kernel { error, status } => {
                self.complain(&message::of_error(&error));
                status
            }
            Failure::Faults(faults) => {
                for fault in &faults {
                    self.complain(&fault.to_string());
                }
                faults.last().map_or(0, |fault| fault.status)
            }
        }
    }

    /// Says what went wrong. Where even that cannot be written, the status must tell.
    fn complain(&mut self, what: &str) {
        let _ = writeln!(self.stderr, "{what}");
    }
}
