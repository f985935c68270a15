//! Probes by commands.

use probes::kinds::exec::Exec;
use probes::spec::ProbeKind;

use crate::config::diagnostic::{Fault, Faults};
use crate::config::raw::reader::{At, Field, Table};
use crate::config::raw::text::quote;
use crate::config::schema::probe as s;

pub(super) fn exec(table: &Table<'_>, faults: &mut Faults) -> Option<ProbeKind> {
    let argv = table.texts(&s::EXEC, faults);
    let environment = table.texts(&s::ENVIRONMENT, faults);
    let user = table.text(&s::USER, faults);
    let dynamic_weight = table.bool(&s::DYNAMIC_WEIGHT, faults);
    let argv = command(&argv, faults);
    let environment: Vec<_> = environment
        .or(Vec::new())?
        .iter()
        .map(|text| variable(text, faults))
        .collect();
    Some(ProbeKind::Exec(Exec {
        argv: argv?,
        environment: environment.into_iter().collect::<Option<Vec<_>>>()?,
        user: user.optional()?,
        dynamic_weight: dynamic_weight.or(false)?,
    }))
}

fn command(given: &Field<Vec<At<String>>>, faults: &mut Faults) -> Option<Vec<String>> {
    let given = given.given()?;
    if given
        .value
        .first()
        .is_none_or(|first| first.value.is_empty())
    {
        faults.add(Fault::new(&given.span, "`exec` has no command").label("expected at least one"));
        return None;
    }
    let texts: Vec<_> = given
        .value
        .iter()
        .map(|text| known(text, faults).then(|| text.value.clone()))
        .collect();
    texts.into_iter().collect()
}

fn variable(text: &At<String>, faults: &mut Faults) -> Option<(String, String)> {
    let Some((name, value)) = text
        .value
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
    else {
        faults.add(
            Fault::new(&text.span, format!("{} is no variable", quote(&text.value)))
                .label("expected a name, `=` and a value"),
        );
        return None;
    };
    known(text, faults).then(|| (name.to_owned(), value.to_owned()))
}

/// Whether the kernel takes it, and everything in braces stands for something.
fn known(text: &At<String>, faults: &mut Faults) -> bool {
    if text.value.contains('\0') {
        faults.add(Fault::new(&text.span, "a command cannot have a zero byte"));
        return false;
    }
    let Some(unknown) = Exec::unknown_placeholder(&text.value) else {
        return true;
    };
    faults.add(
        Fault::new(&text.span, format!("{} stands for nothing", quote(unknown)))
            .label("known are {address}, {port}, {service}, {virtual_address} and {virtual_port}"),
    );
    false
}
