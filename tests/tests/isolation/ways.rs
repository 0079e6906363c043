//! The four ways of use, each with the same verbs and the same answers.

mod listed;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use dormouse::{
    AlertLevel, Arguments, CallFilter, CallRequest, NewAlert, NoBackChannel, NoListener, QueryRequest, Scope,
    ServerName, ServerState, ToolSettings, blocking,
};
use dormouse_http::{Code, Problem};
use dormouse_tests::{TestSpace, dormouse};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::model::{No, Said, Says, View};

/// A way in which a hub is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Rust,
    Http,
    Cli,
    Blocking,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Rust, Self::Http, Self::Cli, Self::Blocking];
}

/// A hub, and all that is needed to use it in each way.
pub(crate) struct World {
    pub(crate) space: TestSpace,
    pub(crate) hub: dormouse::Hub,
    pub(crate) blocking: blocking::Hub,
    pub(crate) address: String,
    pub(crate) http: reqwest::Client,
    pub(crate) runtime: Runtime,
}

/// A view in one of the ways.
pub(crate) struct User<'a> {
    pub(crate) world: &'a World,
    pub(crate) way: Way,
    pub(crate) view: View,
}

enum Embedded {
    Async(dormouse::Context),
    Blocking(blocking::Context),
}

/// Runs a verb of a context, blocking or not.
macro_rules! verb {
    ($user:expr, $verb:ident($($argument:expr),*)) => {
        match $user.embedded() {
            Embedded::Async(context) => $user.world.runtime.block_on(context.$verb($($argument),*)).map_err(no),
            Embedded::Blocking(context) => context.$verb($($argument),*).map_err(|error| match error {
                blocking::Error::Failed(error) => no(error),
                error => panic!("{error}"),
            }),
        }
    };
}

fn no<E>(error: E) -> No
where
    Problem: From<E>,
{
    of_code(Problem::from(error).code)
}

fn of_code(code: Code) -> No {
    match code {
        Code::UnknownServer | Code::UnknownTool | Code::UnknownResource => No::Unknown,
        Code::AmbiguousServer | Code::AmbiguousTool | Code::AmbiguousResource => No::Ambiguous,
        Code::NotYours => No::NotYours,
        other => No::Other(other.as_str().to_owned()),
    }
}

/// A request, as it goes over the wire and as a command.
struct Asked {
    method: &'static str,
    path: String,
    body: Value,
    words: Vec<String>,
}

fn asked<const N: usize>(
    method: &'static str,
    path: impl Into<String>,
    body: Value,
    words: [&str; N],
) -> Asked {
    Asked { method, path: path.into(), body, words: words.map(str::to_owned).to_vec() }
}

fn see<const N: usize>(path: impl Into<String>, words: [&str; N]) -> Asked {
    asked("GET", path, Value::Null, words)
}

/// A segment of a path in which every byte is encoded, so that no name is a path of its own.
fn segment(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("`{member}` is no text in {value:#}")).to_owned()
}

fn maybe(value: &Value, member: &str) -> Option<String> {
    value[member].as_str().map(str::to_owned)
}

fn items<T: Ord>(list: &Value, item: impl Fn(&Value) -> T) -> BTreeSet<T> {
    list.as_array().unwrap_or_else(|| panic!("no list: {list:#}")).iter().map(item).collect()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
}

fn owner(scope: &Scope) -> View {
    match scope {
        Scope::Store => None,
        Scope::Agent(agent) => Some(agent.to_string()),
    }
}

fn server_name(name: &str) -> ServerName {
    name.parse().unwrap()
}

/// Every state: whoever waits for one of them does not wait.
fn states() -> String {
    ServerState::ALL.map(|state| state.as_str()).join(",")
}

impl World {
    pub(crate) fn user(&self, way: Way, view: &View) -> User<'_> {
        User { world: self, way, view: view.clone() }
    }
}

