//! Names of tools that two servers share, or that no client takes.

use std::collections::BTreeSet;

use dormouse::Scope;
use dormouse_testing::python;
use dormouse_tests::{Served, TestSpace};
use serde_json::{Value, json};

use crate::client::{Mcp, rogue, still_well};

async fn listed(client: &Mcp) -> Vec<Value> {
    let answer = client.ask(1, "tools/list", json!({})).await;
    answer.last()["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_two_servers_share_lead_to_both() {
    let space = TestSpace::new();
    let script = space.write("rogue.py", include_str!("rogue.py"));
    let entry = |tools: &[&str]| {
        let args: Vec<Value> =
            [json!("-u"), json!(script)].into_iter().chain(tools.iter().map(|t| json!(t))).collect();
        json!({ "command": python(), "args": args })
    };
    // `a` with `b_c` and `a_b` with `c` would both be `a_b_c`.
    let servers = json!({ "a": entry(&["b_c", "mine"]), "a_b": entry(&["c", "mine"]) });
    space.write("mcp.json", json!({ "mcpServers": servers }).to_string());
    let served = {
        let hub = space.hub(|_| {}).await;
        Served::of(space, hub).await
    };
    for (server, tool) in [("a", "b_c"), ("a_b", "c")] {
        served.knows(&Scope::Store, server, tool).await;
    }
    let (session, stateless) = (Mcp::newest(&served).await, Mcp::stateless(&served, "/mcp"));
    for client in [&session, &stateless] {
        let names: Vec<String> =
            listed(client).await.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
        let unique: BTreeSet<&String> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{names:?}");
        assert_eq!(names.len(), 26, "{names:?}");
        // Each name leads to one tool, which is told its own name.
        let called = |name: String| async move { client.call(1, &name, json!({})).await.text().to_owned() };
        let clashing: Vec<&String> = names.iter().filter(|name| name.starts_with("a_b_c")).collect();
        assert_eq!(clashing.len(), 2, "{names:?}");
        let mut reached = BTreeSet::new();
        for name in clashing {
            reached.insert(called(name.clone()).await);
        }
        assert_eq!(reached, BTreeSet::from(["b_c".to_owned(), "c".to_owned()]));
        assert_eq!(called("a_mine".to_owned()).await, "mine");
        assert_eq!(called("a_b_mine".to_owned()).await, "mine");
        // A bare name that two have is no name; the error says which there are.
        let answer = client.call(2, "mine", json!({})).await;
        answer.refused(200, -32602, json!(2));
        let candidates = answer.last()["error"].to_string();
        assert!(candidates.contains("a_mine") && candidates.contains("a_b_mine"), "{candidates}");
        // And one that nobody has is answered with what is near, and runs nothing.
        let answer = client.call(3, "a_mime", json!({})).await;
        answer.refused(200, -32602, json!(3));
        assert!(answer.last()["error"].to_string().contains("a_mine"), "{answer:?}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_no_client_takes_are_listed_as_others_and_called_as_they_are() {
    let long = "long".repeat(60);
    let odd = ["with blanks", "größe", "a/b", "a.b", "日本", &long, "-", "__", "quote\"d", "Echo"];
    // One with control characters is none that the hub knows.
    let served = rogue(&[&odd[..], &["new\nline"]].concat()).await;
    let (session, stateless) = (Mcp::newest(&served).await, Mcp::stateless(&served, "/mcp"));
    for client in [&session, &stateless] {
        let tools = listed(client).await;
        let legal = |name: &str| {
            (1..=64).contains(&name.len())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        let mut reached = BTreeSet::new();
        for tool in &tools {
            let name = tool["name"].as_str().unwrap();
            assert!(legal(name), "{name:?}");
            let own = tool["description"].as_str().unwrap().strip_prefix("Does ").unwrap();
            let own = own.strip_suffix('.').unwrap();
            if odd.contains(&own) {
                let answer = client.call(1, name, json!({})).await;
                assert_eq!(answer.text(), own, "{name:?}");
                reached.insert(own.to_owned());
            }
        }
        assert_eq!(reached.len(), odd.len(), "{tools:#?}");
    }
    still_well(served).await;
}
