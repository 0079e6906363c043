//! Addresses that results name and no list does.

use dormouse::Scope;
use dormouse_testing::python;
use dormouse_tests::{Served, TestSpace};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, REVISIONS, script};

const HIDDEN: &str = "made://up/on/the/way";

/// A server whose tool links to what it lists nowhere, and that reads whatever it is asked for.
fn server(space: &TestSpace, name: &str) -> Value {
    let tool = json!({ "name": "link", "inputSchema": { "type": "object" } });
    let says = json!({
        "initialize": { "result": {
            "protocolVersion": "2025-11-25", "serverInfo": { "name": name, "version": "1" },
            "capabilities": { "tools": {}, "resources": {} },
        } },
        "tools/list": { "result": { "tools": [tool] } },
        "resources/list": { "result": { "resources": [] } },
        "resources/templates/list": { "result": { "resourceTemplates": [] } },
        "tools/call link": { "result": {
            "content": [{ "type": "resource_link", "uri": HIDDEN, "name": "found" }],
        } },
        "resources/read": { "result": {
            "contents": [{ "uri": HIDDEN, "text": format!("of {name}") }],
        } },
    });
    let file = space.write(&format!("{name}.json"), says.to_string());
    let notes = space.write(&format!("{name}.notes"), "");
    json!({ "command": python(), "args": [script("raw.py"), "stdio", file, notes] })
}

#[tokio::test]
async fn what_a_result_links_to_is_read_at_the_server_that_named_it() {
    let space = TestSpace::new();
    let servers = json!({ "one": server(&space, "one"), "two": server(&space, "two") });
    space.write("mcp.json", json!({ "mcpServers": servers }).to_string());
    let hub = space.hub(|_| {}).await;
    let served = Served::of(space, hub).await;
    for server in ["one", "two"] {
        served.knows(&Scope::Store, server, "link").await;
        let path = format!("/servers/{server}/agents/ada");
        assert_eq!(served.send(Method::PUT, &path, json!({})).await.0, 200);
    }
    let ada = Client::of(&served, "/agents/ada/mcp", "2025-11-25", json!({})).await;
    let read = json!({ "uri": HIDDEN });
    let unknown = ada.ask("resources/read", read.clone()).await;
    assert_eq!(unknown.answer["error"]["code"], -32002, "nobody has named it: {unknown:#?}");
    for revision in REVISIONS {
        for (mode, call) in [("all", "two_link"), ("search", "call_tool"), ("all", "one_link")] {
            let client = Client::of(&served, &format!("/mcp?mode={mode}"), revision, json!({})).await;
            let arguments = if mode == "search" { json!({ "name": "two_link" }) } else { json!({}) };
            let linked = client.call(call, arguments).await;
            assert_eq!(linked.result()["content"][0]["uri"], HIDDEN, "{linked:#?}");
            let got = client.ask("resources/read", read.clone()).await;
            let expected = if call == "one_link" { "of one" } else { "of two" };
            let content = &got.result()["contents"][0];
            assert_eq!((&content["text"], &content["uri"]), (&json!(expected), &json!(HIDDEN)), "{revision}");
        }
    }
    let unknown = ada.ask("resources/read", read).await;
    assert_eq!(unknown.answer["error"]["code"], -32002, "it was named elsewhere: {unknown:#?}");
    served.end().await;
}
