//! What a server on stdio says without saying to whom: it reaches those whom it may concern, and
//! never another context.

use std::path::{Path, PathBuf};

use dormouse::{AgentId, Scope};
use dormouse_testing::environment;
use dormouse_tests::mcp_client::{Event, Events, STATELESS};
use dormouse_tests::{Served, TestSpace, until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, Told, script};

const MESSAGE: &str = "notifications/message";
const COMPLETE: &str = "notifications/elicitation/complete";
const BOTH_LIVES: [&str; 2] = ["2025-11-25", STATELESS];

/// A hub with one server that talks, for the store and these agents.
pub(crate) async fn talker(agents: &[&str]) -> Served {
    let space = TestSpace::new();
    let entry = json!({
        "command": environment("mcp1"), "args": [script("talker.py")], "dormouse": { "idle_seconds": "never" },
    });
    space.write("mcp.json", json!({ "mcpServers": { "talker": entry } }).to_string());
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "talker", "say").await;
    for agent in agents {
        let path = format!("/servers/talker/agents/{agent}");
        assert_eq!(served.send(Method::PUT, &path, json!({})).await.0, 200);
    }
    served
}

/// A client of an endpoint that wants the whole log.
pub(crate) async fn curious(served: &Served, path: &str, revision: &str) -> Client {
    let client = Client::of(served, path, revision, json!({})).await;
    if client.is_stateless() {
        return client.saying("io.modelcontextprotocol/logLevel", json!("debug"));
    }
    client.ask("logging/setLevel", json!({ "level": "debug" })).await.result();
    client
}

pub(crate) fn words(told: &Told) -> Vec<&str> {
    told.of(MESSAGE).into_iter().map(|it| it["data"].as_str().unwrap()).collect()
}

pub(crate) fn beside(file: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", file.display()))
}

/// A call that runs until its file is there.
async fn resting(client: &Client, file: &Path) -> tokio::task::JoinHandle<reqwest::Response> {
    let params = json!({ "name": "talker_rest", "arguments": { "until": file } });
    let request = client.request(5, "tools/call", params);
    let call = tokio::spawn(async { request.send().await.unwrap() });
    until("the call runs", || beside(file, ".began").exists()).await;
    call
}

