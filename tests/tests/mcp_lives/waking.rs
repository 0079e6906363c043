//! Servers that take long to come up: what a client sees before they ever spoke, and what it hears
//! while they wake.

use std::path::Path;
use std::time::Duration;

use dormouse::Scope;
use dormouse_testing::Fixture;
use dormouse_tests::mcp_client::{Events, STATELESS};
use dormouse_tests::{Served, TestSpace, until};
use serde_json::{Value, json};

use crate::client::Client;

const PROGRESS: &str = "notifications/progress";
const BOTH_LIVES: [&str; 2] = ["2025-11-25", STATELESS];

#[tokio::test]
async fn the_search_waits_for_servers_that_never_spoke_and_its_three_tools_do_not() {
    for revision in BOTH_LIVES {
        let space = TestSpace::new();
        space.fixtures(&[
            ("slow", Fixture::new().starts_after(Duration::from_secs(4)), json!({})),
            ("mute", Fixture::new().hangs_on("initialize"), json!({})),
        ]);
        let hub = space.hub(|_| {}).await;
        let served = Served::of(space, hub).await;
        let client = Client::of(&served, "/mcp?mode=search", revision, json!({})).await;
        assert_eq!(client.tools().await, ["call_tool", "describe_tool", "find_tools"]);
        assert_eq!(served.hub.store().connecting(), 2, "nothing was waited for");

        let described = client.call("describe_tool", json!({ "name": "slow_add" })).await;
        assert_eq!(described.result()["structuredContent"]["name"], "slow_add", "{described:#?}");
        let found = client.call("find_tools", json!({ "query": "adds two numbers" })).await;
        let found = &found.result()["structuredContent"];
        let tools = found["tools"].as_array().unwrap();
        assert!(tools.iter().any(|tool| tool["name"] == "slow_add"), "{found:#}");
        assert_eq!(found["connecting"], 1, "{found:#}");
        assert!(found["note"].is_string(), "{found:#}");
        served.end().await;
    }
}

#[tokio::test]
async fn one_server_introduces_itself_also_to_the_first_client() {
    for revision in BOTH_LIVES {
        let space = TestSpace::new();
        let slow = Fixture::new().title("a slow one").without_resources();
        space.fixtures(&[
            ("slow", slow.starts_after(Duration::from_secs(2)), json!({})),
            ("mute", Fixture::new().hangs_on("initialize"), json!({})),
        ]);
        let hub = space.hub(|_| {}).await;
        let served = Served::of(space, hub).await;
        let path = "/mcp?mode=single&server=slow";
        let told = if revision == STATELESS {
            let client = Client::of(&served, path, revision, json!({})).await;
            client.ask("server/discover", json!({})).await.result().clone()
        } else {
            let mcp = dormouse_tests::mcp_client::Mcp::new(&served, path);
            let response = mcp.send(&dormouse_tests::mcp_client::greeting(revision, json!({}))).await;
            response.json::<Value>().await.unwrap()["result"].take()
        };
        assert_eq!(told["serverInfo"]["name"], "a slow one", "{told:#}");
        let can = json!({ "tools": { "listChanged": true }, "logging": {} });
        assert_eq!(told["capabilities"], can, "what it announced, and nothing else");
        // The other one is nothing to this endpoint.
        let client = Client::of(&served, path, revision, json!({})).await;
        assert!(client.tools().await.contains(&"echo".to_owned()));
        assert_eq!(served.hub.store().connecting(), 1);
        if client.is_stateless() {
            let mute = Client::of(&served, "/mcp?mode=single&server=mute", revision, json!({})).await;
            let all = Client::of(&served, "/mcp", revision, json!({})).await;
            let search = Client::of(&served, "/mcp?mode=search", revision, json!({})).await;
            // The unknown ones are waited for: side by side.
            let asked = [
                (&client, "server/discover", 60_000),
                (&client, "tools/list", 60_000),
                (&search, "tools/list", 60_000),
                // What is not known yet may come at any moment.
                (&mute, "server/discover", 0),
                (&mute, "tools/list", 0),
                (&all, "server/discover", 0),
                (&all, "tools/list", 0),
                (&search, "prompts/list", 0),
            ];
            futures::future::join_all(asked.map(async |(client, method, ttl)| {
                let told = client.ask(method, json!({})).await;
                assert_eq!(told.result()["ttlMs"], ttl, "{method} at {}", client.mcp.url);
            }))
            .await;
        }
        served.end().await;
    }
}

/// A server that does not begin before a file is there, and takes some seconds then.
fn gated(space: &TestSpace, gate: &Path) {
    let mut entry = Fixture::new().starts_after(Duration::from_secs(2)).entry();
    let wait = "while [ ! -e \"$0\" ]; do sleep 0.05; done; exec \"$@\"";
    let program = entry["command"].take();
    let mut args = vec![json!("-c"), json!(wait), json!(gate), program];
    args.extend(entry["args"].as_array().unwrap().iter().cloned());
    let entry = json!({ "command": "/bin/sh", "args": args });
    space.write("mcp.json", json!({ "mcpServers": { "slow": entry } }).to_string());
}

fn is_asleep(served: &Served) -> bool {
    served.hub.store().servers().iter().all(|it| it.status.pid.is_none())
}

#[tokio::test]
async fn who_asks_for_progress_hears_of_a_long_wake_while_it_lasts() {
    let space = TestSpace::new();
    let gate = space.write("gate", "");
    gated(&space, &gate);
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "slow", "count").await;
    until("it sleeps", || is_asleep(&served)).await;
    std::fs::remove_file(&gate).unwrap();

    let (mut waiting, revisions) = (Vec::new(), ["2024-11-05", "2025-06-18", "2025-11-25", STATELESS]);
    for revision in revisions {
        let client = Client::of(&served, "/mcp", revision, json!({})).await;
        let params = json!({
            "name": "slow_count", "arguments": { "steps": 3 }, "_meta": { "progressToken": revision },
        });
        let mut events = Events::of(client.request(5, "tools/call", params).send().await.unwrap());
        let first = events.message().await;
        assert_eq!(
            (&first["method"], &first["params"]["progressToken"]),
            (&json!(PROGRESS), &json!(revision))
        );
        assert!(first["params"]["message"].is_string(), "{first}");
        waiting.push((client, events, vec![first]));
    }
    // All of them were told, and the server has not even begun.
    std::fs::write(&gate, "").unwrap();
    for (client, mut events, mut told) in waiting {
        let answer = loop {
            let message = events.message().await;
            if message.get("method").is_none() {
                break message;
            }
            told.push(message);
        };
        let revision = client.mcp.revision.as_str();
        assert_eq!(
            (&answer["id"], &answer["result"]["content"][0]["text"]),
            (&json!(5), &json!("counted to 3"))
        );
        let steps: Vec<&Value> =
            told.iter().filter(|it| it["method"] == PROGRESS).map(|it| &it["params"]).collect();
        assert!(steps.iter().all(|step| step["progressToken"] == revision), "{revision}: {told:#?}");
        let values: Vec<f64> = steps.iter().map(|step| step["progress"].as_f64().unwrap()).collect();
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{revision}: {values:?}");
        let own: Vec<&str> = steps
            .iter()
            .filter(|step| step["total"] == 3)
            .map(|step| step["message"].as_str().unwrap())
            .collect();
        assert_eq!(own, ["step 1", "step 2", "step 3"], "{revision}: {told:#?}");
        assert!(events.rest().await.iter().all(|event| event.is_priming()), "nothing comes after the answer");
    }
    served.end().await;
}
