//! The streams of a session, and the requests that read them: GET, and DELETE to end it all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::{HeaderMap, Response, StatusCode};

use super::accept::{Forms, single};
use super::body::Body;
use super::headers::{LAST_EVENT, SESSION, agrees, is_stateless, version};
use super::keep::Keep;
use super::reader::Reader;
use super::reply::{Refused, done, events, invalid, invalid_to, not_allowed, refused};
use super::stream::{REQUEST, STANDALONE, Stream};
use crate::endpoint::Endpoint;
use crate::message::Id;
use crate::session::Session;

/// The number of the stream of what belongs to no request. Others begin behind it.
const ALONE: u64 = 0;

/// The streams of a session.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Told apart from what the session had in another process, or will have.
    era: Option<u32>,
    last: u64,
    alone: Option<Arc<Stream>>,
    requests: HashMap<u64, Arc<Stream>>,
}

/// A running request's stream, which its session knows. Once this is dropped, it is kept for a while.
#[derive(Debug)]
pub(super) struct Kept {
    streams: Arc<Streams>,
    keep: Arc<Keep>,
    number: u64,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.keep.keep(&self.streams, self.number);
    }
}

/// What an event's id leads to.
enum Found {
    /// `None`: from where it was read last.
    Alone(Option<u64>),
    Request(Arc<Stream>, u64),
    Nothing,
}

impl Streams {
    /// A stream for a request; its session does not know it yet.
    pub(super) fn for_request(&self, keep: &Arc<Keep>) -> Arc<Stream> {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        let name = state.name(number);
        Stream::new(Some(name), number, REQUEST, Arc::clone(keep))
    }

    /// Lets a stream be found.
    pub(super) fn put(self: &Arc<Self>, stream: Arc<Stream>, keep: &Arc<Keep>) -> Kept {
        let number = stream.number();
        self.state().requests.insert(number, stream);
        Kept { streams: Arc::clone(self), keep: Arc::clone(keep), number }
    }

    pub(super) fn forget(&self, number: u64) {
        self.state().requests.remove(&number);
    }

    /// The stream of what belongs to no request.
    fn alone(&self, keep: &Arc<Keep>) -> Arc<Stream> {
        let mut state = self.state();
        let name = state.name(ALONE);
        let stream =
            state.alone.get_or_insert_with(|| Stream::new(Some(name), ALONE, STANDALONE, Arc::clone(keep)));
        Arc::clone(stream)
    }

    fn find(&self, event: &str) -> Found {
        let mut parts = event.split('.');
        let (Some(era), Some(stream), Some(seen), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Found::Nothing;
        };
        let (Ok(era), Ok(stream), Ok(seen)) =
            (u32::from_str_radix(era, 16), stream.parse(), seen.parse::<u64>())
        else {
            return Found::Nothing;
        };
        let state = self.state();
        let is_ours = state.era == Some(era);
        match (stream, state.requests.get(&stream)) {
            // What another process has sent is not known; what nobody has read here is.
            (ALONE, _) => Found::Alone(is_ours.then_some(seen)),
            (_, Some(found)) if is_ours => Found::Request(Arc::clone(found), seen),
            _ => Found::Nothing,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn name(&mut self, number: u64) -> String {
        let era = *self.era.get_or_insert_with(|| {
            let mut bytes = [0; 4];
            // Without random bits, an id of an earlier process may be taken for one of ours, and
            // its client then gets what it has seen.
            let _ = getrandom::fill(&mut bytes);
            u32::from_le_bytes(bytes)
        });
        format!("{era:08x}.{number}")
    }
}

/// The session that a request names, if it is one of this endpoint.
pub(super) async fn session(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    id: Option<&Id>,
) -> Result<Arc<Session>, Refused> {
    let named = single(headers, &SESSION).map_err(|why| invalid_to(StatusCode::BAD_REQUEST, id, &why))?;
    let Some(named) = named else {
        let why = "the header Mcp-Session-Id is missing; `initialize` begins a session";
        return Err(invalid_to(StatusCode::BAD_REQUEST, id, why));
    };
    match endpoint.session(named).await {
        Ok(Some(session)) => Ok(session),
        Ok(None) => Err(invalid_to(StatusCode::NOT_FOUND, id, "Session not found")),
        Err(fault) => Err(Box::new(refused(StatusCode::SERVICE_UNAVAILABLE, id, &fault))),
    }
}

/// The methods that only sessions have.
fn of_sessions(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let version = version(headers)?;
    if is_stateless(version) { Err(not_allowed("POST")) } else { Ok(version) }
}

/// GET: what belongs to no request of a session, or the rest of a stream.
pub(super) async fn listen(endpoint: &Endpoint, headers: &HeaderMap) -> Result<Response<Body>, Refused> {
    let version = of_sessions(headers)?;
    if !Forms::of(headers).events {
        return Err(invalid(
            StatusCode::NOT_ACCEPTABLE,
            "GET gives a stream: send `Accept: text/event-stream`",
        ));
    }
    let session = session(endpoint, headers, None).await?;
    agrees(version, session.revision(), None)?;
    let seen = single(headers, &LAST_EVENT).map_err(|why| invalid(StatusCode::BAD_REQUEST, &why))?;
    let streams = Arc::clone(session.streams());
    let seen = match seen.map(|seen| streams.find(seen)) {
        None => None,
        Some(Found::Alone(seen)) => seen,
        Some(Found::Request(stream, seen)) => {
            return Ok(events(Reader::of_session(stream, Some(seen), session, None)));
        }
        Some(Found::Nothing) => {
            // An error, and no stream that never brings the answer: who gets one tries again, perhaps at
            // the hub that has it, and tells its caller in the end.
            let why = "what came after this Last-Event-ID is not kept here; the hub that sent it may have it";
            return Err(invalid(StatusCode::BAD_REQUEST, why));
        }
    };
    let gateway = endpoint.gateway();
    let stream = streams.alone(gateway.keep());
    session.set_outlet(Some(stream.clone()));
    Ok(events(Reader::of_session(stream, seen, session, Some(gateway.ending().clone()))))
}

/// DELETE: the client needs its session no more.
pub(super) async fn end(endpoint: &Endpoint, headers: &HeaderMap) -> Result<Response<Body>, Refused> {
    let version = of_sessions(headers)?;
    let session = session(endpoint, headers, None).await?;
    agrees(version, session.revision(), None)?;
    match endpoint.end_session(session.id()).await {
        Ok(true) => Ok(done()),
        Ok(false) => Err(invalid(StatusCode::NOT_FOUND, "Session not found")),
        Err(fault) => Err(Box::new(refused(StatusCode::SERVICE_UNAVAILABLE, None, &fault))),
    }
}
