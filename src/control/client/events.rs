//! Events, as they come.

use std::ops::ControlFlow;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::{Bytes, Incoming};
use tokio::time::timeout;

use super::{Client, Error};
use crate::control::EVENTS;
use crate::director::events::{Event, Position};

/// A daemon that lives sends something more often than this, even when nothing happens.
const SILENCE: Duration = Duration::from_secs(40);
/// The longest event, and more.
const MOST: usize = 1024 * 1024;

impl Client {
    /// Passes events to `tell`, those after `since` or all that are kept, until it breaks. Then, if
    /// `follow`, goes on as they happen. Must not be called from async code: it blocks, for as long
    /// as the daemon lives if it follows.
    ///
    /// # Errors
    ///
    /// As of [`Client::get`]. Who follows gets [`Error::BrokenOff`] at the end of the daemon.
    pub fn events(
        &self,
        since: Option<Position>,
        follow: bool,
        tell: impl FnMut(Event) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let since = since.map(|it| format!("&since={it}")).unwrap_or_default();
        let path = format!("{EVENTS}?follow={}{since}", u8::from(follow));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::system("prepare to ask", &self.socket))?;
        runtime.block_on(async {
            let response = self
                .in_time(self.timeout, self.send(Method::GET, &path, Bytes::new()))
                .await??;
            if !response.status().is_success() {
                self.in_time(self.timeout, self.take(response)).await??;
                return Ok(());
            }
            self.read(response.into_body(), follow, tell).await
        })
    }

    async fn read(
        &self,
        mut body: Incoming,
        follow: bool,
        mut tell: impl FnMut(Event) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let limit = if follow { SILENCE } else { self.timeout };
        let mut unread = Vec::new();
        while let Some(frame) = self.in_time(limit, body.frame()).await? {
            let frame = frame.map_err(|err| self.failed(&err))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            unread.extend_from_slice(&data);
            let mut done = 0;
            while let Some(length) = unread[done..].iter().position(|byte| *byte == b'\n') {
                let line = &unread[done..done + length];
                done += length + 1;
                let Some(json) = line.strip_prefix(b"data: ") else {
                    continue;
                };
                let event = serde_json::from_slice(json).map_err(|err| self.bad_answer(&err))?;
                if tell(event).is_break() {
                    return Ok(());
                }
            }
            unread.drain(..done);
            if unread.len() > MOST {
                return Err(self.bad_answer("an event without an end"));
            }
        }
        if follow {
            return Err(Error::BrokenOff {
                socket: self.socket.clone(),
            });
        }
        Ok(())
    }

    async fn in_time<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, Error> {
        timeout(limit, work).await.map_err(|_| Error::Timeout {
            socket: self.socket.clone(),
            after: limit,
        })
    }
}