impl User<'_> {
    fn embedded(&self) -> Embedded {
        let agent = self.view.as_ref().map(|agent| agent.parse().unwrap());
        match (self.way, agent) {
            (Way::Blocking, None) => Embedded::Blocking(self.world.blocking.store()),
            (Way::Blocking, Some(agent)) => Embedded::Blocking(self.world.blocking.agent(agent)),
            (_, None) => Embedded::Async(self.world.hub.store()),
            (_, Some(agent)) => Embedded::Async(self.world.hub.agent(agent)),
        }
    }

    /// The context itself, for what only it tells.
    pub(crate) fn context(&self) -> dormouse::Context {
        self.memory()
    }

    /// The verbs that answer from memory.
    fn memory(&self) -> dormouse::Context {
        match self.embedded() {
            Embedded::Async(context) => context,
            Embedded::Blocking(context) => (*context).clone(),
        }
    }

    fn is_wire(&self) -> bool {
        matches!(self.way, Way::Http | Way::Cli)
    }

    fn ask(&self, asked: Asked) -> Said<Value> {
        match self.way {
            Way::Http => self.over_http(asked),
            Way::Cli => self.by_command(&asked.words),
            Way::Rust | Way::Blocking => unreachable!("the wire"),
        }
    }

    fn must(&self, asked: Asked) -> Value {
        let what = format!("{} {} by {:?} {:?}", asked.method, asked.path, self.way, self.view);
        self.ask(asked).unwrap_or_else(|no| panic!("{what}: {no:?}"))
    }

    fn over_http(&self, Asked { method, path, body, .. }: Asked) -> Said<Value> {
        let base = match &self.view {
            None => self.world.address.clone(),
            Some(agent) => format!("{}/agents/{}", self.world.address, segment(agent)),
        };
        let mut request = self.world.http.request(method.parse().unwrap(), format!("{base}{path}"));
        if !body.is_null() {
            request = request.json(&body);
        }
        self.world.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let is_well = response.status().is_success();
            let answer: Value = response.json().await.unwrap();
            let code = |answer: &Value| serde_json::from_value(answer["code"].clone()).unwrap();
            if is_well { Ok(answer) } else { Err(of_code(code(&answer))) }
        })
    }

    fn by_command(&self, words: &[String]) -> Said<Value> {
        let mut command = dormouse(&self.world.space).into_std();
        command.arg("--json");
        // Whose view it is can be said after the command, or after the verb where only that has one.
        let place = if words[0] == "config" { 2 } else { 1 };
        let (before, after) = words.split_at(place);
        command.args(before);
        if let Some(agent) = &self.view {
            command.arg(format!("--agent={agent}"));
        }
        let output = command.args(after).stdin(Stdio::null()).output().unwrap();
        let talk = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => Ok(serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|_| panic!("{words:?}: {}{talk}", String::from_utf8_lossy(&output.stdout)))),
            Some(3) if talk.contains("several") => Err(No::Ambiguous),
            Some(3) => Err(No::Unknown),
            Some(11) if talk.contains("belongs to the store") || talk.contains("an agent cannot") => {
                Err(No::NotYours)
            }
            code => Err(No::Other(format!("{words:?} ended with {code:?}: {talk}"))),
        }
    }

    // Lists.

    pub(crate) fn servers(&self) -> BTreeSet<(String, View)> {
        if self.is_wire() {
            let list = self.must(see("/servers", ["servers", "list"]));
            return items(&list, |server| (text(server, "name"), maybe(server, "owner")));
        }
        let servers = self.memory().servers().into_iter();
        servers.map(|server| (server.name, owner(&server.entry.key.scope))).collect()
    }

    /// Server, own name and full name of each tool.
    pub(crate) fn tools(&self) -> BTreeSet<(String, String, String)> {
        if self.is_wire() {
            let list = self.must(see("/tools", ["tools", "list"]));
            return items(&list, |tool| {
                (text(tool, "server_name"), text(tool, "tool_name"), text(tool, "full_name"))
            });
        }
        let tools = self.memory().tools().into_iter();
        tools
            .map(|tool| {
                (tool.server_name().to_owned(), tool.tool().name.to_string(), tool.full_name().to_owned())
            })
            .collect()
    }

    pub(crate) fn found(&self, words: &str) -> BTreeSet<String> {
        if self.is_wire() {
            let path = format!("/tools/search?q={}&limit=100", segment(words));
            let list = self.must(see(path, ["tools", "search", "--limit=100", "--", words]));
            return items(&list, |tool| text(tool, "full_name"));
        }
        self.memory().search(words, 100).into_iter().map(|found| found.full_name.to_string()).collect()
    }

    /// Server and address of each resource and template.
    pub(crate) fn resources(&self) -> BTreeSet<(String, String)> {
        if self.is_wire() {
            let mut all: Vec<Value> = Vec::new();
            // The command lists both.
            let paths: &[&str] = match self.way {
                Way::Http => &["/resources", "/resources/templates"],
                _ => &["/resources"],
            };
            for path in paths {
                let list = self.must(see(*path, ["resources", "list"]));
                all.extend(list.as_array().unwrap().iter().cloned());
            }
            let address = |item: &Value| maybe(item, "uriTemplate").unwrap_or_else(|| text(item, "uri"));
            return items(&Value::Array(all), |item| (text(item, "server_name"), address(item)));
        }
        let context = self.memory();
        let resources = context.resources().into_iter().map(|it| (it.server_name, it.item.uri));
        let templates = context.resource_templates().into_iter();
        resources.chain(templates.map(|it| (it.server_name, it.item.uri_template))).collect()
    }

    pub(crate) fn prompts(&self) -> BTreeSet<(String, String)> {
        if self.is_wire() {
            let list = self.must(see("/prompts", ["prompts", "list"]));
            return items(&list, |item| (text(item, "server_name"), text(item, "name")));
        }
        self.memory().prompts().into_iter().map(|it| (it.server_name, it.item.name)).collect()
    }

    /// Caller, server and tool of each record.
    pub(crate) fn calls(&self) -> Vec<(View, String, String)> {
        let mut calls: Vec<_> = if self.is_wire() {
            let list = self.must(see("/calls?limit=10000", ["tools", "calls", "--limit=10000"]));
            let record = |it: &Value| (maybe(it, "caller"), text(it, "server_name"), text(it, "tool_name"));
            list.as_array().unwrap().iter().map(record).collect()
        } else {
            let records = verb!(self, calls(&CallFilter::default())).unwrap();
            let shown = |record: &dormouse::CallRecord| match &self.view {
                None => record.server.store_name(),
                Some(_) => record.server.name.to_string(),
            };
            records.iter().map(|it| (owner(&it.caller), shown(it), it.tool.to_string())).collect()
        };
        calls.sort();
        calls
    }

    /// Full name and number of calls of each tool that was called.
    pub(crate) fn tool_stats(&self) -> BTreeSet<(String, u64)> {
        if self.is_wire() {
            let list = self.must(see("/stats/tools", ["tools", "stats"]));
            let all = items(&list, |it| (text(it, "full_name"), it["calls"].as_u64().unwrap()));
            return all.into_iter().filter(|(_, calls)| *calls > 0).collect();
        }
        let context = self.memory();
        let stats = context.tool_stats();
        let called = context.all_tools().into_iter().filter_map(|tool| {
            let calls = stats.get(&tool.key())?.calls;
            Some((tool.full_name().to_owned(), calls))
        });
        called.collect()
    }

    /// Servers, tools and calls in numbers, and the agents that are counted.
    pub(crate) fn stats(&self) -> (BTreeSet<String>, usize, u64, usize) {
        if self.is_wire() {
            let mut stats = self.must(see("/stats", ["stats"]));
            if self.way == Way::Cli {
                stats = stats["stats"].take();
            }
            let servers = items(&stats["by_server"], |it| text(it, "server_name"));
            let count = |value: &Value| value.as_u64().unwrap();
            let (tools, calls) = (count(&stats["tools"]), count(&stats["calls"]["calls"]));
            return (servers, tools as usize, calls, count(&stats["agents"]) as usize);
        }
        let stats = self.memory().stats();
        let servers = stats.servers.into_iter().map(|it| it.name).collect();
        (servers, stats.tools, stats.calls.calls, stats.agents)
    }

    pub(crate) fn alerts(&self) -> BTreeSet<(Option<String>, String)> {
        if self.is_wire() {
            let list = self.must(see("/alerts", ["alerts", "list"]));
            return items(&list, |it| (maybe(it, "server_name"), text(it, "title")));
        }
        let shown = |server: &dormouse::ServerKey| match &self.view {
            None => server.store_name(),
            Some(_) => server.name.to_string(),
        };
        let alerts = self.memory().alerts().into_iter();
        alerts.map(|it| (it.server.as_ref().map(shown), it.title)).collect()
    }

    /// Name, server and owner of each event that is kept; only over the wire. The others
    /// are told, and do not keep.
    pub(crate) fn events(&self) -> Option<BTreeSet<(String, Option<String>, View)>> {
        if !self.is_wire() {
            return None;
        }
        let list = self.must(see("/events/recent?limit=1024", ["events", "--limit=1024"]));
        Some(items(&list, |it| {
            (text(it, "event"), maybe(&it["data"], "server_name"), maybe(&it["data"], "owner"))
        }))
    }

    pub(crate) fn configured(&self) -> BTreeSet<String> {
        if self.is_wire() {
            return keys(&self.must(see("/config", ["config", "servers"]))["mcpServers"]);
        }
        keys(&verb!(self, config()).unwrap()["mcpServers"])
    }

    pub(crate) fn exported(&self) -> BTreeSet<String> {
        match self.way {
            Way::Http => keys(&self.must(see("/config/export", []))["servers"]),
            Way::Cli => {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("cursor.json");
                let said = format!("--file={}", file.display());
                self.must(see("", ["config", "export", "cursor", &said]));
                let text = std::fs::read_to_string(file).unwrap_or_else(|_| "{}".to_owned());
                keys(&serde_json::from_str::<Value>(&text).unwrap()["mcpServers"])
            }
            _ => {
                let export = verb!(self, export(&[])).unwrap();
                export.servers.into_iter().map(|(name, _)| name).collect()
            }
        }
    }

    /// Agents with how many servers are theirs, and how many are shared.
    pub(crate) fn agents(&self) -> BTreeSet<(String, usize, usize)> {
        if self.is_wire() {
            let list = self.must(see("/agents", ["agents", "list"]));
            let count = |it: &Value, member: &str| it[member].as_u64().unwrap() as usize;
            return items(&list, |it| (text(it, "agent"), count(it, "own"), count(it, "shared")));
        }
        self.memory().agents().into_iter().map(|it| (it.agent.to_string(), it.own, it.shared)).collect()
    }

    pub(crate) fn checked(&self) -> BTreeSet<String> {
        match self.embedded() {
            _ if self.is_wire() => {
                let list = self.must(asked("POST", "/check", json!({}), ["servers", "check"]));
                items(&list, |it| text(it, "server_name"))
            }
            Embedded::Async(context) => {
                self.world.runtime.block_on(context.check_all()).into_iter().map(|(name, _)| name).collect()
            }
            Embedded::Blocking(context) => {
                context.check_all().unwrap().into_iter().map(|(name, _)| name).collect()
            }
        }
    }

    pub(crate) fn ask_question(&self, query: &str, session: &str) {
        if self.is_wire() {
            let body = json!({ "query": query, "session_id": session });
            let session = format!("--session={session}");
            self.must(asked("POST", "/query", body, ["ask", &session, "--", query]));
            return;
        }
        let request = QueryRequest { query: query.to_owned(), session: session.parse().unwrap() };
        verb!(self, query(request, Arc::new(NoListener))).unwrap();
    }

    /// What was asked in a conversation.
    pub(crate) fn questions(&self, session: &str) -> Vec<String> {
        if self.is_wire() {
            let path = format!("/chat/history/{}", segment(session));
            let list = self.must(see(path, ["history", "show", "--", session]));
            let asked = list.as_array().unwrap().iter().filter(|it| it["role"] == "user");
            return asked.map(|it| text(it, "content")).collect();
        }
        let said = verb!(self, history(&session.parse().unwrap())).unwrap();
        let asked = said.into_iter().filter(|it| it.role == dormouse::Role::User);
        asked.map(|it| it.content).collect()
    }

    /// The servers whose alerts are heard while `tell` raises some, so many of them.
    pub(crate) fn heard(&self, tell: impl FnOnce(), count: usize) -> Vec<String> {
        let about = |event: dormouse::Event| match &event {
            dormouse::Event::Alert { alert } => alert.server.as_ref().map(ToString::to_string),
            _ => None,
        };
        let mut heard = Vec::new();
        match self.embedded() {
            Embedded::Async(context) => {
                let mut events = context.events();
                tell();
                while heard.len() < count {
                    heard.extend(about(self.world.runtime.block_on(events.recv()).unwrap()));
                }
            }
            Embedded::Blocking(context) => {
                let mut events = context.events();
                tell();
                while heard.len() < count {
                    heard.extend(about(events.recv().unwrap()));
                }
            }
        }
        heard
    }

    // One thing by its name.

    pub(crate) fn server(&self, name: &str) -> Said<(String, View)> {
        if self.is_wire() {
            let path = format!("/servers/{}", segment(name));
            let server = self.ask(see(path, ["servers", "show", "--", name]))?;
            return Ok((text(&server, "name"), maybe(&server, "owner")));
        }
        let server = self.memory().server(&server_name(name)).map_err(no)?;
        Ok((server.name, owner(&server.entry.key.scope)))
    }

    pub(crate) fn tool(&self, name: &str, server: Option<&str>) -> Said<(String, String)> {
        if self.is_wire() {
            let query = server.map(|server| format!("?server_name={}", segment(server))).unwrap_or_default();
            let path = format!("/tools/{}{query}", segment(name));
            let of = server.map(|server| format!("--server={server}"));
            let words = ["tools", "show"].into_iter().chain(of.as_deref()).chain(["--", name]);
            let words = words.map(str::to_owned).collect();
            let tool = self.ask(Asked { words, ..see(path, []) })?;
            return Ok((text(&tool, "server_name"), text(&tool, "tool_name")));
        }
        let tool = self.memory().tool(name, server).map_err(no)?;
        Ok((tool.server_name().to_owned(), tool.tool().name.to_string()))
    }

    /// Who answers.
    pub(crate) fn call(&self, name: &str, server: Option<&str>) -> Said<String> {
        if self.is_wire() {
            let body = json!({ "server_name": server });
            let of = server.map(|server| format!("--server={server}"));
            let words = ["tools", "call"].into_iter().chain(of.as_deref()).chain(["--", name]);
            let words = words.map(str::to_owned).collect();
            let path = format!("/tools/{}/call", segment(name));
            let answer = self.ask(Asked { words, ..asked("POST", path, body, []) })?;
            return Ok(text(&answer, "result"));
        }
        let request = CallRequest {
            tool: name.to_owned(),
            server: server.map(str::to_owned),
            arguments: Arguments::new(),
            deadline: None,
        };
        let answer = verb!(self, call(request, Arc::new(NoBackChannel)))?;
        Ok(answer.result.text())
    }

    pub(crate) fn read(&self, uri: &str, server: Option<&str>) -> Said<String> {
        let answer = if self.is_wire() {
            let body = json!({ "uri": uri, "server_name": server });
            let of = server.map(|server| format!("--server={server}"));
            let words = ["resources", "read"].into_iter().chain(of.as_deref()).chain(["--", uri]);
            let words = words.map(str::to_owned).collect();
            self.ask(Asked { words, ..asked("POST", "/resources/read", body, []) })?
        } else {
            verb!(self, read_resource(server, uri, None))?
        };
        Ok(text(&answer["contents"][0], "text"))
    }

    pub(crate) fn prompt(&self, name: &str, server: Option<&str>) -> Said<String> {
        let answer = if self.is_wire() {
            let body = json!({ "name": name, "server_name": server });
            let of = server.map(|server| format!("--server={server}"));
            let words = ["prompts", "get"].into_iter().chain(of.as_deref()).chain(["--", name]);
            let words = words.map(str::to_owned).collect();
            self.ask(Asked { words, ..asked("POST", "/prompts/get", body, []) })?
        } else {
            verb!(self, prompt(server, name, &Arguments::new(), None))?
        };
        Ok(text(&answer["messages"][0]["content"], "text"))
    }

    /// Who the entry says it is.
    pub(crate) fn entry(&self, name: &str) -> Said<String> {
        let entry = if self.is_wire() {
            let path = format!("/servers/{}/entry", segment(name));
            self.ask(see(path, ["servers", "entry", "--", name]))?["entry"].take()
        } else {
            verb!(self, entry(&server_name(name)))?.unwrap()
        };
        // Its arguments are hidden from those who only look.
        Ok(text(&entry, "description"))
    }

    /// What its process printed.
    pub(crate) fn output(&self, name: &str) -> Said<Vec<String>> {
        match self.way {
            Way::Http => {
                let path = format!("/servers/{}/output", segment(name));
                let said = self.ask(see(path, []))?;
                Ok(said["stderr"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|line| line.as_str().unwrap().to_owned())
                    .collect())
            }
            // Only among what it shows to people.
            Way::Cli => self.world.user(Way::Http, &self.view).output(name),
            Way::Rust | Way::Blocking => {
                let said = self.memory().output(&server_name(name)).map_err(no)?;
                Ok(said.map(|(stderr, _)| stderr).unwrap_or_default())
            }
        }
    }

    /// Which server was waited for.
    pub(crate) fn waited(&self, name: &str) -> Said<String> {
        if self.is_wire() {
            let path = format!("/servers/{}/wait?status={}", segment(name), states());
            let wanted = format!("--status={}", states());
            return Ok(text(&self.ask(see(path, ["servers", "wait", &wanted, "--", name]))?, "name"));
        }
        let waited = verb!(self, wait(&server_name(name), &ServerState::ALL, Duration::ZERO))?;
        Ok(waited.name)
    }

    // What changes something.

    pub(crate) fn add(&self, name: &str, entry: &Value) -> Said<()> {
        if self.is_wire() {
            let mut body = entry.clone();
            body["name"] = json!(name);
            let written = entry.to_string();
            let words = ["servers", "add", "--entry", &written, name];
            return self.ask(asked("POST", "/servers", body, words)).map(drop);
        }
        verb!(self, add(server_name(name), entry.clone())).map(drop)
    }

    pub(crate) fn import(&self, document: &Value) -> Said<()> {
        if self.is_wire() {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), document.to_string()).unwrap();
            let said = format!("--file={}", file.path().display());
            let body = json!({ "document": document });
            let words = ["config", "import", "mcp.json", &said];
            return self.ask(asked("POST", "/config/import", body, words)).map(drop);
        }
        let from = || dormouse::Import::Document(document.clone());
        verb!(self, import(from(), dormouse::OnConflict::Keep)).map(drop)
    }

    pub(crate) fn share(&self, name: &str, agent: &str, shared: bool) -> Said<()> {
        let id = agent.parse().unwrap();
        if self.is_wire() {
            let path = format!("/servers/{}/agents/{}", segment(name), segment(agent));
            let (method, word) = if shared { ("PUT", "share") } else { ("DELETE", "unshare") };
            return self
                .ask(asked(method, path, Value::Null, ["servers", word, "--", name, agent]))
                .map(drop);
        }
        if shared {
            verb!(self, assign(&server_name(name), &id))
        } else {
            verb!(self, unassign(&server_name(name), &id))
        }
    }

    pub(crate) fn say(&self, tool: &str, server: &str, says: &Says) -> Said<()> {
        match self.way {
            Way::Cli => {
                let of = format!("--server={server}");
                let mut words = vec!["tools"];
                match (&says.name, says.disabled) {
                    (_, true) => words.extend(["disable", &of, "--", tool]),
                    (Some(name), false) => words.extend(["rename", &of, "--", tool, name]),
                    (None, false) => words.extend(["enable", &of, "--", tool]),
                }
                self.by_command(&words.into_iter().map(str::to_owned).collect::<Vec<_>>()).map(drop)
            }
            Way::Http => {
                let path = format!("/tools/{}/settings?server_name={}", segment(tool), segment(server));
                let body = json!({ "disabled": says.disabled, "name": says.name });
                self.over_http(asked("PUT", path, body, [])).map(drop)
            }
            Way::Rust | Way::Blocking => {
                let name = says.name.as_ref().map(|name| name.parse().unwrap());
                let settings = ToolSettings { disabled: says.disabled, name, description: None };
                verb!(self, set_tool(tool, Some(server), settings)).map(drop)
            }
        }
    }

    /// One of the verbs on one server that change something, or have something done.
    pub(crate) fn change(&self, verb: Verb, name: &str) -> Said<()> {
        if self.is_wire() {
            let at = |rest: &str| format!("/servers/{}{rest}", segment(name));
            let post =
                |rest: &str, word: &str| asked("POST", at(rest), json!({}), ["servers", word, "--", name]);
            let other = json!({ "command": "/bin/false" });
            let request = match verb {
                Verb::Patch => {
                    let members = r#"{"command": "/bin/false"}"#;
                    asked("PATCH", at(""), other, ["servers", "update", "--entry", members, "--", name])
                }
                Verb::Replace => {
                    let entry = r#"{"command": "/bin/false"}"#;
                    asked(
                        "PUT",
                        at(""),
                        other,
                        ["servers", "update", "--replace", "--entry", entry, "--", name],
                    )
                }
                Verb::Remove => asked("DELETE", at(""), Value::Null, ["servers", "remove", "--", name]),
                Verb::Restart => post("/restart", "restart"),
                Verb::Attach => post("/attach", "attach"),
                Verb::Detach => post("/detach", "detach"),
                Verb::Connect => post("/connect", "connect"),
                Verb::Disconnect => post("/disconnect", "disconnect"),
                Verb::Refresh => post("/refresh", "refresh"),
                Verb::Check => post("/check", "check"),
                Verb::Login => post("/login", "login"),
                Verb::Logout => asked("DELETE", at("/login"), Value::Null, ["servers", "logout", "--", name]),
                Verb::Alert => {
                    let body = json!({ "title": "look", "server_name": name });
                    let about = format!("--server={name}");
                    asked("POST", "/alerts", body, ["alerts", "raise", &about, "look"])
                }
            };
            return self.ask(request).map(drop);
        }
        let name = server_name(name);
        let other = json!({ "command": "/bin/false" });
        match verb {
            Verb::Patch => verb!(self, patch(&name, other.clone())).map(drop),
            Verb::Replace => verb!(self, replace(&name, other.clone())).map(drop),
            Verb::Remove => verb!(self, remove(&name, false)),
            Verb::Restart => verb!(self, restart(&name)).map(drop),
            Verb::Attach => verb!(self, attach(&name)).map(drop),
            Verb::Detach => verb!(self, detach(&name)).map(drop),
            Verb::Connect => verb!(self, connect(&name)).map(drop),
            Verb::Disconnect => verb!(self, disconnect(&name, None)).map(drop),
            Verb::Refresh => verb!(self, refresh(&name)).map(drop),
            Verb::Check => verb!(self, check(&name)).map(drop),
            Verb::Login => verb!(self, login(&name)).map(drop),
            Verb::Logout => verb!(self, logout(&name)).map(drop),
            Verb::Alert => {
                let alert = NewAlert {
                    level: AlertLevel::Warning,
                    title: "look".to_owned(),
                    message: String::new(),
                    server: Some(name),
                };
                self.memory().raise_alert(&alert).map(drop).map_err(no)
            }
        }
    }
}

/// A verb on one server that changes something, or has something done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Patch,
    Replace,
    Remove,
    Restart,
    Attach,
    Detach,
    Connect,
    Disconnect,
    Refresh,
    Check,
    Login,
    Logout,
    Alert,
}

impl Verb {
    pub(crate) const ALL: [Self; 13] = [
        Self::Patch,
        Self::Replace,
        Self::Remove,
        Self::Restart,
        Self::Attach,
        Self::Detach,
        Self::Connect,
        Self::Disconnect,
        Self::Refresh,
        Self::Check,
        Self::Login,
        Self::Logout,
        Self::Alert,
    ];
}
