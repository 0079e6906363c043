//! Servers that are awake, and whose calls fail all the same.

use std::sync::Arc;
use std::time::Duration;

use dormouse::{
    AgentId, AlertLevel, Arguments, CallAnswer, CallError, CallRequest, Hub, LeaseError, NoBackChannel,
    Outcome, RefreshError, RunError, ServerName, ServerState, ServerStatus,
};
use dormouse_testing::Fixture;
use dormouse_tests::{TestSpace, until};
use serde_json::{Value, json};

use crate::{becomes, key, state};

fn status(hub: &Hub, server: &str) -> Arc<ServerStatus> {
    hub.store().server(&ServerName::try_new(server).unwrap()).unwrap().status
}

/// A server whose calls may take 200 ms, where the caller says nothing else.
fn slow(space: &TestSpace) {
    let own = json!({"idle_seconds": "never", "call_timeout_seconds": 0.2});
    space.fixtures(&[("slow", Fixture::new(), own)]);
}

/// A call by somebody who has the time.
async fn call(hub: &Hub, tool: &str, arguments: Value) -> Result<CallAnswer, CallError> {
    ask(hub, tool, arguments, Duration::from_secs(60)).await
}

async fn ask(hub: &Hub, tool: &str, arguments: Value, time: Duration) -> Result<CallAnswer, CallError> {
    let arguments: Arguments = arguments.as_object().cloned().unwrap();
    let request = CallRequest { tool: tool.to_owned(), server: None, arguments, deadline: Some(time) };
    hub.store().call(request, Arc::new(NoBackChannel)).await
}

/// A call of a tool that takes a minute, for which nobody has the time.
async fn late(hub: &Hub, tool: &str) -> Result<CallAnswer, CallError> {
    ask(hub, tool, json!({"seconds": 60}), Duration::from_millis(150)).await
}