/// The words that a call heard before its answer.
pub(crate) async fn heard(response: reqwest::Response) -> Vec<String> {
    let text = response.text().await.unwrap();
    assert!(text.contains("rested"), "{text}");
    let lines = text.lines().map(|line| line.trim_start_matches("data:"));
    let messages = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let logs = messages.filter(|message| message["method"] == MESSAGE);
    logs.map(|log| log["params"]["data"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_log_of_one_agent_never_reaches_a_call_of_another() {
    let served = talker(&["ada", "bob"]).await;
    for (round, revision) in BOTH_LIVES.into_iter().enumerate() {
        let bob = curious(&served, "/agents/bob/mcp", revision).await;
        let ada = curious(&served, "/agents/ada/mcp", revision).await;
        let also_ada = curious(&served, "/agents/ada/mcp", revision).await;
        let file = |name: &str| served.space.root().join(format!("{name}{round}"));

        let bobs = resting(&bob, &file("bob")).await;
        let said = ada.call("talker_say", json!({ "word": "a secret" })).await;
        assert_eq!((said.text(), words(&said).len()), ("said", 0), "it may be about bob's: {said:#?}");
        std::fs::write(file("bob"), "").unwrap();
        assert_eq!(heard(bobs.await.unwrap()).await, [""; 0], "{revision}");

        // Callers of one context are no strangers.
        let other = resting(&also_ada, &file("ada")).await;
        let said = ada.call("talker_say", json!({ "word": "no secret" })).await;
        assert_eq!((said.text(), words(&said)), ("said", vec!["no secret"]), "{said:#?}");
        std::fs::write(file("ada"), "").unwrap();
        assert_eq!(heard(other.await.unwrap()).await, ["no secret"], "{revision}");
    }
    served.end().await;
}

/// Ends a session; what came on its own stream, but for what belongs to no message.
async fn all_of(client: &Client, events: Events) -> Vec<Value> {
    assert!(client.mcp.request(Method::DELETE).send().await.unwrap().status().is_success());
    let rest = events.rest().await;
    rest.iter().filter(|event| !event.is_priming()).map(Event::message).collect()
}

/// Lets the server say what it was asked to say later; returns when the hub has heard it, with the
/// context that it is for.
async fn go(served: &Served, file: &Path) -> Option<Scope> {
    let mut unasked = served.hub.unasked();
    std::fs::write(file, "").unwrap();
    let heard = unasked.recv().await.unwrap();
    assert_eq!(heard.server.name.as_str(), "talker");
    until("it is said", || beside(file, ".said").exists()).await;
    heard.note.scope.clone()
}

#[tokio::test]
async fn a_log_between_calls_reaches_the_sessions_of_the_only_context_that_want_it() {
    let served = talker(&["ada"]).await;
    let ada = curious(&served, "/agents/ada/mcp", "2025-11-25").await;
    let mut hears = ada.mcp.listen(None).await;
    let single = curious(&served, "/agents/ada/mcp?mode=single&server=talker", "2025-06-18").await;
    let mut also_hears = single.mcp.listen(None).await;
    // These do not: one wants less, one nothing, one is another's.
    let strict = Client::of(&served, "/agents/ada/mcp", "2025-11-25", json!({})).await;
    strict.ask("logging/setLevel", json!({ "level": "error" })).await.result();
    let silent = Client::of(&served, "/agents/ada/mcp", "2025-11-25", json!({})).await;
    let store = curious(&served, "/mcp", "2025-11-25").await;
    let mut deaf = Vec::new();
    for client in [strict, silent, store] {
        let events = client.mcp.listen(None).await;
        deaf.push((client, events));
    }

    let file = served.space.root().join("go");
    let told = ada.call("talker_later", json!({ "word": "done", "until": file })).await;
    assert_eq!((told.text(), told.before.len()), ("later", 0), "{told:#?}");
    assert_eq!(go(&served, &file).await, Some(Scope::Agent(AgentId::try_new("ada").unwrap())));
    let expected = json!({ "level": "info", "logger": "talker", "data": "done" });
    for events in [&mut hears, &mut also_hears] {
        let message = events.message().await;
        assert_eq!((&message["method"], &message["params"]), (&json!(MESSAGE), &expected), "{message}");
    }
    for (client, events) in deaf {
        assert_eq!(all_of(&client, events).await, [Value::Null; 0], "{}", client.mcp.url);
    }
    served.end().await;
}

#[tokio::test]
async fn a_log_between_calls_of_several_contexts_reaches_nobody() {
    let served = talker(&["ada", "bob"]).await;
    let mut ears = Vec::new();
    for path in ["/mcp", "/agents/ada/mcp", "/agents/bob/mcp"] {
        let client = curious(&served, path, "2025-11-25").await;
        let events = client.mcp.listen(None).await;
        ears.push((client, events));
    }
    assert_eq!(ears[1].0.call("talker_say", json!({ "word": "x" })).await.text(), "said");
    let file = served.space.root().join("go");
    let told = ears[2].0.call("talker_later", json!({ "word": "a secret", "until": file })).await;
    assert_eq!(told.text(), "later");
    assert_eq!(go(&served, &file).await, None);
    for (client, events) in ears {
        assert_eq!(all_of(&client, events).await, [Value::Null; 0], "{}", client.mcp.url);
    }
    served.end().await;
}

#[tokio::test]
async fn who_was_sent_to_a_page_hears_that_it_is_done_and_nobody_else() {
    let served = talker(&["ada", "bob"]).await;
    let can = json!({ "elicitation": { "url": {} } });
    let mut ears = Vec::new();
    for path in ["/agents/ada/mcp", "/agents/ada/mcp", "/agents/bob/mcp"] {
        let client = Client::of(&served, path, "2025-11-25", can.clone()).await;
        let client = client.answering("elicitation/create", json!({ "action": "accept" }));
        let events = client.mcp.listen(None).await;
        ears.push((client, events));
    }
    // Also where several contexts use the server.
    for (name, (client, _)) in ["one", "two", "three"].into_iter().zip(&ears) {
        let file = served.space.root().join(name);
        let told = client.call("talker_visit", json!({ "id": name, "until": file })).await;
        assert_eq!((told.text(), told.asked.len()), ("accept", 1), "{told:#?}");
        assert_eq!(told.asked[0]["params"]["elicitationId"], name, "{told:#?}");
    }
    for (name, (_, events)) in ["one", "two", "three"].into_iter().zip(&mut ears) {
        go(&served, &served.space.root().join(name)).await;
        let message = events.message().await;
        assert_eq!(
            (&message["method"], &message["params"]),
            (&json!(COMPLETE), &json!({ "elicitationId": name })),
            "{message}"
        );
    }
    for (client, events) in ears {
        assert_eq!(all_of(&client, events).await, [Value::Null; 0], "each heard its own only");
    }
    served.end().await;
}
