//! Probes by DNS.

use std::net::IpAddr;

use probes::kinds::dns::{Dns, Name, Rcode, Record};
use probes::spec::ProbeKind;

use crate::config::diagnostic::{Fault, Faults};
use crate::config::raw::reader::Table;
use crate::config::raw::text::quote;
use crate::config::schema::probe as s;

pub(super) fn dns(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let name = table.text_as(&s::DNS, faults, |text| {
        if let Ok(address) = text.value.parse::<IpAddr>() {
            return Ok((Name::of_address(address), Record::Ptr));
        }
        let name = Name::new(&text.value).map_err(|error| {
            Fault::new(&text.span, format!("{} is no name", quote(&text.value)))
                .label(error.to_string())
        })?;
        Ok((name, Record::A))
    });
    let record = table.word(&s::RECORD, faults, Record::of_word);
    let rcode = table.word(&s::RCODE, faults, Rcode::of_word);
    let answers = table.texts(&s::ANSWERS, faults);
    let tcp = table.word(&s::TRANSPORT, faults, |word| match word {
        "udp" => Some(false),
        "tcp" => Some(true),
        _ => None,
    });
    let (name, implied) = name.value()?.clone();
    let answers = answers.or(Vec::new())?;
    Some(ProbeKind::Dns(Dns {
        name,
        record: record.or(implied)?,
        rcode: rcode.or(Rcode::NoError)?,
        answers: answers.into_iter().map(|answer| answer.value).collect(),
        tcp: tcp.or(false)?,
    }))
}
