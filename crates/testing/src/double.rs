//! What the doubles of models have in common: scripted replies, recorded requests, wire faults.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a scripted model does with one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub(crate) act: Act,
    delay: Duration,
    piece_delay: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    Text(String),
    Calls(Vec<(String, Value)>),
    Error(u16, String),
    FailAfter(String, String),
    CutAfter(String),
    Raw(Vec<u8>),
    Hang,
}

impl Reply {
    /// Says a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Act::Text(text.into()))
    }

    /// Says a JSON value as its text, as a model under a schema does.
    pub fn json(value: &Value) -> Self {
        Self::text(value.to_string())
    }

    /// Says a JSON value in a fenced block within prose, as small models do.
    pub fn fenced(value: &Value) -> Self {
        Self::text(format!("Sure! Here is the plan:\n\n```json\n{value:#}\n```\nLet me know."))
    }

    /// Calls tools by the API's own means.
    pub fn calls(calls: &[(&str, Value)]) -> Self {
        Self::of(Act::Calls(
            calls.iter().map(|(name, arguments)| ((*name).to_owned(), arguments.clone())).collect(),
        ))
    }

    /// Answers with an error status and the API's error body.
    pub fn error(status: u16, message: impl Into<String>) -> Self {
        Self::of(Act::Error(status, message.into()))
    }

    /// Says a text and then, in the stream, that it failed. Without a stream it is a status 500.
    pub fn fails_after(text: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of(Act::FailAfter(text.into(), message.into()))
    }

    /// Loses the connection after this text.
    pub fn cut_after(text: impl Into<String>) -> Self {
        Self::of(Act::CutAfter(text.into()))
    }

    /// Answers status 200 with bytes that are no answer.
    pub fn garbage() -> Self {
        Self::raw(b"\xff\xfe<html>not what you think</html>\n{\"message\":{\"conte\n")
    }

    /// Answers status 200 with these bytes.
    pub fn raw(bytes: &[u8]) -> Self {
        Self::of(Act::Raw(bytes.to_vec()))
    }

    /// Never answers.
    pub fn hang() -> Self {
        Self::of(Act::Hang)
    }

    /// Answers this much later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Waits this long between two pieces of a stream.
    #[must_use]
    pub fn piece_by_piece(self, piece_delay: Duration) -> Self {
        Self { piece_delay, ..self }
    }

    fn of(act: Act) -> Self {
        // Long enough that pieces arrive as pieces.
        Self { act, delay: Duration::ZERO, piece_delay: Duration::from_millis(1) }
    }
}

/// A request that a double got.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Such as `/api/chat`.
    pub path: String,
    /// Its JSON body; null if there was none.
    pub body: Value,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

impl Recorded {
    /// All texts of the request's messages or prompt, a line each.
    pub fn text(&self) -> String {
        let messages = self.body["messages"].as_array().into_iter().flatten();
        let texts = messages.filter_map(|message| message["content"].as_str());
        texts.chain(self.body["prompt"].as_str()).collect::<Vec<_>>().join("\n")
    }
}

type Closure = Box<dyn Fn(&Recorded) -> Reply + Send + Sync>;

/// The script of a double: a queue of replies, and a closure for when it is empty.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) models: Vec<String>,
    queue: Mutex<VecDeque<Reply>>,
    otherwise: Mutex<Option<Closure>>,
    recorded: Mutex<Vec<Recorded>>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("models", &self.models)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl Script {
    pub(crate) fn new(models: &[&str]) -> Arc<Self> {
        Arc::new(Self { models: models.iter().map(|model| (*model).to_owned()).collect(), ..Self::default() })
    }

    pub(crate) fn push(&self, reply: Reply) {
        self.queue.lock().unwrap().push_back(reply);
    }

    pub(crate) fn otherwise(&self, closure: Closure) {
        *self.otherwise.lock().unwrap() = Some(closure);
    }

    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        self.recorded.lock().unwrap().clone()
    }

    pub(crate) fn record(&self, path: &str, headers: &HeaderMap, body: &[u8]) -> Recorded {
        let authorization =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        let recorded = Recorded { path: path.to_owned(), body, authorization };
        self.recorded.lock().unwrap().push(recorded.clone());
        recorded
    }

    pub(crate) fn next(&self, request: &Recorded) -> Reply {
        if let Some(reply) = self.queue.lock().unwrap().pop_front() {
            return reply;
        }
        match &*self.otherwise.lock().unwrap() {
            Some(closure) => closure(request),
            None => Reply::error(500, "the double has no reply left"),
        }
    }
}

