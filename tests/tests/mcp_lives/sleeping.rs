//! Tools that sleep are listed, a call wakes them, and clients hear of true changes only.

use dormouse::Scope;
use dormouse_http::{HttpSettings, Listening};
use dormouse_testing::{Fixture, scripts};
use dormouse_tests::mcp_client::{Events, STATELESS};
use dormouse_tests::{Served, TestSpace, until};
use serde_json::{Value, json};

use crate::client::{Client, REVISIONS};

const TOOLS: &str = "notifications/tools/list_changed";
const PROMPTS: &str = "notifications/prompts/list_changed";

/// A script that serves one thing.
fn serving(what: &str, name: &str, schema: &str) -> String {
    let header = "# /// script\n# dependencies = [\"mcp>=2\"]\n# ///\nfrom mcp.server import MCPServer\n";
    format!(
        "{header}\nmcp = MCPServer(\"s\")\n\n\n@mcp.{what}()\ndef {name}({schema}) -> str:\n    return \"x\"\n\n\nmcp.run()\n"
    )
}

fn is_asleep(served: &Served, server: &str) -> bool {
    let servers = served.hub.store().servers();
    let one = servers.iter().find(|it| it.name == server).unwrap();
    one.status.pid.is_none()
}

/// The stream on which a client hears of changes.
async fn hearing(client: &Client) -> Events {
    if client.is_stateless() {
        let all =
            json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true });
        let (events, accepted) = client.listen(900, all.clone()).await;
        assert_eq!(accepted, all);
        events
    } else {
        client.mcp.listen(None).await
    }
}

/// The next message that is said to it; of the stateless life, with the name of its subscription.
async fn heard(client: &Client, events: &mut Events) -> String {
    let message = events.message().await;
    if client.is_stateless() {
        assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 900, "{message}");
    }
    assert!(message.get("id").is_none(), "{message}");
    message["method"].as_str().unwrap().to_owned()
}

/// A hub with a script and a configured server, both known and asleep.
async fn two_asleep() -> Served {
    let space = TestSpace::new();
    space.write("servers/sums.py", scripts::ARITHMETIC);
    space.fixtures(&[("fix", Fixture::new(), json!({}))]);
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "fix", "echo").await;
    served.knows(&Scope::Store, "sums", "add").await;
    until("both sleep", || is_asleep(&served, "fix") && is_asleep(&served, "sums")).await;
    served
}

#[tokio::test]
async fn a_call_wakes_what_was_listed_asleep_and_nobody_is_told_of_a_change() {
    let served = two_asleep().await;
    let mut ears = Vec::new();
    for revision in ["2025-03-26", "2025-11-25", STATELESS] {
        let client = Client::of(&served, "/mcp", revision, json!({})).await;
        let events = hearing(&client).await;
        ears.push((client, events));
    }
    let before = ears[0].0.list("tools/list", "tools").await;
    for (client, _) in &ears {
        for (tool, arguments, answer) in [
            ("fix_count", json!({ "steps": 3 }), "counted to 3"),
            ("sums_add", json!({ "a": 1, "b": 2 }), "3.0"),
        ] {
            let server = tool.split_once('_').unwrap().0;
            until("it sleeps", || is_asleep(&served, server)).await;
            let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": "t" } });
            let told = client.ask("tools/call", params).await;
            assert_eq!(told.text(), answer, "{told:#?}");
            let steps = told.of("notifications/progress");
            let waking = steps.iter().filter(|it| it["total"].is_null());
            assert!(
                waking.clone().count() > 0 && waking.clone().all(|it| it["message"].is_string()),
                "{told:#?}"
            );
            let values: Vec<f64> = steps.iter().map(|it| it["progress"].as_f64().unwrap()).collect();
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
            until("it sleeps again", || is_asleep(&served, server)).await;

            let quiet = client.call(tool, arguments).await;
            let steps = quiet.of("notifications/progress");
            assert_eq!(
                (quiet.text(), steps.len()),
                (answer, 0),
                "who does not ask hears no progress: {quiet:#?}"
            );
            until("it sleeps again", || is_asleep(&served, server)).await;
        }
    }
    let after = ears[0].0.list("tools/list", "tools").await;
    assert_eq!(before.len(), after.len());
    // The first that anybody hears is a true change.
    served.space.write("servers/hello.py", serving("prompt", "hello", "name: str"));
    for (client, events) in &mut ears {
        assert_eq!(heard(client, events).await, PROMPTS, "{}", client.mcp.revision);
    }
    served.end().await;
}

