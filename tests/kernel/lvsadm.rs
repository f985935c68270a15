//! lvsadm beside ipvsadm 1.31: the same command lines in two networks of one kernel.
//!
//! Whoever reads a failure finds the command line, and what each made of it.

mod differences;
mod random;

use std::fmt::Write as _;
use std::io::Write as _;
use std::iter::repeat;
use std::net::UdpSocket;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use ipvs::{Kernel, Table};
use lab::{Host, Lab, director, guest, kernel_test, until};

/// Two hosts that are alike but for the tool that is used on them.
pub(crate) struct Pair {
    theirs: Host,
    ours: Host,
    lvsadm: String,
}

/// What a tool made of a command line.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// None after a signal.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Pair {
    pub(crate) fn new(lab: &Lab) -> Self {
        let pair = Self {
            theirs: lab.host("theirs"),
            ours: lab.host("ours"),
            lvsadm: director::program("lvsadm"),
        };
        for host in [&pair.theirs, &pair.ours] {
            host.ip(&[
                "link add eth0 type dummy".to_owned(),
                "address add 10.9.9.1/24 dev eth0".to_owned(),
                "address add fd09::1/64 dev eth0 nodad".to_owned(),
                "link set eth0 up".to_owned(),
            ]);
        }
        pair
    }

    /// What ipvsadm makes of a command line.
    pub(crate) fn theirs(&self, args: &[&str], input: &str) -> Answer {
        run(&self.theirs, "ipvsadm", args, input)
    }

    /// What lvsadm makes of it.
    pub(crate) fn ours(&self, args: &[&str], input: &str) -> Answer {
        run(&self.ours, &self.lvsadm, args, input)
    }

    /// The tables that both kernels hold.
    pub(crate) fn tables(&self) -> [Table; 2] {
        [&self.theirs, &self.ours].map(|host| {
            host.inside(|| {
                let mut kernel = ipvs::Client::open().expect("the kernel has IPVS");
                kernel.table().expect("the table can be read")
            })
        })
    }

    /// Lists one table with both, and adds what differs to `faults`.
    fn compare_on_one_table(&self, args: &[&str], faults: &mut String) {
        let theirs = run(&self.ours, "ipvsadm", args, "");
        let ours = self.ours(args, "");
        if theirs != ours {
            let _ = writeln!(faults, "{args:?}:{}", difference(&theirs, &ours));
        }
    }

    /// Gives a command line to both, and adds what differs to `faults`.
    pub(crate) fn compare(&self, args: &[&str], input: &str, faults: &mut String) {
        let (theirs, ours) = (self.theirs(args, input), self.ours(args, input));
        if theirs != ours {
            let _ = writeln!(faults, "{args:?}:{}", difference(&theirs, &ours));
        }
        if args
            .first()
            .is_some_and(|command| command.starts_with("-L"))
        {
            return;
        }
        let tables = self.tables();
        if tables[0] != tables[1] {
            let _ = writeln!(faults, "{args:?}:\n  {:?}\n  {:?}", tables[0], tables[1]);
            // What follows is compared on equal tables.
            let saved = self.theirs(&["-S", "-n"], "").stdout;
            let _ = self.ours(&["-C"], "");
            let _ = self.ours(&["-R"], &saved);
        }
    }
}

