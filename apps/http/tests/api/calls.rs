//! Calls over HTTP, on real servers that do as they are told.

use std::future::IntoFuture;
use std::time::Duration;

use axum::http::StatusCode;
use dormouse_http::wire::ToolItem;
use dormouse_testing::{Fixture, descendants_of, processes_with_mark};
use serde_json::{Value, json};

use crate::support::{Answer, TestHub, hub};

/// Adds a server and waits for the end of its first contact, after which it sleeps.
async fn add(hub: &TestHub, name: &str, fixture: &Fixture) -> Value {
    let mut body = fixture.entry();
    body["name"] = json!(name);
    let added = hub.post("/servers", &body.to_string()).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.json());
    let rested = hub
        .get(&format!("/servers/{name}/wait?state=dormant,unreachable,reconnecting&timeout_ms=60000"))
        .await;
    assert_eq!(rested.status, StatusCode::OK, "{}", rested.json());
    rested.json()
}

async fn call(hub: &TestHub, tool: &str, body: Value) -> Answer {
    hub.post(&format!("/tools/{tool}/call"), &body.to_string()).await
}

#[tokio::test]
async fn a_call_wakes_its_server_and_is_told_whole() {
    let hub = hub(&[]).await;
    let server = add(&hub, "fix", &Fixture::new().title("Fixture")).await;
    assert_eq!(
        (&server["source"], &server["title"], &server["origin"]),
        (&json!("live"), &json!("Fixture"), &json!("configured"))
    );

    let mut sum = call(&hub, "add", json!({"arguments": {"a": 2, "b": "3"}})).await.json();
    assert!(sum["duration_ms"].take().as_f64().unwrap() > 0.0);
    insta::assert_json_snapshot!(sum);

    let failed = call(&hub, "fix_fail", json!({"arguments": {"message": "no money"}})).await;
    assert_eq!(failed.status, StatusCode::OK);
    let failed = failed.json();
    assert_eq!((&failed["is_error"], &failed["outcome"]), (&json!(true), &json!("tool_error")));

    let asleep = hub.ask("POST /servers/fix/detach", &[], "").await.json();
    assert_eq!((&asleep["status"], &asleep["pid"]), (&json!("dormant"), &Value::Null));
    let removed = hub.ask("DELETE /servers/fix", &[], "").await.json();
    assert_eq!(removed, json!({"disconnected": "fix"}));
    assert_eq!(hub.get("/servers/fix").await.code(), "unknown_server");
    hub.hub.shutdown().await;
}

#[tokio::test]
async fn what_may_have_run_is_told_from_what_has_not() {
    let hub = hub(&[]).await;
    add(&hub, "fix", &Fixture::new()).await;

    let crashed = call(&hub, "crash", json!({})).await;
    assert_eq!((crashed.status, crashed.code()), (StatusCode::BAD_GATEWAY, "server_failed".into()));
    assert_eq!(crashed.json()["outcome"], "unknown");

    let late = call(&hub, "pause", json!({"arguments": {"seconds": 600}, "timeout_ms": 2000})).await;
    assert_eq!((late.status, late.code()), (StatusCode::GATEWAY_TIMEOUT, "late".into()));
    hub.hub.shutdown().await;
    let ended = call(&hub, "add", json!({"arguments": {"a": 1, "b": 2}})).await;
    assert_eq!((ended.code(), &ended.json()["outcome"]), ("ending".into(), &json!("failed")));
}

#[tokio::test]
async fn a_server_that_does_not_start_says_why() {
    let hub = hub(&[]).await;
    let server = add(&hub, "bad", &Fixture::new().complains(&["KeyError: 'TOKEN'"]).exits_at_start(3)).await;
    assert!(server["reason"].as_str().unwrap().contains("KeyError"), "{server}");
    let attached = hub.ask("POST /servers/bad/attach", &[], "").await;
    match attached.code().as_str() {
        "start_failed" => assert_eq!(attached.json()["stderr"], json!(["KeyError: 'TOKEN'"])),
        code => assert_eq!(code, "server_resting", "{}", attached.json()),
    }
    hub.hub.shutdown().await;
}

