//! What a shared server prints before it dies tells of the calls of all who use it.

use std::process::Stdio;
use std::sync::Arc;

use dormouse::{CallFilter, CallRequest, NoBackChannel, ServerState};
use dormouse_tests::mcp_client::Mcp;
use dormouse_tests::{dormouse, until};
use serde_json::{Value, json};

use crate::WHO;
use crate::ways::{Way, World};

/// What agent `a` says in its call, and agent `b` must never read.
const SECRET: &str = "OF-AGENT-A";
/// How agent `b` ends a server, each time another one.
const ENDED_BY: [&str; 5] = ["rust", "http", "cli", "blocking", "mcp"];

impl World {
    /// What a request over HTTP brings, as a text.
    fn fetched(&self, method: &str, path: &str, body: Option<Value>) -> String {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.address));
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.runtime.block_on(async { request.send().await.unwrap().text().await.unwrap() })
    }

    /// What a command prints, on both outputs.
    fn printed(&self, words: &[&str]) -> String {
        let output = dormouse(&self.space).into_std().args(words).stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    fn calls(&self, agent: &str, server: &str, arguments: &Value) -> Result<String, String> {
        let request = CallRequest {
            tool: "who".to_owned(),
            server: Some(server.to_owned()),
            arguments: arguments.as_object().unwrap().clone(),
            deadline: None,
        };
        let context = self.hub.agent(agent.parse().unwrap());
        let called = self.runtime.block_on(context.call(request, Arc::new(NoBackChannel)));
        called.map(|answer| answer.result.text()).map_err(|error| format!("{error:?}"))
    }

    /// Agent `b` calls, and the server ends by it; what `b` is told.
    fn ended_by_b(&self, way: &str) -> String {
        let arguments = json!({ "exit": true });
        match way {
            "rust" => self.calls("b", way, &arguments).unwrap_err(),
            "http" => {
                let body = json!({ "server_name": way, "arguments": arguments });
                self.fetched("POST", "/agents/b/tools/who/call", Some(body))
            }
            "cli" => {
                self.printed(&["tools", "call", "--agent=b", "--server=cli", "who", r#"{"exit": true}"#])
            }
            "blocking" => {
                let request = CallRequest {
                    tool: "who".to_owned(),
                    server: Some(way.to_owned()),
                    arguments: arguments.as_object().unwrap().clone(),
                    deadline: None,
                };
                let context = self.blocking.agent("b".parse().unwrap());
                format!("{:?}", context.call(request, Arc::new(NoBackChannel)).unwrap_err())
            }
            "mcp" => {
                let url = format!("{}/agents/b/mcp", self.address);
                let client = Mcp { http: self.http.clone(), url, session: None, revision: String::new() };
                let request =
                    client.alone("tools/call", json!({ "name": "mcp_who", "arguments": arguments }));
                self.runtime.block_on(async { request.send().await.unwrap().text().await.unwrap() })
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn what_a_shared_server_printed_before_it_died_is_the_stores_alone() {
    let world = World::open();
    let store = world.user(Way::Rust, &None);
    for name in ENDED_BY {
        let entry = json!({ "command": WHO, "args": [name, "who"], "dormouse": { "wanted": "on_demand" } });
        store.add(name, &entry).unwrap();
        store.share(name, "a", true).unwrap();
        store.share(name, "b", true).unwrap();
    }
    // An agent's own stateless server runs calls of others who have one like it.
    for agent in ["a", "b"] {
        let entry = json!({ "command": WHO, "args": ["alike", "who"], "dormouse": { "stateless": true } });
        world.user(Way::Rust, &Some(agent.to_owned())).add("alike", &entry).unwrap();
    }
    let catalog = || world.hub.registry().snapshot();
    let known = || catalog().servers(&dormouse::Scope::Store).all(|it| !it.features.tools.is_empty());
    world.runtime.block_on(until("all tools are known", known));
    let mut heard = world.hub.agent("b".parse().unwrap()).events();

    let mut told = Vec::new();
    for way in ENDED_BY {
        assert_eq!(world.calls("a", way, &json!({ "user": SECRET })), Ok(way.to_owned()));
        told.push((format!("the call by {way}"), world.ended_by_b(way)));
        let ended = || {
            let server = world.hub.store().server(&way.parse().unwrap()).unwrap();
            server.status.reason.as_ref().is_some_and(|reason| reason.contains("ended"))
                || server.status.state == ServerState::Healthy
        };
        world.runtime.block_on(until("it is seen that the server ended", ended));
    }
    for name in ["call", "ended", "failed", "unknown"] {
        assert!(told.iter().any(|(_, words)| words.contains(name)), "{name}: {told:?}");
    }
    assert_eq!(world.calls("a", "alike", &json!({ "user": SECRET })), Ok("alike".to_owned()));
    told.push((
        "the call of alike".to_owned(),
        world.calls("b", "alike", &json!({ "exit": true })).unwrap_err(),
    ));

    let agent = world.hub.agent("b".parse().unwrap());
    told.push((
        "servers".to_owned(),
        format!("{:?}", agent.servers().iter().map(|it| &it.status).collect::<Vec<_>>()),
    ));
    told.push(("alerts".to_owned(), format!("{:?}", agent.alerts())));
    told.push(("stats".to_owned(), format!("{:?}", agent.stats())));
    told.push(("checks".to_owned(), format!("{:?}", world.runtime.block_on(agent.check_all()))));
    told.push((
        "calls".to_owned(),
        format!("{:?}", world.runtime.block_on(agent.calls(&CallFilter::default())).unwrap()),
    ));
    told.push(("output".to_owned(), format!("{:?}", agent.output(&"alike".parse().unwrap()))));
    for path in
        ["servers", "servers/http", "alerts", "stats", "calls", "events/recent", "servers/alike/output"]
    {
        told.push((path.to_owned(), world.fetched("GET", &format!("/agents/b/{path}"), None)));
    }
    told.push(("POST check".to_owned(), world.fetched("POST", "/agents/b/check", None)));
    for words in [["servers", "list"], ["alerts", "list"], ["tools", "calls"], ["agents", "list"]] {
        told.push((words.join(" "), world.printed(&[&words[..], &["--agent=b"]].concat())));
    }
    told.push(("events".to_owned(), world.printed(&["events", "--agent=b"])));
    world.runtime.block_on(async {
        while let Ok(Ok(event)) =
            tokio::time::timeout(std::time::Duration::from_millis(200), heard.recv()).await
        {
            told.push(("an event".to_owned(), format!("{event:?}")));
        }
    });
    for (what, words) in &told {
        assert!(!words.contains(SECRET), "{what}: {words}");
    }

    // Whose they are is told why they ended.
    let shown = world.fetched("GET", "/servers", None);
    assert!(shown.contains(&format!("it said: handled for user: {SECRET}")), "{shown}");
    world.end();
}