/// The server of a double; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, task }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a reply looks like in one API.
pub(crate) trait Wire {
    /// The media type of a stream.
    const STREAM_TYPE: &'static str;
    fn error(status: u16, message: &str) -> Value;
    /// The whole answer at once.
    fn whole(&self, act: &Act) -> Value;
    /// The frames of a stream for an act, without the last.
    fn frames(&self, act: &Act) -> Vec<String>;
    /// The frames that end a stream.
    fn end(&self, act: &Act) -> String;
    /// The frame that says, within a stream, that it failed.
    fn failure(&self, message: &str) -> String;
}

/// Plays a reply.
pub(crate) async fn play<W: Wire>(wire: &W, reply: Reply, stream: bool) -> Response<Body> {
    tokio::time::sleep(reply.delay).await;
    let Reply { act, piece_delay, .. } = reply;
    let body = match &act {
        Act::Hang => std::future::pending().await,
        Act::Error(status, message) => return whole(*status, &W::error(*status, message)),
        Act::FailAfter(_, message) if !stream => return whole(500, &W::error(500, message)),
        Act::Raw(bytes) => return response(200, "text/html", Body::from(bytes.clone())),
        Act::CutAfter(_) if !stream => {
            let mut text = wire.whole(&act).to_string();
            text.truncate(text.len() / 2);
            pieces(vec![text.into_bytes()], piece_delay, true)
        }
        _ if !stream => return whole(200, &wire.whole(&act)),
        Act::CutAfter(_) => pieces(cut_unkindly(wire.frames(&act).concat().as_bytes()), piece_delay, true),
        Act::FailAfter(_, message) => {
            let text = wire.frames(&act).concat() + &wire.failure(message);
            pieces(cut_unkindly(text.as_bytes()), piece_delay, false)
        }
        Act::Text(_) | Act::Calls(_) => {
            let text = wire.frames(&act).concat() + &wire.end(&act);
            pieces(cut_unkindly(text.as_bytes()), piece_delay, false)
        }
    };
    response(200, if stream { W::STREAM_TYPE } else { "application/json; charset=utf-8" }, body)
}

pub(crate) fn whole(status: u16, value: &Value) -> Response<Body> {
    response(status, "application/json; charset=utf-8", Body::from(value.to_string()))
}

fn response(status: u16, media: &str, body: Body) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap();
    Response::builder().status(status).header(header::CONTENT_TYPE, media).body(body).unwrap()
}

/// Cuts a stream where it hurts: after the first byte of every character of several bytes, and
/// else every 40 bytes, without regard to lines.
pub(crate) fn cut_unkindly(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    for byte in bytes {
        piece.push(*byte);
        if *byte >= 0xC0 || piece.len() == 40 {
            pieces.push(std::mem::take(&mut piece));
        }
    }
    pieces.push(piece);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn pieces(pieces: Vec<Vec<u8>>, delay: Duration, cut: bool) -> Body {
    let end = cut.then(|| Err(std::io::Error::other("the double cuts the connection")));
    let items = pieces.into_iter().map(Ok).chain(end);
    Body::from_stream(futures::stream::unfold(items, move |mut items| async move {
        let item = items.next()?;
        tokio::time::sleep(delay).await;
        Some((item, items))
    }))
}

/// A text in the pieces that a model would stream: word by word.
pub(crate) fn tokens(text: &str) -> Vec<&str> {
    text.split_inclusive(' ').collect()
}

/// The counts that close an answer.
pub(crate) fn count(act: &Act) -> usize {
    match act {
        Act::Text(text) => tokens(text).len(),
        _ => 1,
    }
}

pub(crate) fn body_streams(body: &Value, default: bool) -> bool {
    body["stream"].as_bool().unwrap_or(default)
}

/// An object with these members removed when they are null.
pub(crate) fn compact(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, member| *member != json!(null));
    }
    value
}
