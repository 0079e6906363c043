//! Servers of the Python SDKs: mcp 1 and 2, fastmcp 2 to 4, over both transports.

use std::sync::Arc;
use std::time::Duration;

use dormouse::{
    Arguments, BackChannel, CallEvent, CallRequest, Hub, NoBackChannel, Outcome, PeerAnswer, PeerRequest,
    ServerState,
};
use dormouse_testing::HttpServer;
use dormouse_tests::{TestSpace, call, until};
use serde_json::{Value, json};

use crate::support::{becomes, comes, configure, fails, hasty, reason, status, tools};

/// A caller who writes down what comes.
#[derive(Debug, Default)]
struct Listener(std::sync::Mutex<Vec<CallEvent>>);

#[async_trait::async_trait]
impl BackChannel for Listener {
    fn notify(&self, event: CallEvent) {
        self.0.lock().unwrap().push(event);
    }

    async fn ask(&self, _: PeerRequest) -> PeerAnswer {
        PeerAnswer::Unsupported
    }
}

async fn text(hub: &Hub, tool: &str, arguments: Value) -> String {
    call(hub, tool, arguments).await.unwrap().result.text()
}

/// Everything that a server at a URL can do, through a hub.
async fn check(env: &str, transport: &str) {
    let space = TestSpace::new();
    let served = HttpServer::start(env, transport);
    configure(&space, &[("far", json!({ "url": served.url() }))]);
    let hub = space.hub(|_| {}).await;
    comes(&hub, "far").await;
    assert_eq!(status(&hub, "far").pid, None);
    assert_eq!(tools(&hub, "far"), ["echo", "count", "slow", "stopped", "grow"]);
    assert_eq!(text(&hub, "far_echo", json!({ "text": "hi" })).await, "hi");
    let note = hub.store().read_resource(None, "note://one", None).await.unwrap();
    assert_eq!(note["contents"][0]["text"], "a note");
    let ada: Arguments = json!({ "name": "Ada" }).as_object().unwrap().clone();
    let greeting = hub.store().prompt(None, "greet", &ada, None).await.unwrap();
    assert_eq!(greeting["messages"][0]["content"]["text"], "Hello Ada");

    let listener = Arc::new(Listener::default());
    let request = CallRequest {
        tool: "far_count".to_owned(),
        server: None,
        arguments: json!({ "to": 3 }).as_object().unwrap().clone(),
        deadline: None,
    };
    let back: Arc<dyn BackChannel> = listener.clone();
    hub.store().call(request, back).await.unwrap();
    let steps = |events: &[CallEvent]| {
        let progress = events.iter().filter(|event| matches!(event, CallEvent::Progress { .. }));
        progress.count()
    };
    assert_eq!(steps(&listener.0.lock().unwrap()), 3);

    // A call whose time is over is stopped at the server.
    let request = CallRequest {
        tool: "far_slow".to_owned(),
        server: None,
        arguments: Arguments::new(),
        deadline: Some(Duration::from_millis(300)),
    };
    let nobody: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
    let late = hub.store().call(request, nobody).await.unwrap_err();
    assert_eq!(late.outcome(), Outcome::Unknown, "{late}");
    while text(&hub, "far_stopped", json!({})).await != "1" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    // What it announces is taken up, and nobody asked.
    text(&hub, "far_grow", json!({})).await;
    until("the new tool is listed", || tools(&hub, "far").iter().any(|tool| tool == "late")).await;
    assert_eq!(text(&hub, "far_late", json!({})).await, "late");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_1_is_used_at_its_url() {
    check("mcp1", "streamable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_1_is_used_over_the_older_transport() {
    check("mcp1", "sse").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_2_is_used_at_its_url() {
    check("mcp2", "streamable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_2_is_used_over_the_older_transport() {
    check("mcp2", "sse").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fastmcp_3_is_used_at_its_url() {
    check("fastmcp3", "streamable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fastmcp_4_is_used_at_its_url() {
    check("fastmcp4", "streamable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fastmcp_2_is_used_over_the_older_transport() {
    check("fastmcp2", "sse").await;
}

/// A server dies in the middle of a call, stays away, and returns.
async fn dies_and_returns(env: &str, transport: &str) {
    let space = TestSpace::new();
    let mut served = HttpServer::start(env, transport);
    configure(&space, &[("far", json!({ "url": served.url() }))]);
    let hub = hasty(&space).await;
    comes(&hub, "far").await;
    let running = tokio::spawn({
        let hub = hub.clone();
        async move { call(&hub, "far_slow", json!({})).await }
    });
    // Once later calls are answered, the server has had the first for long.
    for _ in 0..5 {
        text(&hub, "far_echo", json!({ "text": "x" })).await;
    }
    served.kill();
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    until("it is away", || status(&hub, "far").failures > 0).await;
    until("the hub says why", || reason(&hub, "far").contains("cannot be reached")).await;
    // Its tools are listed all the while, and a call certainly did not run.
    assert_eq!(tools(&hub, "far").len(), 5);
    let error = call(&hub, "far_echo", json!({ "text": "x" })).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Failed, "{error}");
    let told = |title: &str| hub.store().orchestrator().alerts().iter().any(|alert| alert.title == title);
    until("an alert says so", || told("server reconnecting") || told("server unreachable")).await;

    served.resume();
    comes(&hub, "far").await;
    assert_eq!(text(&hub, "far_echo", json!({ "text": "back" })).await, "back");
    assert_eq!(status(&hub, "far").failures, 0);
    until("another one says that it is over", || told("server recovered")).await;
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_sessions_dies_and_returns() {
    dies_and_returns("mcp1", "streamable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_sessions_dies_and_returns() {
    dies_and_returns("mcp2", "streamable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_older_transport_dies_and_returns() {
    dies_and_returns("mcp1", "sse").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_started_anew_between_two_calls_is_called_at_once() {
    let space = TestSpace::new();
    let mut served = HttpServer::start("mcp1", "streamable");
    configure(&space, &[("far", json!({ "url": served.url() }))]);
    let hub = space.hub(|_| {}).await;
    comes(&hub, "far").await;
    assert_eq!(text(&hub, "far_echo", json!({ "text": "one" })).await, "one");
    served.resume();
    assert_eq!(text(&hub, "far_echo", json!({ "text": "two" })).await, "two");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_at_a_url_stays_connected_unless_it_may_sleep() {
    let space = TestSpace::new();
    let served = HttpServer::start("mcp2", "streamable");
    let sleepy = json!({ "url": served.url(), "dormouse": { "wanted": "on_demand", "idle_seconds": 0 } });
    configure(&space, &[("stays", json!({ "url": served.url() })), ("sleeps", sleepy)]);
    let hub = space.hub(|_| {}).await;
    comes(&hub, "stays").await;
    // The first contact, for its tools.
    until("the tools are known", || tools(&hub, "sleeps").len() == 5).await;
    becomes(&hub, "sleeps", ServerState::Dormant).await;
    assert_eq!(text(&hub, "sleeps_echo", json!({ "text": "up" })).await, "up");
    becomes(&hub, "sleeps", ServerState::Dormant).await;
    assert_eq!(status(&hub, "stays").state, ServerState::Healthy);
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_yet_is_connected_when_it_comes() {
    let space = TestSpace::new();
    let mut served = HttpServer::start("mcp2", "streamable");
    served.kill();
    configure(&space, &[("far", json!({ "url": served.url() }))]);
    let hub = hasty(&space).await;
    let why = fails(&hub, "far").await;
    assert!(why.contains("cannot be reached") && why.contains("refused"), "{why}");
    served.resume();
    comes(&hub, "far").await;
    assert_eq!(tools(&hub, "far").len(), 5);
    hub.shutdown().await;
}
