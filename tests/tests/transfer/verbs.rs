//! The same verbs over HTTP and in Rust.

use dormouse::clients::{self, Client};
use dormouse::mcp_json::SaveError;
use dormouse::{Fate, Import, OnConflict, Scope};
use dormouse_testing::Fixture;
use dormouse_tests::{Served, refused};
use serde_json::{Value, json};

use crate::{outcomes, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_report_over_http_says_what_became_of_each_entry() {
    let served = Served::start().await;
    let text =
        json!({ "mcpServers": { "new": Fixture::new().entry(), "fix": { "command": "other" }, "no": 7 } });
    let body = |dry_run: bool| json!({ "client": "cursor", "text": text.to_string(), "dry_run": dry_run });
    let (status, planned) = served.post("/config/import", body(true)).await;
    let expected = ["fix conflict", "new added", "no refused"].map(str::to_owned).to_vec();
    assert_eq!((status, outcomes(&planned), &planned["dry_run"]), (200, expected.clone(), &json!(true)));
    assert_eq!(served.names("/servers", "name").await, ["fix"]);
    let (_, done) = served.post("/config/import", body(false)).await;
    assert_eq!((outcomes(&done), &done["entries"]), (expected, &planned["entries"]));
    served.knows(&Scope::Store, "new", "echo").await;

    let own = json!({ "document": { "mcpServers": { "own": Fixture::new().entry() } } });
    let (status, report) = served.post("/agents/ada/config/import", own).await;
    assert_eq!((status, outcomes(&report)), (200, vec!["own added".to_owned()]));
    served.knows(&Scope::Agent("ada".parse().unwrap()), "own", "echo").await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_over_http_hides_values_unless_they_are_asked_for() {
    let served = Served::start().await;
    let mut entry = Fixture::new().entry();
    entry["env"] = json!({ "TOKEN": "s3cret", "NAME": "${NAME}" });
    entry["dormouse"] = json!({ "idle_seconds": 60 });
    served.post("/config/import", json!({ "document": { "mcpServers": { "own": entry } } })).await;
    for client in ["claude-desktop", "claude-code", "cursor", "vscode", "codex", "mcp.json"] {
        let hidden = served.see(&format!("/config/export?client={client}&names=own")).await;
        assert!(!hidden.to_string().contains("s3cret"), "{client}: {hidden:#}");
        assert_eq!(hidden["servers"]["own"]["env"]["NAME"], "${NAME}", "{client}");
        let open = served.see(&format!("/config/export?client={client}&secrets=true")).await;
        let text = open["text"].as_str().unwrap();
        assert!(text.contains("s3cret") && !text.contains("dormouse\""), "{client}: {text}");
        assert!(text.contains("fix") && text.contains("own"), "{client}: {text}");
    }
    refused(served.get("/config/export?client=emacs").await, 422, "invalid_request", Some("client"));
    refused(served.get("/config/export?names=nobody").await, 404, "unknown_server", None);
    assert_eq!(served.see("/agents/ada/config/export").await["servers"], json!({}));
    // An agent's token reads no secrets, and imports no commands.
    let (_, made) = served.post("/tokens", json!({ "name": "t", "agent": "ada" })).await;
    let bearer = format!("Bearer {}", made["token"].as_str().or(made["secret"].as_str()).unwrap());
    for (method, path, body) in [
        (reqwest::Method::GET, "/agents/ada/config/export?secrets=true", String::new()),
        (reqwest::Method::POST, "/agents/ada/config/import", r#"{"text": "{}"}"#.to_owned()),
        (reqwest::Method::GET, "/storage/export", String::new()),
    ] {
        let request = served.http.request(method, format!("{}{path}", served.address));
        let request = request.header("authorization", &bearer).header("content-type", "application/json");
        assert_eq!(request.body(body).send().await.unwrap().status(), 403, "{path}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_says_too_much_or_too_little_is_refused() {
    let served = Served::start().await;
    for (body, field) in [
        (json!({}), "text"),
        (json!({ "text": "{}", "document": {} }), "text"),
        (json!({ "client": "mcpstore", "text": "{}" }), "files"),
        (json!({ "client": "codex", "document": {} }), "document"),
        (json!({ "client": "emacs", "text": "{}" }), "client"),
        (json!({ "tetx": "{}" }), "tetx"),
        (json!({ "text": 7 }), "text"),
    ] {
        refused(served.post("/config/import", &body).await, 422, "invalid_request", Some(field));
    }
    for (client, text) in [("cursor", "{["), ("codex", "= 7"), ("vscode", "[]"), ("mcp.json", "{}")] {
        let body = json!({ "client": client, "text": text });
        refused(served.post("/config/import", &body).await, 422, "invalid_entry", None);
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_rust_a_file_that_changed_after_the_plan_is_left_alone() {
    let served = Served::start().await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("mcp.json");
    std::fs::write(&file, "{}").unwrap();
    let store = served.hub.store();
    let plan = store.export(&[]).await.unwrap().plan(Client::Cursor, &file).unwrap();
    std::fs::write(&file, r#"{"theirs": 1}"#).unwrap();
    let error = plan.apply().unwrap_err();
    assert!(matches!(error, clients::ApplyError::Save(SaveError::Changed { .. })), "{error:?}");
    assert_eq!(text(&file), r#"{"theirs": 1}"#);
    assert_eq!(home.path().read_dir().unwrap().count(), 1, "a backup of nothing lies about");

    let import = Import::Client {
        client: Client::Cursor,
        text: json!({ "mcpServers": { "n": { "command": "x" } } }).to_string(),
    };
    assert_eq!(format!("{import:?}"), "Client(cursor)");
    let report = store.plan_import(import.clone(), OnConflict::Keep).await.unwrap();
    assert_eq!(report.entries[0].fate, Fate::Added);
    assert_eq!(store.import(import, OnConflict::Keep).await.unwrap(), report);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_neither_replaced_nor_exported() {
    let served = Served::start().await;
    served.space.ship("calculator");
    served.hub.store().orchestrator().rescan().await;
    let body = json!({ "document": { "mcpServers": { "calculator": { "command": "x" } } }, "replace": true });
    let (_, report) = served.post("/config/import", body).await;
    assert_eq!(outcomes(&report), ["calculator conflict"], "{report:#}");
    let export: Value = served.see("/config/export").await;
    assert_eq!(export["servers"].as_object().unwrap().keys().collect::<Vec<_>>(), ["fix"]);
    assert_eq!(export["left_out"][0]["server_name"], "calculator", "{export:#}");
    served.end().await;
}
