//! Clients that take a list as a whole or not at all: the SDKs for Python and TypeScript, 1.x.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;

use dormouse::Scope;
use dormouse_testing::{environment, python};
use dormouse_tests::mcp_client::STATELESS;
use dormouse_tests::{Served, TestSpace, peers, repository};
use serde_json::{Value, json};

use crate::client::{Client, Web, all_capabilities};

fn node(script: &str) -> Vec<PathBuf> {
    let node = environment("node").with_file_name("node");
    vec![node, repository("tests/clients").join(script), peers::npm_folder()]
}

/// What both clients say of what they list at an address, and of calls of these tools.
async fn told_by_both(url: &str, tools: &[&str]) -> [Vec<Value>; 2] {
    let drivers = [vec![environment("mcp1"), repository("tests/clients/lists.py")], node("lists.mjs")];
    let mut told = Vec::new();
    for driver in drivers {
        let output = tokio::process::Command::new(&driver[0])
            .args(&driver[1..])
            .args(["", url])
            .args(tools)
            .env("NO_PROXY", "127.0.0.1")
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {printed}\n{said}", driver[1].display());
        told.push(printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect());
    }
    told.try_into().unwrap()
}

fn names(told: &[Value], of: &str) -> Vec<String> {
    let line = told.iter().find(|line| line["tried"] == of).unwrap_or_else(|| panic!("{of} in {told:#?}"));
    serde_json::from_value(line["names"].clone()).unwrap()
}

#[tokio::test]
async fn a_sloppy_server_costs_no_client_the_lists_of_others() {
    let space = TestSpace::new();
    let rogue = repository("tests/tests/mcp_bad_input/rogue.py");
    let lives = crate::client::script("server.py");
    let servers = json!({
        "rogue": { "command": python(), "args": ["-u", rogue, "--sloppy"] },
        "good": { "command": environment("mcp2"), "args": [lives, "stdio"] },
    });
    space.write("mcp.json", json!({ "mcpServers": servers }).to_string());
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "rogue", "echo").await;
    served.knows(&Scope::Store, "good", "echo").await;

    // What could be put right is there, and nothing else is missing.
    let unfit: HashSet<_> = (8..13).map(|number| format!("rogue_tool_inputSchema_{number}")).collect();
    let listed = Client::of(&served, "/mcp", STATELESS, json!({})).await;
    let tools = listed.list("tools/list", "tools").await;
    let listed: HashSet<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    for number in 0..8 {
        assert!(listed.contains(&format!("rogue_tool_inputSchema_{number}")), "{number}: {listed:?}");
    }
    assert!(listed.is_disjoint(&unfit), "{listed:?}");
    for told in told_by_both(&format!("{}/mcp", served.address), &[]).await {
        let tools = names(&told, "tools");
        assert_eq!(tools.iter().cloned().collect::<HashSet<_>>(), listed, "{told:#?}");
        for (of, kind, count) in
            [("prompts", "prompt", 21), ("resources", "resource", 29), ("templates", "template", 26)]
        {
            let names = names(&told, of);
            let theirs = names.iter().filter(|name| name.contains(&format!("{kind}_"))).count();
            assert_eq!(theirs, count, "{of}: {names:#?}");
            assert!(names.len() > theirs, "those of the good one are there too: {names:#?}");
        }
    }
    served.end().await;
}

#[tokio::test]
async fn structured_results_that_are_no_objects_reach_older_clients_within_one() {
    let modern = node("upstream_ts2.mjs");
    let web = Web::of(Command::new(&modern[0]).args(&modern[1..]));
    let space = TestSpace::new();
    space.write("mcp.json", json!({ "mcpServers": { "modern": { "url": web.url } } }).to_string());
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    served.knows(&Scope::Store, "modern", "numbers").await;
    let tree = json!([{ "name": "a", "next": [{ "name": "b", "next": [] }] }]);
    let results = [
        ("modern_numbers", json!([1, 2]), true),
        ("modern_tree", tree, true),
        ("modern_either", json!({ "a": 1 }), true),
        ("modern_plain", json!({ "a": 1 }), false),
    ];

    let tools = results.each_ref().map(|(tool, ..)| *tool);
    for told in told_by_both(&format!("{}/mcp", served.address), &tools).await {
        for (tool, structured, is_wrapped) in &results {
            let call = told.iter().find(|line| line["tool"] == *tool).unwrap();
            assert_eq!(call["schema"]["type"], "object", "{call:#}");
            let expected = if *is_wrapped { json!({ "result": structured }) } else { structured.clone() };
            assert_eq!(call["structured"], expected, "{call:#}");
        }
    }

    // Who knows any value gets it as it is.
    let client = Client::of(&served, "/mcp", STATELESS, all_capabilities()).await;
    let listed = client.list("tools/list", "tools").await;
    let numbers = listed.iter().find(|tool| tool["name"] == "modern_numbers").unwrap();
    assert_eq!(numbers["outputSchema"]["type"], "array", "{numbers:#}");
    for (tool, structured, _) in &results {
        let called = client.call(tool, json!({})).await;
        assert_eq!(called.result()["structuredContent"], *structured, "{called:#?}");
    }

    // Also where the tools stand behind others.
    for (revision, is_wrapped) in [("2025-11-25", true), (STATELESS, false)] {
        let client = Client::of(&served, "/mcp?mode=search", revision, json!({})).await;
        let described = client.call("describe_tool", json!({ "name": "modern_either" })).await;
        let schema = &described.result()["structuredContent"]["outputSchema"];
        assert_eq!(schema["type"] == "object", is_wrapped, "{described:#?}");
        let called = client.call("call_tool", json!({ "name": "modern_either", "arguments": {} })).await;
        let structured = &called.result()["structuredContent"];
        assert_eq!(structured.get("result").is_some(), is_wrapped, "{called:#?}");
    }
    served.end().await;
}
