//! A thousand VIPs: when the last of them has been announced by the director that takes over.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::wait;

use super::super::say;
use super::load::status;
use super::pair::{LIMIT, Pair, Peer, Setting, more_vip};

/// Length of a record's header, and of the file's (pcap-savefile(5)).
const RECORD: usize = 16;
const FILE: usize = 24;

impl Pair {
    /// Cuts the first director off; returns how long it took until each VIP had been announced by
    /// the second.
    pub(super) fn last_announced(&self, peer: Peer, setting: &Setting) -> Result<Duration, String> {
        let failed = |what: &str| format!("{peer:?} with {} VIPs {what}", setting.more_vips);
        let mut daemons = self
            .start(peer, setting)
            .ok_or_else(|| failed("did not start"))?;
        let mac = self.directors[1].sh("cat /sys/class/net/eth0/address");
        let file = "/run/caribe/arp.pcap";
        let sniffer = self.client.spawn(&[
            "tcpdump", "-U", "-n", "-s", "64", "-B", "16384", "-i", "eth0", "-w", file, "arp",
        ]);
        let listens = wait::holds_within(LIMIT, &mut || sniffer.log().contains("listening on"));
        let cut = SystemTime::now().duration_since(UNIX_EPOCH);
        self.cables[0].cut();
        let capture = self.client.path(file);
        let mut announced = BTreeMap::new();
        let all = listens
            && wait::holds_within(LIMIT, &mut || {
                announced = announcements(&std::fs::read(&capture).unwrap_or_default(), mac.trim());
                (0..setting.more_vips).all(|index| announced.contains_key(&more_vip(index)))
            });
        let mut sniffer = sniffer;
        sniffer.kill();
        if peer == Peer::Caribe {
            say(&phases(self.directors[1].pid()));
        }
        self.end(&mut daemons);
        let (true, Ok(cut)) = (all, cut) else {
            return Err(failed("were not all announced"));
        };
        let last = announced.values().max().copied().unwrap_or_default();
        Ok(last.saturating_sub(cut))
    }
}

/// What caribe says of its own takeover.
fn phases(host: u32) -> String {
    let status = status(host);
    let last = status["takeovers"].as_array().and_then(|all| all.last());
    let ms = |key: &str| {
        let us = last.and_then(|it| it[key].as_f64());
        us.map_or_else(|| "-".to_owned(), |us| format!("{:.1}", us / 1e3))
    };
    format!(
        "the claim came {} ms after the last heartbeat, all addresses {} ms after it, all \
         announcements {} ms",
        ms("heard_before_us"),
        ms("addresses_after_us"),
        ms("announced_after_us")
    )
}

/// When each address was first announced by a station, since 1970.
fn announcements(capture: &[u8], station: &str) -> BTreeMap<Ipv4Addr, Duration> {
    let mut found = BTreeMap::new();
    let mut rest = capture.get(FILE..).unwrap_or_default();
    while let Some((header, tail)) = rest.split_at_checked(RECORD) {
        let number = |at: usize| {
            let bytes = header.get(at..at + 4).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
        };
        let Some((frame, tail)) = tail.split_at_checked(number(8) as usize) else {
            break;
        };
        rest = tail;
        let at = Duration::new(number(0).into(), number(4) * 1000);
        // Ethernet, then ARP (RFC 826): sender's addresses at 8 and 14.
        let (Some(mac), Some(ip)) = (
            frame.get(22..28),
            frame.get(28..32).and_then(<[u8]>::first_chunk::<4>),
        ) else {
            continue;
        };
        let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        if mac.join(":") == station {
            found.entry(Ipv4Addr::from(*ip)).or_insert(at);
        }
    }
    found
}
