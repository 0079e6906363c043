//! Who is let in.

use axum::http::StatusCode;
use dormouse::{AgentId, Scope};
use dormouse_http::{Door, router};

use crate::support::{hub, send};

#[tokio::test]
async fn loopback_without_tokens_is_open() {
    let hub = hub(&[]).await;
    for path in ["/tools", "/servers", "/health", "/agents/a1/tools", "/metrics", "/docs/", "/openapi.json"] {
        assert_eq!(hub.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_on_every_path() {
    let hub = hub(&[]).await;
    for path in ["/tools", "/health", "/docs/", "/nothing", "/agents/a1/tools"] {
        let line = format!("GET {path}");
        let answer = hub.ask(&line, &[("host", "evil.example")], "").await;
        assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "host_refused".into()), "{path}");
        let answer = hub.ask(&line, &[("origin", "https://evil.example")], "").await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::FORBIDDEN, "origin_refused".into()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn once_a_token_exists_all_but_health_need_one() {
    let hub = hub(&[]).await;
    let token = hub.token("me", Scope::Store).await;
    for path in ["/tools", "/metrics", "/docs/", "/openapi.json", "/nothing", "/agents/a1/health"] {
        let answer = hub.get(path).await;
        assert_eq!(answer.code(), "unauthorized", "{path}");
        assert_eq!(answer.headers["www-authenticate"], r#"Bearer realm="dormouse""#);
    }
    assert_eq!(hub.get("/health").await.status, StatusCode::OK);
    for wrong in ["Bearer x", "Basic x", "Bearer", ""] {
        let answer = hub.ask("GET /tools", &[("authorization", wrong)], "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{wrong}");
        let told = r#"Bearer realm="dormouse", error="invalid_token""#;
        assert_eq!(answer.headers["www-authenticate"], told);
        assert!(!String::from_utf8_lossy(&answer.body).contains("Bearer x"));
    }
    let right = [("authorization", token.as_str())];
    assert_eq!(hub.ask("GET /tools", &right, "").await.status, StatusCode::OK);
    hub.hub.tokens().revoke("me").await.unwrap();
    // The last one is gone, so the hub is open again.
    assert_eq!(hub.get("/tools").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_agents_token_opens_its_agent_only() {
    let hub = hub(&[]).await;
    let token = hub.token("a", Scope::Agent(AgentId::try_new("a1").unwrap())).await;
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    assert_eq!(hub.ask("GET /agents/a1/tools", &headers, "").await.status, StatusCode::OK);
    for line in [
        "GET /tools",
        "GET /agents/a2/tools",
        "GET /tokens",
        "POST /rescan",
        "POST /environments/clean",
        "GET /metrics",
        "GET /doctor",
    ] {
        let answer = hub.ask(line, &headers, "").await;
        let told = r#"Bearer realm="dormouse", error="insufficient_scope""#;
        assert_eq!(answer.headers["www-authenticate"], told);
        assert_eq!(answer.code(), "forbidden", "{line}");
    }
    let add = r#"{"name":"x","command":"true"}"#;
    assert_eq!(hub.ask("POST /agents/a1/servers", &headers, add).await.code(), "forbidden");
    assert_eq!(hub.ask("DELETE /agents/a1/servers/x?file=true", &headers, "").await.code(), "forbidden");
}

#[tokio::test]
async fn a_setting_asks_for_tokens_before_there_is_one() {
    let mut hub = hub(&[]).await;
    hub.settings.require_token = true;
    assert_eq!(hub.get("/tools").await.code(), "unauthorized");
}

#[tokio::test]
async fn the_local_socket_asks_for_nothing() {
    let hub = hub(&[]).await;
    hub.token("me", Scope::Store).await;
    let local = router(hub.hub.clone(), hub.settings.clone(), Door::Local);
    let answer = send(local, "GET /tools", &[("host", "hub")], "").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn only_named_origins_may_read_answers() {
    let mut hub = hub(&[]).await;
    let origin = [("origin", "https://chat.example")];
    let preflight = [origin[0], ("access-control-request-method", "POST")];
    assert!(
        !hub.ask("OPTIONS /query", &preflight, "").await.headers.contains_key("access-control-allow-origin")
    );

    hub.settings.allowed_origins = vec!["https://chat.example".into()];
    hub.token("me", Scope::Store).await;
    let answer = hub.ask("OPTIONS /query", &preflight, "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["access-control-allow-origin"], "https://chat.example");
    // The page may read why it is refused, too.
    let answer = hub.ask("GET /tools", &origin, "").await;
    assert_eq!(answer.code(), "unauthorized");
    assert_eq!(answer.headers["access-control-allow-origin"], "https://chat.example");
}