fn run(host: &Host, program: &str, args: &[&str], input: &str) -> Answer {
    host.inside(|| {
        let mut child = guest::command(program)
            .arg0("tool")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool can be started");
        let mut stdin = child.stdin.take().expect("it is a pipe");
        // Who does not read its input closes it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("the tool ends");
        Answer {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    })
}

/// What two answers do not share: statuses, and the first lines that differ.
fn difference(theirs: &Answer, ours: &Answer) -> String {
    let mut text = format!("\n  status {:?}, ours {:?}", theirs.status, ours.status);
    for (theirs, ours) in [
        (&theirs.stdout, &ours.stdout),
        (&theirs.stderr, &ours.stderr),
    ] {
        let count = theirs.lines().count().max(ours.lines().count());
        let pairs = theirs
            .lines()
            .map(Some)
            .chain(repeat(None))
            .zip(ours.lines().map(Some).chain(repeat(None)));
        for (theirs, ours) in pairs
            .take(count)
            .filter(|(theirs, ours)| theirs != ours)
            .take(3)
        {
            let _ = write!(text, "\n  {theirs:?}\n  {ours:?}");
        }
        if theirs.ends_with('\n') != ours.ends_with('\n') {
            text.push_str("\n  (the last newline)");
        }
    }
    text
}

/// The words of a line; '' is an empty one.
pub(crate) fn words(line: &str) -> Vec<&str> {
    let words = line.split_ascii_whitespace();
    words
        .map(|word| if word == "''" { "" } else { word })
        .collect()
}

#[track_caller]
pub(crate) fn expect_none(faults: &str) {
    assert!(faults.is_empty(), "answered differently:\n{faults}");
}

/// Datagrams to services, always from the same ports.
fn send_datagrams(host: &Host) {
    host.inside(|| {
        for (from, to) in [
            ("10.9.9.1:4001", "10.9.9.80:53"),
            ("10.9.9.1:4002", "10.9.9.80:53"),
            ("10.9.9.1:4001", "10.9.9.81:5060"),
            ("[fd09::1]:4001", "[fd09::80]:53"),
        ] {
            let socket = UdpSocket::bind(from).expect("the address is there");
            for length in [1, 20, 300] {
                // Where no server answers, the second may be told so.
                let _ = socket.send_to(&vec![0; length], to);
            }
        }
    });
}

/// Compares the command lines of a file, one after another.
fn compare_all(lab: &Lab, text: &str) {
    let pair = Pair::new(lab);
    let mut faults = String::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        // A line of nothing but '' is the command line without arguments.
        let args = if line == "''" {
            Vec::new()
        } else {
            words(line)
        };
        pair.compare(&args, "", &mut faults);
    }
    expect_none(&faults);
}

const TRAFFIC: &str = "\
-A -u 10.9.9.80:53 -s rr
-a -u 10.9.9.80:53 -r 10.9.9.21:53 -m
-a -u 10.9.9.80:53 -r 10.9.9.22:5353 -m
-A -u 10.9.9.81:5060 -s rr -p 300 -M 255.255.255.0
-a -u 10.9.9.81:5060 -r 10.9.9.21:5060 -m
-A -u [fd09::80]:53 -s rr
-a -u [fd09::80]:53 -r [fd09::21]:53 -m
";

/// Lines in one order, with the seconds that pass between two listings made equal.
fn connections(listing: &str) -> Vec<String> {
    let mut lines: Vec<String> = listing
        .lines()
        .map(|line| match line.split_once(':') {
            Some((before, after)) if before.len() == 6 && after.len() > 2 => {
                format!("{before}:xx{}", &after[2..])
            }
            _ => line.to_owned(),
        })
        .collect();
    lines.sort_unstable();
    lines
}

