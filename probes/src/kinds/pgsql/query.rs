//! The result of a query.

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message};

use super::{Refusal, another, missing, next};
use crate::failure::{Failure, excerpt};
use crate::session::Session;

/// Reads the result, in which there must be a row, with `expect` in one of its values if that is
/// given.
pub(super) async fn row(session: &mut Session<'_>, expect: Option<&str>) -> Result<(), Failure> {
    let expected = "a row";
    let mut last = None;
    loop {
        match next(session, expected).await? {
            Message::DataRow(body) => {
                let values = values(&body);
                let values = values.ok_or_else(|| another(expected))?;
                if matches(&values, expect.unwrap_or_default()) {
                    return Ok(());
                }
                last = Some(values.concat());
            }
            Message::ErrorResponse(body) => {
                return Err(Refusal::read(&body).told("the query failed"));
            }
            Message::ReadyForQuery(_) => break,
            Message::RowDescription(_)
            | Message::CommandComplete(_)
            | Message::EmptyQueryResponse
            | Message::NoticeResponse(_)
            | Message::NotificationResponse(_)
            | Message::ParameterStatus(_) => {}
            _ => return Err(another(expected)),
        }
    }
    match (expect, last) {
        (Some(expect), Some(row)) => Err(missing(&format!("{expect:?} in a row"), &excerpt(&row))),
        (None, _) | (_, None) => Err(missing(expected, "none")),
    }
}

/// The values of a row that are there.
pub(super) fn values(body: &DataRowBody) -> Option<Vec<&[u8]>> {
    let mut ranges = body.ranges();
    let mut values = Vec::new();
    loop {
        match ranges.next() {
            Ok(Some(Some(range))) => values.push(body.buffer().get(range)?),
            Ok(Some(None)) => {}
            Ok(None) => return Some(values),
            Err(_) => return None,
        }
    }
}

fn matches(values: &[&[u8]], expect: &str) -> bool {
    let expect = expect.as_bytes();
    let holds = |value: &&[u8]| value.windows(expect.len()).any(|window| window == expect);
    expect.is_empty() || values.iter().any(holds)
}
