//! What lists show.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{GREET, hub};

#[tokio::test]
async fn a_dropped_script_is_listed_with_its_tools_and_sleeps() {
    let hub = hub(&[("greet.py", GREET)]).await;
    insta::assert_json_snapshot!("tools", hub.get("/tools").await.json());

    let mut servers = hub.get("/servers").await.json();
    let folder = hub.hub.space().root().display().to_string();
    let server = &mut servers[0];
    server["script_path"] = json!(server["script_path"].as_str().unwrap().replace(&folder, "SPACE"));
    for varying in ["registered_at", "since"] {
        assert!(server[varying].as_str().unwrap().ends_with('Z'));
        server[varying] = json!("TIME");
    }
    insta::assert_json_snapshot!("servers", servers);
    assert_eq!(hub.get("/servers/greet").await.json()["name"], "greet");
    assert_eq!(hub.get("/agents/a1/tools").await.json(), json!([]));
}

#[tokio::test]
async fn a_new_script_shows_after_a_rescan() {
    let hub = hub(&[]).await;
    assert_eq!(hub.get("/tools").await.json(), json!([]));
    let router = hub.router();
    let list = async || {
        let answer = crate::support::send(router.clone(), "GET /tools", &[], "").await;
        answer.json().as_array().unwrap().len()
    };
    assert_eq!(list().await, 0);
    std::fs::write(hub.space.path().join("servers/greet.py"), GREET).unwrap();
    assert_eq!(hub.ask("POST /rescan", &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(list().await, 1);
}

#[tokio::test]
async fn a_search_finds_tools_with_their_scores() {
    let hub = hub(&[("greet.py", GREET)]).await;
    let found = hub.get("/tools/search?q=say%20hello&limit=3").await.json();
    assert_eq!(found[0]["tool_name"], "greet");
    assert!(found[0]["score"].as_f64().unwrap() > 0.0);
    assert_eq!(found[0]["schema"]["properties"]["times"]["default"], 1);
    let one = hub.get("/tools/greet").await.json();
    assert_eq!(one["full_name"], found[0]["full_name"]);
}

#[tokio::test]
async fn a_disabled_tool_is_seen_by_who_asks_for_it() {
    let hub = hub(&[("greet.py", GREET)]).await;
    let settings = r#"{"disabled": true}"#;
    let headers = [("content-type", "application/json")];
    assert_eq!(hub.ask("PUT /tools/greet/settings", &headers, settings).await.status, StatusCode::OK);
    let names = async |path: &str| -> Vec<(String, bool)> {
        let list = hub.get(path).await.json();
        let of = |tool: &Value| (tool["full_name"].as_str().unwrap().into(), tool["disabled"] == true);
        list.as_array().unwrap().iter().map(of).collect()
    };
    let greet = ("greet_greet".to_owned(), true);
    assert_eq!(names("/tools").await, []);
    assert_eq!(names("/tools?server_name=greet").await, []);
    for path in ["/tools?disabled=true", "/tools?disabled=true&server_name=greet", "/stats/tools"] {
        assert_eq!(names(path).await, std::slice::from_ref(&greet), "{path}");
    }
    assert_eq!(hub.get("/tools/greet").await.json()["disabled"], true);
    assert_eq!(hub.post("/tools/greet/call", "{}").await.code(), "unknown_tool");
}

#[tokio::test]
async fn health_tells_the_seeds_fields_and_more() {
    let hub = hub(&[("greet.py", GREET)]).await;
    let mut health = hub.get("/health").await.json();
    health["version"] = json!("VERSION");
    insta::assert_json_snapshot!(health);
    assert_eq!(hub.get("/agents/a1/health").await.json()["servers"], 0);
}

#[tokio::test]
async fn doctor_names_files_that_are_no_servers() {
    let hub = hub(&[("notes.py", "x = 1\n")]).await;
    let doctor = hub.get("/doctor").await.json();
    assert!(doctor["findings"][0]["path"].as_str().unwrap().ends_with("notes.py"), "{doctor}");
}

#[tokio::test]
async fn metrics_are_in_prometheus_text() {
    let hub = hub(&[("greet.py", GREET)]).await;
    let answer = hub.get("/metrics").await;
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.contains("available_tools_count 1"), "{text}");
}

#[tokio::test]
async fn a_conversation_with_a_slash_in_its_id_is_kept_and_cleared() {
    let hub = hub(&[]).await;
    let answer = hub.post("/query", r#"{"query": "hello", "session_id": "team/7 ü"}"#).await;
    assert_eq!(answer.status, StatusCode::OK);
    let path = "/chat/history/team%2F7%20%C3%BC";
    let history = hub.get(path).await.json();
    let roles: Vec<&Value> = history.as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "assistant"]);
    assert_eq!(hub.get("/chat/history/team").await.json(), json!([]));
    let cleared = hub.ask(&format!("DELETE {path}"), &[], "").await.json();
    assert_eq!(cleared, json!({"cleared": "team/7 ü"}));
    assert_eq!(hub.get(path).await.json(), json!([]));
}

#[tokio::test]
async fn a_query_without_tools_has_the_seeds_shape() {
    let hub = hub(&[]).await;
    let answer = hub.post("/query", r#"{"query": "hello", "unknown": 1}"#).await.json();
    let fields: Vec<&String> = answer.as_object().unwrap().keys().collect();
    insta::assert_json_snapshot!(fields);
    assert_eq!(answer["tools_used"], json!([]));
    assert_eq!(answer["plan"]["decision"], "no_tool");
}

#[test]
fn the_description_is_as_reviewed() {
    let mut api = serde_json::to_value(dormouse_http::openapi()).unwrap();
    assert_eq!(api["openapi"], "3.1.0");
    api["info"]["version"] = json!("VERSION");
    insta::assert_json_snapshot!(api);
}
