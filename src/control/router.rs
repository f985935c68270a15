//! Which answer belongs to which request: a pure function of the request and the snapshot.

use hyper::{Method, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::{EVENTS, HEALTH, READINESS, STATUS};
use crate::director::Snapshot;
use crate::director::events::Position;
use crate::director::snapshot::GroupStatus;

/// Everything that may be asked, for the answers to what may not.
const RESOURCES: [&str; 4] = [STATUS, EVENTS, HEALTH, READINESS];

/// A status and a JSON body.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    /// If the method was wrong, the right ones for `Allow` (RFC 9110, 15.5.6).
    pub(super) allow: Option<&'static str>,
}

/// The methods of every resource that is not ordered.
pub(super) const ALLOWED: &str = "GET, HEAD";

/// Which events a client wants.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct EventsWanted {
    /// Those after it; all of them without one.
    pub(super) since: Option<Position>,
    /// Whether the answer ends with the latest.
    pub(super) once: bool,
}

/// Reads what follows the `?` of a request for events, and its `Last-Event-ID`. That counts more: a
/// browser that connects again repeats the query, and says where it had come to.
pub(super) fn events_wanted(
    query: Option<&str>,
    last_event_id: Option<&str>,
) -> Result<EventsWanted, Reply> {
    let bad = |error: String| reply(StatusCode::BAD_REQUEST, &json!({ "error": error }));
    let position = |text: &str| {
        let parsed = text.parse::<Position>();
        parsed.map_err(|err| bad(err.to_string()))
    };
    let mut wanted = EventsWanted::default();
    for part in query.unwrap_or("").split('&').filter(|it| !it.is_empty()) {
        match part.split_once('=').unwrap_or((part, "")) {
            ("since", text) => wanted.since = Some(position(text)?),
            ("follow", "0") => wanted.once = true,
            ("follow", "1") => wanted.once = false,
            ("follow", other) => {
                return Err(bad(format!("follow is 0 or 1, not {other:?}")));
            }
            (name, _) => {
                let error = format!("{EVENTS} takes since and follow, not {name:?}");
                return Err(bad(error));
            }
        }
    }
    if let Some(text) = last_event_id {
        wanted.since = Some(position(text)?);
    }
    Ok(wanted)
}

/// Answers a request. `snapshot` is `None` once the director has stopped publishing: what it said
/// last must not pass for the present.
pub(super) fn answer(
    method: &Method,
    path: &str,
    has_body: bool,
    snapshot: Option<&Snapshot>,
) -> Reply {
    match accept(method, path, has_body, snapshot) {
        Err(refusal) => refusal,
        Ok(snapshot) => match path {
            STATUS => reply(StatusCode::OK, snapshot),
            READINESS => readiness(snapshot),
            _ => reply(StatusCode::OK, &json!({ "healthy": true })),
        },
    }
}

/// The snapshot to answer from, or why there is no answer.
pub(super) fn accept<'a>(
    method: &Method,
    path: &str,
    has_body: bool,
    snapshot: Option<&'a Snapshot>,
) -> Result<&'a Snapshot, Reply> {
    if !RESOURCES.contains(&path) {
        let error = format!("there is no {path:?}");
        return Err(reply(
            StatusCode::NOT_FOUND,
            &json!({ "error": error, "resources": RESOURCES }),
        ));
    }
    if method != Method::GET && method != Method::HEAD {
        let error = format!("{path} cannot be asked with {method}, only with {ALLOWED}");
        let refused = reply(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": error }));
        return Err(Reply {
            allow: Some(ALLOWED),
            ..refused
        });
    }
    if has_body {
        let error = format!("a {method} of {path} takes no body");
        return Err(reply(
            StatusCode::PAYLOAD_TOO_LARGE,
            &json!({ "error": error }),
        ));
    }
    snapshot.ok_or_else(|| {
        let error = "the director has stopped";
        reply(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": error }))
    })
}

fn readiness(snapshot: &Snapshot) -> Reply {
    let waiting: Vec<String> = snapshot.groups.iter().filter_map(waits_for).collect();
    if waiting.is_empty() {
        return reply(StatusCode::OK, &json!({ "ready": true }));
    }
    let error = format!("not ready: {}", waiting.join("; "));
    let body = json!({ "ready": false, "error": error, "waiting": waiting });
    reply(StatusCode::SERVICE_UNAVAILABLE, &body)
}

fn waits_for(group: &GroupStatus) -> Option<String> {
    let name = &group.name;
    if group.owner.is_none() {
        let why = if group.reason.is_empty() { "" } else { ": " };
        return Some(format!("group {name} has no owner{why}{}", group.reason));
    }
    (!group.ready).then(|| format!("group {name} is not ready on this director"))
}

/// A status with a value as JSON.
pub(super) fn reply(status: StatusCode, body: &impl Serialize) -> Reply {
    match serde_json::to_vec(body) {
        Ok(mut body) => {
            body.push(b'\n');
            Reply {
                status,
                body,
                allow: None,
            }
        }
        Err(err) => {
            tracing::error!(error = %err, "an answer of the API cannot be written as JSON");
            Reply {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                body: b"{\"error\":\"the answer cannot be written as JSON\"}\n".to_vec(),
                allow: None,
            }
        }
    }
}
