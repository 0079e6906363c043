//! Wake, lease, sleep, fail, leave: with real processes, seen from the public API.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::time::Duration;

use dormouse::{CallError, Event, IdleSetting, Never, Outcome, ServerName, ServerState};
use dormouse_testing::{Fixture, processes_with_mark};
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
    space.fixtures(&[("one", Fixture::new().notes_starts(&counter), json!({}))]);
    let hub = space.hub(|_| {}).await;
    known(&hub, "echo").await;
    hub.store().wait(&name("one"), &[ServerState::Dormant], Duration::from_secs(30)).await.unwrap();
    let starts = || std::fs::read_to_string(&counter).unwrap().lines().count();
    assert_eq!(starts(), 1, "first contact");

    let calls = (0..100).map(|_| call(&hub, "pause", json!({ "seconds": 0.2 })));
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
    space.fixtures(&[("a", Fixture::new(), json!({}))]);
    let hub = space.hub(|_| {}).await;
    // A call that names a tool nobody knows yet waits for the first contact.
    let answer = call(&hub, "a_echo", json!({ "text": "hi" })).await.unwrap();
    assert_eq!(answer.result.text(), "hi");
    hub.store().wait(&name("a"), &[ServerState::Dormant], Duration::from_secs(30)).await.unwrap();
    hub.shutdown().await;

    let again = space.hub(|_| {}).await;
    let info = again.store().server(&name("a")).unwrap();
    assert_eq!(info.status.state, ServerState::Dormant, "known from before: no contact");
    assert_eq!(info.tools.len(), 12);
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_left_behind_goes_with_it() {
    let space = TestSpace::new();
    let mark = space.root().file_name().unwrap().to_string_lossy().into_owned();
    let marks = |name: &str| format!("{name}-{mark}");
    let messy = |name: &str| Fixture::new().mark(&marks(name)).leaves_children(1).in_own_sessions();
    space.fixtures(&[
        ("a", messy("a").will_not_leave(), json!({})),
        ("b", messy("b"), json!({ "idle_seconds": "never" })),
    ]);
    let hub = space.hub(|config| config.timing.stop_seconds = 0.2).await;
    // The call is over, its linger is zero: a deaf server and its grandchild end all the same.
    call(&hub, "a_echo", json!({ "text": "x" })).await.unwrap();
    until("the grandchild is gone", || processes_with_mark(&marks("a")).is_empty()).await;
    call(&hub, "b_echo", json!({ "text": "x" })).await.unwrap();
    assert_eq!(processes_with_mark(&marks("b")).len(), 2);
    hub.shutdown().await;
    assert_eq!(processes_with_mark(&mark), []);
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_mid_call_leaves_the_outcome_unknown_and_comes_back() {
    let space = TestSpace::new();
    space.fixtures(&[("a", Fixture::new(), json!({ "idle_seconds": "never" }))]);
    let hub = space.hub(|_| {}).await;
    let error = call(&hub, "a_crash", json!({})).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    let answer = call(&hub, "a_echo", json!({ "text": "again" })).await.unwrap();
    assert_eq!((answer.result.text(), answer.woke), ("again".to_owned(), true));
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_fails_is_an_error_because_it_says_so() {
    let space = TestSpace::new();
    space.fixtures(&[("a", Fixture::new(), json!({}))]);
    let hub = space.hub(|_| {}).await;
    let failed = call(&hub, "a_fail", json!({ "message": "all went well" })).await.unwrap();
    assert_eq!(failed.outcome, Outcome::ToolError);
    let fine = call(&hub, "a_echo", json!({ "text": "error: failed" })).await.unwrap();
    assert_eq!(fine.outcome, Outcome::Ok);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_start_says_why_and_costs_nobody_else() {
    let space = TestSpace::new();
    space.fixtures(&[
        ("broken", Fixture::new().complains(&["no licence on this machine"]).exits_at_start(1), json!({})),
        (
            "hangs",
            Fixture::new().starts_after(Duration::from_secs(3600)),
            json!({ "start_timeout_seconds": 1 }),
        ),
        (
            "noisy",
            Fixture::new()
                .prints(&["hello, I am a server that greets on stdout", "42"])
                .floods_stderr(20_000_000),
            json!({}),
        ),
    ]);
    let hub = space.hub(|_| {}).await;
    let answer = call(&hub, "noisy_echo", json!({ "text": "fine" })).await.unwrap();
    assert_eq!(answer.result.text(), "fine");
    for (server, said) in [("broken", "no licence on this machine"), ("hangs", "1000 ms")] {
        let info = hub
            .store()
            .wait(&name(server), &[ServerState::Reconnecting], Duration::from_secs(30))
            .await
            .unwrap();
        let reason = info.status.told().unwrap();
        assert!(reason.contains(said), "{server}: {reason}");
    }
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_detaches_a_busy_server_without_losing_its_call() {
    let space = TestSpace::new();
    space.fixtures(&[("a", Fixture::new(), json!({ "idle_seconds": "never" }))]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "a_echo", json!({ "text": "awake" })).await.unwrap();
    let mut events = hub.events();
    let (running, detached) = tokio::join!(call(&hub, "a_pause", json!({ "seconds": 0.5 })), async {
        while !matches!(events.recv().await, Ok(Event::CallStarted { .. })) {}
        hub.store().detach(&name("a")).await.unwrap()
    });
    assert_eq!(running.unwrap().result.text(), "rested");
    assert_eq!(detached.status.state, ServerState::Dormant);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_starts_a_new_version_and_the_old_one_ends_its_calls() {
    let space = TestSpace::new();
    space.fixtures(&[("a", Fixture::new().title("one"), json!({ "idle_seconds": "never" }))]);
    let hub = space.hub(|_| {}).await;
    let before = call(&hub, "a_pid", json!({})).await.unwrap().result.text();

    let mut events = hub.events();
    let old = tokio::spawn({
        let hub = hub.clone();
        async move { call(&hub, "a_pause", json!({ "seconds": 1.5 })).await }
    });
    while !matches!(events.recv().await, Ok(Event::CallStarted { .. })) {}
    space.fixtures(&[("a", Fixture::new().title("two"), json!({ "idle_seconds": "never" }))]);
    // New calls reach the new version while the old one still works.
    while call(&hub, "a_pid", json!({})).await.unwrap().result.text() == before {}
    assert!(!old.is_finished());
    assert_eq!(old.await.unwrap().unwrap().result.text(), "rested");
    until("one process is left", || space.processes().len() == 1).await;
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_fails_at_once_and_says_so() {
    let space = TestSpace::new();
    space.fixtures(&[("a", Fixture::new(), json!({}))]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "a_echo", json!({ "text": "well" })).await.unwrap();
    hub.store().detach(&name("a")).await.unwrap();
    // The tools stay known by the configuration's hash; only the interpreter's folder breaks it.
    hub.shutdown().await;
    space.fixtures(&[("a", Fixture::new().exits_at_start(1), json!({}))]);
    let hub = space.hub(|_| {}).await;
    hub.store().wait(&name("a"), &[ServerState::Reconnecting], Duration::from_secs(30)).await.unwrap();
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
    space.fixtures(&[("a", Fixture::new(), json!({}))]);
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
    space.fixtures(&[("a", Fixture::new(), json!({}))]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "a_echo", json!({ "text": "x" })).await.unwrap();
    hub.store().wait(&name("a"), &[ServerState::Dormant], Duration::from_secs(30)).await.unwrap();
    let error = call(&hub, "a_pause", json!({ "seconds": "soon" })).await.unwrap_err();
    assert!(matches!(error, CallError::Arguments { .. }), "{error}");
    assert_eq!(hub.store().server(&name("a")).unwrap().status.state, ServerState::Dormant);
    let repaired = call(&hub, "a_pause", json!({ "Seconds": "0" })).await.unwrap();
    assert_eq!(repaired.receipts.len(), 2);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn never_means_never() {
    let space = TestSpace::new();
    space.fixtures(&[("a", Fixture::new(), json!({}))]);
    let hub = space.hub(|config| config.timing.idle_seconds = IdleSetting::Word(Never::Never)).await;
    let first = call(&hub, "a_pid", json!({})).await.unwrap().result.text();
    let second = call(&hub, "a_pid", json!({})).await.unwrap();
    assert_eq!((second.result.text(), second.woke), (first, false));
    hub.shutdown().await;
}
