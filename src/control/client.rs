//! The API's client: one blocking request over the control socket.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{Error, STATUS};
use crate::director::{Done, Snapshot};

mod events;

/// From connecting to the answer's last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The same for an order, which may take what the daemon gives a client at most.
const ORDER_TIMEOUT: Duration = Duration::from_secs(15);
/// 10,000 servers take about 3 MB.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Asks the daemon that listens on one control socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    timeout: Duration,
}

impl Client {
    /// A client of the daemon at `socket`, which need not be there yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            timeout: TIMEOUT,
        }
    }

    #[cfg(test)]
    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Asks for everything that the daemon knows.
    ///
    /// # Errors
    ///
    /// As of [`Client::get`], and [`Error::BadAnswer`] if the answer is no snapshot.
    pub fn status(&self) -> Result<Snapshot, Error> {
        self.parse_status(&self.status_text()?)
    }

    /// The same, as the JSON text that came.
    ///
    /// # Errors
    ///
    /// As of [`Client::get`].
    pub fn status_text(&self) -> Result<Bytes, Error> {
        self.get(STATUS)
    }

    /// Asks for `path` and returns the body of a successful answer. Must not be called from async
    /// code: it blocks, for 5 s at most.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`], [`Error::Gone`], [`Error::Denied`], [`Error::Timeout`],
    /// [`Error::BrokenOff`], [`Error::BadAnswer`] for what is not HTTP, [`Error::Refused`] for any
    /// other status than 2xx.
    pub fn get(&self, path: &str) -> Result<Bytes, Error> {
        self.ask(Method::GET, path, Bytes::new(), self.timeout)
    }

    /// Orders something, and returns the answer's text and what it says. Blocks, for 15 s at most.
    ///
    /// # Errors
    ///
    /// As of [`Client::get`].
    pub fn order(&self, path: &str, body: &serde_json::Value) -> Result<(String, Done), Error> {
        let body = Bytes::from(body.to_string());
        let answer = self.ask(Method::POST, path, body, self.timeout.max(ORDER_TIMEOUT))?;
        let done = serde_json::from_slice(&answer).map_err(|err| self.bad_answer(&err))?;
        Ok((String::from_utf8_lossy(&answer).into_owned(), done))
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<Bytes, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::system("prepare to ask", &self.socket))?;
        runtime.block_on(async {
            tokio::time::timeout(limit, self.fetch(method, path, body))
                .await
                .unwrap_or_else(|_| {
                    Err(Error::Timeout {
                        socket: self.socket.clone(),
                        after: limit,
                    })
                })
        })
    }

    async fn fetch(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Error> {
        let response = self.send(method, path, body).await?;
        self.take(response).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|err| self.unconnected(err))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|err| self.failed(&err))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "caribe")
            .body(Full::new(body))
            .map_err(|err| self.bad_answer(&err))?;
        let answered = sender.send_request(request).await;
        answered.map_err(|err| self.failed(&err))
    }

    async fn take(&self, response: Response<Incoming>) -> Result<Bytes, Error> {
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|err| self.failed(&*err))?
            .to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let (message, may_pass) = error_of(&body);
        Err(Error::Refused {
            status: status.as_u16(),
            message,
            may_pass,
        })
    }

    /// Reads the text of [`Client::status_text`].
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] if it is no snapshot.
    pub fn parse_status(&self, text: &[u8]) -> Result<Snapshot, Error> {
        serde_json::from_slice(text).map_err(|err| self.bad_answer(&err))
    }

    fn unconnected(&self, err: io::Error) -> Error {
        let socket = self.socket.clone();
        match err.kind() {
            io::ErrorKind::NotFound => Error::NotRunning { socket },
            io::ErrorKind::ConnectionRefused => Error::Gone { socket },
            io::ErrorKind::PermissionDenied => Error::Denied { socket },
            // Its backlog is full (connect(2)).
            io::ErrorKind::WouldBlock => Error::Busy { socket },
            _ => Error::system("connect to", socket)(err),
        }
    }

    /// What is not HTTP is told from what ends too early, as from a daemon that is stopped.
    fn failed(&self, err: &(dyn std::error::Error + 'static)) -> Error {
        match err.downcast_ref::<hyper::Error>() {
            Some(err) if !err.is_parse() => Error::BrokenOff {
                socket: self.socket.clone(),
            },
            _ => self.bad_answer(err),
        }
    }

    fn bad_answer(&self, why: &(impl std::fmt::Display + ?Sized)) -> Error {
        Error::BadAnswer {
            socket: self.socket.clone(),
            why: why.to_string(),
        }
    }
}

fn error_of(body: &[u8]) -> (String, bool) {
    #[derive(serde::Deserialize)]
    struct Body {
        error: String,
        #[serde(default)]
        may_pass: bool,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(body) => (body.error, body.may_pass),
        Err(_) => ("it gave no reason".to_owned(), false),
    }
}
