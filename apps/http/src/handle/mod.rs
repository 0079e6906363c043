//! One module a subject; a handler only translates between wire and verbs.

pub(crate) mod chat;
pub(crate) mod events;
pub(crate) mod hub;
pub(crate) mod mcp;
pub(crate) mod mcp_upgrade;
pub(crate) mod query;
pub(crate) mod resources;
pub(crate) mod retire;
pub(crate) mod servers;
pub(crate) mod share;
pub(crate) mod sign_in;
pub(crate) mod supervision;
pub(crate) mod tokens;
pub(crate) mod tools;
pub(crate) mod transfer;
pub(crate) mod validate;

use axum::http::HeaderName;
use axum::response::sse::Event as SseEvent;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Context, InvalidName, ServerName};
use crate::problem::{Code, Problem};

/// How many servers are being contacted for the first time. A list that comes with it may lack
/// their tools.
const CONNECTING: HeaderName = HeaderName::from_static("dormouse-connecting");

/// A list, with the number of servers that are still connecting.
fn listed(context: &Context, list: impl IntoResponse) -> Response {
    let connecting = context.connecting();
    let mut response = list.into_response();
    if connecting > 0 {
        response.headers_mut().insert(CONNECTING, connecting.into());
    }
    response
}

/// A server's name in the path.
#[derive(Debug, Deserialize)]
pub(crate) struct ServerPath {
    name: String,
}

impl ServerPath {
    /// The name; what cannot be one is no server.
    fn server(&self) -> Result<ServerName, Problem> {
        named("name", ServerName::try_new(&self.name))
    }
}

/// A name, or the problem with the field that should hold it.
fn named<T>(field: &str, name: Result<T, InvalidName>) -> Result<T, Problem> {
    name.map_err(|error| Problem::from(error).with("field", field))
}

/// An event of a stream. What serde tags as `event` and `data` are its name and its data.
fn sent(tagged: &impl Serialize) -> SseEvent {
    let mut written = serde_json::to_value(tagged).unwrap_or_default();
    let data: Value = written.get_mut("data").map(Value::take).unwrap_or_default();
    let name = written.get("event").and_then(Value::as_str).unwrap_or("message");
    SseEvent::default().event(name).data(data.to_string())
}

/// A value that serde could not write: a mistake of ours.
fn unwritten(error: serde_json::Error) -> Problem {
    Problem::new(Code::Internal, error)
}
