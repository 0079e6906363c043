//! Whoever watches a hub, and whoever waits for its end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use dormouse::{Event, Hub, Observer, Outcome};
use dormouse_testing::Fixture;
use dormouse_tests::{TestSpace, call, until};
use serde_json::json;

/// Counts what it is told and what it lost, and can be held.
#[derive(Debug, Default)]
struct Counts {
    told: AtomicU64,
    lost: AtomicU64,
    held: Mutex<bool>,
    freed: Condvar,
}

impl Counts {
    fn held() -> Self {
        Self { held: Mutex::new(true), ..Self::default() }
    }

    fn free(&self) {
        *self.held.lock().unwrap() = false;
        self.freed.notify_all();
    }

    fn both(&self) -> (u64, u64) {
        (self.told.load(Ordering::SeqCst), self.lost.load(Ordering::SeqCst))
    }
}

impl Observer for Counts {
    fn changed(&self, _: &Event) {
        drop(self.freed.wait_while(self.held.lock().unwrap(), |held| *held).unwrap());
        self.told.fetch_add(1, Ordering::SeqCst);
    }

    fn lost(&self, events: u64) {
        self.lost.fetch_add(events, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_that_hangs_slows_no_call_and_hears_how_much_it_lost() {
    let space = TestSpace::new();
    space.fixtures(&[("echo", Fixture::new(), json!({"idle_seconds": "never"}))]);
    let (hung, quick) = (Arc::new(Counts::held()), Arc::new(Counts::default()));
    let config = dormouse::Config { model: "none".to_owned(), keyring: false, ..dormouse::Config::default() };
    let opened = Hub::builder().space(space.root()).config(config);
    let hub = opened.observer(hung.clone()).observer(quick.clone()).open().await.unwrap();
    // Each begins and ends: more than wait for one observer.
    for _ in 0..700 {
        let answer = call(&hub, "echo_echo", json!({"text": "x"})).await.unwrap();
        assert_eq!(answer.outcome, Outcome::Ok);
    }
    assert_eq!(hung.both(), (0, 0), "all calls were answered while it hung");
    until("the other one has heard of all calls", || quick.both().0 >= 1400).await;

    hung.free();
    until("it has what waited for it", || hung.both().0 > 1000).await;
    call(&hub, "echo_echo", json!({"text": "x"})).await.unwrap();
    until("it knows of everything, or that it was lost", || {
        let ((told, lost), (all, missed)) = (hung.both(), quick.both());
        missed == 0 && lost > 0 && told + lost == all
    })
    .await;
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_ask_for_the_end_of_a_hub_wait_for_it() {
    let space = TestSpace::new();
    space.fixtures(&[("stays", Fixture::new().will_not_leave(), json!({"idle_seconds": "never"}))]);
    let hub = space.hub(|config| config.timing.stop_seconds = 1.0).await;
    call(&hub, "stays_echo", json!({"text": "x"})).await.unwrap();
    let ended = |hub: Hub| {
        let space = &space;
        async move {
            hub.shutdown().await;
            space.processes()
        }
    };
    // The first of them gives up in the middle of it.
    let impatient = tokio::time::timeout(std::time::Duration::from_millis(50), hub.shutdown()).await;
    assert!(impatient.is_err(), "its process does not leave at once");
    let left = tokio::join!(ended(hub.clone()), ended(hub.clone()));
    assert_eq!(left, (Vec::new(), Vec::new()));
}
