//! A server that is put to sleep or started anew while calls use it, one after the other.

use dormouse::{AgentId, Hub, Outcome, ServerName, ServerState};
use dormouse_testing::Fixture;
use dormouse_tests::{TestSpace, call, until};
use futures::FutureExt as _;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{becomes, state};

fn name() -> ServerName {
    ServerName::try_new("busy").unwrap()
}

/// A hub with one server that is awake and stays so, and its process.
async fn busy(space: &TestSpace) -> (Hub, String) {
    space.fixtures(&[("busy", Fixture::new(), json!({"idle_seconds": "never"}))]);
    let hub = space.hub(|_| {}).await;
    let pid = pid(&hub).await;
    (hub, pid)
}

async fn pid(hub: &Hub) -> String {
    call(hub, "busy_pid", json!({})).await.unwrap().result.text()
}

fn generation(hub: &Hub) -> u64 {
    hub.store().server(&name()).unwrap().status.generation
}

/// A call that runs for some seconds.
fn runs(hub: &Hub, seconds: f64) -> JoinHandle<String> {
    let hub = hub.clone();
    let mut call = Box::pin(async move {
        let answer = call(&hub, "busy_pause", json!({ "seconds": seconds })).await.unwrap();
        assert_eq!(answer.outcome, Outcome::Ok);
        answer.result.text()
    });
    // It has its server, where that is awake, before anything else happens.
    assert!(call.as_mut().now_or_never().is_none());
    tokio::spawn(call)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_restarted_at_once_and_its_calls_finish_where_they_are() {
    let space = TestSpace::new();
    let (hub, old) = busy(&space).await;
    let before = generation(&hub);
    let running = runs(&hub, 3.0);
    let restarting = tokio::spawn({
        let hub = hub.clone();
        async move { hub.store().restart(&name()).await.unwrap() }
    });
    // A call that comes while it is restarted does not keep the old process.
    until("it is noticed", || state(&hub, "busy") != ServerState::Healthy || generation(&hub) > before).await;
    assert_ne!(pid(&hub).await, old);
    let restarted = restarting.await.unwrap();
    assert_eq!(restarted.status.state, ServerState::Healthy);
    assert!(restarted.status.generation > before, "{:?}", restarted.status);
    assert!(!running.is_finished(), "nobody waits for the calls of the old one");
    assert!(space.processes().iter().any(|pid| pid.to_string() == old));

    assert_eq!(running.await.unwrap(), "rested");
    until("the old process ends", || space.processes().len() == 1).await;
    // What the old one leaves behind says nothing of the new one.
    assert_eq!(state(&hub, "busy"), ServerState::Healthy);
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_overlap_do_not_keep_a_process_that_is_detached() {
    let space = TestSpace::new();
    let (hub, old) = busy(&space).await;
    let running = runs(&hub, 1.0);
    let detaching = tokio::spawn({
        let hub = hub.clone();
        async move { hub.store().detach(&name()).await.unwrap() }
    });
    until("it is noticed", || state(&hub, "busy") != ServerState::Healthy).await;
    let overlapping = runs(&hub, 3.0);
    detaching.await.unwrap();
    assert!(running.is_finished() && !overlapping.is_finished());
    assert!(space.processes().iter().all(|pid| pid.to_string() != old));
    assert_eq!(overlapping.await.unwrap(), "rested");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_nobody_uses_ends_before_the_next_one_starts() {
    let space = TestSpace::new();
    let (hub, old) = busy(&space).await;
    let restarted = hub.store().restart(&name()).await.unwrap();
    assert_eq!(restarted.status.state, ServerState::Healthy);
    assert!(space.processes().iter().all(|pid| pid.to_string() != old));
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_server_is_not_restarted_and_its_calls_are_waited_for() {
    let space = TestSpace::new();
    let (hub, _) = busy(&space).await;
    let running = runs(&hub, 1.0);
    hub.store().restart(&name()).await.unwrap();
    // Also those of the process before.
    hub.store().disconnect(&name(), Some("lunch".to_owned())).await.unwrap();
    assert!(running.is_finished());
    assert_eq!(space.processes(), Vec::<u32>::new());
    assert!(hub.store().restart(&name()).await.is_err());
    let status = hub.store().server(&name()).unwrap().status;
    assert_eq!((status.state, status.reason.as_deref()), (ServerState::Disconnected, Some("lunch")));
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_detached_while_it_was_busy_is_dormant() {
    let space = TestSpace::new();
    let (hub, _) = busy(&space).await;
    let running = runs(&hub, 0.5);
    let detached = hub.store().detach(&name()).await.unwrap();
    assert_eq!((detached.status.state, detached.status.pid), (ServerState::Dormant, None));
    assert_eq!(running.await.unwrap(), "rested");

    // The same, where a changed entry takes the place of one whose call still runs.
    pid(&hub).await;
    let running = runs(&hub, 0.5);
    space.fixtures(&[("busy", Fixture::new(), json!({"idle_seconds": "never", "queue": 3}))]);
    hub.store().orchestrator().rescan().await;
    becomes(&hub, "busy", ServerState::Dormant).await;
    assert_eq!(running.await.unwrap(), "rested");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_share_a_process_are_restarted_by_themselves() {
    let space = TestSpace::new();
    let mut entry = Fixture::new().entry();
    entry["dormouse"] = json!({"idle_seconds": "never", "stateless": true});
    let mut of_ada = entry.clone();
    (of_ada["dormouse"]["agent"], of_ada["dormouse"]["name"]) = (json!("ada"), json!("busy"));
    let file = json!({ "mcpServers": { "busy": entry, "hers": of_ada } });
    space.write("mcp.json", file.to_string());
    let hub = space.hub(|_| {}).await;
    let ada = AgentId::try_new("ada").unwrap();
    let old = pid(&hub).await;
    hub.agent(ada.clone()).attach(&name()).await.unwrap();
    let running = runs(&hub, 1.0);
    hub.store().restart(&name()).await.unwrap();
    assert_ne!(pid(&hub).await, old);
    let of_ada = hub.agent(ada).server(&name()).unwrap().status;
    assert_eq!(of_ada.pid.map(|pid| pid.to_string()), Some(old), "hers stays");
    assert_eq!(running.await.unwrap(), "rested");
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}
