//! Stateless servers that start alike share one process, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::sync::Arc;
use std::time::Duration;

use dormouse::{
    BackChannel, CallAnswer, CallError, CallRequest, Event, Hub, LeaseError, NoBackChannel, Outcome, Scope,
    ServerKey, ServerState, Wanted,
};
use dormouse_testing::Fixture;
use dormouse_tests::{TestSpace, until};
use serde_json::{Value, json};

const STORE: &str = "";
const ADA: &str = "ada";
const BOB: &str = "bob";

/// The server `calc` of an agent, or of the store.
fn calc(of: &str) -> ServerKey {
    let scope = if of.is_empty() { Scope::Store } else { Scope::Agent(of.parse().unwrap()) };
    ServerKey { scope, name: "calc".parse().unwrap() }
}

/// An `mcp.json` in which each of these has a `calc`, with settings of its own.
fn configured(space: &TestSpace, fixture: &Fixture, settings: &[(&str, Value)]) {
    let servers = settings.iter().map(|(of, settings)| {
        let mut entry = fixture.entry();
        for (member, value) in settings.as_object().unwrap() {
            match member.as_str() {
                "env" => entry["env"] = value.clone(),
                _ => entry["dormouse"][member] = value.clone(),
            }
        }
        if !of.is_empty() {
            (entry["dormouse"]["agent"], entry["dormouse"]["name"]) = (json!(of), json!("calc"));
        }
        (format!("calc{of}"), entry)
    });
    let servers: serde_json::Map<_, _> = servers.collect();
    space.write("mcp.json", json!({ "mcpServers": servers }).to_string());
}

/// The same for the store and two agents: stateless, and awake until told otherwise.
fn alike(space: &TestSpace, fixture: &Fixture) {
    let same = json!({ "stateless": true, "idle_seconds": "never" });
    configured(space, fixture, &[(STORE, same.clone()), (ADA, same.clone()), (BOB, same)]);
}

async fn opened(space: &TestSpace) -> Hub {
    let hub = space.hub(|config| config.timing.stop_seconds = 0.5).await;
    hub.store().first_contacts(std::time::Duration::from_secs(60)).await;
    hub
}

async fn call(hub: &Hub, of: &str, tool: &str, arguments: Value) -> Result<CallAnswer, CallError> {
    let back: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
    let context = if of.is_empty() { hub.store() } else { hub.for_agent(of).unwrap() };
    let server = Some("calc".parse().unwrap());
    let arguments = arguments.as_object().cloned().unwrap();
    context.call(CallRequest { tool: tool.to_owned(), server, arguments, deadline: None }, back).await
}

async fn pid(hub: &Hub, of: &str) -> String {
    call(hub, of, "pid", json!({})).await.unwrap().result.text()
}

fn state(hub: &Hub, of: &str) -> ServerState {
    hub.registry().status(&calc(of)).unwrap().state
}