kernel_test! {
    fn services_are_handled_as_ipvsadm_handles_them(lab) {
        compare_all(lab, include_str!("lvsadm/services.txt"));
    }

    fn servers_are_handled_as_ipvsadm_handles_them(lab) {
        compare_all(lab, include_str!("lvsadm/servers.txt"));
    }

    fn listings_and_all_else_are_as_ipvsadm_has_them(lab) {
        compare_all(lab, include_str!("lvsadm/listings.txt"));
    }

    fn traffic_is_listed_as_ipvsadm_lists_it(lab) {
        let pair = Pair::new(lab);
        let mut faults = String::new();
        pair.compare(&["-R"], TRAFFIC, &mut faults);
        for host in [&pair.theirs, &pair.ours] {
            for address in ["10.9.9.80/32", "10.9.9.81/32", "fd09::80/128"] {
                host.ip(&[format!("address add {address} dev lo")]);
            }
            send_datagrams(host);
        }
        // The kernel adds up its counters every two seconds.
        until("all packets are counted", Duration::from_secs(10), || {
            let counts = |answer: Answer| answer.stdout.matches("        3        0      4").count();
            let listed = words("-L -n --stats");
            counts(pair.theirs(&listed, "")) == 6 && counts(pair.ours(&listed, "")) == 6
        });
        for line in [
            "-L -n --stats",
            "-L -n --stats --exact",
            "-L --stats",
            "-L -n -u 10.9.9.80:53 --stats",
            "-L -n",
            "-L -n --persistent-conn",
        ] {
            pair.compare(&words(line), "", &mut faults);
        }
        let counted = pair.ours(&["-L", "-n", "--stats"], "").stdout;
        assert!(counted.contains("UDP  10.9.9.80:53                        2"), "{counted}");
        for line in ["-L -n -c", "-L -c", "-L -n -c --persistent-conn"] {
            let (theirs, ours) = (pair.theirs(&words(line), ""), pair.ours(&words(line), ""));
            assert!(theirs.stdout.lines().count() >= 2 + 5, "{theirs:?}");
            if connections(&theirs.stdout) != connections(&ours.stdout) || theirs.stderr != ours.stderr {
                let _ = writeln!(faults, "{line}\n  {theirs:?}\n  {ours:?}");
            }
        }
        expect_none(&faults);
        let json = pair.ours(&["-L", "-c", "--json"], "").stdout;
        let listed: Vec<serde_json::Value> = serde_json::from_str(&json).expect("it is JSON");
        assert!(listed.len() >= 5 && listed[0]["client"]["port"].is_number(), "{json}");
        pair.compare(&["-Z"], "", &mut faults);
        pair.compare(&["-L", "-n", "--stats"], "", &mut faults);
        expect_none(&faults);
    }

    fn what_lvsadm_saves_ipvsadm_restores_and_the_other_way_round(lab) {
        let pair = Pair::new(lab);
        let mut faults = String::new();
        let table = random::table(7, 60);
        pair.compare(&["-R"], &table, &mut faults);
        // The kernel's own order, and what comes of sorting it, is another in each network.
        for line in [
            "-S",
            "-S -n",
            "-L",
            "-L -n",
            "-L -n --nosort",
            "-L -n --tun-info",
            "-L --nosort --persistent-conn",
        ] {
            pair.compare_on_one_table(&words(line), &mut faults);
        }
        expect_none(&faults);
        let saved = pair.theirs(&["-S", "-n"], "").stdout;
        assert!(saved.lines().count() > 200, "{saved}");
        for input in [saved.clone(), format!("ipvsadm {}", saved.replace('\n', "\nipvsadm "))] {
            let _ = pair.ours(&["-C"], "");
            let restored = pair.ours(&["-R"], &input);
            assert_eq!(restored, Answer { status: Some(0), stdout: String::new(), stderr: String::new() });
            let [theirs, ours] = pair.tables();
            assert_eq!(theirs, ours);
        }
        let (theirs, ours) = (pair.theirs(&["-C"], ""), pair.ours(&["-S"], ""));
        assert_eq!((theirs.status, ours.status), (Some(0), Some(0)));
        let restored = pair.theirs(&["-R"], &ours.stdout);
        assert_eq!((restored.status, restored.stderr.as_str()), (Some(0), ""));
        let [theirs, ours] = pair.tables();
        assert_eq!(theirs, ours);
    }

    fn random_command_lines_are_answered_as_ipvsadm_answers_them(lab) {
        let pair = Pair::new(lab);
        let mut faults = String::new();
        for seed in [1, 2, 3] {
            println!("seed {seed}");
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..120 {
                let line = random::line(&mut random);
                pair.compare(&words(&line), "", &mut faults);
            }
        }
        pair.compare(&["-L", "-n"], "", &mut faults);
        pair.compare(&["-S"], "", &mut faults);
        expect_none(&faults);
    }

    fn a_restore_of_11_000_lines_needs_less_than_30_mebibytes(lab) {
        let host = lab.host("one");
        let lvsadm = director::program("lvsadm");
        // Data and stack together; what is mapped of the program's file is shared, and small.
        let script = format!("ulimit -d 30720 && {lvsadm} -R && {lvsadm} -R --replace </tmp/same && {lvsadm} -S -n | wc -l");
        let mut lines = String::new();
        for service in 0..1000 {
            let (high, low) = (service / 250, service % 250);
            let _ = writeln!(lines, "-A -t 10.1.{high}.{low}:80 -s wlc -p 300");
            for server in 0..10 {
                let _ = writeln!(
                    lines,
                    "-a -t 10.1.{high}.{low}:80 -r 10.2.{server}.{low}:80 -m -w {server}"
                );
            }
        }
        std::fs::write("/tmp/same", &lines).expect("the guest's root is writable");
        let count = host.exec_with_input(&["sh", "-c", &script], &lines).expect_success();
        assert_eq!(count, "11000\n");
    }
}
