//! The groups: their addresses, labels and preferences.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{at_most, by_name, names, paths, quote, require_known};
use crate::config::diagnostic::{Fault, Faults, Span};
use crate::config::model::{Failback, Group, MAX_GROUPS, Vip};
use crate::config::raw::{self, At, Field};
use crate::config::schema::cluster as c;

/// The virtual addresses of the file, and where each is.
#[derive(Default)]
pub(super) struct Vips<'f> {
    places: BTreeMap<IpAddr, Place<'f>>,
}

struct Place<'f> {
    span: &'f Span,
    group: Option<&'f str>,
}

impl<'f> Vips<'f> {
    /// Gathers them, and reports an address that comes twice, in one group or in two.
    pub(super) fn collect(groups: &'f Field<Vec<raw::Group>>, faults: &mut Faults) -> Self {
        let mut vips = Self::default();
        for group in groups.value().into_iter().flatten() {
            for vip in group.vips.value().into_iter().flatten() {
                let Some(at) = vip.address.given() else {
                    continue;
                };
                let address = at.value.addr();
                if let Some(first) = vips.places.get(&address) {
                    let text = format!("virtual address {address} is given twice");
                    faults.add(
                        Fault::new(&at.span, text)
                            .label("the second time")
                            .also(first.span, "the first time"),
                    );
                    continue;
                }
                let group = group.name.value().map(String::as_str);
                vips.places.insert(
                    address,
                    Place {
                        span: &at.span,
                        group,
                    },
                );
            }
        }
        vips
    }

    /// Where an address is given as a virtual one.
    pub(super) fn place(&self, address: IpAddr) -> Option<&'f Span> {
        self.places.get(&address).map(|place| place.span)
    }

    /// The group that an address belongs to.
    pub(super) fn group_of(&self, address: IpAddr) -> Option<&'f str> {
        self.places.get(&address).and_then(|place| place.group)
    }

    /// Heartbeats need addresses that stay where they are.
    pub(super) fn refuse_as_heartbeat_paths(
        &self,
        directors: &Field<Vec<raw::Director>>,
        faults: &mut Faults,
    ) {
        for director in directors.value().into_iter().flatten() {
            for path in paths::unicast(director) {
                if let Some(vip) = self.place(path.value) {
                    faults.add(
                        Fault::new(&path.span, "a heartbeat path uses a virtual address")
                            .label("expected an address that stays with the director")
                            .also(vip, "moves with its group"),
                    );
                }
            }
        }
    }
}

pub(super) fn groups(
    raw: &Field<Vec<raw::Group>>,
    directors: &Field<Vec<raw::Director>>,
    faults: &mut Faults,
) -> Option<BTreeMap<String, Group>> {
    let given = raw.given()?;
    if given.value.is_empty() {
        faults.add(Fault::new(&given.span, "there is no group").label("expected at least one"));
        return None;
    }
    at_most(MAX_GROUPS, "group", given, faults);
    let known = names(directors, |director| &director.name, faults);
    let built: Vec<_> = given
        .value
        .iter()
        .map(|group| {
            (
                group.name.given().cloned(),
                build(group, known.as_deref(), faults),
            )
        })
        .collect();
    by_name("group", built, faults)
}

fn build(group: &raw::Group, directors: Option<&[&str]>, faults: &mut Faults) -> Option<Group> {
    if let (Some(prefer), Some(directors)) = (group.prefer.given(), directors) {
        require_known("director", prefer, directors, faults);
    }
    let failback = failback(group, faults);
    let monitor_links = links(&group.monitor_links, faults);
    if let Some(vips) = group.vips.given().filter(|vips| vips.value.is_empty()) {
        faults.add(
            Fault::new(&vips.span, "the group has no virtual address")
                .label("expected at least one"),
        );
    }
    let vips: Vec<_> = group
        .vips
        .value()?
        .iter()
        .map(|raw| vip(raw, faults))
        .collect();
    Some(Group {
        name: group.name.value()?.clone(),
        failback: failback?,
        prefer: group.prefer.optional()?,
        ask_first: group.ask_first.or(c::ASK_FIRST.default_duration())?,
        vips: vips.into_iter().collect::<Option<_>>()?,
        monitor_links: monitor_links?,
    })
}

fn failback(group: &raw::Group, faults: &mut Faults) -> Option<Failback> {
    let default: Duration = c::FAILBACK_DELAY.default_duration();
    match group.failback.or(raw::Failback::Auto)? {
        raw::Failback::Auto => Some(Failback::Auto {
            delay: group.failback_delay.or(default)?,
        }),
        raw::Failback::Manual => {
            if let (Some(delay), Some(failback)) =
                (group.failback_delay.given(), group.failback.given())
            {
                faults.add(
                    Fault::new(&delay.span, "`failback_delay` has no meaning here")
                        .also(&failback.span, "failback waits for an operator"),
                );
                return None;
            }
            Some(Failback::Manual)
        }
    }
}

fn links(raw: &Field<Vec<At<String>>>, faults: &mut Faults) -> Option<Vec<String>> {
    let Some(given) = raw.optional()? else {
        return Some(Vec::new());
    };
    let mut links: BTreeMap<&str, &Span> = BTreeMap::new();
    for link in &given {
        if let Some(first) = links.insert(&link.value, &link.span) {
            let text = format!("interface {} is monitored twice", quote(&link.value));
            faults.add(Fault::new(&link.span, text).also(first, "the first time"));
        }
    }
    Some(given.iter().map(|link| link.value.clone()).collect())
}

fn vip(raw: &raw::Vip, faults: &mut Faults) -> Option<Vip> {
    if let Some(label) = raw.label.given() {
        check_label(label, raw, faults);
    }
    Some(Vip {
        address: *raw.address.value()?,
        interface: raw.interface.value()?.clone(),
        label: raw.label.optional()?,
    })
}

/// The kernel keeps labels for IPv4 only, in a field of 16 bytes with its closing zero
/// (`ifa_label`, include/linux/inetdevice.h); tools find an alias by the part before the colon.
fn check_label(label: &At<String>, vip: &raw::Vip, faults: &mut Faults) {
    let fault =
        |text: &str| Fault::new(&label.span, format!("label {} {text}", quote(&label.value)));
    if let Some(address) = vip.address.given().filter(|at| at.value.addr().is_ipv6()) {
        faults.add(
            fault("cannot be put on an IPv6 address")
                .label("the kernel has labels for IPv4 only")
                .also(&address.span, "IPv6"),
        );
        return;
    }
    if label.value.len() > 15 {
        faults.add(fault("is too long").label("the kernel takes at most 15 bytes"));
        return;
    }
    let Some(interface) = vip.interface.given() else {
        return;
    };
    let suffix = label
        .value
        .strip_prefix(&interface.value)
        .and_then(|rest| rest.strip_prefix(':'));
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    if suffix.is_none_or(|suffix| suffix.is_empty() || suffix.contains(odd)) {
        faults.add(
            fault("does not belong to its interface")
                .label(format!("expected one such as `{}:1`", interface.value))
                .also(&interface.span, "the interface"),
        );
    }
}
