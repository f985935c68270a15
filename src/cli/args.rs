//! What the command line of `caribe` understands.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::config;
use crate::director::events::Position;

/// Where the configuration is unless the command line says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/caribe/caribe.toml";

/// An LVS director with integrated failover
///
/// Two or more directors heartbeat each other. One of them holds the virtual IP addresses, and the
/// kernel's IPVS spreads connections over real servers that caribe keeps probing.
#[derive(Debug, Parser)]
#[command(name = "caribe", version, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
#[command(after_help = "The manual has more: caribe(8), caribe.toml(5).")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the director in the foreground, until SIGTERM
    ///
    /// On a clean stop the groups it holds are given to a peer first.
    Run(RunArgs),
    /// Check a configuration, and whether this host can run it
    ///
    /// All errors are shown at once, each with the line it is on. Nothing is changed.
    Check(CheckArgs),
    /// Show directors, groups and services as the running daemon sees them
    ///
    /// What is wrong comes first. The exit status says only whether the daemon answered: for
    /// monitoring ask /readyz of the API, or take --json.
    Status(StatusArgs),
    /// Recommend keepalive and deadtime from the heartbeats that have been heard
    ///
    /// For a rate of false alarms: takeovers from a director that lives. Refused until enough has
    /// been heard.
    Tune(TuneArgs),
    /// Remove what a daemon that has died has left: its addresses
    ///
    /// That is every address of the configuration, whoever has put it, and every address and route
    /// with caribe's mark. Nothing happens where nothing is left, or while the daemon's guard is
    /// about to do the same.
    Release(ReleaseArgs),
    /// Show what has happened to the running daemon, each event on a line
    ///
    /// The latest 1,000 are kept, until the daemon ends. Times are in UTC.
    Events(EventsArgs),
    /// Give a group that is active here to another director
    ///
    /// Only to one that is fit and ready, and without a gap. The group stays there: no automatic
    /// failback undoes it.
    Handover(HandoverArgs),
    /// Give everything to other directors and take nothing, for as long as it is not undone
    ///
    /// A group that no other director could take stays here until one can.
    Standby(StandbyArgs),
    /// Run a recording of `caribe run --record` again, and show what is decided differently
    ///
    /// Ends with status 1 if anything is.
    Replay(ReplayArgs),
    /// Make the secret that the directors of a cluster share
    Key(KeyArgs),
    /// Remove the addresses of a daemon that dies; started by it
    #[command(hide = true)]
    Guard(GuardArgs),
}

/// `caribe run`
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The configuration, the same file on every director
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Which `[[director]]` this host is, if not the one of its host name
    #[arg(short, long, value_name = "NAME")]
    pub node: Option<String>,
    /// Add what decides about owners, and what is decided, to a file for `caribe replay`
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// How and how much to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// How and how much the daemon logs.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// How much to log on standard error: error, warn, info, debug or trace, also for one module, as
    /// in info,caribe::cluster=debug
    #[arg(long, value_name = "LEVEL", env = "CARIBE_LOG", default_value = "info")]
    #[arg(value_parser = log_level, hide_env_values = true)]
    pub log_level: String,
    /// As lines for people, or as one JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One object a line.
    Json,
}

/// `caribe check`
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The configuration
    #[arg(value_name = "FILE", default_value = DEFAULT_CONFIG)]
    file: PathBuf,
    /// The same, named as for run
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Check it as if this host were that `[[director]]`
    #[arg(short, long, value_name = "NAME")]
    pub node: Option<String>,
    /// Check the file alone, not this host: its name, interfaces and key files
    #[arg(long)]
    pub no_host: bool,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
}

impl CheckArgs {
    /// The configuration to check.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.config.as_deref().unwrap_or(&self.file)
    }
}

