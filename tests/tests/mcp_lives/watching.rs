//! Who watches a resource hears of its changes, by the address that it knows, whatever life it and
//! the server have.

use std::path::{Path, PathBuf};

use dormouse::{Scope, ToolSettings};
use dormouse_testing::environment;
use dormouse_tests::mcp_client::{Events, STATELESS};
use dormouse_tests::{Served, TestSpace, until};
use serde_json::{Value, json};

use crate::client::{Client, Web, script};

const UPDATED: &str = "notifications/resources/updated";

/// A hub with one server that is asked resource by resource, and one that is listened to.
struct Two {
    served: Served,
    _web: Web,
}

async fn two() -> Two {
    let space = TestSpace::new();
    let web = Web::start(&environment("mcp2"), "server.py", &[]);
    let old = json!({
        "command": environment("mcp1"), "args": [script("server.py"), "stdio"], "dormouse": { "idle_seconds": 0 },
    });
    let servers = json!({ "old": old, "new": { "url": web.url } });
    space.write("mcp.json", json!({ "mcpServers": servers }).to_string());
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    for server in ["old", "new"] {
        served.knows(&Scope::Store, server, "touch").await;
    }
    Two { served, _web: web }
}

/// Whether a process of the server runs.
fn runs(served: &Served, server: &str) -> bool {
    let servers = served.hub.store().servers();
    servers.iter().any(|it| it.name == server && it.status.pid.is_some())
}

/// A client that watches, and the stream where it hears.
struct Watcher {
    client: Client,
    events: Events,
    uris: Vec<String>,
}

impl Watcher {
    async fn start(served: &Served, path: &str, revision: &str, uris: &[&str]) -> Self {
        let client = Client::of(served, path, revision, json!({})).await;
        let uris: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
        let events = if client.is_stateless() {
            let (events, accepted) = client.listen(900, json!({ "resourceSubscriptions": uris })).await;
            assert_eq!(accepted, json!({ "resourceSubscriptions": uris }), "{path}");
            events
        } else {
            let events = client.mcp.listen(None).await;
            for uri in &uris {
                let told = client.ask("resources/subscribe", json!({ "uri": uri })).await;
                assert_eq!(*told.result(), json!({}), "{path} {uri}: {told:#?}");
            }
            events
        };
        Self { client, events, uris }
    }

    /// The next news is of this address.
    async fn hears(&mut self, uri: &str) {
        let message = self.events.message().await;
        assert_eq!(
            (&message["method"], &message["params"]["uri"]),
            (&json!(UPDATED), &json!(uri)),
            "{message}"
        );
        let subscription = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        let expected = if self.client.is_stateless() { json!(900) } else { Value::Null };
        assert_eq!(*subscription, expected, "{message}");
    }
}

async fn touch(client: &Client, tool: &str, uri: &str) {
    assert_eq!(client.call(tool, json!({ "uri": uri })).await.text(), "touched");
}

#[tokio::test]
async fn news_of_a_resource_reach_every_watcher_under_the_address_that_it_knows() {
    let two = two().await;
    let served = &two.served;
    let caller = Client::of(served, "/mcp", STATELESS, json!({})).await;
    for server in ["old", "new"] {
        let shown = format!("dormouse://{server}/note://one");
        let single = format!("/mcp?mode=single&server={server}");
        let mut watchers = Vec::new();
        for revision in ["2024-11-05", "2025-11-25", STATELESS] {
            watchers.push(Watcher::start(served, "/mcp", revision, &[&shown]).await);
            watchers.push(Watcher::start(served, &single, revision, &["note://one"]).await);
        }
        for _ in 0..2 {
            touch(&caller, &format!("{server}_touch"), "note://nobody-watches").await;
            touch(&caller, &format!("{server}_touch"), "note://one").await;
            for watcher in &mut watchers {
                let uri = watcher.uris[0].clone();
                watcher.hears(&uri).await;
            }
        }
    }
    two.served.end().await;
}

#[tokio::test]
async fn a_watched_server_stays_awake_until_the_last_watcher_has_left() {
    let two = two().await;
    let served = &two.served;
    until("it sleeps", || !runs(served, "old")).await;
    let shown = "dormouse://old/note://one";
    let mut first = Watcher::start(served, "/mcp", "2025-11-25", &[shown]).await;
    assert!(runs(served, "old"));
    let second = Watcher::start(served, "/mcp", STATELESS, &[shown]).await;
    let third = Watcher::start(served, "/mcp", "2025-06-18", &[shown]).await;
    let pid = || {
        let servers = served.hub.store().servers();
        servers.iter().find(|it| it.name == "old").unwrap().status.pid
    };
    let before = pid();

    // One hangs up, one ends its session.
    drop(second);
    let ended = third.client.mcp.request(reqwest::Method::DELETE).send().await.unwrap();
    assert!(ended.status().is_success(), "{ended:?}");
    let caller = Client::of(served, "/mcp", STATELESS, json!({})).await;
    for _ in 0..3 {
        touch(&caller, "old_touch", "note://one").await;
        first.hears(shown).await;
    }
    assert_eq!(pid(), before, "it was awake all the time");

    let told = first.client.ask("resources/unsubscribe", json!({ "uri": shown })).await;
    assert_eq!(*told.result(), json!({}));
    until("it sleeps", || !runs(served, "old")).await;
    two.served.end().await;
}

