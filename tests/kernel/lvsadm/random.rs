//! Random tables and command lines, by seed.

use std::fmt::Write as _;

use fastrand::Rng;

const SERVICES: &[&str] = &[
    "-t 192.0.2.80:80",
    "-t 192.0.2.80:443",
    "-t 10.0.0.80:80",
    "-u 192.0.2.80:53",
    "-u 192.0.2.81:5060",
    "--sctp-service 192.0.2.80:80",
    "-t [2001:db8::80]:80",
    "-u [2001:db8::80]:53",
    "-f 1",
    "-f 1 -6",
    "-f 77",
    "-t 192.0.2.82:0",
    "-t 192.0.2.83",
    "-t [::1",
    "-t 192.0.2.80",
    "-f 0",
    "",
];
const SERVERS: &[&str] = &[
    "-r 10.0.0.1",
    "-r 10.0.0.1:80",
    "-r 10.0.0.2:8080",
    "-r 192.0.2.200:53",
    "-r 127.0.0.1",
    "-r [fd00::1]:80",
    "-r fd00::2",
    "-r 224.0.0.1",
    "-r 10.0.0.1:x",
    "",
];
const SCHEDULING: &[&str] = &[
    "-s rr",
    "-s wrr",
    "-s sh",
    "-s mh",
    "-s nosuch",
    "-b sh-port",
    "-b mh-fallback",
    "-b flag-1,flag-2",
    "-b nosuch",
    "-p",
    "-p 60",
    "-p 0",
    "-M 255.255.255.0",
    "-M 64",
    "-o",
];
const FORWARDING: &[&str] = &[
    "-g",
    "-i",
    "-m",
    "-m",
    "-w 0",
    "-w 5",
    "-w 70000",
    "-w x",
    "-x 100",
    "-y 50",
    "-x 10",
    "--tun-type gue",
    "--tun-type gre",
    "--tun-port 6080",
    "--tun-csum",
    "--tun-remcsum",
];
const LISTING: &[&str] = &[
    "-n",
    "-n",
    "--stats",
    "--rate",
    "--thresholds",
    "--persistent-conn",
    "--tun-info",
    "--exact",
    "--sort",
    "--timeout",
    "--daemon",
    "-c",
    "--syncid 3",
];
const ODD: &[&str] = &[
    "-q",
    "--nosuch",
    "word",
    "--",
    "-A",
    "-n",
    "--exact=1",
    "-w",
];

/// A command line over few services and servers, so that many of them are there.
pub(crate) fn line(random: &mut Rng) -> String {
    let (commands, pools): (&[&str], &[(&[&str], u32)]) = match random.u8(..100) {
        0..25 => (&["-A", "-A", "-E"], &[(SERVICES, 1), (SCHEDULING, 4)]),
        25..30 => (&["-D"], &[(SERVICES, 1)]),
        30..65 => (
            &["-a", "-a", "-a", "-e"],
            &[(SERVICES, 1), (SERVERS, 1), (FORWARDING, 4)],
        ),
        65..72 => (&["-d"], &[(SERVICES, 1), (SERVERS, 1)]),
        72..90 => (&["-L", "-L", "-l"], &[(LISTING, 3)]),
        90..94 => (&["-L -n", "-Z"], &[(SERVICES, 1)]),
        94..97 => (&["-S", "-S -n"], &[]),
        97..98 => (&["-C"], &[]),
        _ => (&["", "-n", "-Zn"], &[(SERVICES, 1), (LISTING, 1)]),
    };
    let mut parts = vec![commands[random.usize(..commands.len())]];
    for (pool, most) in pools {
        // One of one; of more, any number of them.
        let count = if *most == 1 { 1 } else { random.u32(0..=*most) };
        for _ in 0..count {
            parts.push(pool[random.usize(..pool.len())]);
        }
    }
    if random.u8(..100) < 6 {
        parts.push(ODD[random.usize(..ODD.len())]);
    }
    let command = parts.remove(0);
    // The order matters to some options.
    if random.u8(..100) < 30 {
        random.shuffle(&mut parts);
    }
    format!("{command} {}", parts.join(" "))
}

/// Command lines for a table of so many services, all of them accepted.
pub(crate) fn table(seed: u64, services: usize) -> String {
    let mut random = Rng::with_seed(seed);
    let mut lines = String::new();
    for number in 0..services {
        let ipv6 = random.u8(..4) == 0;
        let service = service(&mut random, number, ipv6);
        let scheduler = match random.u8(..6) {
            0 => "-s sh -b sh-port",
            1 => "-s mh -b mh-fallback,mh-port",
            2 => "-s rr -b flag-2",
            3 => "-s wrr",
            _ => "-s wlc",
        };
        let persistence = match (random.u8(..4), ipv6) {
            (0, _) => "-p 60",
            (1, true) => "-p -M 64",
            (1, false) => "-p 300 -M 255.255.0.0",
            (_, _) => "",
        };
        let _ = writeln!(lines, "-A {service} {scheduler} {persistence}");
        for server in 0..random.usize(..10) {
            let address = if ipv6 {
                format!("[fd00::{:x}:{server}]:80", random.u16(..))
            } else {
                format!("{}.0.{}.{server}:80", random.u8(1..224), random.u8(..))
            };
            let forwarding = match random.u8(..6) {
                0 => "-g",
                1 => "-i",
                2 => "-i --tun-type gue --tun-port 6080 --tun-csum",
                3 => "-i --tun-type gre",
                _ => "-m",
            };
            let weight = random.u32(..100);
            let _ = writeln!(lines, "-a {service} -r {address} {forwarding} -w {weight}");
        }
    }
    lines
}

fn service(random: &mut Rng, number: usize, ipv6: bool) -> String {
    let port = number + 1;
    match (random.u8(..6), ipv6) {
        (0, true) => format!("-f {port} -6"),
        (0, false) => format!("-f {port}"),
        (1, true) => format!("-u [2001:db8::{number:x}]:{port}"),
        (1, false) => format!("-u {}.0.2.{number}:{port}", random.u8(1..224)),
        (2, false) => format!("--sctp-service 192.0.2.{number}:{port}"),
        (_, true) => format!("-t [2001:db8::{:x}:{number:x}]:{port}", random.u16(..)),
        (_, false) => format!("-t {}.0.2.{number}:{port}", random.u8(1..224)),
    }
}
