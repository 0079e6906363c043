//! The hub is killed without a word: nothing that it started lives on, and its space is free.

use std::time::Duration;

use dormouse_testing::{Fixture, descendants_of, none_left, processes_with_mark};
use dormouse_tests::{TestSpace, call, serving, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_hub_leaves_no_process_and_a_free_space() {
    let space = TestSpace::new();
    let never = json!({ "idle_seconds": "never" });
    let mark = format!("of-{}", space.root().file_name().unwrap().to_string_lossy());
    let messy = || Fixture::new().mark(&mark).leaves_children(1).in_own_sessions();
    space.fixtures(&[("calm", messy(), never.clone()), ("deaf", messy().will_not_leave(), never)]);
    let (mut hub, address) = serving(&space).await;

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for server in ["calm", "deaf"] {
        let waits = format!("{address}/servers/{server}/wait?state=healthy,dormant&timeout_ms=30000");
        assert_eq!(http.get(waits).send().await.unwrap().status(), 200);
        let calls = http.post(format!("{address}/tools/{server}_echo/call"));
        let answer = calls.json(&json!({ "arguments": { "text": "x" } })).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let mine = || processes_with_mark(&mark);
    assert_eq!(mine().len(), 4, "two servers, each with a child in a session of its own");
    // A call that runs while the hub dies.
    let running = tokio::spawn(
        http.post(format!("{address}/tools/calm_pause/call"))
            .json(&json!({ "arguments": { "seconds": 600 } }))
            .send(),
    );
    let pid = hub.id().unwrap();
    let mut started: Vec<u32> = descendants_of(pid).into_iter().map(|process| process.pid).collect();
    started.extend(space.processes());
    started.extend(mine().iter().map(|process| process.pid));

    hub.start_kill().unwrap();
    hub.wait().await.unwrap();
    none_left(Duration::from_secs(2), || {
        let mine = space.processes();
        let living = processes_with_mark("").into_iter();
        living.filter(|process| started.contains(&process.pid) || mine.contains(&process.pid)).collect()
    })
    .await;
    assert!(running.await.unwrap().is_err(), "nobody is left to answer");

    let again = space.hub(|_| {}).await;
    let registry = again.registry().clone();
    until("the tools are known", || {
        registry.snapshot().find_tool(&dormouse::Scope::Store, "calm_echo", None).is_ok()
    })
    .await;
    assert_eq!(call(&again, "calm_echo", json!({ "text": "back" })).await.unwrap().result.text(), "back");
    again.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}
