//! Wake, lease, sleep, fail, leave: with real processes, seen from the public API.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::time::Duration;

use dormouse::{CallError, Event, IdleSetting, Never, Outcome, ServerName, ServerState};
use dormouse_tests::{TestSpace, call, until};
use futures::future::join_all;
use serde_json::json;

fn name(text: &str) -> ServerName {
    ServerName::try_new(text).unwrap()
}

async fn known(hub: &dormouse::Hub, tool: &str) {
    let registry = hub.registry().clone();
    until("the tool is known", || registry.snapshot().find_tool(&dormouse::Scope::Store, tool, None).is_ok())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_calls_on_a_sleeping_server_make_one_process() {
    let space = TestSpace::new();
    let counter = space.root().join("starts");
    let env = json!({ "COUNT_STARTS": counter });
    space.fixtures(&[("one", &[], json!({}))]);
    let text = std::fs::read_to_string(space.root().join("mcp.json")).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
    file["mcpServers"]["one"]["env"] = env;
    space.write("mcp.json", file.to_string());

    let hub = space.hub(|_| {}).await;
    known(&hub, "echo").await;
    hub.store().wait(&name("one"), &[ServerState::Dormant], Duration::from_secs(30)).await.unwrap();
    let starts = || std::fs::read_to_string(&counter).unwrap().lines().count();
    assert_eq!(starts(), 1, "first contact");

    let calls = (0..100).map(|_| call(&hub, "sleep", json!({ "seconds": 0.2 })));
    for answer in join_all(calls).await {
        let answer = answer.unwrap();
        assert_eq!((answer.outcome, answer.woke), (Outcome::Ok, true));
    }
    assert_eq!(starts(), 2);
    hub.store().wait(&name("one"), &[ServerState::Dormant], Duration::from_secs(30)).await.unwrap();
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_server_is_contacted_once_and_sleeps_with_its_tools() {
    let space = TestSpace::new();
    space.fixtures(&[("a", &[], json!({}))]);
    let hub = space.hub(|_| {}).await;
    // A call that names a tool nobody knows yet waits for the first contact.
    let answer = call(&hub, "a_echo", json!({ "text": "hi" })).await.unwrap();
    assert_eq!(answer.result.text(), "hi");
    hub.store().wait(&name("a"), &[ServerState::Dormant], Duration::from_secs(30)).await.unwrap();
    hub.shutdown().await;

    let again = space.hub(|_| {}).await;
    let info = again.store().server(&name("a")).unwrap();
    assert_eq!(info.status.state, ServerState::Dormant, "known from before: no contact");
    assert_eq!(info.tools.len(), 7);
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_left_behind_goes_with_it() {
    let space = TestSpace::new();
    space.fixtures(&[("a", &["--deaf"], json!({})), ("b", &[], json!({ "idle_seconds": "never" }))]);
    let hub = space.hub(|config| config.timing.stop_seconds = 0.2).await;
    let grandchild: u32 = call(&hub, "a_spawn", json!({})).await.unwrap().result.text().parse().unwrap();
    // The call is over, its linger is zero: a deaf server and its grandchild end all the same.
    until("the grandchild is gone", || !std::path::Path::new(&format!("/proc/{grandchild}")).exists()).await;
    call(&hub, "b_spawn", json!({})).await.unwrap();
    assert!(space.processes().len() >= 2);
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_mid_call_leaves_the_outcome_unknown_and_comes_back() {
    let space = TestSpace::new();
    space.fixtures(&[("a", &[], json!({ "idle_seconds": "never" }))]);
    let hub = space.hub(|_| {}).await;
    let error = call(&hub, "a_die", json!({})).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    let answer = call(&hub, "a_echo", json!({ "text": "again" })).await.unwrap();
    assert_eq!((answer.result.text(), answer.woke), ("again".to_owned(), true));
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_fails_is_an_error_because_it_says_so() {
    let space = TestSpace::new();
    space.fixtures(&[("a", &[], json!({}))]);
    let hub = space.hub(|_| {}).await;
    let failed = call(&hub, "a_fail", json!({ "text": "all went well" })).await.unwrap();
    assert_eq!(failed.outcome, Outcome::ToolError);
    let fine = call(&hub, "a_echo", json!({ "text": "error: failed" })).await.unwrap();
    assert_eq!(fine.outcome, Outcome::Ok);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_start_says_why_and_costs_nobody_else() {
    let space = TestSpace::new();
    space.fixtures(&[
        ("broken", &["--exit-at-import"], json!({})),
        ("hangs", &["--hang-at-import"], json!({ "start_timeout_seconds": 1 })),
        ("noisy", &["--noise", "--flood-stderr"], json!({})),
    ]);
    let hub = space.hub(|_| {}).await;
    let answer = call(&hub, "noisy_echo", json!({ "text": "fine" })).await.unwrap();
    assert_eq!(answer.result.text(), "fine");
    for (server, said) in [("broken", "no licence on this machine"), ("hangs", "1000 ms")] {
        let info = hub
            .store()
            .wait(&name(server), &[ServerState::Unreachable], Duration::from_secs(30))
            .await
            .unwrap();
        let reason = info.status.reason.clone().unwrap();
        assert!(reason.contains(said), "{server}: {reason}");
    }
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_detaches_a_busy_server_without_losing_its_call() {
    let space = TestSpace::new();
    space.fixtures(&[("a", &[], json!({ "idle_seconds": "never" }))]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "a_echo", json!({ "text": "awake" })).await.unwrap();
    let mut events = hub.events();
    let (running, detached) = tokio::join!(call(&hub, "a_sleep", json!({ "seconds": 0.5 })), async {
        while !matches!(events.recv().await, Ok(Event::CallStarted { .. })) {}
        hub.store().detach(&name("a")).await.unwrap()
    });
    assert_eq!(running.unwrap().result.text(), "slept");
    assert_eq!(detached.status.state, ServerState::Dormant);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_starts_a_new_version_and_the_old_one_ends_its_calls() {
    let space = TestSpace::new();
    space.fixtures(&[("a", &["--version", "1"], json!({ "idle_seconds": "never" }))]);
    let hub = space.hub(|_| {}).await;
    assert_eq!(call(&hub, "a_version", json!({})).await.unwrap().result.text(), "1");

    let mut events = hub.events();
    let old = tokio::spawn({
        let hub = hub.clone();
        async move { call(&hub, "a_sleep", json!({ "seconds": 1.5 })).await }
    });
    while !matches!(events.recv().await, Ok(Event::CallStarted { .. })) {}
    space.fixtures(&[("a", &["--version", "2"], json!({ "idle_seconds": "never" }))]);
    // New calls reach the new version while the old one still works.
    loop {
        let version = call(&hub, "a_version", json!({})).await.unwrap().result.text();
        if version == "2" {
            break;
        }
    }
    assert!(!old.is_finished());
    assert_eq!(old.await.unwrap().unwrap().result.text(), "slept");
    until("one process is left", || space.processes().len() == 1).await;
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_fails_at_once_and_says_so() {
    let space = TestSpace::new();
    space.fixtures(&[("a", &[], json!({}))]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "a_echo", json!({ "text": "well" })).await.unwrap();
    hub.store().detach(&name("a")).await.unwrap();
    // The tools stay known by the configuration's hash; only the interpreter's folder breaks it.
    hub.shutdown().await;
    space.fixtures(&[("a", &["--exit-at-import"], json!({}))]);
    let hub = space.hub(|_| {}).await;
    hub.store().wait(&name("a"), &[ServerState::Unreachable], Duration::from_secs(30)).await.unwrap();
    let mut last = None;
    for _ in 0..4 {
        last = hub.store().attach(&name("a")).await.err();
    }
    let message = last.unwrap().to_string();
    assert!(message.contains("in a row"), "{message}");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_mcp_json_keeps_the_servers_that_were_there() {
    let space = TestSpace::new();
    space.fixtures(&[("a", &[], json!({}))]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "a_echo", json!({ "text": "x" })).await.unwrap();
    space.write("mcp.json", r#"{"mcpServers": {"a": {"comm"#);
    until("it is told", || !hub.store().orchestrator().findings().is_empty()).await;
    assert_eq!(call(&hub, "a_echo", json!({ "text": "y" })).await.unwrap().result.text(), "y");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_cannot_fit_are_refused_before_anything_wakes() {
    let space = TestSpace::new();
    space.fixtures(&[("a", &[], json!({}))]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "a_echo", json!({ "text": "x" })).await.unwrap();
    hub.store().wait(&name("a"), &[ServerState::Dormant], Duration::from_secs(30)).await.unwrap();
    let error = call(&hub, "a_sleep", json!({ "seconds": "soon" })).await.unwrap_err();
    assert!(matches!(error, CallError::Arguments { .. }), "{error}");
    assert_eq!(hub.store().server(&name("a")).unwrap().status.state, ServerState::Dormant);
    let repaired = call(&hub, "a_sleep", json!({ "Seconds": "0" })).await.unwrap();
    assert_eq!(repaired.receipts.len(), 2);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn never_means_never() {
    let space = TestSpace::new();
    space.fixtures(&[("a", &[], json!({}))]);
    let hub = space.hub(|config| config.timing.idle_seconds = IdleSetting::Word(Never::Never)).await;
    let first = call(&hub, "a_pid", json!({})).await.unwrap().result.text();
    let second = call(&hub, "a_pid", json!({})).await.unwrap();
    assert_eq!((second.result.text(), second.woke), (first, false));
    hub.shutdown().await;
}
