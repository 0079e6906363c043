//! A client of either life that answers what it is asked, and a hub with servers of every kind.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

use dormouse::{Config, Scope};
use dormouse_testing::environment;
use dormouse_tests::mcp_client::{Events, Mcp, STATELESS, greeting, message};
use dormouse_tests::{Served, TestSpace, repository};
use serde_json::{Map, Value, json};

/// All revisions that a client may speak.
pub(crate) const REVISIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", STATELESS];

/// What a client can be asked.
pub(crate) fn all_capabilities() -> Value {
    json!({ "elicitation": {}, "sampling": {}, "roots": { "listChanged": true } })
}

/// A client of one endpoint, in the life of its revision.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) mcp: Mcp,
    pub(crate) capabilities: Value,
    /// What it answers, by method: each is the result of the answer, or `{"refused": error}`.
    answers: HashMap<String, Value>,
    /// More members of `_meta`.
    pub(crate) meta: Map<String, Value>,
    next: AtomicI64,
}

/// How a request went.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The notifications before the answer.
    pub(crate) before: Vec<Value>,
    /// What the client was asked.
    pub(crate) asked: Vec<Value>,
    /// How often it came again with answers.
    pub(crate) rounds: usize,
    /// The answer, whole.
    pub(crate) answer: Value,
}

impl Told {
    pub(crate) fn result(&self) -> &Value {
        assert!(self.answer["error"].is_null(), "{self:#?}");
        &self.answer["result"]
    }

    /// The first text of a call's result.
    pub(crate) fn text(&self) -> &str {
        self.result()["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{self:#?}"))
    }

    /// The notifications of a method.
    pub(crate) fn of(&self, method: &str) -> Vec<&Value> {
        self.before.iter().filter(|it| it["method"] == method).map(|it| &it["params"]).collect()
    }
}

impl Client {
    /// A client that has greeted, if its life has that.
    pub(crate) async fn of(served: &Served, path: &str, revision: &str, capabilities: Value) -> Self {
        let mut mcp = Mcp::new(served, path);
        if revision == STATELESS {
            mcp.revision = STATELESS.to_owned();
        } else {
            let response = mcp.send(&greeting(revision, capabilities.clone())).await;
            assert_eq!(response.status(), 200);
            let id = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
            let result = response.json::<Value>().await.unwrap()["result"].take();
            assert_eq!(result["protocolVersion"], revision);
            mcp.session = Some(id);
            mcp.revision = revision.to_owned();
            let noted = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
            assert_eq!(mcp.send(&noted).await.status(), 202);
        }
        Self { mcp, capabilities, answers: HashMap::new(), meta: Map::new(), next: AtomicI64::new(10) }
    }

    pub(crate) fn is_stateless(&self) -> bool {
        self.mcp.revision == STATELESS
    }

    /// Answers questions of a method with this result from now on.
    pub(crate) fn answering(mut self, method: &str, result: Value) -> Self {
        self.answers.insert(method.to_owned(), result);
        self
    }

