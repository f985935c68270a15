//! Probes that have few keys.

use probes::kinds::agent::Agent;
use probes::kinds::constant::Constant;
use probes::kinds::icmp::Icmp;
use probes::kinds::tcp::Tcp;
use probes::kinds::udp::{Reply, Udp};
use probes::spec::ProbeKind;

use crate::config::diagnostic::{Fault, Faults};
use crate::config::raw::reader::Table;
use crate::config::schema::probe as s;

pub(super) fn tcp(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let given = table.only_true(&s::TCP, faults);
    given.value().map(|()| ProbeKind::Tcp(Tcp))
}

pub(super) fn icmp(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let given = table.only_true(&s::ICMP, faults);
    given.value().map(|()| ProbeKind::Icmp(Icmp))
}

pub(super) fn on(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let given = table.only_true(&s::ON, faults);
    given.value().map(|()| ProbeKind::Constant(Constant::On))
}

pub(super) fn off(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let given = table.only_true(&s::OFF, faults);
    given.value().map(|()| ProbeKind::Constant(Constant::Off))
}

pub(super) fn agent(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let given = table.only_true(&s::AGENT, faults);
    let send = table.bytes(&s::SEND, faults).or(Vec::new())?;
    given.value().map(|()| ProbeKind::Agent(Agent { send }))
}

pub(super) fn udp(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let send = table.bytes(&s::UDP, faults);
    let expect = table.bytes(&s::EXPECT, faults);
    let reply = table.bool(&s::REPLY, faults);
    let expect = match (reply.or(true)?, expect.given()) {
        (true, _) => Reply::With(expect.or(Vec::new())?),
        (false, None) => Reply::None,
        (false, Some(expect)) => {
            let fault = Fault::new(&expect.span, "`expect` has no meaning with `reply = false`");
            faults.add(match reply.given() {
                Some(reply) => fault.also(&reply.span, "nothing is awaited"),
                None => fault,
            });
            return None;
        }
    };
    Some(ProbeKind::Udp(Udp {
        send: send.value()?.clone(),
        expect,
    }))
}
