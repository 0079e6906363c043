//! Servers of others, as they come from npm and PyPI, behind a hub: each is added by its entry,
//! listed while it sleeps after its first contact, called, put to sleep, and called again.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::time::{Duration, Instant};

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use dormouse::IdleSetting;
use dormouse_tests::peers::{self, PeerServer};
use dormouse_tests::{Served, TestSpace, shipped};
use futures::future::BoxFuture;
use serde_json::{Value, json};

/// The life of one server in a hub; what its process printed beside MCP while it was awake.
async fn check(space: TestSpace, server: PeerServer) -> Value {
    let hub = space.hub(|config| config.timing.idle_seconds = IdleSetting::Seconds(1.0)).await;
    let served = Served::of(space, hub).await;
    let PeerServer { name, mut entry, calls } = server;
    let stays_awake = entry["dormouse"]["idle_seconds"] == "never";
    entry["name"] = json!(name);
    let (status, added) = served.post("/servers", entry).await;
    assert_eq!(status, 201, "{added:#}");

    first_contact(&served, name).await;
    if stays_awake {
        detach(&served, name).await;
    }
    let asleep = format!("/servers/{name}/wait?state=dormant&timeout_ms=240000");
    served.see(&asleep).await;
    let listed = served.names("/tools", "full_name").await;

    let mut output = Value::Null;
    for way in [by_rest, by_mcp] {
        assert_eq!(served.see(&format!("/servers/{name}")).await["pid"], Value::Null);
        for call in &calls {
            let full_name = format!("{name}_{}", call.tool);
            assert!(listed.contains(&full_name), "{listed:?}");
            let answer = way(&served, full_name, call.arguments.clone()).await;
            assert!(answer.to_string().contains(call.says), "{}: {answer:#}", call.tool);
        }
        output = served.see(&format!("/servers/{name}/output")).await;
        detach(&served, name).await;
        served.see(&asleep).await;
        assert_eq!(served.names("/tools", "full_name").await, listed);
    }
    let tools = mcp(&served, "tools/list", None, json!({})).await;
    let mut offered: Vec<_> = tools["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    offered.sort_by_key(|name| name.as_str());
    assert_eq!(json!(offered), json!(listed));
    served.end().await;
    output
}

async fn detach(served: &Served, name: &str) {
    let (status, server) = served.post(&format!("/servers/{name}/detach"), "").await;
    assert_eq!(status, 200, "{server:#}");
}

/// A call by the hub's own HTTP API.
fn by_rest(served: &Served, tool: String, arguments: Value) -> BoxFuture<'_, Value> {
    Box::pin(async move {
        let (status, answer) =
            served.post(&format!("/tools/{tool}/call"), json!({ "arguments": arguments })).await;
        assert_eq!((status, &answer["outcome"]), (200, &json!("ok")), "{tool}: {answer:#}");
        answer
    })
}

/// A call by MCP.
fn by_mcp(served: &Served, tool: String, arguments: Value) -> BoxFuture<'_, Value> {
    Box::pin(async move {
        let params = json!({ "name": tool, "arguments": arguments });
        let result = mcp(served, "tools/call", Some(&tool), params).await;
        assert_ne!(result["isError"], true, "{tool}: {result:#}");
        result
    })
}

/// What the hub's endpoint of MCP answers to a request of its newest revision.
async fn mcp(served: &Served, method: &str, name: Option<&str>, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut request = served.http.post(format!("{}/mcp", served.address));
    for (header, value) in [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ] {
        request = request.header(header, value);
    }
    if let Some(name) = name {
        request = request.header("mcp-name", name);
    }
    let text = request.body(message.to_string()).send().await.unwrap().text().await.unwrap();
    // An answer that took long is the last event of a stream.
    let last = text.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&text);
    let answer: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(answer["result"].is_object(), "{text}");
    answer["result"].clone()
}

/// Waits until its tools are known. The slowest starts for a minute where two more are starting.
async fn first_contact(served: &Served, name: &str) {
    let began = Instant::now();
    let path = format!("/servers/{name}");
    loop {
        let server = served.see(&path).await;
        if server["tool_count"] != 0 {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(240), "{server:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_everything_sleeps_and_wakes() {
    check(TestSpace::new(), peers::everything()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_filesystem_sleeps_and_wakes() {
    let space = TestSpace::new();
    let server = peers::filesystem(&space.root());
    check(space, server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_memory_sleeps_and_wakes() {
    let space = TestSpace::new();
    let server = peers::memory(&space.root());
    check(space, server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sequential_thinking_sleeps_and_wakes() {
    check(TestSpace::new(), peers::sequential_thinking()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_server_time_sleeps_and_wakes() {
    check(TestSpace::new(), peers::time()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_server_git_sleeps_and_wakes() {
    let space = TestSpace::new();
    let made = tokio::process::Command::new("git").args(["init", "--quiet"]).arg(space.root()).status().await;
    assert!(made.unwrap().success());
    let server = peers::git(&space.root());
    check(space, server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn office_word_mcp_server_sleeps_and_wakes_in_spite_of_its_noise() {
    let space = TestSpace::new();
    let server = peers::word(&space.root());
    let output = check(space, server).await;
    assert!(output.to_string().contains("Server running on stdio transport"), "{output:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn excel_mcp_server_sleeps_and_wakes() {
    let space = TestSpace::new();
    let server = peers::excel(&space.root());
    check(space, server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn math_mcp_sleeps_and_wakes_however_long_it_takes() {
    check(TestSpace::new(), peers::math()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn playwright_mcp_shows_a_page_in_a_real_browser() {
    let page = "<title>Winter</title><h1>asleep</h1>";
    let address = shipped::listen(Router::new().route("/", get(move || async move { Html(page) }))).await;
    let space = TestSpace::new();
    let server = peers::playwright(&space.root(), &address);
    check(space, server).await;
}
