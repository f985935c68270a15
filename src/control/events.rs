//! What happens, as server-sent events, to clients that may be slow.
//!
//! Each client has a task of its own that reads the history at its own pace, so that none holds up
//! anybody. One that takes nothing for too long is cut off; it may come back and say where it was.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::router::{self, EventsWanted, Reply};
use crate::director::History;
use crate::director::events::Event;

/// So often a line is sent that says nothing, when nothing happens: for whoever waits to know that
/// the other is there.
const PULSE: Duration = Duration::from_secs(15);
/// Events that are made into one piece of text.
const PIECE: usize = 64;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// All of it.
    Whole(Full<Bytes>),
    /// As it comes.
    Stream(mpsc::Receiver<Bytes>),
}

impl Answer {
    pub(super) fn whole(body: Vec<u8>) -> Self {
        Self::Whole(Full::from(body))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Stream(pieces) => {
                let piece = pieces.poll_recv(context);
                piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// Where those who follow events get them, and how many may.
#[derive(Clone, Debug)]
pub(super) struct Followers {
    history: watch::Receiver<Arc<History>>,
    places: Arc<Semaphore>,
}

/// What sends events to one client.
#[derive(Debug)]
pub(super) struct Follower {
    history: watch::Receiver<Arc<History>>,
    wanted: EventsWanted,
    pieces: mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Followers {
    pub(super) fn new(history: watch::Receiver<Arc<History>>, places: usize) -> Self {
        Self {
            history,
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// Begins an answer, whose events will come from a follower that is handed to `begin`.
    pub(super) fn follow(
        &self,
        request: &Request<Incoming>,
        begin: &mpsc::Sender<Follower>,
    ) -> Result<Response<Answer>, Reply> {
        let header = request.headers().get("last-event-id");
        let last_event_id = header.and_then(|value| value.to_str().ok());
        let wanted = router::events_wanted(request.uri().query(), last_event_id)?;
        if request.method() == Method::HEAD {
            return Ok(into_response(Answer::whole(Vec::new())));
        }
        let refused = |error: &str| {
            router::reply(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": error }))
        };
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| refused("too many clients follow events; end some"))?;
        let (sender, pieces) = mpsc::channel(1);
        let follower = Follower {
            history: self.history.clone(),
            wanted,
            pieces: sender,
            _place: place,
        };
        begin
            .try_send(follower)
            .map_err(|_| refused("one request a connection"))?;
        Ok(into_response(Answer::Stream(pieces)))
    }
}

impl Follower {
    /// Sends events until the client has gone or has all that it wants. False when it took nothing
    /// for `patience`.
    pub(super) async fn run(mut self, patience: Duration) -> bool {
        let mut position = self.wanted.since;
        loop {
            let events = self.history.borrow_and_update().after(position);
            for piece in events.chunks(PIECE) {
                match timeout(patience, self.pieces.send(text(piece))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return true,
                    Err(_) => return false,
                }
            }
            position = events.last().map(|last| last.id).or(position);
            if self.wanted.once {
                return true;
            }
            let quiet = tokio::select! {
                changed = timeout(PULSE, self.history.changed()) => match changed {
                    Ok(Ok(())) => false,
                    // Nothing will happen any more.
                    Ok(Err(_)) => return true,
                    Err(_) => true,
                },
                () = self.pieces.closed() => return true,
            };
            let nothing = Bytes::from_static(b":\n\n");
            if quiet && timeout(patience, self.pieces.send(nothing)).await.is_err() {
                return false;
            }
        }
    }
}

/// Events as the HTML standard has them (9.2.6).
fn text(events: &[Arc<Event>]) -> Bytes {
    let mut text = String::new();
    for event in events {
        match serde_json::to_string(&**event) {
            // JSON text has no line end in it.
            Ok(json) => text.push_str(&format!("id: {}\ndata: {json}\n\n", event.id)),
            Err(err) => tracing::error!(error = %err, "an event cannot be written as JSON"),
        }
    }
    Bytes::from(text)
}

fn into_response(answer: Answer) -> Response<Answer> {
    let mut response = Response::new(answer);
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/event-stream");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
