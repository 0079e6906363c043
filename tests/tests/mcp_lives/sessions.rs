//! Sessions outlive the hub that greeted their clients, and are the same at every hub on one storage.

use dormouse::{Hub, Scope};
use dormouse_testing::{RedisServer, environment};
use dormouse_tests::mcp_client::{Mcp, message};
use dormouse_tests::{Served, TestSpace, until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, script};

const REVISION: &str = "2025-11-25";
const NOTE: &str = "dormouse://lives/note://one";
const TOOLS: &str = "notifications/tools/list_changed";
const UPDATED: &str = "notifications/resources/updated";

fn with_server(space: &TestSpace) {
    let entry = json!({ "command": environment("mcp1"), "args": [script("server.py"), "stdio"] });
    space.write("mcp.json", json!({ "mcpServers": { "lives": entry } }).to_string());
}

fn one_tool(name: &str) -> String {
    let header = "# /// script\n# dependencies = [\"mcp>=2\"]\n# ///\nfrom mcp.server import MCPServer\n";
    format!(
        "{header}\nmcp = MCPServer(\"s\")\n\n\n@mcp.tool()\ndef {name}() -> str:\n    return \"x\"\n\n\nmcp.run()\n"
    )
}

/// The client, which speaks to another hub from now on.
fn moved(client: &mut Client, to: &Served, path: &str) {
    client.mcp.url = format!("{}{path}", to.address);
}

/// The levels that a client hears of.
async fn levels(client: &Client) -> Vec<String> {
    let told = client.call("lives_chatter", json!({})).await;
    assert_eq!(told.text(), "said", "{told:#?}");
    let logs = told.of("notifications/message");
    logs.iter().map(|it| it["level"].as_str().unwrap().to_owned()).collect()
}

async fn told_of(client: &Client, events: &mut dormouse_tests::mcp_client::Events) {
    // Another hub has it a moment later.
    loop {
        assert_eq!(client.call("lives_touch", json!({ "uri": "note://one" })).await.text(), "touched");
        let news = tokio::time::timeout(std::time::Duration::from_millis(500), events.message()).await;
        if let Ok(news) = news {
            assert_eq!((&news["method"], &news["params"]["uri"]), (&json!(UPDATED), &json!(NOTE)), "{news}");
            return;
        }
    }
}

async fn status(client: &Client, id: i64) -> u16 {
    client.mcp.send(&message(id, "ping", json!({}))).await.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_when_the_hub_was_started_anew() {
    let space = TestSpace::new();
    with_server(&space);
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "lives", "echo").await;
    let mut client = Client::of(&served, "/mcp", REVISION, json!({ "elicitation": {} })).await;
    client.ask("logging/setLevel", json!({ "level": "critical" })).await.result();
    client.ask("resources/subscribe", json!({ "uri": NOTE })).await.result();
    let gone = Client::of(&served, "/mcp", REVISION, json!({})).await;
    assert!(gone.mcp.request(Method::DELETE).send().await.unwrap().status().is_success());

    let Served { space, hub, .. } = served;
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
    space.write("servers/more.py", one_tool("it"));
    let hub: Hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "more", "it").await;
    moved(&mut client, &served, "/mcp");

    // Whatever it does first.
    assert_eq!(levels(&client).await, ["critical", "alert", "emergency"]);
    let mut events = client.mcp.listen(None).await;
    assert_eq!(events.message().await["method"], TOOLS, "what changed while the hub was away");
    told_of(&client, &mut events).await;
    let client = client.answering("elicitation/create", json!({ "action": "decline" }));
    assert_eq!(client.call("lives_ask", json!({})).await.text(), r#"["decline", null]"#);

    let mut gone = gone;
    moved(&mut gone, &served, "/mcp");
    assert_eq!(status(&gone, 5).await, 404, "what was ended stays so");
    served.end().await;
}