    /// Says this in `_meta` from now on.
    pub(crate) fn saying(mut self, name: &str, value: Value) -> Self {
        self.meta.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn next_id(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A request as its life words it.
    pub(crate) fn request(&self, id: i64, method: &str, mut params: Value) -> reqwest::RequestBuilder {
        if params.is_null() {
            params = json!({});
        }
        for (name, value) in &self.meta {
            params["_meta"][name] = value.clone();
        }
        if !self.is_stateless() {
            return self.mcp.post(message(id, method, params).to_string());
        }
        let own = "io.modelcontextprotocol";
        params["_meta"][format!("{own}/protocolVersion")] = json!(STATELESS);
        params["_meta"][format!("{own}/clientInfo")] = json!({ "name": "lives", "version": "1" });
        params["_meta"][format!("{own}/clientCapabilities")] = self.capabilities.clone();
        let named = match method {
            "tools/call" | "prompts/get" => params["name"].as_str(),
            "resources/read" => params["uri"].as_str(),
            "tasks/get" | "tasks/update" | "tasks/cancel" => params["taskId"].as_str(),
            _ => None,
        };
        let named = named.map(str::to_owned);
        let mut request = self.mcp.post(message(id, method, params).to_string()).header("mcp-method", method);
        if let Some(named) = named {
            request = request.header("mcp-name", named);
        }
        request
    }

    /// Makes a request, and answers what it is asked meanwhile.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Told {
        let mut told = Told::default();
        let mut now = params.clone();
        loop {
            let id = self.next_id();
            let response = self.request(id, method, now).send().await.unwrap();
            self.hear(response, id, &mut told).await;
            if told.answer["result"]["resultType"] != "input_required" {
                return told;
            }
            assert!(self.is_stateless(), "{told:#?}");
            told.rounds += 1;
            assert!(told.rounds < 10, "{told:#?}");
            now = params.clone();
            let result = told.answer["result"].clone();
            for (name, question) in result["inputRequests"].as_object().into_iter().flatten() {
                now["inputResponses"][name] = self.answers[question["method"].as_str().unwrap()].clone();
                told.asked.push(question.clone());
            }
            if !result["requestState"].is_null() {
                now["requestState"] = result["requestState"].clone();
            }
        }
    }

    async fn hear(&self, response: reqwest::Response, id: i64, told: &mut Told) {
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        if kind == "application/json" {
            told.answer = response.json().await.unwrap();
            assert_eq!(told.answer["id"], id, "{told:#?}");
            return;
        }
        let mut events = Events::of(response);
        loop {
            let said = events.message().await;
            match (said.get("method"), said.get("id")) {
                (Some(Value::String(method)), Some(asked)) => {
                    assert!(!self.is_stateless(), "who has no session is asked nothing: {said}");
                    let mut answer = json!({ "jsonrpc": "2.0", "id": asked });
                    match &self.answers[method] {
                        it if it.get("refused").is_some() => answer["error"] = it["refused"].clone(),
                        it => answer["result"] = it.clone(),
                    }
                    told.asked.push(said.clone());
                    assert_eq!(self.mcp.send(&answer).await.status(), 202);
                }
                (Some(_), None) => told.before.push(said),
                _ => {
                    assert_eq!(said["id"], id, "{said}");
                    assert_eq!(said["jsonrpc"], "2.0");
                    told.answer = said;
                    return;
                }
            }
        }
    }

    /// Calls a tool.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Told {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// A list, of all pages.
    pub(crate) async fn list(&self, method: &str, member: &str) -> Vec<Value> {
        let (mut all, mut params) = (Vec::new(), json!({}));
        loop {
            let told = self.ask(method, params).await;
            let result = told.result().clone();
            all.extend(result[member].as_array().unwrap_or_else(|| panic!("{told:#?}")).iter().cloned());
            match &result["nextCursor"] {
                Value::Null => return all,
                cursor => params = json!({ "cursor": cursor }),
            }
        }
    }

    /// The names in a list.
    pub(crate) async fn names(&self, method: &str, member: &str, name: &str) -> Vec<String> {
        let list = self.list(method, member).await;
        list.iter().map(|it| it[name].as_str().unwrap().to_owned()).collect()
    }

    /// The names of the tools.
    pub(crate) async fn tools(&self) -> Vec<String> {
        self.names("tools/list", "tools", "name").await
    }

    /// `subscriptions/listen`: the stream, after its acknowledgement; and what was accepted.
    pub(crate) async fn listen(&self, id: i64, wanted: Value) -> (Events, Value) {
        let request = self.request(id, "subscriptions/listen", json!({ "notifications": wanted }));
        let mut events = Events::of(request.send().await.unwrap());
        let first = events.message().await;
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(first["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id);
        (events, first["params"]["notifications"].clone())
    }
}

/// A script beside this file.
pub(crate) fn script(name: &str) -> PathBuf {
    repository("tests/tests/mcp_lives").join(name).canonicalize().unwrap()
}

/// A server of ours over HTTP, as long as this value lives.
#[derive(Debug)]
pub(crate) struct Web {
    child: Child,
    pub(crate) url: String,
}

impl Web {
    pub(crate) fn start(python: &std::path::Path, name: &str, more: &[&str]) -> Self {
        Self::of(Command::new(python).arg(script(name)).arg("http").args(more))
    }

    /// One that says its port when it listens.
    pub(crate) fn of(command: &mut Command) -> Self {
        use std::io::{BufRead, BufReader};
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let mut web = Self { child, url: String::new() };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("the server says its port");
        web.url = format!("http://127.0.0.1:{port}/mcp");
        web
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The servers of a matrix: a name, an environment, and whether it is met over HTTP.
const KINDS: [(&str, &str, bool); 6] = [
    ("one", "mcp1", false),
    ("two", "mcp2", false),
    ("fast", "fastmcp4", false),
    ("oldweb", "mcp1", true),
    ("web", "mcp2", true),
    ("fastweb", "fastmcp4", true),
];

/// A hub whose store has one server of every kind.
#[derive(Debug)]
pub(crate) struct Matrix {
    pub(crate) served: Served,
    webs: Vec<Web>,
}

impl Matrix {
    pub(crate) async fn start() -> Self {
        let space = TestSpace::new();
        let (mut entries, mut webs) = (Map::new(), Vec::new());
        for (name, env, over_http) in KINDS {
            let python = environment(env);
            let entry = match over_http {
                true => {
                    let web = Web::start(&python, "server.py", &[]);
                    let entry = json!({ "url": web.url });
                    webs.push(web);
                    entry
                }
                false => json!({
                    "command": python,
                    "args": [script("server.py"), "stdio"],
                    // Between the subjects nothing sleeps.
                    "dormouse": { "idle_seconds": "never" },
                }),
            };
            entries.insert(name.to_owned(), entry);
        }
        space.write("mcp.json", json!({ "mcpServers": entries }).to_string());
        let hub = space.hub(|_: &mut Config| {}).await;
        let served = Served::of(space, hub).await;
        for server in Self::servers() {
            served.knows(&Scope::Store, server, "echo").await;
        }
        Self { served, webs }
    }

    pub(crate) fn servers() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(name, ..)| *name)
    }

    /// A client of each revision.
    pub(crate) async fn clients(&self, capabilities: &Value) -> Vec<Client> {
        let mut clients = Vec::new();
        for revision in REVISIONS {
            clients.push(Client::of(&self.served, "/mcp", revision, capabilities.clone()).await);
        }
        clients
    }

    pub(crate) async fn end(self) {
        self.served.end().await;
        drop(self.webs);
    }
}
