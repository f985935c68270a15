//! Messages whose length stands in their beginning, taken from a session one by one.

use crate::failure::{End, Failure};
use crate::session::{LIMIT, Session};

/// What came is not the beginning of a message.
pub(crate) struct NoFrame;

/// The next message, whole. `measure` finds its length in what has come of it: `None` while that is
/// too little. It is whatever the server claims, and the same number on every machine; one that is
/// longer than a server may say is not waited for. `expected` is what to call the message when it
/// does not come.
pub(crate) async fn next(
    session: &mut Session<'_>,
    expected: &str,
    measure: impl Fn(&[u8]) -> Result<Option<u64>, NoFrame>,
) -> Result<Vec<u8>, Failure> {
    loop {
        match measure(session.input()) {
            Ok(Some(length)) => match usize::try_from(length) {
                Ok(length) if length <= LIMIT => return session.exactly(length, expected).await,
                Ok(_) | Err(_) => return Err(session.missing(expected, End::Limit(LIMIT))),
            },
            Ok(None) => {}
            Err(NoFrame) => return Err(session.missing(expected, End::Complete)),
        }
        if let Some(end) = session.fill().await? {
            return Err(session.missing(expected, end));
        }
    }
}