#[tokio::test]
async fn what_is_added_changed_and_removed_is_told_in_both_lives() {
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    let mut ears = Vec::new();
    for revision in REVISIONS {
        let client = Client::of(&served, "/mcp", revision, json!({})).await;
        let events = hearing(&client).await;
        ears.push((client, events));
    }
    let file = served.space.root().join("servers/one.py");
    let schema = |client: Vec<Value>| client.first().map(|it| it["inputSchema"]["required"].clone());
    for (text, required) in [
        (Some(serving("tool", "it", "a: str")), Some(json!(["a"]))),
        (Some(serving("tool", "it", "b: str")), Some(json!(["b"]))),
        (None, None),
    ] {
        match text {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        for (client, events) in &mut ears {
            assert_eq!(heard(client, events).await, TOOLS, "{}", client.mcp.revision);
            assert_eq!(schema(client.list("tools/list", "tools").await), required, "{}", client.mcp.revision);
        }
    }
    // A comment changes no list.
    served.space.write("servers/two.py", format!("{}\n# One\n", serving("tool", "two", "")));
    for (client, events) in &mut ears {
        assert_eq!(heard(client, events).await, TOOLS, "{}", client.mcp.revision);
    }
    served.space.write("servers/two.py", format!("{}\n# Two\n", serving("tool", "two", "")));
    served.space.write("servers/hello.py", serving("prompt", "hello", "name: str"));
    for (client, events) in &mut ears {
        assert_eq!(heard(client, events).await, PROMPTS, "{}", client.mcp.revision);
    }
    served.end().await;
}

#[tokio::test]
async fn many_changes_of_one_moment_are_told_once() {
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    let mut ears = Vec::new();
    for revision in ["2025-11-25", STATELESS] {
        let client = Client::of(&served, "/mcp", revision, json!({})).await;
        let events = hearing(&client).await;
        ears.push((client, events));
    }
    let aside = served.space.root().join("aside");
    std::fs::create_dir(&aside).unwrap();
    let names: Vec<String> = (0..60).map(|n| format!("s{n:02}")).collect();
    for name in &names {
        std::fs::write(aside.join(format!("{name}.py")), serving("tool", "it", "a: str")).unwrap();
    }
    for name in &names {
        let name = format!("{name}.py");
        std::fs::rename(aside.join(&name), served.space.root().join("servers").join(&name)).unwrap();
    }
    let all: Vec<String> = names.iter().map(|name| format!("{name}_it")).collect();
    for (client, events) in &mut ears {
        assert_eq!(heard(client, events).await, TOOLS, "{}", client.mcp.revision);
        assert_eq!(client.tools().await, all, "all that changed is in the list by then");
    }
    served.space.write("servers/hello.py", serving("prompt", "hello", "name: str"));
    for (client, events) in &mut ears {
        assert_eq!(heard(client, events).await, PROMPTS, "{}", client.mcp.revision);
    }
    served.end().await;
}

#[tokio::test]
async fn who_opens_the_stream_later_is_told_what_changed_meanwhile() {
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    let client = Client::of(&served, "/mcp", "2025-11-25", json!({})).await;
    served.space.write("servers/one.py", serving("tool", "it", "a: str"));
    served.knows(&Scope::Store, "one", "it").await;
    let other = Client::of(&served, "/mcp", "2025-11-25", json!({})).await;
    served.space.write("servers/hello.py", serving("prompt", "hello", "name: str"));
    let known = || served.hub.registry().snapshot().servers(&Scope::Store).count() == 2;
    until("the prompt is known", known).await;
    let (mut first, mut second) = (hearing(&client).await, hearing(&other).await);
    let mut both = [heard(&client, &mut first).await, heard(&client, &mut first).await];
    both.sort();
    assert_eq!(both, [PROMPTS, TOOLS]);
    assert_eq!(heard(&other, &mut second).await, PROMPTS);
    served.end().await;
}

#[tokio::test]
async fn a_listener_hears_only_what_it_asked_for() {
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    let client = Client::of(&served, "/mcp", STATELESS, json!({})).await;
    let (mut events, accepted) =
        client.listen(5, json!({ "promptsListChanged": true, "toolsListChanged": false })).await;
    assert_eq!(accepted, json!({ "promptsListChanged": true }));
    served.space.write("servers/one.py", serving("tool", "it", "a: str"));
    served.knows(&Scope::Store, "one", "it").await;
    served.space.write("servers/hello.py", serving("prompt", "hello", "name: str"));
    let message = events.message().await;
    assert_eq!(message["method"], PROMPTS, "{message}");
    assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 5, "{message}");

    served.end().await;
}

#[tokio::test]
async fn when_the_hub_ends_a_subscription_has_a_result_and_a_session_s_stream_ends() {
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    let settings = HttpSettings::default();
    let ending = settings.ending.clone();
    let listening = Listening::on(&hub, "127.0.0.1", 0).await.unwrap();
    let address = format!("http://{}", listening.address().unwrap());
    let serving = tokio::spawn(listening.serve(hub.clone(), settings));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let served = Served { space, hub, address, http };
    let client = Client::of(&served, "/mcp", STATELESS, json!({})).await;
    let (mut events, _) = client.listen(5, json!({ "promptsListChanged": true })).await;
    let session = Client::of(&served, "/mcp", "2025-11-25", json!({})).await;
    let alone = session.mcp.listen(None).await;
    ending.cancel();
    let last = events.message().await;
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!(5), &json!("complete")), "{last}");
    assert_eq!(last["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 5, "{last}");
    assert!(alone.rest().await.iter().all(dormouse_tests::mcp_client::Event::is_priming));
    serving.await.unwrap().unwrap();
    served.end().await;
}

#[tokio::test]
async fn thousands_of_tools_come_in_pages_and_always_in_one_order() {
    let space = TestSpace::new();
    let (many, few) = (Fixture::new().extra_tools(2_300), Fixture::new().extra_tools(5));
    space.fixtures(&[("many", many, json!({})), ("a", few, json!({}))]);
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "many", "echo").await;
    served.knows(&Scope::Store, "a", "echo").await;
    let mut seen: Option<Vec<String>> = None;
    for revision in REVISIONS {
        let client = Client::of(&served, "/mcp", revision, json!({})).await;
        let first = client.ask("tools/list", json!({})).await;
        let page = first.result()["tools"].as_array().unwrap().len();
        assert!(page <= 1_000 && first.result()["nextCursor"].is_string(), "{page} at once");
        let all = client.tools().await;
        let mut sorted = all.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(all, sorted);
        assert!(all.len() > 2_305, "{}", all.len());
        assert_eq!(*seen.get_or_insert_with(|| all.clone()), all);
        let bad = client.ask("tools/list", json!({ "cursor": "nonsense" })).await;
        assert_eq!(bad.answer["error"]["code"], -32602, "{bad:#?}");
    }
    served.end().await;
}
