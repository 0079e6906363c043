//! A plain client: it sends what it is told to, also what nobody should.

use std::time::Duration;

use dormouse::Scope;
use dormouse_testing::python;
use dormouse_tests::{Served, TestSpace};
use futures::{Stream, StreamExt as _};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

/// A hub whose store has the rogue server, and so has the agent `ada`.
pub(crate) async fn rogue(more_tools: &[&str]) -> Served {
    rogue_within(60.0, more_tools).await
}

/// The same, where a call may take so many seconds.
pub(crate) async fn rogue_within(call_seconds: f64, more_tools: &[&str]) -> Served {
    let space = TestSpace::new();
    let script = space.write("rogue.py", include_str!("rogue.py"));
    let mut args = vec!["-u".to_owned(), script.to_string_lossy().into_owned()];
    args.extend(more_tools.iter().map(|tool| (*tool).to_owned()));
    let entry = json!({ "command": python(), "args": args, "dormouse": { "idle_seconds": "never" } });
    let mut of_ada = entry.clone();
    of_ada["dormouse"]["agent"] = json!("ada");
    of_ada["dormouse"]["name"] = json!("rogue");
    let servers = json!({ "mcpServers": { "rogue": entry, "roguebyada": of_ada } });
    space.write("mcp.json", servers.to_string());
    let hub = space.hub(|config| config.timing.call_seconds = call_seconds).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "rogue", "echo").await;
    served.knows(&Scope::Agent("ada".parse().unwrap()), "rogue", "echo").await;
    served
}

/// An answer over HTTP: the status, and the messages, of JSON or of a stream's events.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) messages: Vec<Value>,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let is_stream = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        let text = response.text().await.unwrap();
        let messages = match (is_stream, text.as_str()) {
            (_, "") => Vec::new(),
            (true, text) => text.split("\n\n").filter_map(|event| Event::read(event)?.message).collect(),
            (false, text) => vec![serde_json::from_str(text).unwrap_or_else(|_| json!(text))],
        };
        Self { status, messages }
    }

    /// The last message, which answers.
    pub(crate) fn last(&self) -> &Value {
        self.messages.last().unwrap_or(&Value::Null)
    }

    /// The text of a call's result.
    pub(crate) fn text(&self) -> &str {
        let last = self.last();
        last["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{self:?}"))
    }

    /// Checks that it is an error of JSON-RPC that says why.
    pub(crate) fn refused(&self, status: u16, code: i64, id: Value) {
        let (last, error) = (self.last(), &self.last()["error"]);
        assert_eq!((self.status, &error["code"], &last["id"]), (status, &json!(code), &id), "{self:?}");
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 5), "{self:?}");
        assert_eq!(last["jsonrpc"], "2.0", "{self:?}");
    }

    /// Checks that a call failed, that the model is told so, and how it ended.
    pub(crate) fn failed(&self, outcome: &str) {
        let result = &self.last()["result"];
        assert_eq!((self.status, &result["isError"]), (200, &json!(true)), "{self:?}");
        assert_eq!(result["_meta"]["dormouse/outcome"], outcome, "{self:?}");
        assert!(self.text().len() > 10, "{self:?}");
    }
}

/// One event of a stream.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) message: Option<Value>,
}

impl Event {
    fn read(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let id = field("id:").map(str::to_owned);
        let message = field("data:").filter(|data| !data.is_empty());
        let message = message.map(|data| serde_json::from_str(data).unwrap());
        (id.is_some() || message.is_some()).then_some(Self { id, message })
    }
}

/// The events of a response as they come; `Err` when the connection breaks.
pub(crate) fn events(response: Response) -> impl Stream<Item = Result<Event, reqwest::Error>> + Unpin {
    let bytes = Box::pin(response.bytes_stream());
    Box::pin(futures::stream::unfold((bytes, String::new()), |(mut bytes, mut text)| async move {
        loop {
            if let Some(end) = text.find("\n\n") {
                let event = Event::read(&text[..end]);
                text.drain(..end + 2);
                match event {
                    Some(event) => return Some((Ok(event), (bytes, text))),
                    None => continue,
                }
            }
            match bytes.next().await? {
                Ok(more) => text.push_str(std::str::from_utf8(&more).unwrap()),
                Err(error) => return Some((Err(error), (bytes, text))),
            }
        }
    }))
}

/// The next event with a message.
pub(crate) async fn next_message(
    events: &mut (impl Stream<Item = Result<Event, reqwest::Error>> + Unpin),
) -> Event {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(30), events.next()).await;
        let event = next.expect("an event in time").expect("the stream goes on").unwrap();
        if event.message.is_some() {
            return event;
        }
    }
}

/// The event by which the tool `nap` says that it runs. What comes before tells of the wake: a server
/// whose tools are known may still be starting.
pub(crate) async fn asleep(
    events: &mut (impl Stream<Item = Result<Event, reqwest::Error>> + Unpin),
) -> Event {
    loop {
        let event = next_message(events).await;
        if event.message.as_ref().is_some_and(|message| message["params"]["message"] == "asleep") {
            return event;
        }
    }
}

/// A client of one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Mcp {
    http: Client,
    url: String,
    /// Sent with every request.
    headers: Vec<(String, String)>,
    stateless: bool,
}