async fn becomes(hub: &Hub, of: &str, wanted: ServerState) {
    until(&format!("calc of `{of}` is {wanted}"), || state(hub, of) == wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_and_the_store_call_one_process_and_each_may_leave_it() {
    let space = TestSpace::new();
    alike(&space, &Fixture::new());
    let hub = opened(&space).await;
    let orchestrator = hub.store().orchestrator().clone();
    let shared = pid(&hub, STORE).await;
    assert_eq!((pid(&hub, ADA).await, pid(&hub, BOB).await), (shared.clone(), shared.clone()));
    assert_eq!(space.processes().len(), 1);
    let environment = call(&hub, ADA, "environment", json!({})).await.unwrap().result.text();
    assert!(!environment.contains("DORMOUSE_SERVER"), "it serves several: {environment}");

    // One is put to sleep, one is disconnected, one is removed: the others do not notice.
    let running = tokio::spawn({
        let hub = hub.clone();
        async move { call(&hub, STORE, "pause", json!({ "seconds": 1 })).await }
    });
    orchestrator.want(&calc(ADA), Wanted::Stopped, Some("enough".to_owned())).await.unwrap();
    becomes(&hub, ADA, ServerState::Disconnected).await;
    call(&hub, ADA, "pid", json!({})).await.unwrap_err();
    orchestrator.remove(calc(BOB), false).await.unwrap();
    assert!(hub.registry().status(&calc(BOB)).is_none());
    assert_eq!(running.await.unwrap().unwrap().outcome, Outcome::Ok);
    assert_eq!((pid(&hub, STORE).await, state(&hub, STORE)), (shared.clone(), ServerState::Healthy));

    // Back again it joins, and with the last one the process goes.
    orchestrator.want(&calc(ADA), Wanted::OnDemand, None).await.unwrap();
    assert_eq!(pid(&hub, ADA).await, shared);
    orchestrator.detach(&calc(STORE)).await;
    assert_eq!((state(&hub, STORE), state(&hub, ADA)), (ServerState::Dormant, ServerState::Healthy));
    assert_eq!(space.processes().len(), 1);
    orchestrator.detach(&calc(ADA)).await;
    assert_eq!(space.processes(), Vec::<u32>::new());
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_a_shared_process_is_seen_by_all_and_the_next_one_is_shared_again() {
    let space = TestSpace::new();
    alike(&space, &Fixture::new());
    let hub = opened(&space).await;
    let mut events = hub.events();
    let first = pid(&hub, STORE).await;
    assert_eq!((pid(&hub, ADA).await, pid(&hub, BOB).await), (first.clone(), first.clone()));
    call(&hub, ADA, "crash", json!({})).await.unwrap_err();
    // Who called may have a failure; the others only lost a process that they did not use.
    until("ada knows", || state(&hub, ADA) != ServerState::Healthy).await;
    becomes(&hub, STORE, ServerState::Dormant).await;
    becomes(&hub, BOB, ServerState::Dormant).await;
    let second = pid(&hub, ADA).await;
    assert_ne!(second, first);
    assert_eq!((pid(&hub, BOB).await, pid(&hub, STORE).await), (second.clone(), second));
    assert_eq!((state(&hub, ADA), space.processes().len()), (ServerState::Healthy, 1));
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());

    // Since their first contact all three were attached.
    let mut attached = [STORE, ADA, BOB].map(|of| (calc(of), 1));
    while let Ok(event) = events.try_recv() {
        let (server, more) = match event {
            Event::Attached { server, .. } => (server, 1),
            Event::Detached { server, .. } => (server, -1),
            _ => continue,
        };
        let known = attached.iter_mut().find(|(key, _)| *key == server).unwrap();
        known.1 += more;
        assert!([0, 1].contains(&known.1), "attach and detach come in turns");
    }
    assert_eq!(attached.map(|(_, times)| times), [0, 0, 0], "attach and detach balance");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wakes_at_once_waits_for_one_start_and_each_keeps_its_limits() {
    let space = TestSpace::new();
    let starts = space.root().join("starts");
    let slow = Fixture::new().notes_starts(&starts).starts_after(Duration::from_millis(300));
    let of = |more: Value| {
        let mut settings = json!({ "stateless": true, "idle_seconds": "never" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    };
    let narrow = of(json!({ "concurrency": 1, "queue": 0, "start_timeout_seconds": 20 }));
    configured(&space, &slow, &[(STORE, of(json!({}))), (ADA, narrow)]);
    let hub = opened(&space).await;
    for of in [STORE, ADA] {
        hub.store().orchestrator().detach(&calc(of)).await;
    }
    let before = std::fs::read_to_string(&starts).unwrap().lines().count();
    let (store, ada) = tokio::join!(pid(&hub, STORE), pid(&hub, ADA));
    assert_eq!(store, ada);
    assert_eq!(std::fs::read_to_string(&starts).unwrap().lines().count(), before + 1);

    let pause = || call(&hub, ADA, "pause", json!({ "seconds": 0.5 }));
    let (one, other) = tokio::join!(pause(), pause());
    assert_eq!([&one, &other].iter().filter(|answer| answer.is_ok()).count(), 1, "{one:?} {other:?}");
    let pause = || call(&hub, STORE, "pause", json!({ "seconds": 0.1 }));
    let (one, other) = tokio::join!(pause(), pause());
    assert!(one.is_ok() && other.is_ok());
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_differs_in_what_starts_it_or_keeps_something_has_a_process_of_its_own() {
    let space = TestSpace::new();
    let stateless = |env: Value| json!({ "stateless": true, "idle_seconds": "never", "env": env });
    let silent = json!({ "idle_seconds": "never", "env": { "KEY": "a" } });
    let settings =
        [(STORE, stateless(json!({ "KEY": "a" }))), (ADA, stateless(json!({ "KEY": "b" }))), (BOB, silent)];
    configured(&space, &Fixture::new(), &settings);
    let hub = opened(&space).await;
    let pids = [pid(&hub, STORE).await, pid(&hub, ADA).await, pid(&hub, BOB).await];
    let different: std::collections::HashSet<_> = pids.iter().collect();
    assert_eq!((different.len(), space.processes().len()), (3, 3), "{pids:?}");

    // Told alike, it moves over with its next call; the others stay where they are.
    let same = stateless(json!({ "KEY": "a" }));
    configured(&space, &Fixture::new(), &[(STORE, same.clone()), (ADA, same), settings[2].clone()]);
    hub.store().orchestrator().rescan().await;
    assert_eq!(pid(&hub, ADA).await, pids[0]);
    assert_eq!((pid(&hub, STORE).await, pid(&hub, BOB).await), (pids[0].clone(), pids[2].clone()));
    until("the process that nobody uses is gone", || space.processes().len() == 2).await;
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_one_is_a_new_process_and_the_others_finish_with_the_old_one() {
    let space = TestSpace::new();
    alike(&space, &Fixture::new());
    let hub = opened(&space).await;
    let old = pid(&hub, STORE).await;
    assert_eq!((pid(&hub, ADA).await, pid(&hub, BOB).await), (old.clone(), old.clone()));
    let orchestrator = hub.store().orchestrator().clone();
    orchestrator.detach(&calc(ADA)).await;
    orchestrator.attach(&calc(ADA)).await.unwrap();
    let new = pid(&hub, ADA).await;
    assert_ne!(new, old);
    assert_eq!(pid(&hub, STORE).await, old);
    // Who begins anew joins the new one, and the old one ends with its last.
    orchestrator.detach(&calc(BOB)).await;
    orchestrator.detach(&calc(STORE)).await;
    assert_eq!((pid(&hub, BOB).await, pid(&hub, STORE).await), (new.clone(), new));
    assert_eq!(space.processes().len(), 1);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_process_that_answers_no_probe_is_left_by_all_and_started_anew_once() {
    let space = TestSpace::new();
    let starts = space.root().join("starts");
    let deaf = Fixture::new().hangs_on("ping").notes_starts(&starts);
    let same = json!({ "stateless": true, "wanted": "always" });
    configured(&space, &deaf, &[(STORE, same.clone()), (ADA, same)]);
    let hub = opened(&space).await;
    becomes(&hub, STORE, ServerState::Healthy).await;
    becomes(&hub, ADA, ServerState::Healthy).await;
    let first = space.processes();
    assert_eq!(first.len(), 1);
    let orchestrator = hub.store().orchestrator().clone();
    let mut supervision = orchestrator.supervision();
    let soon = Duration::from_millis(100);
    (supervision.probe, supervision.probe_in_warning, supervision.probe_timeout) = (soon, soon, soon);
    orchestrator.set_supervision(supervision);
    until("the deaf process is gone and another one is there", || {
        let now = space.processes();
        !now.is_empty() && !now.contains(&first[0])
    })
    .await;
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_fails_for_all_who_share_it() {
    let space = TestSpace::new();
    let broken = Fixture::new().complains(&["no licence"]).exits_at_start(3);
    alike(&space, &broken);
    let hub = opened(&space).await;
    let back: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
    for of in [STORE, ADA, BOB] {
        becomes(&hub, of, ServerState::Reconnecting).await;
        let reason = hub.registry().status(&calc(of)).unwrap().told().unwrap();
        assert!(reason.contains("no licence"), "{reason}");
        let refused = hub.store().orchestrator().lease(&calc(of), &back).await;
        assert!(matches!(refused, Err(LeaseError::Start { .. } | LeaseError::Open { .. })), "{refused:?}");
    }
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}
