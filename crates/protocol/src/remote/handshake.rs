//! How a connection over streamable HTTP begins: which revision, and which session.
//!
//! The newest revision is asked for first (`server/discover`); a server that does not know it is
//! greeted as all were before (`initialize`). A server that says nothing to the first question
//! costs two seconds.

use std::time::Duration;

use reqwest_rmcp::Method;
use reqwest_rmcp::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio_util::bytes::Bytes;

use super::header::{self, Repeated};
use super::response::Response;
use super::site::{Ask, Site, content_type, failure, not_mcp, whole};
use super::sse::Events;
use crate::connection::discovered;
use crate::error::{CallError, StartFault};
use crate::wire::{MODERN, refused};

/// Those that begin with `initialize`, newest first.
const GREETED: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// How long a server may think about a question that it perhaps does not know.
const TO_DISCOVER: Duration = Duration::from_secs(2);

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// Who we are and what we offer, for every revision.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    /// Our name and version.
    pub(crate) info: Value,
    pub(crate) capabilities: Value,
}

/// What all further requests have in common.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// The session's name, where the server keeps one.
    id: Option<HeaderValue>,
    revision: HeaderValue,
    /// Whether each request speaks for itself.
    pub(super) modern: bool,
    /// Counts the sessions of one connection.
    pub(super) number: u64,
}

impl Session {
    fn new(revision: &'static str, id: Option<HeaderValue>) -> Self {
        let modern = revision == MODERN;
        Self { id, revision: HeaderValue::from_static(revision), modern, number: 0 }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(REVISION, self.revision.clone());
        if let Some(id) = &self.id {
            headers.insert(SESSION, id.clone());
        }
        headers
    }

    /// A message as it goes out in this session.
    pub(super) fn dress(&self, message: &mut Value, hello: &Hello, repeated: &Repeated) -> HeaderMap {
        let mut headers = self.headers();
        if self.modern && message.get("method").is_some() {
            let params = &mut message["params"];
            if params.is_null() {
                *params = json!({});
            }
            let meta = &mut params["_meta"];
            if meta.is_null() {
                *meta = json!({});
            }
            meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            meta["io.modelcontextprotocol/clientInfo"] = hello.info.clone();
            meta["io.modelcontextprotocol/clientCapabilities"] = hello.capabilities.clone();
            let method = message["method"].as_str().unwrap_or_default();
            header::repeat(method, message["params"].as_object(), repeated, &mut headers);
        }
        headers
    }
}

/// Begins a connection: what the server said of itself, and the session.
pub(super) async fn shake(site: &Site, hello: &Hello) -> Result<(Value, Session), StartFault> {
    let silent = match tokio::time::timeout(TO_DISCOVER, discover(site, hello)).await {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(CallError::SignIn(error))) => return Err(StartFault::SignIn(error)),
        Ok(Err(CallError::Unreachable { why })) => return Err(StartFault::Unreachable { why }),
        // It knows the question, and says that it speaks what it was asked in.
        Ok(Err(error)) if names_our_revision(&error) => return discover(site, hello).await.map_err(fault),
        Ok(Err(_)) => false,
        Err(_) => true,
    };
    match initialize(site, hello).await {
        // A server of the newest revision that needed longer to wake.
        Err(CallError::Refused { .. } | CallError::Status { .. }) if silent => {
            discover(site, hello).await.map_err(fault)
        }
        shaken => shaken.map_err(fault),
    }
}

async fn discover(site: &Site, hello: &Hello) -> Result<(Value, Session), CallError> {
    let session = Session::new(MODERN, None);
    let mut message = json!({ "jsonrpc": "2.0", "id": "discover", "method": "server/discover" });
    let headers = session.dress(&mut message, hello, &Repeated::new());
    let (result, _) = ask(site, &message, headers).await?;
    Ok((discovered(result)?, session))
}

/// Whether a server that does not speak the revision it was asked in speaks it.
fn names_our_revision(error: &CallError) -> bool {
    let CallError::Refused { code: -32022, data: Some(data), .. } = error else { return false };
    data["supported"].as_array().is_some_and(|all| all.iter().any(|revision| revision == MODERN))
}

/// Greets the server, as it was done up to 2025-11-25.
pub(super) async fn initialize(site: &Site, hello: &Hello) -> Result<(Value, Session), CallError> {
    let message = greeting(hello);
    let (result, answer) = ask(site, &message, HeaderMap::new()).await?;
    let revision = spoken(&result)?;
    let session = Session::new(revision, answer.get(SESSION).cloned());
    let mut initialized = initialized();
    let headers = session.dress(&mut initialized, hello, &Repeated::new());
    let response = site.send(post(site, &initialized, headers)).await?;
    if !response.status().is_success() {
        return Err(failure(response).await.0);
    }
    Ok((result, session))
}

