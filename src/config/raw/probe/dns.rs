//! Probes by DNS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use probes::kinds::dns::{Dns, Name, Rcode, Record};
use probes::spec::ProbeKind;

use crate::config::diagnostic::{Fault, Faults};
use crate::config::raw::reader::{At, Table};
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
    let record = record.or(implied)?;
    let answers = answers.or(Vec::new())?;
    let mut fits = true;
    for answer in &answers {
        if let Some(fault) = no_answer(record, answer) {
            faults.add(fault);
            fits = false;
        }
    }
    if !fits {
        return None;
    }
    Some(ProbeKind::Dns(Dns {
        name,
        record,
        rcode: rcode.or(Rcode::NoError)?,
        answers: answers.into_iter().map(|answer| answer.value).collect(),
        tcp: tcp.or(false)?,
    }))
}

/// What is wrong with an answer that no record of the type can be.
fn no_answer(record: Record, answer: &At<String>) -> Option<Fault> {
    let text = answer.value.trim();
    let what = match record {
        Record::A if text.parse::<Ipv4Addr>().is_err() => "IPv4 address",
        Record::Aaaa if text.parse::<Ipv6Addr>().is_err() => "IPv6 address",
        _ if text.is_empty() => "answer",
        _ => return None,
    };
    let fault = Fault::new(&answer.span, format!("{} is no {what}", quote(text)));
    Some(fault.label(format!("expected one of {record} records")))
}
