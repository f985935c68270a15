//! Reads one table by the kinds that the schema gives its keys, and the tables below it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::section::{missing, unknown_key};
use super::value::{type_of, wrong_type};
use crate::config::diagnostic::{Fault, Faults, Span};
use crate::config::schema::{Key, Kind, Otherwise, Section};
use crate::config::suggest;

/// A value and its place.
#[derive(Clone, Debug)]
pub(in crate::config) struct At<T> {
    pub(in crate::config) value: T,
    pub(in crate::config) span: Span,
}

/// What became of a key: what is broken has been reported, and nothing follows from it.
#[derive(Clone, Debug, Default)]
pub(in crate::config) enum Field<T> {
    /// The operator leaves it to the default.
    Absent,
    /// Unusable, or lost among syntax errors.
    #[default]
    Broken,
    /// What the operator says.
    Given(At<T>),
}

impl<T> Field<T> {
    pub(in crate::config) fn given(&self) -> Option<&At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Broken => None,
        }
    }

    pub(in crate::config) fn value(&self) -> Option<&T> {
        self.given().map(|at| &at.value)
    }

    pub(in crate::config) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(super) fn and_then<U>(self, f: impl FnOnce(At<T>) -> Option<At<U>>) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Broken => Field::Broken,
            Self::Given(at) => f(at).map_or(Field::Broken, Field::Given),
        }
    }
}

impl<T: Clone> Field<T> {
    /// The value or, if the operator left it out, the default; `None` when broken.
    pub(in crate::config) fn or(&self, default: T) -> Option<T> {
        match self {
            Self::Absent => Some(default),
            Self::Broken => None,
            Self::Given(at) => Some(at.value.clone()),
        }
    }

    /// The value, as an option; `None` when broken.
    pub(in crate::config) fn optional(&self) -> Option<Option<T>> {
        match self {
            Self::Absent => Some(None),
            Self::Broken => None,
            Self::Given(at) => Some(Some(at.value.clone())),
        }
    }
}

/// A table of the file that is being read as a section of the schema.
pub(super) struct Table<'t> {
    section: &'static Section,
    entries: &'t DeTable<'t>,
    span: Span,
}

impl<'t> Table<'t> {
    /// Takes the table up, and reports the keys that it should not have.
    pub(super) fn new(
        section: &'static Section,
        entries: &'t DeTable<'t>,
        span: Span,
        faults: &mut Faults,
    ) -> Self {
        for (name, _) in entries {
            let known = section.keys.iter().map(|key| key.name);
            if !known.clone().any(|known| known == name.get_ref()) {
                faults.add(unknown_key(section, name));
            }
        }
        Self {
            section,
            entries,
            span,
        }
    }

    /// Takes up a value that must be a table.
    fn of(
        section: &'static Section,
        value: &'t Spanned<DeValue<'t>>,
        faults: &mut Faults,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(entries) => Some(Self::new(section, entries, value.span(), faults)),
            other => {
                faults.add(
                    Fault::new(
                        &value.span(),
                        format!("an entry of {} must be a table", section.title()),
                    )
                    .label(format!("found {}", type_of(other))),
                );
                None
            }
        }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Where a key stands.
    pub(super) fn key_span(&self, key: &Key) -> Option<Span> {
        self.entries
            .get_key_value(key.name)
            .map(|(name, _)| name.span())
    }

    /// Whether there is anything under this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Nothing more than that it is wanted, or a table that says how.
    pub(super) fn true_or_table(&self, key: &Key, faults: &mut Faults) -> Field<Option<Self>> {
        let Kind::TrueOrTable(section) = key.kind else {
            return Field::Broken;
        };
        self.get(key, faults)
            .and_then(|value| match value.get_ref() {
                DeValue::Boolean(true) => Some(At {
                    value: None,
                    span: value.span(),
                }),
                DeValue::Boolean(false) => {
                    faults.add(
                        Fault::new(
                            &value.span(),
                            format!("`{}` can only be true or a table", key.name),
                        )
                        .help("leave the key out instead"),
                    );
                    None
                }
                DeValue::Table(entries) => Some(At {
                    value: Some(Self::new(section, entries, value.span(), faults)),
                    span: value.span(),
                }),
                _ => wrong_type(key, &key.kind, value, faults),
            })
    }

    /// Reports what is wrong with the values of a table that is not to be read further.
    pub(super) fn check_values(&self, faults: &mut Faults) {
        for key in self.section.keys.iter().copied() {
            if self.entries.contains_key(key.name) {
                self.check_value(key, faults);
            }
        }
    }

