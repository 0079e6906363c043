//! The endpoint for MCP clients, seen from the door. What it says is tested end to end.

use axum::http::StatusCode;
use dormouse::{AgentId, Scope};
use serde_json::json;

use crate::support::{Answer, TestHub, hub};

const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const PATHS: [&str; 2] = ["/mcp", "/agents/a1/mcp"];

async fn hello(hub: &TestHub, path: &str, headers: &[(&str, &str)]) -> Answer {
    let headers = [&[("content-type", "application/json")], headers].concat();
    hub.ask(&format!("POST {path}"), &headers, HELLO).await
}

/// The code of a JSON-RPC error of the door.
fn code(answer: &Answer) -> String {
    assert_eq!(answer.headers["content-type"], "application/json", "{}", answer.status);
    let body = answer.json();
    assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &json!(null)));
    assert_eq!(body["error"]["code"], -32600);
    body["error"]["data"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn both_paths_greet() {
    let hub = hub(&[]).await;
    for path in PATHS {
        let answer = hello(&hub, path, &[]).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.headers.contains_key("mcp-session-id"));
        assert_eq!(answer.json()["result"]["protocolVersion"], "2025-11-25");
    }
    assert_eq!(code(&hello(&hub, "/agents/a%20b/mcp", &[]).await), "invalid_name");
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_in_the_clients_words() {
    let hub = hub(&[]).await;
    for path in PATHS {
        let answer = hello(&hub, path, &[("host", "evil.example")]).await;
        assert_eq!((answer.status, code(&answer)), (StatusCode::FORBIDDEN, "host_refused".into()));
        let answer = hello(&hub, path, &[("origin", "https://evil.example")]).await;
        assert_eq!((answer.status, code(&answer)), (StatusCode::FORBIDDEN, "origin_refused".into()));
        let answer = hello(&hub, path, &[("origin", "http://127.0.0.1:18200")]).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn who_needs_a_token_is_told_where_that_is_explained() {
    let mut hub = hub(&[]).await;
    for path in PATHS {
        // Without tokens there is nothing to explain.
        let metadata = format!("/.well-known/oauth-protected-resource{path}");
        assert_eq!(hub.get(&metadata).await.code(), "not_found");
    }
    let store = hub.token("me", Scope::Store).await;
    let agent = hub.token("a", Scope::Agent(AgentId::try_new("a1").unwrap())).await;
    hub.settings.allowed_hosts = vec!["hub.example".into()];
    for path in PATHS {
        let answer = hello(&hub, path, &[("host", "hub.example"), ("x-forwarded-proto", "https")]).await;
        assert_eq!((answer.status, code(&answer)), (StatusCode::UNAUTHORIZED, "unauthorized".into()));
        let told = format!("https://hub.example/.well-known/oauth-protected-resource{path}");
        assert_eq!(
            answer.headers["www-authenticate"],
            format!(r#"Bearer realm="dormouse", resource_metadata="{told}""#)
        );
        let metadata = hub.get(&format!("/.well-known/oauth-protected-resource{path}")).await.json();
        assert_eq!(metadata["resource"], format!("http://127.0.0.1:18200{path}"));
        assert_eq!(hello(&hub, path, &[("authorization", &store)]).await.status, StatusCode::OK);
    }
    let whole = hub.get("/.well-known/oauth-protected-resource").await.json();
    assert_eq!(whole["resource"], "http://127.0.0.1:18200");
    // Its tokens come from no authorisation server, unless one is named for what stands before it.
    assert_eq!(whole.get("authorization_servers"), None);
    hub.settings.authorization_servers = vec!["https://login.example".into()];
    let whole = hub.get("/.well-known/oauth-protected-resource").await.json();
    assert_eq!(whole["authorization_servers"], json!(["https://login.example"]));
    for odd in ["/", "/tools", "/agents/a%20b/mcp", "/agents/a/b/mcp"] {
        let odd = format!("/.well-known/oauth-protected-resource{odd}");
        assert_eq!(hub.get(&odd).await.status, StatusCode::NOT_FOUND, "{odd}");
    }
    assert_eq!(hello(&hub, "/agents/a1/mcp", &[("authorization", &agent)]).await.status, StatusCode::OK);
    for path in ["/mcp", "/agents/a2/mcp"] {
        let answer = hello(&hub, path, &[("authorization", &agent)]).await;
        assert_eq!((answer.status, code(&answer)), (StatusCode::FORBIDDEN, "forbidden".into()), "{path}");
    }
}

#[tokio::test]
async fn pages_of_named_origins_may_talk_mcp() {
    let mut hub = hub(&[]).await;
    hub.settings.allowed_origins = vec!["https://chat.example".into()];
    let asked = "content-type, authorization, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name, \
                 last-event-id, mcp-param-region";
    for method in ["GET", "POST", "DELETE"] {
        let preflight = [
            ("origin", "https://chat.example"),
            ("access-control-request-method", method),
            ("access-control-request-headers", asked),
        ];
        let answer = hub.ask("OPTIONS /mcp", &preflight, "").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["access-control-allow-origin"], "https://chat.example");
        assert!(answer.headers["access-control-allow-methods"].to_str().unwrap().contains(method));
        let allowed = answer.headers["access-control-allow-headers"].to_str().unwrap().to_owned();
        assert!(asked.split(", ").all(|name| allowed.contains(name.trim())), "{allowed}");
    }
    let answer = hello(&hub, "/mcp", &[("origin", "https://chat.example")]).await;
    let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("mcp-session-id") && exposed.contains("www-authenticate"), "{exposed}");
    let foreign = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    let answer = hub.ask("OPTIONS /mcp", &foreign, "").await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_path_takes_three_methods() {
    let hub = hub(&[]).await;
    let answer = hub.ask("PUT /mcp", &[], "").await;
    assert_eq!((answer.status, code(&answer)), (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed".into()));
    let allow = answer.headers["allow"].to_str().unwrap();
    assert!(["GET", "POST", "DELETE"].iter().all(|method| allow.contains(method)), "{allow}");
    assert_eq!(hub.get("/mcp/").await.code(), "not_found");
}