/// `caribe status`
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Print the daemon's answer as it is: one JSON object on one line
    #[arg(long)]
    pub json: bool,
    /// Show only what has a problem
    #[arg(short, long, conflicts_with = "json")]
    pub problems: bool,
    /// Show also what each server's probe took
    #[arg(short, long, conflicts_with = "json")]
    pub wide: bool,
    /// Show only these virtual services, and what the probes of their servers took
    #[arg(value_name = "SERVICE", conflicts_with = "json")]
    pub services: Vec<String>,
    /// Ask again every so many seconds, until Ctrl-C
    #[arg(short, long, value_name = "SECONDS", value_parser = interval)]
    pub interval: Option<Duration>,
    /// The daemon's control socket
    #[arg(short, long, value_name = "PATH", conflicts_with = "config")]
    pub socket: Option<PathBuf>,
    /// The configuration that names the control socket [default: /etc/caribe/caribe.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `caribe tune`
#[derive(Args, Clone, Debug)]
pub struct TuneArgs {
    /// How many false alarms there may be at most, as in 1/year, 0.1/year or 2/month
    #[arg(short, long, value_name = "RATE", default_value = "1/year", value_parser = Rate::parse)]
    pub false_alarms: Rate,
    /// Print advice and figures as JSON
    #[arg(long)]
    pub json: bool,
    /// Which daemon is asked.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// So many times in so long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    times: f64,
    unit: &'static str,
}

/// Units of a rate, in seconds; a year and a month of the calendar on the average.
const UNITS: [(&str, f64); 4] = [
    ("day", 86_400.0),
    ("week", 604_800.0),
    ("month", 2_629_746.0),
    ("year", 31_556_952.0),
];

impl Rate {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a number and a unit, as in 1/year or 2/month".to_owned();
        let (times, unit) = text.split_once('/').ok_or_else(expected)?;
        let times: f64 = times.trim().parse().map_err(|_| expected())?;
        let unit = UNITS.iter().find(|(name, _)| *name == unit.trim());
        let Some((unit, _)) = unit else {
            return Err("the unit is day, week, month or year".to_owned());
        };
        if !(0.0001..=1000.0).contains(&times) {
            return Err("expected 0.0001 to 1000 of them".to_owned());
        }
        Ok(Self { times, unit })
    }

    /// The same as times a second.
    #[must_use]
    pub fn a_second(self) -> f64 {
        let unit = UNITS.iter().find(|(name, _)| *name == self.unit);
        unit.map_or(0.0, |(_, seconds)| self.times / seconds)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.times, self.unit)
    }
}

/// `caribe release`
#[derive(Args, Clone, Debug)]
pub struct ReleaseArgs {
    /// The configuration, which names addresses and control socket
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Even while a daemon or its guard runs; one that runs puts them back
    #[arg(long)]
    pub force: bool,
}