    fn check_value(&self, key: &Key, faults: &mut Faults) {
        match &key.kind {
            Kind::Text => drop(self.text(key, faults)),
            Kind::Name => drop(self.name(key, faults)),
            Kind::Words(words) => {
                self.word(key, faults, |word| words.contains(&word).then_some(()));
            }
            Kind::Integer(..) => drop(self.integer::<u64>(key, faults)),
            Kind::Duration(..) => drop(self.duration(key, faults)),
            Kind::Address => drop(self.address(key, faults)),
            Kind::Multicast => drop(self.multicast(key, faults)),
            Kind::Network => drop(self.network(key, faults)),
            Kind::AddressPort => drop(self.address_port(key, faults)),
            Kind::Interface => drop(self.interface(key, faults)),
            Kind::Bind => drop(self.bind(key, faults)),
            Kind::Path => drop(self.path(key, faults)),
            Kind::True => drop(self.only_true(key, faults)),
            Kind::Bool => drop(self.bool(key, faults)),
            Kind::TrueOrWords(_) => drop(self.true_or_word(key, faults)),
            Kind::Status => drop(self.statuses(key, faults)),
            Kind::List(Kind::Text) => drop(self.texts(key, faults)),
            Kind::List(_) => drop(self.list(key, faults, |_, value, _| Some(value))),
            Kind::TrueOrTable(_) => {
                if let Field::Given(At {
                    value: Some(table), ..
                }) = self.true_or_table(key, faults)
                {
                    table.check_values(faults);
                }
            }
            Kind::Table(_) => {
                if let Field::Given(At { value: table, .. }) = self.table(key, faults) {
                    table.check_values(faults);
                }
            }
            Kind::Tables(_) => {
                if let Field::Given(At { value: tables, .. }) = self.tables(key, faults) {
                    for table in tables.into_iter().flatten() {
                        table.check_values(faults);
                    }
                }
            }
        }
    }

    /// An array; broken when any of its elements is.
    pub(super) fn list<T>(
        &self,
        key: &Key,
        faults: &mut Faults,
        mut read: impl FnMut(&Kind, At<&'t Spanned<DeValue<'t>>>, &mut Faults) -> Option<At<T>>,
    ) -> Field<Vec<At<T>>> {
        let Kind::List(kind) = key.kind else {
            return Field::Broken;
        };
        self.get(key, faults).and_then(|value| {
            let DeValue::Array(array) = value.get_ref() else {
                return wrong_type(key, &key.kind, value, faults);
            };
            let read: Vec<_> = array
                .iter()
                .map(|element| {
                    read(
                        kind,
                        At {
                            value: element,
                            span: element.span(),
                        },
                        faults,
                    )
                })
                .collect();
            let whole = read.into_iter().collect::<Option<Vec<_>>>()?;
            Some(At {
                value: whole,
                span: value.span,
            })
        })
    }

    /// A table below this one.
    pub(super) fn table(&self, key: &Key, faults: &mut Faults) -> Field<Self> {
        let Kind::Table(section) = key.kind else {
            return Field::Broken;
        };
        self.get(key, faults)
            .and_then(|value| match value.get_ref() {
                DeValue::Table(entries) => {
                    let table = Self::new(section, entries, value.span(), faults);
                    Some(At {
                        value: table,
                        span: value.span,
                    })
                }
                DeValue::Array(array) if array.iter().all(|item| item.get_ref().is_table()) => {
                    let place = array.get(1).map_or_else(|| value.span(), Spanned::span);
                    faults.add(
                        Fault::new(&place, format!("there is only one {}", section.title())).help(
                            format!("write {} once, in single brackets", section.title()),
                        ),
                    );
                    None
                }
                _ => wrong_type(key, &key.kind, value, faults),
            })
    }

    /// The tables of an array; a `None` for each that is something else.
    pub(super) fn tables(&self, key: &Key, faults: &mut Faults) -> Field<Vec<Option<Self>>> {
        let Kind::Tables(section) = key.kind else {
            return Field::Broken;
        };
        self.get(key, faults)
            .and_then(|value| match value.get_ref() {
                DeValue::Array(array) => {
                    let tables = array
                        .iter()
                        .map(|element| Self::of(section, element, faults))
                        .collect();
                    Some(At {
                        value: tables,
                        span: value.span,
                    })
                }
                DeValue::Table(_) if section.header.starts_with('[') => {
                    let text = format!("{} is an array of tables", section.title());
                    faults.add(
                        Fault::new(&value.span, text)
                            .label("in single brackets here")
                            .help(format!("write {}", section.title())),
                    );
                    None
                }
                _ => wrong_type(key, &key.kind, value, faults),
            })
    }

    /// Whether a key that has been reported stands in the place of this one: misspelt, or of a
    /// later version.
    pub(super) fn has_instead(&self, key: &Key) -> bool {
        let known = || self.section.keys.iter().map(|key| key.name);
        let required = matches!(key.otherwise, Otherwise::Required);
        self.entries.keys().map(Spanned::get_ref).any(|name| {
            let later = required && self.section.later.contains(&name.as_ref());
            let unknown = !known().any(|known| known == name);
            later || unknown && suggest::nearest(name, known()) == Some(key.name)
        })
    }

    /// The value of a key of this section; reports a required one that is missing.
    pub(super) fn get(&self, key: &Key, faults: &mut Faults) -> Field<&'t Spanned<DeValue<'t>>> {
        let Some(value) = self.entries.get(key.name) else {
            if faults.text_is_lost() || self.has_instead(key) {
                return Field::Broken;
            }
            if !matches!(key.otherwise, Otherwise::Required) {
                return Field::Absent;
            }
            faults.add(missing(self.section, key, &self.span));
            return Field::Broken;
        };
        Field::Given(At {
            value,
            span: value.span(),
        })
    }
}

impl<'t> At<&'t Spanned<DeValue<'t>>> {
    pub(super) fn get_ref(&self) -> &'t DeValue<'t> {
        self.value.get_ref()
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }
}