/// Asks a server to tell when a resource changes.
pub(super) async fn subscribe(site: &Site, session: &Session, uri: &str) -> Result<(), CallError> {
    let method = "resources/subscribe";
    let message = json!({ "jsonrpc": "2.0", "id": "subscribe", "method": method, "params": { "uri": uri } });
    ask(site, &message, session.headers()).await.map(drop)
}

pub(super) fn greeting(hello: &Hello) -> Value {
    json!({ "jsonrpc": "2.0", "id": "initialize", "method": "initialize", "params": {
        "protocolVersion": GREETED[0],
        "capabilities": hello.capabilities,
        "clientInfo": hello.info,
    } })
}

pub(super) fn initialized() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

/// The revision that a server chose, if we speak it.
pub(super) fn spoken(result: &Value) -> Result<&'static str, CallError> {
    let chosen = result["protocolVersion"].as_str().unwrap_or_default();
    let known = GREETED.into_iter().chain([MODERN]).find(|revision| *revision == chosen);
    known.ok_or_else(|| {
        let chosen: String = chosen.chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
        let why = match chosen.as_str() {
            "" => "it names no revision of MCP".to_owned(),
            chosen => format!("it speaks the revision `{chosen}`, which the hub does not"),
        };
        CallError::Unreadable { why }
    })
}

/// Sends one request and waits for its result, whatever else comes on the way.
async fn ask(site: &Site, message: &Value, headers: HeaderMap) -> Result<(Value, HeaderMap), CallError> {
    let response = site.send(post(site, message, headers)).await?;
    let answer = response.headers().clone();
    if !response.status().is_success() {
        let (fault, json) = failure(response).await;
        return Err(json.as_ref().and_then(refusal).unwrap_or(fault));
    }
    result(response).await.map(|result| (result, answer))
}

async fn result(response: Response) -> Result<Value, CallError> {
    let kind = content_type(&response);
    match kind.as_str() {
        "application/json" => {
            let message = parse(&whole(response).await?)?;
            taken(message).unwrap_or_else(|| Err(not_mcp("application/json")))
        }
        "text/event-stream" => {
            let mut events = Events::new(response);
            while let Some(event) = events.next().await? {
                if event.data.is_empty() {
                    continue;
                }
                if let Some(result) = taken(parse(&event.data)?) {
                    return result;
                }
            }
            Err(CallError::Broken { why: "its stream ended without an answer".to_owned() })
        }
        kind => Err(not_mcp(kind)),
    }
}

/// The result of a message that is an answer.
pub(super) fn taken(mut message: Value) -> Option<Result<Value, CallError>> {
    if message.get("method").is_some() {
        return None;
    }
    if let Some(error) = refusal(&message) {
        return Some(Err(error));
    }
    message.get_mut("result").map(|result| Ok(result.take()))
}

/// The error of a message that is one.
pub(super) fn refusal(message: &Value) -> Option<CallError> {
    let error = message.get("error").filter(|error| error["code"].is_i64())?;
    Some(refused(error.clone()))
}

pub(super) fn parse(bytes: &[u8]) -> Result<Value, CallError> {
    serde_json::from_slice(bytes)
        .map_err(|error| CallError::Unreadable { why: format!("it is no JSON: {error}") })
}

pub(super) fn post<'a>(site: &'a Site, message: &Value, headers: HeaderMap) -> Ask<'a> {
    let body = Some(Bytes::from(message.to_string()));
    Ask { method: Method::POST, url: &site.url, headers, body, ticket: None, twice: true }
}

/// How a start fails when one of its requests does.
pub(crate) fn fault(error: CallError) -> StartFault {
    match error {
        CallError::SignIn(error) => StartFault::SignIn(error),
        CallError::Unreachable { why } | CallError::Broken { why } => StartFault::Unreachable { why },
        CallError::Refused { code, message, .. } => {
            StartFault::Answer { answer: format!("error {code}: {message}") }
        }
        CallError::Unreadable { why } => StartFault::Answer { answer: why },
        CallError::Status { status, why } if why.is_empty() => {
            StartFault::Answer { answer: format!("HTTP status {status}") }
        }
        CallError::Status { status, why } => {
            StartFault::Answer { answer: format!("HTTP status {status}: {why}") }
        }
        CallError::TimedOut { after, .. } => StartFault::TimedOut { after },
        CallError::NotSent | CallError::Died { .. } => StartFault::Ended,
    }
}