/// `caribe guard`, which `caribe run` starts
#[derive(Args, Clone, Debug)]
pub struct GuardArgs {
    /// The daemon's control socket
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// The daemon's process number
    #[arg(long, value_name = "PROCESS")]
    pub daemon: u32,
    /// How and how much to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Which daemon is meant.
#[derive(Args, Clone, Debug)]
pub struct DaemonArgs {
    /// The daemon's control socket
    #[arg(short, long, value_name = "PATH", conflicts_with = "config")]
    pub socket: Option<PathBuf>,
    /// The configuration that names the control socket [default: /etc/caribe/caribe.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `caribe events`
#[derive(Args, Clone, Debug)]
pub struct EventsArgs {
    /// Go on with what happens from now on, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// Only what happened in so long ("10m"), or after an event that was shown (its `id`)
    #[arg(short = 'S', long, value_name = "AGE|ID", value_parser = since)]
    pub since: Option<Since>,
    /// Print each event as one JSON object on one line
    #[arg(long)]
    pub json: bool,
    /// Which daemon is meant.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// From where on events are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Since {
    /// Those at most so old.
    Age(Duration),
    /// Those after another.
    Event(Position),
}

/// `caribe handover`
#[derive(Args, Clone, Debug)]
pub struct HandoverArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    pub group: String,
    /// The director that shall have it, if not the best one that is ready
    #[arg(short, long, value_name = "NAME")]
    pub to: Option<String>,
    /// Wait so many seconds at most until the other director is ready
    #[arg(short, long, value_name = "SECONDS", value_parser = interval)]
    pub wait: Option<Duration>,
    /// Print the daemon's answer as it is: one JSON object on one line
    #[arg(long)]
    pub json: bool,
    /// Which daemon is meant.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// `caribe standby`
#[derive(Args, Clone, Debug)]
pub struct StandbyArgs {
    /// Only this group, not all of them
    #[arg(value_name = "GROUP")]
    pub group: Option<String>,
    /// Take groups again, as before
    #[arg(short, long)]
    pub undo: bool,
    /// Stand by after a restart of the daemon, too
    #[arg(short, long, conflicts_with = "undo")]
    pub persist: bool,
    /// Print the daemon's answer as it is: one JSON object on one line
    #[arg(long)]
    pub json: bool,
    /// Which daemon is meant.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// `caribe replay`
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `caribe key`
#[derive(Args, Clone, Debug)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct KeyArgs {
    /// What to do with keys.
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// A subcommand of `caribe key`.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Write a new random key to a new file of mode 0600
    ///
    /// Copy it to the other directors in a way that nobody can listen to, and name it in `keys` of
    /// `[cluster]` on all of them.
    Generate(KeyGenerateArgs),
}

/// `caribe key generate`
#[derive(Args, Clone, Debug)]
pub struct KeyGenerateArgs {
    /// The file to write; it must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

fn log_level(text: &str) -> Result<String, String> {
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(err) => Err(format!(
            "{err}; a level is error, warn, info, debug, trace or off"
        )),
    }
}

/// Below a tenth of a second a terminal only flickers; above a day somebody has mistyped.
fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "expected a number of seconds".to_owned())?;
    if !(0.1..=86_400.0).contains(&seconds) {
        return Err("expected 0.1 to 86400 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn since(text: &str) -> Result<Since, String> {
    if let Some(age) = config::parse_duration(text) {
        return Ok(Since::Age(age));
    }
    let wrong = "expected an age such as \"30s\", \"10m\" or \"2h\", or the id of an event";
    let event = text.parse().map_err(|_| wrong.to_owned())?;
    Ok(Since::Event(event))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn intervals_are_sane_numbers_of_seconds() {
        assert_eq!(interval("2"), Ok(Duration::from_secs(2)));
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0", "-1", "NaN", "inf", "1e9", "2s"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn events_are_shown_since_an_age_or_another_event() {
        let age = Since::Age(Duration::from_secs(600));
        assert_eq!(since("10m"), Ok(age));
        let position = |text: &str| Since::Event(text.parse().unwrap());
        assert_eq!(since("6a1f0b2c-17"), Ok(position("6a1f0b2c-17")));
        assert_eq!(since("17"), Ok(position("17")));
        for wrong in ["", "yesterday", "10x", "-5m", "6a1f0b2c-"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_a_number_and_a_unit() {
        for (text, a_second) in [
            ("1/day", 1.0 / 86_400.0),
            ("0.5/week", 0.5 / 604_800.0),
            ("2 / month", 2.0 / 2_629_746.0),
            ("1/year", 1.0 / 31_556_952.0),
        ] {
            let rate = Rate::parse(text).unwrap();
            assert!((rate.a_second() - a_second).abs() < 1e-15, "{text}");
        }
        for wrong in [
            "", "1", "/year", "1/decade", "0/year", "-1/day", "NaN/day", "inf/day",
        ] {
            assert!(Rate::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn log_levels_are_checked_before_anything_starts() {
        assert!(log_level("info").is_ok());
        assert!(log_level("info,caribe::cluster=debug").is_ok());
        assert!(log_level("caribe=loud").is_err());
    }
}
