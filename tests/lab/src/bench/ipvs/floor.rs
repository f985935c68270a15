//! The kernel's own part: ready-made messages, so many in each send, and nothing else.

use std::net::IpAddr;
use std::num::NonZero;
use std::time::{Duration, Instant};

use ipvs::netlink::{Attributes, Batch, Connection, Error, Family, Writer};
use ipvs::{Destination, DestinationKey, ServiceKey, Table};
use lab::Lab;

use super::{afresh, median, say, text};

/// Messages in a send.
const SIZES: [usize; 4] = [1, 16, 64, 512];

// linux/genetlink.h and linux/ip_vs.h
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NEW_SERVICE: u8 = 1;
const NEW_DEST: u8 = 5;
const SERVICE: u16 = 1;
const DEST: u16 = 2;

/// Adds the table with each size of send; returns the shortest of the medians.
pub(super) fn table(lab: &Lab, table: &Table, runs: usize) -> Result<Option<Duration>, String> {
    let messages = table
        .values()
        .map(|entry| 1 + entry.destinations.len())
        .sum::<usize>();
    let mut floor: Option<Duration> = None;
    say(&format!(
        "bare netlink, {messages} messages to add the table"
    ));
    for size in SIZES {
        let mut readings = Vec::new();
        for _ in 0..runs {
            readings.push(afresh(lab, || add(table, size).map_err(|e| e.to_string()))?);
        }
        let median = median(readings);
        let each = median.map_or(0.0, |all| all.as_secs_f64() * 1e6 / messages as f64);
        say(&format!(
            "  {size:>3} a send {:>24}, {each:.1} us a message",
            text(median)
        ));
        floor = floor.into_iter().chain(median).min();
    }
    Ok(floor)
}

fn add(table: &Table, size: usize) -> Result<Duration, Error> {
    let mut connection = Connection::open(Family::Generic)?;
    let family = family(&mut connection)?;
    let mut batch = Batch::default();
    for (key, entry) in table {
        batch.push(family, 0, |message| {
            message
                .raw(&[NEW_SERVICE, 1, 0, 0])
                .nested(SERVICE, |nest| {
                    service_key(nest, key);
                    nest.str(6, &entry.service.scheduler)
                        .bytes(7, &[0, 0, 0, 0, 255, 255, 255, 255])
                        .u32(8, 0)
                        .u32(9, u32::MAX);
                });
        });
        for (server, destination) in &entry.destinations {
            batch.push(family, 0, |message| {
                message
                    .raw(&[NEW_DEST, 1, 0, 0])
                    .nested(SERVICE, |nest| service_key(nest, key))
                    .nested(DEST, |nest| whole_destination(nest, server, destination));
            });
        }
    }
    if let Some(size) = NonZero::new(size) {
        connection.set_messages_per_send(size);
    }
    let start = Instant::now();
    let outcomes = connection.batch(&batch)?;
    let taken = start.elapsed();
    for outcome in outcomes {
        outcome?;
    }
    Ok(taken)
}

fn family(connection: &mut Connection) -> Result<u16, Error> {
    let mut request = Vec::new();
    Writer::new(&mut request)
        .raw(&[CTRL_CMD_GETFAMILY, 1, 0, 0])
        .str(CTRL_ATTR_FAMILY_NAME, "IPVS");
    let replies = connection.request(GENL_ID_CTRL, 0, &request)?;
    replies
        .iter()
        .find_map(|reply| {
            let attributes: Attributes<'_> = reply.attributes_after(4);
            attributes.find_kind(CTRL_ATTR_FAMILY_ID)?.u16()
        })
        .ok_or(Error::Malformed)
}

fn service_key(nest: &mut Writer<'_>, key: &ServiceKey) {
    if let ServiceKey::Address {
        address: IpAddr::V4(address),
        port,
        ..
    } = key
    {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&address.octets());
        nest.u16(1, 2).u16(2, 6).bytes(3, &bytes).u16_be(4, *port);
    }
}

fn whole_destination(nest: &mut Writer<'_>, key: &DestinationKey, destination: &Destination) {
    if let IpAddr::V4(address) = key.address {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&address.octets());
        nest.bytes(1, &bytes)
            .u16_be(2, key.port)
            .u32(3, 0)
            .u32(4, destination.weight)
            .u32(5, 0)
            .u32(6, 0)
            .u16(11, 2);
    }
}