#[tokio::test]
async fn a_listener_that_hangs_up_lets_its_server_sleep() {
    let two = two().await;
    let served = &two.served;
    let watcher = Watcher::start(served, "/mcp", STATELESS, &["dormouse://old/note://one"]).await;
    assert!(runs(served, "old"));
    drop(watcher);
    until("it sleeps", || !runs(served, "old")).await;
    two.served.end().await;
}

#[tokio::test]
async fn a_server_that_died_is_asked_again() {
    let two = two().await;
    let served = &two.served;
    let shown = "dormouse://old/note://one";
    let mut watchers = [
        Watcher::start(served, "/mcp", "2025-11-25", &[shown]).await,
        Watcher::start(served, "/mcp", STATELESS, &[shown]).await,
    ];
    let caller = Client::of(served, "/mcp", STATELESS, json!({})).await;
    let pid = || {
        let servers = served.hub.store().servers();
        servers.iter().find(|it| it.name == "old").unwrap().status.pid
    };
    let before = pid();
    let died = caller.call("old_die", json!({})).await;
    assert_eq!(died.result()["isError"], true, "{died:#?}");
    until("it runs again", || pid().is_some_and(|now| Some(now) != before)).await;
    // It runs a moment before it is asked.
    let mut heard = false;
    while !heard {
        touch(&caller, "old_touch", "note://one").await;
        heard = tokio::time::timeout(std::time::Duration::from_millis(500), watchers[0].hears(shown))
            .await
            .is_ok();
    }
    watchers[1].hears(shown).await;
    two.served.end().await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused_or_left_out() {
    let two = two().await;
    let served = &two.served;
    let session = Client::of(served, "/mcp", "2025-11-25", json!({})).await;
    for uri in ["dormouse://nobody/note://one", "note://unknown-to-all"] {
        let told = session.ask("resources/subscribe", json!({ "uri": uri })).await;
        assert!(told.answer["error"]["code"].is_i64(), "{uri}: {told:#?}");
    }
    let listener = Client::of(served, "/mcp", STATELESS, json!({})).await;
    let wanted = json!({ "resourceSubscriptions": ["dormouse://nobody/x", "dormouse://old/note://one"] });
    let (_events, accepted) = listener.listen(1, wanted).await;
    assert_eq!(accepted, json!({ "resourceSubscriptions": ["dormouse://old/note://one"] }));
    two.served.end().await;
}

fn beside(gate: &Path) -> PathBuf {
    gate.with_extension("began")
}

#[tokio::test]
async fn who_listens_wakes_all_servers_at_once_and_misses_no_change_meanwhile() {
    let space = TestSpace::new();
    let names = ["one", "two"];
    let gates = names.map(|name| space.write(name, ""));
    let wait = r#"touch "$0.began"; while [ ! -e "$0" ]; do sleep 0.05; done; exec "$@""#;
    let entry = |gate: &PathBuf| {
        let args = json!(["-c", wait, gate, environment("mcp1"), script("server.py"), "stdio"]);
        json!({ "command": "/bin/sh", "args": args, "dormouse": { "idle_seconds": 0 } })
    };
    let servers = json!({ "one": entry(&gates[0]), "two": entry(&gates[1]) });
    space.write("mcp.json", json!({ "mcpServers": servers }).to_string());
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    for name in names {
        served.knows(&Scope::Store, name, "touch").await;
        until("it sleeps", || !runs(&served, name)).await;
    }
    for gate in &gates {
        std::fs::remove_file(gate).unwrap();
        std::fs::remove_file(beside(gate)).unwrap();
    }

    let client = Client::of(&served, "/mcp", STATELESS, json!({})).await;
    let uris = names.map(|name| format!("dormouse://{name}/note://one"));
    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": uris });
    let request = client.request(900, "subscriptions/listen", json!({ "notifications": wanted }));
    let listening = tokio::spawn(async { request.send().await.unwrap() });
    until("both wake", || gates.iter().all(|gate| beside(gate).exists())).await;
    let disabled = ToolSettings { disabled: true, ..ToolSettings::default() };
    served.hub.store().set_tool("echo", Some("one"), disabled).await.unwrap();
    for gate in &gates {
        std::fs::write(gate, "").unwrap();
    }
    let mut events = Events::of(listening.await.unwrap());
    let first = events.message().await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    assert_eq!(first["params"]["notifications"], wanted, "{first}");
    let next = events.message().await;
    assert_eq!(next["method"], "notifications/tools/list_changed", "{next}");
    drop(events);
    served.end().await;
}
