//! The sections about IPVS as they are written.

use std::net::IpAddr;
use std::num::NonZero;
use std::time::Duration;

use super::reader::{At, Field, Table};
use super::{Faults, one};
use crate::config::schema::{Key, ipvs as i};

#[derive(Debug, Default)]
pub(in crate::config) struct Ipvs {
    pub(in crate::config) sync: Field<Sync>,
    pub(in crate::config) sysctls: Sysctls,
}

#[derive(Debug, Default)]
pub(in crate::config) struct Sync {
    pub(in crate::config) interface: Field<String>,
    pub(in crate::config) id: Field<u8>,
    pub(in crate::config) group: Field<IpAddr>,
    pub(in crate::config) port: Field<NonZero<u16>>,
    pub(in crate::config) ttl: Field<NonZero<u8>>,
    pub(in crate::config) maxlen: Field<NonZero<u16>>,
}

#[derive(Debug, Default)]
pub(in crate::config) struct Sysctls {
    pub(in crate::config) sync_threshold: Field<u32>,
    pub(in crate::config) sync_period: Field<u32>,
    pub(in crate::config) sync_refresh_period: Field<Duration>,
    /// The others, in the order of [`i::NUMBERS`].
    pub(in crate::config) numbers: Vec<Number>,
}

/// A setting that is one number.
#[derive(Debug)]
pub(in crate::config) struct Number {
    pub(in crate::config) key: &'static Key,
    pub(in crate::config) with_sync: Option<u64>,
    pub(in crate::config) value: Field<u64>,
}

pub(super) fn read(table: &Table<'_>, faults: &mut Faults) -> Ipvs {
    Ipvs {
        sync: match table.table(&i::IPVS_SYNC, faults) {
            Field::Absent => Field::Absent,
            Field::Broken => Field::Broken,
            Field::Given(At { value, span }) => Field::Given(At {
                value: sync(&value, faults),
                span,
            }),
        },
        sysctls: one(table, &i::IPVS_SYSCTL, faults, sysctls),
    }
}

fn sync(table: &Table<'_>, faults: &mut Faults) -> Sync {
    Sync {
        interface: table.interface(&i::SYNC_INTERFACE, faults),
        id: table.integer(&i::SYNC_ID, faults),
        group: table.multicast(&i::SYNC_GROUP, faults),
        port: positive(table.integer::<u16>(&i::SYNC_PORT, faults)),
        ttl: positive(table.integer::<u8>(&i::SYNC_TTL, faults)),
        maxlen: positive(table.integer::<u16>(&i::SYNC_MAXLEN, faults)),
    }
}

/// What the schema's range keeps above 0.
fn positive<T, N: TryFrom<T>>(field: Field<T>) -> Field<N> {
    match field {
        Field::Absent => Field::Absent,
        Field::Broken => Field::Broken,
        Field::Given(At { value, span }) => match N::try_from(value) {
            Ok(value) => Field::Given(At { value, span }),
            Err(_) => Field::Broken,
        },
    }
}

fn sysctls(table: &Table<'_>, faults: &mut Faults) -> Sysctls {
    let number = |(key, with_sync): &(&'static Key, Option<u64>), faults: &mut Faults| Number {
        key,
        with_sync: *with_sync,
        value: table.integer(key, faults),
    };
    Sysctls {
        sync_threshold: table.integer(&i::SYNC_THRESHOLD, faults),
        sync_period: table.integer(&i::SYNC_PERIOD, faults),
        sync_refresh_period: table.duration(&i::SYNC_REFRESH_PERIOD, faults),
        numbers: i::NUMBERS.iter().map(|it| number(it, faults)).collect(),
    }
}
