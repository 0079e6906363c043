//! A client of MCP that knows nothing but HTTP: it sends what it is told to, and shows what comes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::Served;

/// The newest revision with sessions.
pub const NEWEST_GREETED: &str = "2025-11-25";
/// The revision without sessions.
pub const STATELESS: &str = "2026-07-28";
/// What a client accepts that takes answers in either form.
pub const BOTH: &str = "application/json, text/event-stream";

/// One endpoint, and the session if there is one.
#[derive(Debug, Clone)]
pub struct Mcp {
    /// Asks no proxy.
    pub http: Client,
    /// Its address.
    pub url: String,
    /// The session's name.
    pub session: Option<String>,
    /// The revision that its requests name; empty: none.
    pub revision: String,
}

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    /// Where a client may come back to.
    pub id: Option<String>,
    /// After how long, in milliseconds.
    pub retry: Option<String>,
    /// The message, as a text.
    pub data: Option<String>,
}

impl Event {
    /// The message.
    ///
    /// # Panics
    /// When it has none.
    pub fn message(&self) -> Value {
        serde_json::from_str(self.data.as_deref().unwrap()).unwrap()
    }

    /// An id without a message: where a client may come back to.
    pub fn is_priming(&self) -> bool {
        self.id.is_some() && self.data.as_deref() == Some("")
    }
}

/// A stream of events that is read one by one.
#[derive(Debug)]
pub struct Events {
    response: Response,
    text: String,
}

impl Events {
    /// The events of a response.
    ///
    /// # Panics
    /// When it is no stream of events.
    pub fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Self { response, text: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    ///
    /// # Panics
    /// When none comes within a minute.
    pub async fn next(&mut self) -> Option<Event> {
        let next = tokio::time::timeout(Duration::from_secs(60), self.wait());
        next.await.expect("the stream says something within a minute")
    }

    async fn wait(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (read(event), rest.to_owned());
                self.text = rest;
                match event {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next message, whatever else comes before it.
    pub async fn message(&mut self) -> Value {
        loop {
            let event = self.next().await.expect("a message before the end");
            if !event.is_priming() {
                return event.message();
            }
        }
    }

    /// All that comes until the end.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

fn read(text: &str) -> Option<Event> {
    let mut event = Event::default();
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "" => {}
            "id" => event.id = Some(value),
            "retry" => event.retry = Some(value),
            "data" => event.data = Some(value),
            "event" => assert_eq!(value, "message"),
            other => panic!("no field of events: {other}"),
        }
    }
    (event != Event::default()).then_some(event)
}

impl Mcp {
    /// A client that has said nothing yet.
    pub fn new(served: &Served, path: &str) -> Self {
        let url = format!("{}{path}", served.address);
        Self { http: served.http.clone(), url, session: None, revision: String::new() }
    }

    /// A client that has greeted.
    pub async fn greeted(served: &Served, path: &str, revision: &str) -> Self {
        let mut mcp = Self::new(served, path);
        let response = mcp.send(&greeting(revision, json!({ "elicitation": {} }))).await;
        assert_eq!(response.status(), 200);
        mcp.session = Some(response.headers()["mcp-session-id"].to_str().unwrap().to_owned());
        let result = response.json::<Value>().await.unwrap()["result"].take();
        mcp.revision = result["protocolVersion"].as_str().unwrap().to_owned();
        assert_eq!(
            mcp.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await.status(),
            202
        );
        mcp
    }

    /// A request with the headers of its session.
    pub fn request(&self, method: Method) -> RequestBuilder {
        let mut request = self.http.request(method, &self.url).header("accept", BOTH);
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        if !self.revision.is_empty() {
            request = request.header("mcp-protocol-version", &self.revision);
        }
        request
    }

    /// A POST of a body that says that it is JSON.
    pub fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST).header("content-type", "application/json").body(body)
    }

    /// Sends a message.
    ///
    /// # Panics
    /// Without a response.
    pub async fn send(&self, message: &Value) -> Response {
        self.post(message.to_string()).send().await.unwrap()
    }

    /// A request of a session whose answer is JSON.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let response = self.send(&message(7, method, params)).await;
        assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &json_type()));
        let answer: Value = response.json().await.unwrap();
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)));
        answer
    }

    /// A call of a tool within a session, as a stream.
    pub async fn stream(&self, id: i64, tool: &str, arguments: Value) -> Events {
        let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": id } });
        Events::of(self.send(&message(id, "tools/call", params)).await)
    }

    /// GET: the session's stream, or the rest of one.
    pub async fn listen(&self, last_event: Option<&str>) -> Events {
        let mut request = self.request(Method::GET);
        if let Some(id) = last_event {
            request = request.header("last-event-id", id);
        }
        Events::of(request.send().await.unwrap())
    }

    /// A request that speaks for itself, with the headers that go with it.
    pub fn alone(&self, method: &str, params: Value) -> RequestBuilder {
        let params = with_meta(params);
        let named = params.get("name").or(params.get("uri")).and_then(Value::as_str).map(str::to_owned);
        let mut request = self
            .post(message(7, method, params).to_string())
            .header("mcp-protocol-version", STATELESS)
            .header("mcp-method", method);
        if let Some(named) = named {
            request = request.header("mcp-name", named);
        }
        request
    }
}

/// The type of an answer that is one message.
pub fn json_type() -> reqwest::header::HeaderValue {
    reqwest::header::HeaderValue::from_static("application/json")
}

/// A request.
pub fn message(id: i64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// How a client with a session begins.
pub fn greeting(revision: &str, capabilities: Value) -> Value {
    let client = json!({ "name": "plain", "version": "1" });
    let params = json!({ "protocolVersion": revision, "capabilities": capabilities, "clientInfo": client });
    message(1, "initialize", params)
}

/// Params that say who asks, as of 2026-07-28.
pub fn with_meta(mut params: Value) -> Value {
    if params.is_null() {
        params = json!({});
    }
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(STATELESS);
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    params["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({ "name": "plain", "version": "1" });
    params
}

/// Checks that a response is a JSON-RPC error with this status, code and id.
pub async fn refused(response: Response, status: u16, code: i64, id: Value) -> Value {
    let got = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = response.json().await.unwrap();
    assert_eq!((got, &body["error"]["code"], &body["id"]), (status, &json!(code), &id), "{body}");
    assert!(body["error"]["message"].as_str().is_some_and(|words| !words.is_empty()), "{body}");
    assert_eq!(body["jsonrpc"], "2.0");
    body
}
