//! What a client missed while nobody read its stream, it hears when it comes again: at this hub or at
//! the next. And how many sessions there may be.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::time::Duration;

use bytes::Bytes;
use dormouse::{Config, Hub};
use dormouse_gateway::http::{Body, Limits, serve};
use dormouse_gateway::{Gateway, Mode};
use dormouse_testing::{Fixture, Space};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const TOOLS: &str = "notifications/tools/list_changed";

async fn hub(space: &Space) -> Hub {
    hub_with(space, |_| {}).await
}

async fn hub_with(space: &Space, change: impl FnOnce(&mut Config)) -> Hub {
    let mut config = Config { model: "none".to_owned(), keyring: false, ..Config::default() };
    change(&mut config);
    let hub = Hub::builder().space(space.path()).config(config).open().await.unwrap();
    hub.store().first_contacts(PATIENCE).await;
    hub
}

async fn send(
    gateway: &Gateway,
    hub: &Hub,
    method: &str,
    session: Option<&str>,
    body: Value,
) -> Response<Body> {
    let endpoint = gateway.endpoint(hub.store(), Mode::All).unwrap();
    let mut request =
        Request::builder().method(method).uri("/mcp").header("content-type", "application/json").header(
            "accept",
            if method == "GET" { "text/event-stream" } else { "application/json, text/event-stream" },
        );
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    serve(&endpoint, request.body(Full::new(body)).unwrap(), Limits::default()).await
}

fn hello() -> Value {
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {} });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })
}

async fn greeted(gateway: &Gateway, hub: &Hub) -> String {
    let response = send(gateway, hub, "POST", None, hello()).await;
    response.headers()["mcp-session-id"].to_str().unwrap().to_owned()
}

async fn stream(gateway: &Gateway, hub: &Hub, session: &str) -> Body {
    let response = send(gateway, hub, "GET", Some(session), Value::Null).await;
    assert_eq!(response.status(), 200);
    response.into_body()
}

/// Reads until this is said.
async fn hears(stream: &mut Body, method: &str) {
    let heard = async {
        let mut text = String::new();
        while !text.contains(method) {
            let frame = stream.frame().await.expect("the stream goes on").unwrap();
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    };
    assert!(tokio::time::timeout(PATIENCE, heard).await.is_ok(), "{method} is told");
}

#[tokio::test]
async fn a_change_that_nobody_read_is_told_by_the_next_hub() {
    let space = Space::new();
    let hub = hub(&space).await;
    let gateway = Gateway::new(&hub);
    let (away, there) = (greeted(&gateway, &hub).await, greeted(&gateway, &hub).await);
    // Its stream was open once, and is kept for it.
    drop(stream(&gateway, &hub, &away).await);
    let mut reads = stream(&gateway, &hub, &there).await;
    hub.store().add("two".parse().unwrap(), Fixture::new().entry()).await.unwrap();
    hears(&mut reads, TOOLS).await;
    // Who greeted later was told later: the other one's turn has been, too.
    drop(reads);
    gateway.end();
    let next = Gateway::new(&hub);
    let mut reads = stream(&next, &hub, &away).await;
    hears(&mut reads, TOOLS).await;
    drop(reads);
    next.end();
    hub.shutdown().await;
}

#[tokio::test]
async fn one_session_too_many_ends_the_one_that_was_used_longest_ago() {
    let space = Space::new();
    let hub = hub_with(&space, |config| config.mcp.max_sessions = 2).await;
    let gateway = Gateway::new(&hub);
    let status = async |session: &str| {
        let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        send(&gateway, &hub, "POST", Some(session), ping).await.status().as_u16()
    };
    let first = greeted(&gateway, &hub).await;
    let reads = stream(&gateway, &hub, &first).await;
    let second = greeted(&gateway, &hub).await;
    let third = greeted(&gateway, &hub).await;
    assert_eq!((status(&first).await, status(&second).await, status(&third).await), (200, 404, 200));
    let reads_too = stream(&gateway, &hub, &third).await;
    let refused = send(&gateway, &hub, "POST", None, hello()).await;
    assert!(!refused.headers().contains_key("mcp-session-id"));
    let refused = refused.into_body().collect().await.unwrap().to_bytes();
    let refused: Value = serde_json::from_slice(&refused).unwrap();
    assert!(refused["error"]["message"].as_str().unwrap().contains("mcp.max_sessions"), "{refused}");
    drop((reads, reads_too));
    greeted(&gateway, &hub).await;
    gateway.end();
    hub.shutdown().await;
}
