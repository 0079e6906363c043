//! Supervision with real processes: probes, wishes, limits, alerts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod failing;
mod limits;
mod observed;
mod restarting;

use std::time::Duration;

use dormouse::{AlertLevel, ServerKey, Wanted};
use dormouse::{Event, Outcome, ServerName, ServerState};
use dormouse_testing::Fixture;
use dormouse_tests::{TestSpace, call, until};
use serde_json::json;

fn key(text: &str) -> ServerKey {
    ServerKey::store(ServerName::try_new(text).unwrap())
}

/// A hub whose probes come all the time.
async fn hasty(space: &TestSpace) -> dormouse::Hub {
    let hub = space.hub(|config| config.timing.stop_seconds = 0.5).await;
    let orchestrator = hub.store().orchestrator().clone();
    let mut supervision = orchestrator.supervision();
    let soon = Duration::from_millis(100);
    (supervision.probe, supervision.probe_in_warning, supervision.probe_timeout) = (soon, soon, soon);
    orchestrator.set_supervision(supervision);
    hub
}

fn state(hub: &dormouse::Hub, server: &str) -> ServerState {
    hub.store().server(&ServerName::try_new(server).unwrap()).unwrap().status.state
}

async fn becomes(hub: &dormouse::Hub, server: &str, wanted: ServerState) {
    until(&format!("{server} is {wanted}"), || state(hub, server) == wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_no_probe_is_started_anew_and_an_alert_says_so() {
    let space = TestSpace::new();
    let hangs = Fixture::new().hangs_on("ping");
    space.fixtures(&[
        ("deaf", hangs, json!({"wanted": "always"})),
        ("well", Fixture::new(), json!({"wanted": "always"})),
    ]);
    let hub = hasty(&space).await;
    let mut events = hub.events();
    let mut starts = 0;
    while starts < 2 {
        let event = tokio::time::timeout(Duration::from_secs(30), events.recv()).await.unwrap().unwrap();
        starts += i32::from(matches!(event, Event::Attached { ref server, .. } if *server == key("deaf")));
    }
    let alerts = hub.store().orchestrator().alerts();
    let about = |name: &str| alerts.iter().filter(|a| a.server == Some(key(name))).collect::<Vec<_>>();
    assert_eq!(about("deaf").len(), 1, "{alerts:?}");
    assert_eq!(about("deaf")[0].level, AlertLevel::Warning);
    assert!(about("deaf")[0].message.contains("health probe"), "{alerts:?}");
    assert_eq!((about("well").len(), state(&hub, "well")), (0, ServerState::Healthy));
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_that_answers_no_probe_keeps_its_call() {
    let space = TestSpace::new();
    let hangs = Fixture::new().hangs_on("ping");
    space.fixtures(&[("deaf", hangs, json!({"idle_seconds": "never"}))]);
    let hub = hasty(&space).await;
    let pid = call(&hub, "deaf_pid", json!({})).await.unwrap().result.text();
    let running = tokio::spawn({
        let hub = hub.clone();
        async move { call(&hub, "deaf_pause", json!({"seconds": 2})).await }
    });
    let deaf = ServerName::try_new("deaf").unwrap();
    until("a probe failed beside the call", || {
        let status = hub.store().server(&deaf).unwrap().status.clone();
        status.reason.as_ref().is_some_and(|reason| reason.contains("calls run"))
    })
    .await;
    assert_eq!(running.await.unwrap().unwrap().outcome, Outcome::Ok);
    let pids = space.processes();
    assert!(pids.iter().any(|p| p.to_string() == pid), "{pid} in {pids:?}");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_of_a_probe_comes_back_with_growing_delay() {
    let space = TestSpace::new();
    space.fixtures(&[("frail", Fixture::new().crashes_on("ping"), json!({"wanted": "always"}))]);
    let hub = hasty(&space).await;
    becomes(&hub, "frail", ServerState::Reconnecting).await;
    let status = hub.store().server(&ServerName::try_new("frail").unwrap()).unwrap().status;
    assert!(status.failures >= 1, "{status:?}");
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_asks_who_is_awake_and_wakes_nobody() {
    let space = TestSpace::new();
    space.fixtures(&[("a", Fixture::new(), json!({})), ("b", Fixture::new(), json!({"wanted": "always"}))]);
    let hub = space.hub(|_| {}).await;
    let orchestrator = hub.store().orchestrator().clone();
    becomes(&hub, "b", ServerState::Healthy).await;
    call(&hub, "a_echo", json!({"text": "x"})).await.unwrap();
    becomes(&hub, "a", ServerState::Dormant).await;
    let awake = orchestrator.check(&key("b")).await.unwrap();
    assert!(awake.healthy && awake.latency.is_some(), "{awake:?}");
    let asleep = orchestrator.check(&key("a")).await.unwrap();
    assert_eq!((asleep.healthy, asleep.latency, asleep.state), (true, None, ServerState::Dormant));
    assert!(orchestrator.check(&key("nobody")).await.is_err());
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_server_says_why_fails_calls_and_stays_so_until_it_is_connected() {
    let space = TestSpace::new();
    space.fixtures(&[("a", Fixture::new(), json!({"idle_seconds": "never"}))]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "a_echo", json!({"text": "x"})).await.unwrap();
    let why = Some("maintenance".to_owned());
    hub.store().orchestrator().want(&key("a"), Wanted::Stopped, why.clone()).await.unwrap();
    becomes(&hub, "a", ServerState::Disconnected).await;
    let a = ServerName::try_new("a").unwrap();
    assert_eq!(hub.store().server(&a).unwrap().status.reason, why);
    let error = call(&hub, "a_echo", json!({"text": "x"})).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Failed, "{error}");
    hub.store().orchestrator().rescan().await;
    assert_eq!(state(&hub, "a"), ServerState::Disconnected);
    hub.shutdown().await;

    let again = space.hub(|_| {}).await;
    let error = call(&again, "a_echo", json!({"text": "x"})).await.unwrap_err();
    assert!(error.to_string().contains("stopped"), "{error}");
    again.store().orchestrator().want(&key("a"), Wanted::OnDemand, None).await.unwrap();
    becomes(&again, "a", ServerState::Healthy).await;
    assert_eq!(call(&again, "a_echo", json!({"text": "back"})).await.unwrap().result.text(), "back");
    again.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_busy_at_once_and_delays_no_other() {
    let space = TestSpace::new();
    space.fixtures(&[
        ("slow", Fixture::new(), json!({"concurrency": 1, "queue": 1, "idle_seconds": "never"})),
        ("quick", Fixture::new(), json!({})),
    ]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "slow_echo", json!({"text": "x"})).await.unwrap();
    let pause = |hub: dormouse::Hub| {
        tokio::spawn(async move { call(&hub, "slow_pause", json!({"seconds": 1})).await })
    };
    let mut calls = vec![pause(hub.clone()), pause(hub.clone()), pause(hub.clone())];
    // One runs, one waits, one is refused.
    let (first, _, rest) = futures::future::select_all(calls.drain(..)).await;
    let error = first.unwrap().unwrap_err();
    assert_eq!(error.outcome(), Outcome::Failed);
    assert!(error.to_string().contains("busy: 1 calls run and 1 wait"), "{error}");
    assert_eq!(call(&hub, "quick_echo", json!({"text": "y"})).await.unwrap().result.text(), "y");
    for call in rest {
        assert_eq!(call.await.unwrap().unwrap().outcome, Outcome::Ok);
    }
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_wakes_a_server_and_lists_it_anew() {
    let space = TestSpace::new();
    space.fixtures(&[("a", Fixture::new(), json!({}))]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "a_echo", json!({"text": "x"})).await.unwrap();
    becomes(&hub, "a", ServerState::Dormant).await;
    let features = hub.store().orchestrator().refresh(&key("a")).await.unwrap();
    assert!(!features.tools.is_empty());
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waited_for_a_new_server_is_shown_its_tools() {
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    for n in 0..5 {
        let name = ServerName::try_new(format!("new{n}")).unwrap();
        hub.store().add(name.clone(), Fixture::new().entry()).await.unwrap();
        let seen = hub.store().wait(&name, &[ServerState::Healthy], Duration::from_secs(30)).await.unwrap();
        assert_eq!((seen.status.state, seen.tools.is_empty()), (ServerState::Healthy, false));
    }
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_call_that_its_caller_gave_up_is_told_and_recorded() {
    let space = TestSpace::new();
    space.fixtures(&[("a", Fixture::new(), json!({}))]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "a_echo", json!({"text": "x"})).await.unwrap();
    let mut events = hub.events();
    let running = tokio::spawn({
        let hub = hub.clone();
        async move { call(&hub, "a_pause", json!({"seconds": 600})).await }
    });
    let mut begun = None;
    loop {
        match events.recv().await.unwrap() {
            Event::CallStarted { call, .. } => begun = Some(call),
            // It is under way from here on.
            Event::Attached { .. } => running.abort(),
            Event::CallEnded { call, end, .. } => {
                assert_eq!((Some(call), end.outcome), (begun, Outcome::Unknown));
                break;
            }
            _ => {}
        }
    }
    assert!(running.await.unwrap_err().is_cancelled());
    let records = hub.store().calls(&dormouse::CallFilter::default()).await.unwrap();
    let told: Vec<_> = records.iter().map(|r| (r.tool.as_str(), r.outcome)).collect();
    assert_eq!(told, [("pause", Outcome::Unknown), ("echo", Outcome::Ok)]);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_raised_by_hand_are_told_and_cleared() {
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    let mut events = hub.events();
    let orchestrator = hub.store().orchestrator().clone();
    let raised = orchestrator.raise_alert(AlertLevel::Info, "lunch", "back at one", None);
    assert!(matches!(events.recv().await, Ok(Event::Alert { alert }) if *alert == raised));
    for n in 0..600 {
        orchestrator.raise_alert(AlertLevel::Info, "many", &n.to_string(), None);
    }
    assert_eq!(orchestrator.alerts().len(), 500);
    assert_eq!((orchestrator.clear_alerts(), orchestrator.alerts().len()), (500, 0));
    hub.shutdown().await;
}
