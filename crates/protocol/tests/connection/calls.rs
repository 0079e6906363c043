//! Calls on a real server, and the ways in which they end.

use std::sync::Arc;
use std::time::Duration;

use dormouse_protocol::{CallError, Exit};
use dormouse_types::{BackChannel, CallEvent, Outcome};
use serde_json::{Value, json};

use crate::support::{LONG, Listener, arguments, keeper, lives, nobody, open, text, tool, until};

#[tokio::test]
async fn a_server_is_launched_listed_called_and_closed() {
    let keeper = keeper();
    let connection = open(&keeper, &["--resources"]).await;
    let features = connection.features();
    let names: Vec<&str> = features.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["echo", "slow"]);
    assert_eq!(features.tools[0].rest["execution"], json!({ "x": 1 }));
    assert_eq!(features.title.as_deref(), Some("A fixture"));
    assert_eq!(features.instructions.as_deref(), Some("Be kind."));
    assert_eq!(features.resources[0].rest["size"], json!(3));
    assert_eq!(features.resource_templates[0].uri_template, "a:{b}");
    assert_eq!(features.prompts[0].name, "greet");
    assert!(connection.list_faults().is_empty());
    let result =
        connection.call(&tool("echo"), &arguments(json!({ "text": "hi" })), LONG, &nobody()).await.unwrap();
    assert_eq!(result.text(), "hi");
    assert_eq!(result.structured_content, Some(json!({ "result": "hi" })));
    assert_eq!(result.outcome(), Outcome::Ok);
    let pid = connection.pid();
    assert!(lives(pid));
    assert_eq!(connection.close(Duration::from_secs(20)).await, Exit::Code(0));
    assert!(!lives(pid));
    assert_eq!(connection.close(Duration::ZERO).await, Exit::Code(0));
    keeper.shutdown().await;
}

#[tokio::test]
async fn calls_at_once_each_get_their_own_answer() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    let calls = (0..64).map(|number| {
        let connection = connection.clone();
        tokio::spawn(async move {
            let words = "w".repeat(number * 300);
            assert_eq!(text(&connection, "echo", json!({ "text": words })).await, words);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    keeper.shutdown().await;
}
