//! What is wrong with what is configured.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::hub;

#[tokio::test]
async fn who_configured_an_entry_is_told_why_it_is_no_server() {
    let hub = hub(&[]).await;
    let file = hub.space.path().join("mcp.json");
    let entries = json!({"mcpServers": {
        "mine": {"command": 7},
        "hers": {"url": "https://x.example.com/mcp", "command": "x", "dormouse": {"agent": "ann"}},
        "nobodys": {"command": "x", "dormouse": {"agent": "a b"}},
    }});
    std::fs::write(&file, entries.to_string()).unwrap();
    let of = |finding: &Value| {
        let text = |member: &str| finding[member].as_str().unwrap_or("-").to_owned();
        assert!(finding["problem"].as_str().is_some_and(|it| !it.is_empty()), "{finding}");
        (text("server_name"), text("owner"), finding["grave"] == true)
    };
    let told = async |path: &str| -> Vec<_> {
        hub.get(path).await.json().as_array().unwrap().iter().map(of).collect()
    };
    let is = |server: &str, owner: &str| (server.to_owned(), owner.to_owned(), true);
    let all = [is("mine", "-"), is("hersbyann", "ann"), is("-", "-")];
    assert_eq!(told("/config/validate").await, all);
    assert_eq!(told("/agents/ann/config/validate").await, [is("hers", "ann")]);
    assert_eq!(told("/agents/bob/config/validate").await, []);
    let place = hub.get("/agents/ann/config/validate").await.json()[0]["place"].clone();
    assert!(place.as_str().unwrap().starts_with("mcpServers.hers"), "{place}");

    std::fs::write(&file, "{\"mcpServers\": {").unwrap();
    let broken = hub.get("/agents/bob/config/validate").await;
    assert_eq!((broken.status, of(&broken.json()[0])), (StatusCode::OK, is("-", "-")));
    std::fs::write(&file, "{}").unwrap();
    assert_eq!(told("/config/validate").await, []);
    hub.hub.shutdown().await;
}