/// A hub with a space of its own on a shared Redis.
async fn replica(redis: &RedisServer) -> Served {
    let space = TestSpace::new();
    with_server(&space);
    let hub = space
        .hub(|config| {
            config.storage = redis.url();
            config.redis.timeout_seconds = 0.5;
        })
        .await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "lives", "echo").await;
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_the_same_at_two_hubs_on_one_redis() {
    let redis = RedisServer::start();
    let (one, other) = (replica(&redis).await, replica(&redis).await);
    let mut client = Client::of(&one, "/mcp", REVISION, json!({})).await;
    let at_one = client.mcp.clone();
    client.ask("logging/setLevel", json!({ "level": "critical" })).await.result();
    client.ask("resources/subscribe", json!({ "uri": NOTE })).await.result();

    moved(&mut client, &other, "/mcp");
    assert_eq!(levels(&client).await, ["critical", "alert", "emergency"]);
    let mut events = client.mcp.listen(None).await;
    told_of(&client, &mut events).await;

    // What it says to one holds at the other, which has the session in memory already.
    let at_other = client.mcp.clone();
    client.mcp = at_one.clone();
    client.ask("logging/setLevel", json!({ "level": "emergency" })).await.result();
    client.ask("resources/unsubscribe", json!({ "uri": NOTE })).await.result();
    client.mcp = at_other.clone();
    let mut now = levels(&client).await;
    while now != ["emergency"] {
        assert_eq!(now, ["critical", "alert", "emergency"]);
        now = levels(&client).await;
    }
    let asleep = |served: &Served| served.hub.store().servers().iter().all(|it| it.status.pid.is_none());
    until("nobody watches any more", || asleep(&one) && asleep(&other)).await;
    client.mcp = at_one.clone();
    client.ask("resources/subscribe", json!({ "uri": NOTE })).await.result();
    client.mcp = at_other.clone();
    told_of(&client, &mut events).await;

    // Changes are told where it listens. (A registration is seen by both.)
    let mut entry = dormouse_testing::Fixture::new().without_resources().entry();
    entry["name"] = json!("more");
    let (status_of_it, told) = one.post("/servers", entry).await;
    assert_eq!(status_of_it, 201, "{told:#}");
    assert_eq!(events.message().await["method"], TOOLS);

    // Ended at one, it is nowhere.
    let elsewhere = Client::of(&one, "/mcp", REVISION, json!({})).await;
    assert!(at_one.request(Method::DELETE).send().await.unwrap().status().is_success());
    assert_eq!(at_one.send(&message(9, "ping", json!({}))).await.status(), 404);
    let mut left = status(&client, 10).await;
    while left != 404 {
        assert_eq!(left, 200);
        left = status(&client, 10).await;
    }
    assert_eq!(status(&elsewhere, 11).await, 200);
    assert!(events.next().await.is_none(), "its stream ends");
    one.end().await;
    other.end().await;
}

#[tokio::test]
async fn a_session_of_another_context_is_unknown() {
    let space = TestSpace::new();
    with_server(&space);
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "lives", "echo").await;
    let ada = Client::of(&served, "/agents/ada/mcp", REVISION, json!({})).await;
    for path in ["/mcp", "/agents/bob/mcp", "/agents/ada/mcp?mode=search", "/mcp?mode=single&server=lives"] {
        let stranger = Mcp { url: format!("{}{path}", served.address), ..ada.mcp.clone() };
        for response in [
            stranger.send(&message(1, "tools/list", json!({}))).await,
            stranger.request(Method::GET).send().await.unwrap(),
            stranger.request(Method::DELETE).send().await.unwrap(),
        ] {
            assert_eq!(response.status(), 404, "{path}");
            let body: Value = response.json().await.unwrap();
            assert!(body["error"]["code"].is_i64(), "{path}: {body}");
        }
    }
    assert_eq!(status(&ada, 2).await, 200, "and nobody has ended it");
    served.end().await;
}
