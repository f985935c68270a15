//! What may be ordered, as paths and JSON: pure functions to and from the director's own words.

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::STANDBY;
use super::router::{Reply, reply};
use crate::cluster::Refusal;
use crate::director::{Done, Refused, Request};

/// The method of every order.
pub(super) const ALLOWED: &str = "POST";

const GROUPS: &str = "/v1/groups/";
const HANDOVER: &str = "/handover";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HandoverBody {
    to: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StandbyBody {
    group: Option<String>,
    undo: bool,
    persist: bool,
}

/// The path of the order to hand a group over.
#[must_use]
pub fn handover_of(group: &str) -> String {
    format!("{GROUPS}{group}{HANDOVER}")
}

/// Whether orders go to this path.
pub(super) fn takes(path: &str) -> bool {
    path == STANDBY || group_of(path).is_some()
}

/// The order in a request to a path that [`takes`] orders.
pub(super) fn read(method: &Method, path: &str, body: &[u8]) -> Result<Request, Reply> {
    if method != Method::POST {
        let error = format!("{path} cannot be asked with {method}, only with {ALLOWED}");
        let refused = reply(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": error }));
        return Err(Reply {
            allow: Some(ALLOWED),
            ..refused
        });
    }
    match group_of(path) {
        Some(group) => parse(body).map(|HandoverBody { to }| Request::Handover {
            group: group.to_owned(),
            to,
        }),
        None => parse(body).map(|body: StandbyBody| Request::Standby {
            group: body.group,
            on: !body.undo,
            persist: body.persist,
        }),
    }
}

/// The answer to an order.
pub(super) fn answer(outcome: Option<Result<Done, Refused>>) -> Reply {
    let refused = match outcome {
        Some(Ok(done)) => return reply(StatusCode::OK, &done),
        Some(Err(refused)) => refused,
        None => {
            let error = "the director is stopping, or has too many orders";
            return reply(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": error }));
        }
    };
    let may_pass = match &refused {
        Refused::Machine(refusal) => refusal.may_pass(),
        Refused::Busy => true,
        Refused::Save(_) => false,
    };
    let status = match &refused {
        Refused::Machine(Refusal::NoGroup) => StatusCode::NOT_FOUND,
        Refused::Machine(Refusal::Stopping) | Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Machine(_) => StatusCode::CONFLICT,
        Refused::Save(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let error = refused.to_string();
    reply(status, &json!({ "error": error, "may_pass": may_pass }))
}

/// The answer when the director has given none for long.
pub(super) fn late() -> Reply {
    let error = "the order is being carried out; status tells what becomes of it";
    reply(StatusCode::GATEWAY_TIMEOUT, &json!({ "error": error }))
}

/// The answer to a body that is too long or breaks off.
pub(super) fn unreadable() -> Reply {
    let error = "the body cannot be read, or is too long";
    reply(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "error": error }))
}

fn group_of(path: &str) -> Option<&str> {
    let group = path.strip_prefix(GROUPS)?.strip_suffix(HANDOVER)?;
    (!group.is_empty() && !group.contains('/')).then_some(group)
}

fn parse<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Reply> {
    if body.is_empty() {
        return Ok(T::default());
    }
    // A list of the values would do for serde, too.
    let object: Result<Map<String, Value>, _> = serde_json::from_slice(body);
    let parsed = object.and_then(|object| serde_json::from_value(Value::Object(object)));
    parsed.map_err(|err| {
        let error = format!("the body is not as it must be: {err}");
        reply(StatusCode::BAD_REQUEST, &json!({ "error": error }))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn orders_are_read_from_path_and_body() {
        let handover = |to: Option<&str>| Request::Handover {
            group: "web".to_owned(),
            to: to.map(str::to_owned),
        };
        let standby = |group: Option<&str>, on, persist| Request::Standby {
            group: group.map(str::to_owned),
            on,
            persist,
        };
        let path = handover_of("web");
        let cases = [
            (path.as_str(), "", handover(None)),
            (&path, "{}", handover(None)),
            (&path, r#"{"to":"ha2"}"#, handover(Some("ha2"))),
            (STANDBY, "", standby(None, true, false)),
            (STANDBY, r#"{"undo":true}"#, standby(None, false, false)),
            (
                STANDBY,
                r#"{"group":"web","persist":true}"#,
                standby(Some("web"), true, true),
            ),
        ];
        for (path, body, request) in cases {
            assert!(takes(path), "{path}");
            let read = read(&Method::POST, path, body.as_bytes());
            assert_eq!(read.unwrap(), request, "{path} {body}");
        }
    }

    #[test]
    fn what_is_no_order_is_refused() {
        for path in [
            "/v1/groups//handover",
            "/v1/groups/a/b/handover",
            "/v1/groups/a",
            "/",
        ] {
            assert!(!takes(path), "{path}");
        }
        for body in ["{", "[]", r#"{"too":"ha2"}"#, r#"{"to":5}"#, "\u{0}"] {
            let refused = read(&Method::POST, &handover_of("web"), body.as_bytes());
            assert_eq!(
                refused.unwrap_err().status,
                StatusCode::BAD_REQUEST,
                "{body}"
            );
        }
        let refused = read(&Method::GET, STANDBY, b"").unwrap_err();
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.allow, Some("POST"));
    }

    #[test]
    fn every_answer_has_its_status_and_says_whether_to_ask_again() {
        let machine = |refusal| Some(Err(Refused::Machine(refusal)));
        let done = Done {
            given: [("web".to_owned(), "ha2".to_owned())].into(),
            kept: BTreeMap::new(),
        };
        let cases = [
            (Some(Ok(done)), 200, None),
            (machine(Refusal::NoGroup), 404, Some(false)),
            (machine(Refusal::Stopping), 503, Some(false)),
            (machine(Refusal::Leaving), 409, Some(true)),
            (machine(Refusal::Itself), 409, Some(false)),
            (Some(Err(Refused::Busy)), 503, Some(true)),
            (None, 503, None),
        ];
        for (outcome, status, may_pass) in cases {
            let told = format!("{outcome:?}");
            let reply = answer(outcome);
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(reply.status.as_u16(), status, "{told}");
            assert_eq!(body["may_pass"].as_bool(), may_pass, "{told}");
            assert_eq!(body["error"].is_string(), status != 200, "{told}");
        }
    }
}
