//! Messages whose length stands in their beginning, taken from a session one by one.

use crate::failure::{End, Failure};
use crate::session::{LIMIT, Session};

/// What came is not the beginning of a message.
pub(crate) struct NoFrame;

/// The next message, whole. `measure` finds its length in what has come of it: `None` while that is
/// too little. `expected` is what to call the message when it does not come.
pub(crate) async fn next(
    session: &mut Session<'_>,
    expected: &str,
    measure: impl Fn(&[u8]) -> Result<Option<usize>, NoFrame>,
) -> Result<Vec<u8>, Failure> {
    loop {
        match measure(session.input()) {
            Ok(Some(length)) if length <= LIMIT => return session.exactly(length, expected).await,
            Ok(None) => {}
            Ok(Some(_)) | Err(NoFrame) => return Err(session.missing(expected, End::Complete)),
        }
        if let Some(end) = session.fill().await? {
            return Err(session.missing(expected, end));
        }
    }
}