fn is_open(result: &Result<CallAnswer, CallError>) -> bool {
    matches!(result, Err(CallError::Run(RunError::Lease(LeaseError::Open { .. }))))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_hang_open_the_breaker_of_a_server_that_answers_probes() {
    let space = TestSpace::new();
    slow(&space);
    let hub = space.hub(|_| {}).await;
    // So long that no call gets in by itself before the one that runs is answered.
    let orchestrator = hub.store().orchestrator().clone();
    let mut supervision = orchestrator.supervision();
    supervision.first_delay = Duration::from_secs(10);
    orchestrator.set_supervision(supervision);
    let pid = call(&hub, "slow_pid", json!({})).await.unwrap().result.text();
    let running = tokio::spawn({
        let hub = hub.clone();
        async move { call(&hub, "slow_pause", json!({"seconds": 5})).await }
    });

    for failed in 1..=3 {
        let error = late(&hub, "slow_pause").await.unwrap_err();
        assert!(matches!(error, CallError::Run(RunError::Wire { .. })), "{error}");
        assert!(orchestrator.check(&key("slow")).await.unwrap().healthy, "it answers a probe");
        let status = status(&hub, "slow");
        assert_eq!(status.failures, failed, "{status:?}");
        let reason = status.reason.clone().unwrap_or_default();
        assert!(reason.contains("a call failed: the server did not answer within"), "{status:?}");
    }
    let open = status(&hub, "slow");
    assert_eq!(open.state, ServerState::Warning);
    assert!(open.next_retry.is_some(), "{open:?}");
    let refused = late(&hub, "slow_pause").await;
    assert!(is_open(&refused), "{refused:?}");
    assert_eq!(refused.unwrap_err().outcome(), Outcome::Failed, "nothing was sent");
    until("an alert tells of it", || {
        orchestrator
            .alerts()
            .iter()
            .any(|alert| alert.title == "calls fail" && alert.message.contains("3 in a row"))
    })
    .await;

    // What ran goes on, and its answer lets calls in again.
    assert_eq!(running.await.unwrap().unwrap().outcome, Outcome::Ok);
    assert_eq!(call(&hub, "slow_pid", json!({})).await.unwrap().result.text(), pid, "the same process");
    let well = status(&hub, "slow");
    assert_eq!((well.state, well.failures, &well.reason), (ServerState::Healthy, 0, &None));
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_back_off_one_call_tries_and_how_it_goes_decides() {
    let space = TestSpace::new();
    slow(&space);
    let hub = space.hub(|_| {}).await;
    let orchestrator = hub.store().orchestrator().clone();
    let mut supervision = orchestrator.supervision();
    // So long that it is not over before it is looked at.
    supervision.first_delay = Duration::from_secs(2);
    orchestrator.set_supervision(supervision);
    call(&hub, "slow_echo", json!({"text": "awake"})).await.unwrap();
    for _ in 0..3 {
        late(&hub, "slow_pause").await.unwrap_err();
    }
    assert!(is_open(&late(&hub, "slow_pause").await));
    until("one may try", || status(&hub, "slow").next_retry.is_none()).await;

    // It hangs as well; while it does, no other is let in.
    let (tried, beside) = tokio::join!(late(&hub, "slow_pause"), async {
        tokio::task::yield_now().await;
        late(&hub, "slow_pause").await
    });
    assert!(is_open(&tried) != is_open(&beside), "one of them: {tried:?} {beside:?}");
    assert_eq!(status(&hub, "slow").failures, 4);
    assert!(is_open(&late(&hub, "slow_pause").await));

    // One whose caller gives up says nothing, and lets the next one try; that one is answered.
    until("one may try", || status(&hub, "slow").next_retry.is_none()).await;
    let given_up = call(&hub, "slow_pause", json!({"seconds": 60}));
    tokio::time::timeout(Duration::from_millis(100), given_up).await.unwrap_err();
    assert_eq!(call(&hub, "slow_echo", json!({"text": "x"})).await.unwrap().result.text(), "x");
    assert_eq!(state(&hub, "slow"), ServerState::Healthy);
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_of_a_call_makes_no_server_well() {
    let space = TestSpace::new();
    slow(&space);
    let hub = space.hub(|_| {}).await;
    let ada = AgentId::try_new("ada").unwrap();
    let slow = ServerName::try_new("slow").unwrap();
    hub.store().assign(&slow, &ada).await.unwrap();
    call(&hub, "slow_echo", json!({"text": "awake"})).await.unwrap();
    late(&hub, "slow_pause").await.unwrap_err();
    late(&hub, "slow_pause").await.unwrap_err();

    // Nor does it make it worse, when somebody has no patience at all.
    for _ in 0..5 {
        ask(&hub, "slow_pause", json!({"seconds": 60}), Duration::from_millis(20)).await.unwrap_err();
    }
    hub.agent(ada).attach(&slow).await.unwrap();
    assert_eq!((status(&hub, "slow").failures, state(&hub, "slow")), (2, ServerState::Warning));
    let given_up = call(&hub, "slow_pause", json!({"seconds": 60}));
    tokio::time::timeout(Duration::from_millis(100), given_up).await.unwrap_err();
    assert_eq!((status(&hub, "slow").failures, state(&hub, "slow")), (2, ServerState::Warning));
    // An error of the tool is an answer.
    let failed = call(&hub, "slow_fail", json!({"message": "no"})).await.unwrap();
    assert_eq!(failed.outcome, Outcome::ToolError);
    assert_eq!((status(&hub, "slow").failures, state(&hub, "slow")), (0, ServerState::Healthy));
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_of_a_call_backs_off_however_its_end_is_noticed() {
    let space = TestSpace::new();
    let many: Vec<String> = (0..12).map(|number| format!("s{number}")).collect();
    let entries: Vec<_> = many
        .iter()
        .map(|name| (name.as_str(), Fixture::new().complains(&["hush"]), json!({"idle_seconds": "never"})))
        .collect();
    space.fixtures(&entries);
    let hub = space.hub(|_| {}).await;
    until("all are known", || hub.store().tools().len() >= 12 * many.len()).await;
    for name in &many {
        call(&hub, &format!("{name}_crash"), json!({})).await.unwrap_err();
        becomes(&hub, name, ServerState::Unreachable).await;
        let status = status(&hub, name);
        assert_eq!(status.failures, 1, "{status:?}");
        assert!(status.reason.is_some(), "{status:?}");
    }
    for name in &many {
        let about = key(name);
        until("an alert tells of it", || {
            hub.store().orchestrator().alerts().iter().any(|alert| alert.server.as_ref() == Some(&about))
        })
        .await;
    }
    // The third in a row opens the breaker.
    for failed in 2..=3 {
        call(&hub, "s0_crash", json!({})).await.unwrap_err();
        until("its end is noticed", || status(&hub, "s0").failures == failed).await;
    }
    let refused = call(&hub, "s0_crash", json!({})).await;
    assert!(is_open(&refused), "{refused:?}");
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_is_reconnecting_while_its_first_contact_is_tried_again() {
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    let orchestrator = hub.store().orchestrator().clone();
    let mut supervision = orchestrator.supervision();
    (supervision.first_delay, supervision.give_up_after) = (Duration::from_millis(100), 4);
    orchestrator.set_supervision(supervision);
    let broken = ServerName::try_new("broken").unwrap();
    hub.store().add(broken.clone(), Fixture::new().exits_at_start(1).entry()).await.unwrap();
    let about = || orchestrator.alerts().into_iter().filter(|alert| alert.server == Some(key("broken")));
    until("an alert tells of it", || about().next().is_some()).await;
    let alert = about().next().unwrap();
    assert_eq!(
        (alert.level, alert.title.as_str()),
        (AlertLevel::Warning, "server reconnecting"),
        "{alert:?}"
    );

    // From then on nobody tries for long.
    let seen = hub.store().wait(&broken, &[ServerState::Unreachable], Duration::from_secs(30)).await.unwrap();
    assert!(seen.status.failures >= 4 && seen.status.next_retry.is_some(), "{:?}", seen.status);
    hub.shutdown().await;
}

/// Lists its tools once at once, and later not in any time.
const LISTS_ONCE: &str = r#"
import json, sys, time
listed = False
for line in sys.stdin:
    asked = json.loads(line)
    method, result = asked["method"], {}
    if "id" not in asked:
        continue
    if method == "initialize":
        result = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "once", "version": "1"}}
    elif method == "tools/list":
        if listed:
            continue
        listed, result = True, {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}
    elif method != "ping":
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"],
                          "error": {"code": -32601, "message": "no"}}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_has_the_time_for_a_start_as_it_is_set_now() {
    let space = TestSpace::new();
    let script = space.write("once.py", LISTS_ONCE);
    let entry = json!({"command": dormouse_testing::python(), "args": [script],
        "dormouse": {"idle_seconds": "never"}});
    space.write("mcp.json", json!({"mcpServers": {"once": entry}}).to_string());
    let hub = space.hub(|_| {}).await;
    let once = ServerName::try_new("once").unwrap();
    hub.store().attach(&once).await.unwrap();
    let orchestrator = hub.store().orchestrator().clone();
    let mut supervision = orchestrator.supervision();
    supervision.start = Duration::from_millis(300);
    orchestrator.set_supervision(supervision);
    let error = orchestrator.refresh(&key("once")).await.unwrap_err();
    assert!(matches!(error, RefreshError::Wire { .. }), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    let limit: u64 = cause.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(limit <= 300, "{cause}");
    hub.shutdown().await;
}