pub(crate) const NEWEST_WITH_SESSIONS: &str = "2025-11-25";

impl Mcp {
    /// Nothing is said by itself.
    pub(crate) fn bare(served: &Served, path: &str) -> Self {
        let url = format!("{}{path}", served.address);
        Self { http: served.http.clone(), url, headers: Vec::new(), stateless: false }
    }

    /// A client of 2026-07-28.
    pub(crate) fn stateless(served: &Served, path: &str) -> Self {
        let mut client = Self::bare(served, path).with("MCP-Protocol-Version", "2026-07-28");
        client.stateless = true;
        client
    }

    /// A client with a session of this revision.
    pub(crate) async fn session(served: &Served, path: &str, revision: &str) -> Self {
        let bare = Self::bare(served, path);
        let (id, _) = bare.initialize(revision).await;
        let client = bare.with("Mcp-Session-Id", &id).with("MCP-Protocol-Version", revision);
        let noted = client.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        assert_eq!(noted.status, 202, "{noted:?}");
        client
    }

    /// A session of the newest revision that has them.
    pub(crate) async fn newest(served: &Served) -> Self {
        Self::session(served, "/mcp", NEWEST_WITH_SESSIONS).await
    }

    /// Greets; the session's id and the answer.
    pub(crate) async fn initialize(&self, revision: &str) -> (String, Answer) {
        let info = json!({ "name": "plain", "version": "1" });
        let params = json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": info });
        let greeting = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let response = self.request(&greeting).send().await.unwrap();
        let id = response.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        let answer = Answer::of(response).await;
        (id.unwrap_or_else(|| panic!("{answer:?}")), answer)
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The value of a header that it sends.
    pub(crate) fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(known, _)| known == name).unwrap().1
    }

    fn dressed(&self, mut request: RequestBuilder) -> RequestBuilder {
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }

    /// A POST of any text.
    pub(crate) fn raw(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let mut request = self.http.post(&self.url).body(body);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            request = request.header("accept", "application/json, text/event-stream");
        }
        self.dressed(request)
    }

    /// A POST of a message, with the headers that repeat what it says in the stateless life.
    pub(crate) fn request(&self, message: &Value) -> RequestBuilder {
        let mut request = self.raw(message.to_string());
        let says = |name: &str| self.headers.iter().any(|(known, _)| known == name);
        if self.stateless && !says("Mcp-Method") {
            request = request.header("Mcp-Method", message["method"].as_str().unwrap_or_default());
        }
        if self.stateless
            && !says("Mcp-Name")
            && let Some(name) = message["params"]["name"].as_str().filter(|name| name.is_ascii())
        {
            request = request.header("Mcp-Name", name);
        }
        request
    }

    /// Posts a message and reads the whole answer.
    pub(crate) async fn post(&self, message: &Value) -> Answer {
        Answer::of(self.request(message).send().await.unwrap()).await
    }

    /// Sends a request with this id.
    pub(crate) async fn ask(&self, id: impl Into<Value>, method: &str, params: Value) -> Answer {
        self.post(&self.message(id, method, params)).await
    }

    /// A request as this client words it.
    pub(crate) fn message(&self, id: impl Into<Value>, method: &str, mut params: Value) -> Value {
        if self.stateless {
            let own = "io.modelcontextprotocol";
            params["_meta"][format!("{own}/protocolVersion")] = json!("2026-07-28");
            params["_meta"][format!("{own}/clientInfo")] = json!({ "name": "plain", "version": "1" });
            params["_meta"][format!("{own}/clientCapabilities")] = json!({});
        }
        json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
    }

    /// A call as this client words it.
    pub(crate) fn calling(&self, id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
        self.message(id, "tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Calls a tool.
    pub(crate) async fn call(&self, id: impl Into<Value>, tool: &str, arguments: Value) -> Answer {
        self.post(&self.calling(id, tool, arguments)).await
    }

    /// A GET, which in a session gives a stream.
    pub(crate) fn get(&self) -> RequestBuilder {
        let mut request = self.http.get(&self.url);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            request = request.header("accept", "text/event-stream");
        }
        self.dressed(request)
    }

    /// Ends the session; the status.
    pub(crate) async fn end(&self) -> u16 {
        self.dressed(self.http.delete(&self.url)).send().await.unwrap().status().as_u16()
    }

    /// What the server has noted of itself.
    pub(crate) async fn noted(&self, what: &str) -> u64 {
        let answer = self.call(format!("noted {what}"), "rogue_noted", json!({})).await;
        let noted: Value = serde_json::from_str(answer.text()).unwrap();
        noted[what].as_u64().unwrap()
    }
}

/// Checks that both lives still work, and ends the hub: nothing is left.
pub(crate) async fn still_well(served: Served) {
    let session = Mcp::newest(&served).await;
    let stateless = Mcp::stateless(&served, "/mcp");
    for client in [&session, &stateless] {
        let answer = client.call("the last", "rogue_echo", json!({ "text": "well" })).await;
        assert_eq!((answer.status, answer.text()), (200, "well"), "{answer:?}");
    }
    assert!((200..300).contains(&session.end().await));
    served.end().await;
}
