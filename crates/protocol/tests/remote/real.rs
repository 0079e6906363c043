//! Servers of the Python SDKs 1.x and 2.x, over both transports.

use std::sync::Arc;
use std::time::Duration;

use dormouse_protocol::{CallError, Exit};
use dormouse_testing::HttpServer;
use dormouse_types::{BackChannel, CallEvent, Outcome};
use serde_json::json;

use crate::shared::{LONG, Listener, arguments, nobody, text, tool};
use crate::support::{At, open};

/// Everything that a connection can do, with one server.
async fn check(env: &str, transport: &'static str) {
    let served = HttpServer::start(env, transport);
    let connection = open(&served.endpoint()).await;
    let features = connection.features();
    assert_eq!(features.title.as_deref(), Some("A fixture"));
    assert_eq!(features.instructions.as_deref(), Some("Be kind."));
    let names: Vec<&str> = features.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["echo", "count", "slow", "stopped", "grow"]);
    assert_eq!(connection.list_faults().to_vec(), []);
    assert_eq!((connection.pid(), connection.exit()), (None, None));

    assert_eq!(text(&connection, "echo", json!({ "text": "hi" })).await, "hi");
    let note = connection.read_resource("note://one", LONG).await.unwrap();
    assert_eq!(note["contents"][0]["text"], "a note");
    let greeting = connection.get_prompt("greet", &arguments(json!({ "name": "Ada" })), LONG).await.unwrap();
    assert_eq!(greeting["messages"][0]["content"]["text"], "Hello Ada");
    connection.ping(LONG).await.unwrap();

    // Progress comes in order, to the call that it is about.
    let listener = Arc::new(Listener::default());
    let back: Arc<dyn BackChannel> = listener.clone();
    connection.call(&tool("count"), &arguments(json!({ "to": 5 })), LONG, &back).await.unwrap();
    let steps: Vec<f64> = listener
        .events
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            CallEvent::Progress { progress, .. } => Some(*progress),
            _ => None,
        })
        .collect();
    assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0]);

    // A call that nobody waits for is stopped at the server, and the others go on.
    let short = Duration::from_millis(300);
    let late = connection.call(&tool("slow"), &arguments(json!({})), short, &nobody()).await.unwrap_err();
    assert!(matches!(late, CallError::TimedOut { sent: true, .. }), "{late}");
    assert_eq!(late.outcome(), Outcome::Unknown);
    while text(&connection, "stopped", json!({})).await != "1" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let calls = (0..20).map(|number| {
        let connection = connection.clone();
        tokio::spawn(async move {
            let words = "w".repeat(number * 3000);
            assert_eq!(text(&connection, "echo", json!({ "text": words })).await, words);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }

    // A change of a list is heard of.
    let mut changed = connection.list_changed();
    let seen = *changed.borrow_and_update();
    assert_eq!(text(&connection, "grow", json!({})).await, "grown");
    tokio::time::timeout(LONG, changed.wait_for(|count| *count > seen)).await.unwrap().unwrap();
    let features = connection.refresh(LONG).await.unwrap();
    assert!(features.tools.iter().any(|tool| tool.name.as_str() == "late"));

    assert_eq!(connection.close(Duration::from_secs(20)).await, Exit::Closed);
    let gone = connection.call(&tool("echo"), &arguments(json!({})), LONG, &nobody()).await.unwrap_err();
    assert!(matches!(gone, CallError::NotSent), "{gone}");
}

#[tokio::test]
async fn a_server_of_2025_11_25_is_spoken_to() {
    check("mcp1", "streamable").await;
}

#[tokio::test]
async fn a_server_of_2026_07_28_is_spoken_to() {
    check("mcp2", "streamable").await;
}

#[tokio::test]
async fn a_server_of_2024_11_05_is_spoken_to() {
    check("mcp1", "sse").await;
}

#[tokio::test]
async fn a_server_that_is_killed_ends_a_connection_over_events() {
    let served = HttpServer::start("mcp1", "sse");
    let connection = open(&served.endpoint()).await;
    let call = tokio::spawn({
        let connection = connection.clone();
        async move { connection.call(&tool("slow"), &arguments(json!({})), LONG, &nobody()).await }
    });
    while text(&connection, "echo", json!({ "text": "x" })).await != "x" {}
    drop(served);
    assert_eq!(connection.closed().await, Exit::Closed);
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Died { .. } | CallError::NotSent), "{error}");
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_the_outcome_unknown() {
    let served = HttpServer::start("mcp2", "streamable");
    let connection = open(&served.endpoint()).await;
    let listener = Arc::new(Listener::default());
    let call = tokio::spawn({
        let (connection, back) = (connection.clone(), listener.clone() as Arc<dyn BackChannel>);
        async move { connection.call(&tool("slow"), &arguments(json!({})), LONG, &back).await }
    });
    // Once later calls are answered, the server has had the first for long.
    for _ in 0..5 {
        text(&connection, "echo", json!({ "text": "x" })).await;
    }
    drop(served);
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Broken { .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    let error = connection.ping(LONG).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::Failed);
}
