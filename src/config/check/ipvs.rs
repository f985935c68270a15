//! What the kernel's IPVS is told beside its table.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZero;

use ipvs::Forwarding;

use super::family;
use crate::config::diagnostic::{Fault, Faults, Span};
use crate::config::model::{Config, Ipvs, Match, Sync, Virtual};
use crate::config::raw::{self, Field};
use crate::config::schema::{Key, ipvs as i};

pub(super) fn ipvs(raw: &raw::Ipvs, faults: &mut Faults) -> Option<Ipvs> {
    let sync = match &raw.sync {
        Field::Absent => None,
        Field::Broken => return None,
        Field::Given(at) => Some(sync(&at.value)),
    };
    let sysctls = sysctls(raw, faults);
    Some(Ipvs {
        sync: match sync {
            None => None,
            Some(sync) => Some(sync?),
        },
        sysctls: sysctls?,
    })
}

fn sync(raw: &raw::Sync) -> Option<Sync> {
    let default_group: IpAddr = i::SYNC_GROUP.default_text().parse().ok()?;
    let default_port = u16::try_from(i::SYNC_PORT.default_integer()).ok()?;
    let default_ttl = u8::try_from(i::SYNC_TTL.default_integer()).ok()?;
    Some(Sync {
        interface: raw.interface.value()?.clone(),
        id: raw
            .id
            .or(u8::try_from(i::SYNC_ID.default_integer()).ok()?)?,
        group: raw.group.or(default_group)?,
        port: raw.port.or(NonZero::new(default_port)?)?,
        ttl: raw.ttl.or(NonZero::new(default_ttl)?)?,
        maxlen: raw.maxlen.optional()?,
    })
}

/// The settings by the kernel's names, as it reads them.
fn sysctls(raw: &raw::Ipvs, faults: &mut Faults) -> Option<BTreeMap<String, String>> {
    let with_sync = !raw.sync.is_absent();
    let raw = &raw.sysctls;
    if !with_sync {
        let pair = [
            (
                &i::SYNC_THRESHOLD,
                raw.sync_threshold.given().map(|at| &at.span),
            ),
            (&i::SYNC_PERIOD, raw.sync_period.given().map(|at| &at.span)),
            (
                &i::SYNC_REFRESH_PERIOD,
                raw.sync_refresh_period.given().map(|at| &at.span),
            ),
        ];
        let rest = raw.numbers.iter();
        let rest = rest.map(|number| (number.key, number.value.given().map(|at| &at.span)));
        for (key, span) in pair.into_iter().chain(rest) {
            if let Some(span) = span {
                refuse_without_sync(key, span, faults);
            }
        }
    }
    threshold_fits(raw, faults);
    let mut all = BTreeMap::new();
    for number in &raw.numbers {
        let default = number.with_sync.filter(|_| with_sync);
        let Some(value) = number.value.optional()?.or(default) else {
            continue;
        };
        if number.key.name == i::SYNC_PORTS.name
            && !value.is_power_of_two()
            && let Some(at) = number.value.given()
        {
            faults.add(
                Fault::new(&at.span, "`sync_ports` is no power of two")
                    .label("expected 1, 2, 4, 8, 16, 32 or 64"),
            );
        }
        all.insert(number.key.name.to_owned(), value.to_string());
    }
    if with_sync {
        let default = |key: &Key| u32::try_from(key.default_integer()).ok();
        let threshold = raw.sync_threshold.or(default(&i::SYNC_THRESHOLD)?)?;
        let period = raw.sync_period.or(default(&i::SYNC_PERIOD)?)?;
        let refresh = raw
            .sync_refresh_period
            .or(i::SYNC_REFRESH_PERIOD.default_duration())?;
        // The kernel has the two in one file.
        all.insert(
            i::SYNC_THRESHOLD.name.to_owned(),
            format!("{threshold} {period}"),
        );
        all.insert(
            i::SYNC_REFRESH_PERIOD.name.to_owned(),
            refresh.as_secs().to_string(),
        );
    }
    Some(all)
}

/// What is unsaid of a director that is a real server too.
pub(super) fn stand_aside(config: &mut Config) {
    if config.ipvs.sync.is_some() && !config.served_by_directors().is_empty() {
        let all = &mut config.ipvs.sysctls;
        let setting = all.entry(i::BACKUP_ONLY.name.to_owned());
        setting.or_insert_with(|| "1".to_owned());
    }
}

fn refuse_without_sync(key: &Key, span: &Span, faults: &mut Faults) {
    if i::needs_sync(key) {
        faults.add(
            Fault::new(span, format!("`{}` has no meaning here", key.name))
                .label("no connections are synchronised")
                .help("add the section `[ipvs.sync]`"),
        );
    }
}

/// `proc_do_sync_threshold` (net/netfilter/ipvs/ip_vs_ctl.c), and its unit.
fn threshold_fits(raw: &raw::Sysctls, faults: &mut Faults) {
    let default = u32::try_from(i::SYNC_THRESHOLD.default_integer()).unwrap_or_default();
    if let (Some(threshold), Some(period)) =
        (raw.sync_threshold.or(default), raw.sync_period.given())
        && period.value != 0
        && threshold >= period.value
    {
        let text = format!(
            "sync_threshold of {threshold} is not below the sync_period of {}",
            period.value
        );
        faults.add(match raw.sync_threshold.given() {
            Some(at) => Fault::new(&at.span, text).also(&period.span, "the period"),
            None => Fault::new(&period.span, text).label("the threshold is the default"),
        });
    }
    let refresh = raw.sync_refresh_period.given();
    if let Some(at) = refresh.filter(|at| at.value.subsec_nanos() != 0) {
        faults.add(
            Fault::new(&at.span, "`sync_refresh_period` has a fraction of a second")
                .label("the kernel counts whole seconds"),
        );
    }
}

/// A kernel that synchronises connections takes no server of another family than its service, and
/// one that has such a server synchronises none (`ip_vs_genl_new_daemon`, `ip_vs_genl_set_cmd`,
/// net/netfilter/ipvs/ip_vs_ctl.c).
pub(super) fn refuse_mixed_families(
    raw: &raw::Ipvs,
    raw_virtuals: &Field<Vec<raw::Virtual>>,
    virtuals: &BTreeMap<String, Virtual>,
    faults: &mut Faults,
) {
    let Some(sync) = raw.sync.given() else {
        return;
    };
    for raw in raw_virtuals.value().into_iter().flatten() {
        let Some(service) = raw.name.value().and_then(|name| virtuals.get(name)) else {
            continue;
        };
        let ipv6 = match &service.matches {
            Match::Address { address, .. } => address.is_ipv6(),
            Match::FwMark { ipv6, .. } => *ipv6,
        };
        let servers = raw.servers.value().into_iter().flatten();
        let tunnelled =
            servers.filter(|server| server.forward.or(service.forward) == Some(Forwarding::Tunnel));
        let servers = tunnelled.filter_map(|server| server.address.given());
        let servers = servers.map(|at| (at.value, &at.span));
        let sorry = raw.sorry.given().map(|at| (at.value.0, &at.span));
        for (address, span) in servers.chain(sorry) {
            if address.is_ipv6() != ipv6 {
                let wanted = if ipv6 { "IPv6" } else { "IPv4" };
                let text = format!(
                    "a server of {} behind {wanted} cannot be had with connection sync",
                    family(address)
                );
                faults.add(
                    Fault::new(span, text)
                        .label(format!("expected an {wanted} address"))
                        .also(&sync.span, "the kernel has either this or such servers"),
                );
            }
        }
    }
}
