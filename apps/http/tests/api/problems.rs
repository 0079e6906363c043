//! What goes wrong, as clients read it.

use axum::http::StatusCode;
use serde_json::Value;

use crate::support::{GREET, hub};

/// The problem without its title, for a snapshot.
fn brief(mut problem: Value) -> String {
    problem.as_object_mut().unwrap().shift_remove("title");
    serde_json::to_string(&problem).unwrap()
}

#[tokio::test]
async fn every_wrong_request_says_what_is_wrong() {
    let hub = hub(&[("greet.py", GREET)]).await;
    let mut said = String::new();
    for (line, body) in [
        ("GET /nothing", ""),
        ("PUT /tools", ""),
        ("POST /agents/a1/health", ""),
        ("GET /agents/a%20b/tools", ""),
        ("POST /query", "{"),
        ("POST /query", "{}"),
        ("POST /query", r#"{"query": 7}"#),
        ("POST /query", r#"{"query": "  "}"#),
        ("POST /query", r#"{"query": "x", "session_id": ""}"#),
        ("GET /tools/search", ""),
        ("POST /tools/gret/call", "{}"),
        ("POST /tools/greet/call", r#"{"arguments": {"name": {}}}"#),
        ("POST /tools/greet/call", r#"{"argumnets": {}}"#),
        ("POST /tools/greet/call", r#"{"timeout_ms": 0}"#),
        ("POST /tools/greet/call", r#"{"idempotency_key": "k"}"#),
        ("POST /tools/greet/call", r#"{"server_name": "gret"}"#),
        ("GET /servers/gret", ""),
        ("POST /servers/gret/attach", ""),
        ("GET /servers/greet/wait?state=asleep", ""),
        ("GET /servers/greet/wait?state=warning&timeout_ms=1", ""),
        ("GET /servers/greet/wait?state=warning&change=true", ""),
        ("POST /servers/gret/check", ""),
        ("POST /servers/greet/disconnect", r#"{"why":"x"}"#),
        ("POST /alerts", r#"{"title":""}"#),
        ("DELETE /agents/a1/alerts", ""),
        ("GET /events/recent?limit=0", ""),
        ("PATCH /supervision", r#"{"probe_seconds":1,"colour":"red"}"#),
        ("GET /agents/a1/supervision", ""),
        ("DELETE /servers/gret", ""),
        ("POST /servers/register", r#"{"name": "x", "script_path": "servers/missing.py"}"#),
        ("POST /servers/register", r#"{"name": "a b", "script_path": "servers/greet.py"}"#),
        ("POST /agents/a1/servers", r#"{"name": "x", "command": "true", "url": "http://127.0.0.1:1/"}"#),
        ("DELETE /tokens/x", ""),
        ("POST /tokens", r#"{"name": ""}"#),
    ] {
        let answer = hub.ask(line, &[("content-type", "application/json")], body).await;
        answer.code();
        said.push_str(&format!("{line} {body}\n  {}\n", brief(answer.json())));
    }
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn a_script_is_only_taken_from_a_drop_folder_and_only_once() {
    let hub = hub(&[("greet.py", GREET), ("other.py", GREET), ("empty.py", "x = 1")]).await;
    std::fs::write(hub.space.path().join("outside.py"), GREET).unwrap();
    let register = async |name: &str, path: &str| {
        let body = serde_json::json!({ "name": name, "script_path": path }).to_string();
        hub.post("/servers/register", &body).await
    };
    let first = register("hello", "servers/greet.py").await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.json()["tools_discovered"], serde_json::json!(["greet"]));
    assert_eq!(register("hello", "servers/greet.py").await.status, StatusCode::OK);
    assert_eq!(register("hello", "servers/other.py").await.code(), "name_conflict");
    assert_eq!(register("out", "outside.py").await.code(), "outside_drop_folder");
    assert_eq!(register("out", "/etc/passwd").await.code(), "outside_drop_folder");
    assert_eq!(register("empty", "servers/empty.py").await.code(), "not_a_server");
}

#[tokio::test]
async fn what_is_too_large_or_no_json_is_refused() {
    let mut hub = hub(&[]).await;
    hub.settings.max_body_bytes = 1000;
    let long = format!(r#"{{"query": "{}"}}"#, "x".repeat(1000));
    assert_eq!(hub.post("/query", &long).await.code(), "body_too_large");
    hub.settings.max_body_bytes = 1_000_000;
    let long = format!(r#"{{"query": "{}"}}"#, "x".repeat(100_000));
    assert_eq!(hub.post("/query", &long).await.code(), "query_too_long");
    let session = format!("/chat/history/{}", "x".repeat(10_000));
    assert_eq!(hub.get(&session).await.code(), "uri_too_long");
    assert_eq!(hub.get(&session[..1000]).await.code(), "invalid_name");
    let form = [("content-type", "text/plain")];
    assert_eq!(hub.ask("POST /query", &form, r#"{"query": "x"}"#).await.code(), "unsupported_media_type");
    assert_eq!(hub.ask("POST /query", &[], r#"{"query": "x"}"#).await.code(), "unsupported_media_type");
    assert_eq!(hub.ask("POST /tools/x/call", &[], "{}").await.code(), "unsupported_media_type");
    assert_eq!(hub.ask("POST /tools/x/call", &[], "").await.code(), "unknown_tool");
}
