//! The values of a table that are no tables themselves, each as its kind is written.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

use super::reader::{At, Field, Table};
use super::status::statuses_of;
use super::text::{
    quote, read_address, read_address_port, read_broadcast, read_bytes, read_interface,
    read_multicast, read_name, read_network, read_path,
};
use super::value::{checked, duration_of, integer_of, text_of, wrong_type};
use crate::config::diagnostic::{Fault, Faults};
use crate::config::schema::{Key, Kind};
use crate::config::suggest;

impl Table<'_> {
    pub(super) fn text(&self, key: &Key, faults: &mut Faults) -> Field<String> {
        self.get(key, faults)
            .and_then(|value| text_of(key, &key.kind, value, faults))
    }

    /// A text that `read` makes sense of.
    pub(super) fn text_as<T>(
        &self,
        key: &Key,
        faults: &mut Faults,
        read: impl FnOnce(&At<String>) -> Result<T, Fault>,
    ) -> Field<T> {
        self.text(key, faults)
            .and_then(|text| checked(&text, faults, read))
    }

    pub(super) fn name(&self, key: &Key, faults: &mut Faults) -> Field<String> {
        self.text_as(key, faults, read_name)
    }

    pub(super) fn path(&self, key: &Key, faults: &mut Faults) -> Field<String> {
        self.text_as(key, faults, read_path)
    }

    pub(super) fn interface(&self, key: &Key, faults: &mut Faults) -> Field<String> {
        self.text_as(key, faults, read_interface)
    }

    pub(super) fn address(&self, key: &Key, faults: &mut Faults) -> Field<IpAddr> {
        self.text_as(key, faults, read_address)
    }

    /// A broadcast address.
    pub(super) fn broadcast(&self, key: &Key, faults: &mut Faults) -> Field<Ipv4Addr> {
        self.text_as(key, faults, read_broadcast)
    }

    /// A multicast group.
    pub(super) fn multicast(&self, key: &Key, faults: &mut Faults) -> Field<IpAddr> {
        self.text_as(key, faults, read_multicast)
    }

    pub(super) fn network(&self, key: &Key, faults: &mut Faults) -> Field<IpNet> {
        self.text_as(key, faults, read_network)
    }

    /// An address, and a port if there is one.
    pub(super) fn address_port(
        &self,
        key: &Key,
        faults: &mut Faults,
    ) -> Field<(IpAddr, Option<u16>)> {
        self.text_as(key, faults, read_address_port)
    }

    /// One of the key's words, as what `meaning` makes of it.
    pub(super) fn word<T>(
        &self,
        key: &Key,
        faults: &mut Faults,
        meaning: impl FnOnce(&str) -> Option<T>,
    ) -> Field<T> {
        self.text_as(key, faults, |text| {
            meaning(&text.value).ok_or_else(|| {
                let words = if let Kind::Words(words) = key.kind {
                    words
                } else {
                    &[]
                };
                let fault = Fault::new(
                    &text.span,
                    format!("unknown {} {}", key.name, quote(&text.value)),
                )
                .label(format!("expected {}", key.kind.expected()));
                match suggest::did_you_mean(&text.value, words.iter().copied()) {
                    Some(help) => fault.help(help),
                    None => fault,
                }
            })
        })
    }

    pub(super) fn integer<T: TryFrom<u64>>(&self, key: &Key, faults: &mut Faults) -> Field<T> {
        self.get(key, faults)
            .and_then(|value| integer_of(key, &key.kind, value, faults))
    }

    pub(super) fn duration(&self, key: &Key, faults: &mut Faults) -> Field<Duration> {
        self.get(key, faults)
            .and_then(|value| duration_of(key, value, faults))
    }

    /// `true`, which is all that such a key can say.
    pub(super) fn only_true(&self, key: &Key, faults: &mut Faults) -> Field<()> {
        self.get(key, faults)
            .and_then(|value| match value.get_ref() {
                DeValue::Boolean(true) => Some(At {
                    value: (),
                    span: value.span(),
                }),
                DeValue::Boolean(false) => {
                    faults.add(
                        Fault::new(&value.span(), format!("`{}` can only be true", key.name))
                            .help("leave the key out instead"),
                    );
                    None
                }
                _ => wrong_type(key, &key.kind, value, faults),
            })
    }

    /// Yes or no.
    pub(super) fn bool(&self, key: &Key, faults: &mut Faults) -> Field<bool> {
        self.get(key, faults)
            .and_then(|value| match value.get_ref() {
                DeValue::Boolean(given) => Some(At {
                    value: *given,
                    span: value.span(),
                }),
                _ => wrong_type(key, &key.kind, value, faults),
            })
    }

    /// `None` for `true`, or one of the key's words.
    pub(super) fn true_or_word(
        &self,
        key: &Key,
        faults: &mut Faults,
    ) -> Field<Option<&'static str>> {
        let Kind::TrueOrWords(words) = key.kind else {
            return Field::Broken;
        };
        self.get(key, faults).and_then(|value| {
            let found = match value.get_ref() {
                DeValue::Boolean(true) => None,
                DeValue::String(text) => match words.iter().find(|word| *word == text) {
                    Some(word) => Some(*word),
                    None => {
                        let text = format!("unknown {} {}", key.name, quote(text));
                        faults.add(
                            Fault::new(&value.span(), text)
                                .label(format!("expected {}", key.kind.expected())),
                        );
                        return None;
                    }
                },
                DeValue::Boolean(false)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)
                | DeValue::Table(_) => return wrong_type(key, &key.kind, value, faults),
            };
            Some(At {
                value: found,
                span: value.span(),
            })
        })
    }

    /// Text with escapes for bytes.
    pub(super) fn bytes(&self, key: &Key, faults: &mut Faults) -> Field<Vec<u8>> {
        self.text_as(key, faults, read_bytes)
    }

    /// An array of texts.
    pub(super) fn texts(&self, key: &Key, faults: &mut Faults) -> Field<Vec<At<String>>> {
        self.list(key, faults, |kind, value, faults| {
            text_of(key, kind, value, faults)
        })
    }

    /// An address of this host, or else the name of an interface.
    pub(super) fn bind(&self, key: &Key, faults: &mut Faults) -> Field<Result<IpAddr, String>> {
        self.text_as(key, faults, |text| match text.value.parse::<IpAddr>() {
            Ok(_) => read_address(text).map(Ok),
            Err(_) => read_interface(text).map(Err),
        })
    }

    /// Ranges of HTTP status codes.
    pub(super) fn statuses(&self, key: &Key, faults: &mut Faults) -> Field<Vec<(u16, u16)>> {
        self.get(key, faults)
            .and_then(|value| statuses_of(key, value, faults))
    }

    /// An array of names of interfaces.
    pub(super) fn interfaces(&self, key: &Key, faults: &mut Faults) -> Field<Vec<At<String>>> {
        self.list(key, faults, |kind, value, faults| {
            let text = text_of(key, kind, value, faults)?;
            checked(&text, faults, read_interface)
        })
    }

    /// An array of addresses.
    pub(super) fn addresses(&self, key: &Key, faults: &mut Faults) -> Field<Vec<At<IpAddr>>> {
        self.list(key, faults, |kind, value, faults| {
            let text = text_of(key, kind, value, faults)?;
            checked(&text, faults, read_address)
        })
    }

    /// An array of absolute paths.
    pub(super) fn paths(&self, key: &Key, faults: &mut Faults) -> Field<Vec<At<String>>> {
        self.list(key, faults, |kind, value, faults| {
            let text = text_of(key, kind, value, faults)?;
            checked(&text, faults, read_path)
        })
    }

    /// An array of port numbers.
    pub(super) fn ports(&self, key: &Key, faults: &mut Faults) -> Field<Vec<At<u16>>> {
        self.list(key, faults, |kind, value, faults| {
            integer_of(key, kind, value, faults)
        })
    }
}
