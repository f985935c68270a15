//! Probes that connect, and that send and expect.

use probes::kinds::expect::Expect;
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

pub(super) fn send_expect(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let send = table.text(&s::SEND, faults).or(String::new());
    let expect = table.text(&s::EXPECT, faults).or(String::new());
    Some(ProbeKind::Expect(Expect {
        send: send?.into_bytes(),
        expect: expect?.into_bytes(),
    }))
}

pub(super) fn udp(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let send = table.text(&s::UDP, faults);
    let expect = table.text(&s::EXPECT, faults);
    let reply = table.bool(&s::REPLY, faults);
    let expect = match (reply.or(true)?, expect.given()) {
        (true, _) => Reply::With(expect.or(String::new())?.into_bytes()),
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
        send: send.value()?.clone().into_bytes(),
        expect,
    }))
}