#[tokio::test]
async fn what_a_process_prints_can_be_read_and_its_secrets_cannot() {
    let hub = hub(&[]).await;
    let mut body = Fixture::new().prints(&["hello from print"]).complains(&["a warning"]).entry();
    body["name"] = json!("loud");
    body["env"] = json!({"API_KEY": "s3cr3t-value"});
    body["args"].as_array_mut().unwrap().push(json!("--password=s3cr3t-word"));
    let added = hub.post("/servers", &body.to_string()).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let attached = hub.ask("POST /servers/loud/attach", &[], "").await;
    assert_eq!(attached.status, StatusCode::OK, "{}", attached.json());
    let output = hub.get("/servers/loud/output").await.json();
    assert_eq!(
        (&output["attached"], &output["noise"]),
        (&json!(true), &json!(["hello from print"])),
        "{output}"
    );
    assert!(output["stderr"].as_array().unwrap().contains(&json!("a warning")), "{output}");

    let shown = hub.get("/servers/loud").await.json();
    assert_eq!(shown["env"], json!(["API_KEY"]));
    for path in ["/servers", "/servers/loud", "/doctor", "/tools"] {
        let answer = hub.get(path).await;
        assert!(!String::from_utf8_lossy(&answer.body).contains("s3cr3t"), "{path}");
    }
    hub.hub.shutdown().await;
}

#[tokio::test]
async fn who_hangs_up_cancels_the_call() {
    let hub = hub(&[]).await;
    add(&hub, "fix", &Fixture::new()).await;
    let mut events = hub.hub.events();
    let calling = tokio::spawn({
        let router = hub.router();
        async move {
            let json = [("content-type", "application/json")];
            crate::support::send(
                router,
                "POST /tools/pause/call",
                &json,
                r#"{"arguments": {"seconds": 600}}"#,
            )
            .await
        }
    });
    // Once the server has it: attached, and the call begun.
    while !matches!(events.recv().await.unwrap(), dormouse::Event::Attached { .. }) {}
    calling.abort();
    assert!(calling.into_future().await.is_err());
    // The lease is back: the server may sleep, and does so at once when it is asked to.
    let asleep = tokio::time::timeout(Duration::from_secs(60), hub.ask("POST /servers/fix/detach", &[], ""));
    assert_eq!(asleep.await.unwrap().json()["status"], "dormant");
    hub.hub.shutdown().await;
}

#[tokio::test]
async fn nothing_is_left_when_the_hub_has_ended() {
    let hub = hub(&[]).await;
    let mark = format!("http-api-{}", std::process::id());
    add(&hub, "fix", &Fixture::new().mark(&mark).leaves_children(2).in_own_sessions()).await;
    assert_eq!(hub.ask("POST /servers/fix/attach", &[], "").await.status, StatusCode::OK);
    assert!(!processes_with_mark(&mark).is_empty());
    let restarted = hub.ask("POST /servers/fix/restart", &[], "").await.json();
    assert_eq!(restarted["status"], "healthy");
    hub.hub.shutdown().await;
    assert!(processes_with_mark(&mark).is_empty(), "{:?}", descendants_of(std::process::id()));
}

#[tokio::test]
async fn a_hub_of_its_full_size_lists_its_tools_again_from_memory() {
    let hub = hub(&[]).await;
    add(&hub, "big", &Fixture::new().extra_tools(10_000)).await;
    let router = hub.router();
    let list = async || crate::support::send(router.clone(), "GET /tools", &[], "").await.body;
    let first = list().await;
    let tools: Vec<ToolItem<'static>> = serde_json::from_slice(&first).unwrap();
    assert!(tools.len() > 10_000);
    assert!(tools.is_sorted_by_key(|tool| tool.tool_name.clone()));
    assert_eq!(list().await, first);
    // A new version of the catalog is seen at once.
    hub.ask("DELETE /servers/big", &[], "").await;
    assert_eq!(list().await, b"[]");
    hub.hub.shutdown().await;
}

#[tokio::test]
async fn a_record_of_a_call_holds_nothing_that_the_server_said() {
    let hub = hub(&[]).await;
    add(&hub, "fix", &Fixture::new()).await;
    let failed = call(&hub, "fail", json!({"arguments": {"message": "s3cret result"}})).await.json();
    assert!(failed.to_string().contains("s3cret result"), "{failed}");
    call(&hub, "crash", json!({})).await;
    let records = hub.get("/calls").await.json();
    assert!(!records.to_string().contains("s3cret"), "{records}");
    let errors: Vec<&str> =
        records.as_array().unwrap().iter().filter_map(|it| it["error"].as_str()).collect();
    assert_eq!(errors.len(), 2, "{records}");
    assert_eq!(errors[1], "the tool answered that it failed");
    assert!(errors[0].starts_with("the server ended in the middle of the call"), "{records}");
    hub.hub.shutdown().await;
}
