//! HTTP GET: the status of one HTTP/1.1 response.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;

use crate::failure::{Failure, Stage};
use crate::probe::Deadline;
use crate::tcp;

/// Bytes of a body that are read, so that the server sees a client that listens to the end.
const BODY_LIMIT: usize = 64 * 1024;
/// Bytes of status line and headers.
const HEAD_LIMIT: usize = 64 * 1024;
const USER_AGENT: &str = concat!("caribe-probe/", env!("CARGO_PKG_VERSION"));

/// Asks for `path` and judges the status. A redirection is a status like any other.
pub(crate) async fn probe(
    address: SocketAddr,
    path: &str,
    host: Option<&str>,
    good: &[(u16, u16)],
    deadline: &Deadline,
) -> Result<(), Failure> {
    let request = request(address, path, host)?;
    let stream = tcp::connect(address, deadline).await?;
    let handshake = http1::Builder::new()
        .max_buf_size(HEAD_LIMIT)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream));
    let (mut sender, connection) = deadline
        .during(Stage::Connecting, handshake)
        .await?
        .map_err(|error| reason(&error, Stage::Connecting))?;
    let mut exchange = pin!(async {
        let response = deadline
            .during(Stage::Waiting, sender.send_request(request))
            .await?
            .map_err(|error| reason(&error, Stage::Waiting))?;
        judge(&response, good)?;
        drain(response.into_body(), deadline).await
    });
    // The connection is driven here rather than by a task of its own, so that nothing survives
    // this future. What it fails with reaches the exchange too.
    tokio::select! {
        biased;
        result = &mut exchange => return result,
        _ = connection => {}
    }
    exchange.await
}

fn request(
    address: SocketAddr,
    path: &str,
    host: Option<&str>,
) -> Result<Request<Empty<Bytes>>, Failure> {
    let host = match host {
        Some(host) => host.to_owned(),
        None => host_of(address),
    };
    Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| Failure::NotRun(format!("its request cannot be written: {error}")))
}

/// An address as a `Host` header has it: without the port that HTTP implies (RFC 9110, 7.2).
fn host_of(address: SocketAddr) -> String {
    match address {
        address if address.port() != 80 => address.to_string(),
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}

fn judge(response: &Response<Incoming>, good: &[(u16, u16)]) -> Result<(), Failure> {
    let status = response.status();
    let code = status.as_u16();
    if good
        .iter()
        .any(|(low, high)| (*low..=*high).contains(&code))
    {
        return Ok(());
    }
    let ranges: Vec<String> = good.iter().map(range).collect();
    let got = match status.canonical_reason() {
        Some(words) => format!("{code} {words}"),
        None => code.to_string(),
    };
    Err(Failure::Status {
        expected: ranges.join(", "),
        got,
    })
}

fn range((low, high): &(u16, u16)) -> String {
    if low == high {
        low.to_string()
    } else {
        format!("{low}-{high}")
    }
}

async fn drain(mut body: Incoming, deadline: &Deadline) -> Result<(), Failure> {
    let mut seen = 0;
    while seen < BODY_LIMIT {
        let Some(frame) = deadline.during(Stage::Reading, body.frame()).await? else {
            return Ok(());
        };
        let frame = frame.map_err(|error| reason(&error, Stage::Reading))?;
        seen += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(())
}

/// What an error of the HTTP library means to a person.
fn reason(error: &hyper::Error, stage: Stage) -> Failure {
    let socket = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(socket) = socket.filter(|socket| socket.raw_os_error().is_some()) {
        return Failure::io(socket, stage);
    }
    Failure::Http(if error.is_parse_too_large() {
        format!("expected an HTTP response, got a head of more than {HEAD_LIMIT} bytes")
    } else if error.is_parse() {
        "expected an HTTP response, got something else".to_owned()
    } else if stage == Stage::Reading {
        "the server closed the connection amid the response".to_owned()
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        "expected an HTTP response, but the server closed the connection".to_owned()
    } else {
        format!("{error} while {stage}")
    })
}

#[cfg(test)]
mod tests;
