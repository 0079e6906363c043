//! The transport of 2024-11-05: a GET opens a stream of events, whose first one names the address to
//! which messages are POSTed; every answer comes on the stream.
//!
//! It is the talk of standard input and output with HTTP between: a pipe in memory carries its lines.
//! A stream that ends ends the session with it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use dormouse::Scope;
use tokio::io::{AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Limits;
use super::accept::sends_json;
use super::body::{Body, read};
use super::reply::{Refused, accepted, invalid, refused, stream};
use crate::endpoint::Endpoint;
use crate::message::{Fault, INTERNAL_ERROR, Incoming};
use crate::mode::Mode;
use crate::stdio::{Line, Lines, Receipts, Talk};

/// How much the pipe of a talk holds.
const PIPE: usize = 64 << 10;
/// How many events wait for a reader, who holds up his own talk only.
const WAITING: usize = 16;
/// How long a message waits for a talk that does not listen, since its client does not read.
const PATIENCE: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What the address for messages names the talk by.
const NAME: &str = "sessionId=";

/// The talks that are under way.
#[derive(Debug, Default)]
pub(crate) struct Talks {
    open: Mutex<HashMap<String, Arc<Ear>>>,
}

/// Where the messages of one talk go.
#[derive(Debug)]
struct Ear {
    scope: Scope,
    mode: Mode,
    pipe: tokio::sync::Mutex<WriteHalf<DuplexStream>>,
}

impl Talks {
    fn open(&self) -> MutexGuard<'_, HashMap<String, Arc<Ear>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events of one talk. Dropped, the talk ends.
#[derive(Debug)]
pub(super) struct Events {
    events: mpsc::Receiver<Bytes>,
    _ends: DropGuard,
}

impl Events {
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        Pin::new(&mut self.events).poll_recv(context)
    }
}

/// Whether a GET is that of a client which knows no other transport: all others name a session.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    const NEWER: [HeaderName; 3] =
        [super::headers::SESSION, super::headers::VERSION, super::headers::LAST_EVENT];
    // A page in a browser takes everything, and would wait for ever.
    let asks = |value: &HeaderValue| value.to_str().is_ok_and(|it| it.contains("text/event-stream"));
    headers.get_all(header::ACCEPT).iter().any(asks) && NEWER.iter().all(|name| !headers.contains_key(name))
}

/// The talk that an address names.
pub(super) fn named(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|part| part.strip_prefix(NAME))
}

/// GET: begins a talk.
pub(super) async fn listen(endpoint: &Endpoint, query: Option<&str>) -> Result<Response<Body>, Refused> {
    let failed = |why: String| {
        Box::new(refused(StatusCode::SERVICE_UNAVAILABLE, None, &Fault::new(INTERNAL_ERROR, why)))
    };
    let talk = Talk::begin(endpoint.clone(), None).await.map_err(|error| failed(error.to_string()))?;
    let name = talk.session().to_owned();
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let (from_talk, to_talk) = tokio::io::split(ours);
    let ear = Ear {
        scope: endpoint.scope().clone(),
        mode: endpoint.mode().clone(),
        pipe: tokio::sync::Mutex::new(to_talk),
    };
    endpoint.gateway().talks().open().insert(name.clone(), Arc::new(ear));
    let (send, events) = mpsc::channel(WAITING);
    let gone = CancellationToken::new();
    let kept: String = query
        .unwrap_or_default()
        .split('&')
        .filter(|part| !part.is_empty() && !part.starts_with(NAME))
        .fold(String::new(), |kept, part| kept + "&" + part);
    // An address relative to that of the stream, whatever stands before the hub.
    let first = Bytes::from(format!("event: endpoint\ndata: ?{NAME}{name}{kept}\n\n"));
    tokio::spawn(tell(from_talk, first, send, gone.clone()));
    let (endpoint, ends) = (endpoint.clone(), gone.clone().drop_guard());
    // Ends when the client leaves, and with the gateway.
    tokio::spawn(async move {
        let ending = endpoint.gateway().ending().clone();
        tokio::select! {
            () = talk.serve(theirs, Receipts::None, ending.cancelled()) => {}
            () = gone.cancelled() => {}
        }
        gone.cancel();
        endpoint.gateway().talks().open().remove(&name);
        if let Err(fault) = endpoint.end_session(&name).await {
            tracing::debug!(fault.message, "a session that has ended is still stored");
        }
    });
    Ok(stream(Body::talk(Events { events, _ends: ends })))
}

/// Brings the lines of a talk to its client, as events.
async fn tell(
    lines: ReadHalf<DuplexStream>,
    first: Bytes,
    events: mpsc::Sender<Bytes>,
    gone: CancellationToken,
) {
    let mut lines = Lines::of(lines);
    let mut alive = tokio::time::interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = Some(first);
    while let Some(event) = next.take() {
        tokio::select! {
            sent = events.send(event) => if sent.is_err() { return },
            () = gone.cancelled() => return,
        }
        next = tokio::select! {
            line = lines.next() => match line {
                Ok(Some(Line::Text(text))) => Some(event_of(&text)),
                // No answer of ours is that long.
                Ok(Some(Line::TooLong)) => Some(Bytes::from_static(b": too long\n\n")),
                Ok(None) | Err(_) => None,
            },
            _ = alive.tick() => Some(Bytes::from_static(b": alive\n\n")),
            () = gone.cancelled() => None,
        };
    }
}

fn event_of(text: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(text.len() + 24);
    event.extend_from_slice(b"event: message\ndata: ");
    event.extend_from_slice(text);
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// POST: a message of a talk. Its answer comes on the stream.
pub(super) async fn take<B>(
    endpoint: &Endpoint,
    name: &str,
    headers: &HeaderMap,
    body: B,
    limits: Limits,
) -> Result<Response<Body>, Refused>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    sends_json(headers)?;
    let ear = endpoint.gateway().talks().open().get(name).cloned();
    let is_here = |ear: &Arc<Ear>| ear.scope == *endpoint.scope() && ear.mode == *endpoint.mode();
    let Some(ear) = ear.filter(is_here) else {
        return Err(invalid(StatusCode::NOT_FOUND, "Session not found"));
    };
    let body = read(headers, body, limits.body).await?;
    if let Err(error) = Incoming::parse(&body) {
        return Err(Box::new(refused(StatusCode::BAD_REQUEST, None, &error.fault)));
    }
    // An end of line is no part of a text in JSON.
    let plain = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
    let mut line: Vec<u8> = body.iter().map(plain).collect();
    line.push(b'\n');
    let mut pipe = ear.pipe.lock().await;
    // Never half a line: who is too slow to take one loses the talk.
    match tokio::time::timeout(PATIENCE, pipe.write_all(&line)).await {
        Ok(Ok(())) => Ok(accepted()),
        Ok(Err(_)) => Err(invalid(StatusCode::NOT_FOUND, "Session not found")),
        Err(_) => {
            endpoint.gateway().talks().open().remove(name);
            Err(invalid(StatusCode::SERVICE_UNAVAILABLE, "the client does not read its answers"))
        }
    }
}
