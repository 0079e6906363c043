//! Tokens over the API.

use axum::http::StatusCode;
use serde_json::json;

use crate::support::hub;

#[tokio::test]
async fn a_token_is_shown_once_and_opens_what_it_says() {
    let hub = hub(&[]).await;
    let made = hub.post("/tokens", r#"{"name": "ci", "agent": "a1"}"#).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    assert_eq!((&made["scope"], &made["agent"]), (&json!("agent"), &json!("a1")));
    let agents = format!("Bearer {}", made["token"].as_str().unwrap());
    assert_eq!(
        hub.ask("GET /agents/a1/health", &[("authorization", &agents)], "").await.status,
        StatusCode::OK
    );

    let store = hub.token("me", dormouse::Scope::Store).await;
    let headers = [("authorization", store.as_str()), ("content-type", "application/json")];
    let list = hub.ask("GET /tokens", &headers, "").await;
    assert!(!String::from_utf8_lossy(&list.body).contains(made["token"].as_str().unwrap()));
    assert_eq!(list.json()[0]["name"], "ci");
    assert_eq!(hub.ask("POST /tokens", &headers, r#"{"name": "ci"}"#).await.code(), "name_conflict");
    let revoked = hub.ask("DELETE /tokens/ci", &headers, "").await.json();
    assert_eq!(revoked, json!({"revoked": "ci"}));
    let answer = hub.ask("GET /agents/a1/health", &[("authorization", &agents)], "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}
