//! Limits of calls, and requests that are no calls of tools: one turn and one time for both.

use std::sync::Arc;
use std::time::Duration;

use dormouse::{
    AskError, Hub, LeaseError, NoBackChannel, PassRequest, Passed, Rounds, ServerName, WireError,
};
use dormouse_testing::Fixture;
use dormouse_tests::{TestSpace, call};
use futures::FutureExt as _;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use crate::key;

/// A hub with one server that takes one call at a time.
async fn narrow(space: &TestSpace, queue: Value) -> Hub {
    let settings = json!({"concurrency": 1, "queue": queue, "idle_seconds": "never"});
    space.fixtures(&[("narrow", Fixture::new(), settings)]);
    let hub = space.hub(|_| {}).await;
    call(&hub, "narrow_echo", json!({"text": "awake"})).await.unwrap();
    hub
}

/// A call that has its turn, or waits for it, when this returns.
fn begun(hub: &Hub, tool: &'static str, arguments: Value) -> JoinHandle<String> {
    let hub = hub.clone();
    let mut call = Box::pin(async move { call(&hub, tool, arguments).await.unwrap().result.text() });
    assert!(call.as_mut().now_or_never().is_none());
    tokio::spawn(call)
}

async fn pass(hub: &Hub, method: &str, params: Value, deadline: Duration) -> Result<Passed, AskError> {
    let params: Map<String, Value> = params.as_object().cloned().unwrap();
    let deadline = Some(deadline);
    let request = PassRequest { method: method.to_owned(), params, deadline, rounds: Rounds::Driven };
    hub.store().pass(&key("narrow"), request, Arc::new(NoBackChannel)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_no_call_is_told_that_the_queue_is_full() {
    let space = TestSpace::new();
    let hub = narrow(&space, json!(0)).await;
    let running = begun(&hub, "narrow_pause", json!({"seconds": 1}));
    let refused = pass(&hub, "resources/list", json!({}), Duration::from_secs(60)).await.unwrap_err();
    assert!(
        matches!(&refused, AskError::Lease(LeaseError::Busy { running: 1, waited: Duration::ZERO, .. })),
        "{refused:?}"
    );
    assert_eq!(running.await.unwrap(), "rested");
    pass(&hub, "resources/list", json!({}), Duration::from_secs(60)).await.unwrap();
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_for_a_request_counts_from_the_wait_for_its_turn() {
    let space = TestSpace::new();
    let hub = narrow(&space, json!(5)).await;
    let whole = Duration::from_secs(3);
    let running = begun(&hub, "narrow_pause", json!({"seconds": 1}));
    let hangs = json!({"name": "pause", "arguments": {"seconds": 600}});
    let late = pass(&hub, "tools/call", hangs, whole).await.unwrap_err();
    let AskError::Wire { source: WireError::TimedOut { after, .. }, .. } = &late else { panic!("{late:?}") };
    assert!(*after < whole, "what is left once it had its turn: {after:?}");
    assert_eq!(running.await.unwrap(), "rested");

    // No turn in all that time.
    let running = begun(&hub, "narrow_pause", json!({"seconds": 1}));
    let none = pass(&hub, "resources/list", json!({}), Duration::from_millis(50)).await.unwrap_err();
    assert!(
        matches!(&none, AskError::Lease(LeaseError::Busy { waited, .. }) if !waited.is_zero()),
        "{none:?}"
    );
    running.await.unwrap();
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_turn_has_one_at_the_process_that_takes_its_place() {
    let space = TestSpace::new();
    let hub = narrow(&space, json!(5)).await;
    let old = space.processes();
    let running = begun(&hub, "narrow_pause", json!({"seconds": 3}));
    let waits = begun(&hub, "narrow_pid", json!({}));
    hub.store().restart(&ServerName::try_new("narrow").unwrap()).await.unwrap();
    let new = waits.await.unwrap();
    assert!(!running.is_finished());
    assert!(old.iter().all(|pid| pid.to_string() != new), "{new} in {old:?}");
    assert_eq!(running.await.unwrap(), "rested");
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}
