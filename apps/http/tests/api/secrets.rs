//! What may be secret is not shown, and what is shown in its place is not stored.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, TestHub, hub};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Entries with a secret in every place that is known.
fn entries() -> Value {
    json!({
        "pipe": {
            "command": "/bin/false", "args": ["-y", "--api-key", "s3cret", "--token=s3cret", "-ps3cret", "${HOME}"],
            "env": {"TOKEN": "s3cret", "HOME_OF": "${HOME}"},
        },
        "web": {
            "url": "http://me:s3cret@127.0.0.1:9/mcp?api_key=s3cret", "bearer_token": "s3cret",
            "headers": {"X-Key": "s3cret"},
        },
    })
}

async fn with_entries() -> TestHub {
    let hub = hub(&[]).await;
    let added = hub.post("/config/servers", &json!({"mcpServers": entries()}).to_string()).await.json();
    assert_eq!(added["failed"], json!([]), "{added}");
    hub
}

fn stored(hub: &TestHub) -> Value {
    let text = std::fs::read_to_string(hub.space.path().join("mcp.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn refused(answer: Answer, place: &str) {
    let problem = answer.json();
    assert_eq!(answer.code(), "invalid_entry", "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(place) && detail.contains('…'), "{detail}");
}

#[tokio::test]
async fn no_secret_of_an_entry_is_shown_unless_it_is_asked_for() {
    let hub = with_entries().await;
    for path in [
        "/config",
        "/config/export",
        "/config/export?client=codex",
        "/servers/pipe/entry",
        "/servers/web/entry",
        "/servers",
        "/servers/web",
        "/doctor",
        "/alerts",
        "/events/recent",
    ] {
        let answer = hub.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("s3cret"), "{path}: {text}");
    }
    let shown = hub.get("/servers/pipe/entry").await.json();
    let args = json!(["-y", "--api-key", "…", "--token=…", "-p…", "${HOME}"]);
    assert_eq!(shown["entry"]["args"], args, "{shown}");
    let all = hub.get("/config/export?secrets=true").await.json();
    assert_eq!(all["servers"]["pipe"]["args"], entries()["pipe"]["args"], "{all}");
    hub.hub.shutdown().await;
}

#[tokio::test]
async fn an_answer_that_is_put_back_changes_nothing() {
    let hub = with_entries().await;
    let before = stored(&hub);
    for name in ["pipe", "web"] {
        let entry = hub.get(&format!("/servers/{name}/entry")).await.json()["entry"].take();
        for method in ["PUT", "PATCH"] {
            let put = hub.ask(&format!("{method} /servers/{name}"), &JSON, &entry.to_string()).await;
            assert_eq!(put.status, StatusCode::OK, "{method} {name}: {}", put.json());
            assert_eq!(stored(&hub), before, "{method} {name}");
        }
    }
    let config = hub.get("/config").await.json();
    let imported = hub.post("/config/import", &json!({"document": config}).to_string()).await.json();
    for entry in imported["entries"].as_array().unwrap() {
        assert_eq!(entry["outcome"], "unchanged", "{imported}");
    }
    assert_eq!(stored(&hub), before);
    // One member changes, and what is hidden stays.
    let mut entry = hub.get("/servers/pipe/entry").await.json()["entry"].take();
    entry["env"]["MORE"] = json!("new");
    let put = hub.ask("PUT /servers/pipe", &JSON, &entry.to_string()).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.json());
    let now = &stored(&hub)["mcpServers"]["pipe"];
    assert_eq!(now["env"], json!({"TOKEN": "s3cret", "HOME_OF": "${HOME}", "MORE": "new"}), "{now}");
    assert_eq!(now["args"], entries()["pipe"]["args"]);
    hub.hub.shutdown().await;
}

#[tokio::test]
async fn a_mask_is_refused_where_nothing_is_stored_for_it() {
    let hub = with_entries().await;
    let before = stored(&hub);
    let entry = json!({"command": "/bin/false", "env": {"OTHER": "…"}}).to_string();
    refused(hub.ask("PUT /servers/pipe", &JSON, &entry).await, "env.OTHER").await;
    refused(hub.ask("PATCH /servers/pipe", &JSON, &entry).await, "env.OTHER").await;
    let moved = json!({"args": ["--token=…", "--api-key", "…"]}).to_string();
    refused(hub.ask("PATCH /servers/pipe", &JSON, &moved).await, "args[0]").await;
    let elsewhere = json!({"url": "http://elsewhere.example/mcp?api_key=…"}).to_string();
    refused(hub.ask("PATCH /servers/web", &JSON, &elsewhere).await, "url").await;
    let new = json!({"name": "new", "command": "/bin/false", "args": ["…"]}).to_string();
    refused(hub.post("/servers", &new).await, "args[0]").await;
    let many = json!({"mcpServers": {"new": {"url": "http://127.0.0.1:9/mcp", "token": "…"}}});
    let added = hub.post("/config/servers", &many.to_string()).await.json();
    assert!(added["failed"][0]["reason"].as_str().unwrap().contains('…'), "{added}");
    let imported = hub.post("/config/import", &json!({"document": many}).to_string()).await.json();
    assert_eq!(imported["entries"][0]["outcome"], "refused", "{imported}");
    assert_eq!(stored(&hub), before);
    hub.hub.shutdown().await;
}
