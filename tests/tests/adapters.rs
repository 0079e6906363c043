//! Libraries of others, as they come from PyPI, use a hub's tools.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::path::PathBuf;
use std::process::Stdio;

use dormouse::Hub;
use dormouse_testing::{OpenAiDouble, Reply, scripts};
use dormouse_tests::{TestSpace, repository, serve};
use serde_json::{Value, json};

/// Runs a script of `tests/adapters` with the libraries, and reads what it printed.
async fn run(script: &str, arguments: &[&str]) -> Value {
    let python: PathBuf = repository("target/test-envs/adapters/bin/python");
    assert!(python.exists(), "run `cargo xtask setup` first: it makes {}", python.display());
    let output = tokio::process::Command::new(python)
        .arg("-I")
        .arg(repository(&format!("tests/adapters/{script}.py")))
        .args(arguments)
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{script}: {error}: {said}"))
}

/// A hub with `arithmetic.py`, asleep, and its address.
async fn arithmetic(space: &TestSpace) -> (Hub, String) {
    space.write("servers/arithmetic.py", scripts::ARITHMETIC);
    let hub = space.hub(|_| {}).await;
    let address = serve(&hub).await;
    (hub, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_client_loops_over_the_hubs_tools() {
    let space = TestSpace::new();
    let (hub, address) = arithmetic(&space).await;
    let model = OpenAiDouble::start(&["double"])
        .await
        .then(Reply::calls(&[
            ("arithmetic_add", json!({"a": 2, "b": 3})),
            ("arithmetic_divide", json!({"a": 7, "b": 2})),
            ("arithmetic_divide", json!({"a": 7})),
        ]))
        .then(Reply::text("5, and 3.5."));
    let messages = run("openai_loop", &[&address, &model.url()]).await;
    let said = |place: usize| messages[place]["content"].as_str().unwrap();
    assert_eq!(messages[2]["tool_call_id"], "call_0");
    assert!(said(2).starts_with('5') && said(3).starts_with("3.5"), "{messages}");
    assert!(said(4).starts_with("error:") && said(4).contains('b'), "{messages}");
    assert_eq!(said(5), "5, and 3.5.");
    // The client sent the hub's tools and answers on as they were.
    let requests = model.requests();
    assert_eq!(requests[0].body["tools"][0]["function"]["name"], "arithmetic_add");
    assert_eq!(requests[1].body["messages"][2], messages[2]);
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn langchain_makes_tools_of_the_hubs_and_calls_them() {
    let space = TestSpace::new();
    let (hub, address) = arithmetic(&space).await;
    let seen = run("langchain_tools", &[&address]).await;
    assert!(seen["plain"].as_str().unwrap().starts_with('3'), "{seen}");
    assert_eq!(seen["message"].as_array().unwrap()[1..], [json!("success"), json!("ok"), json!("c1")]);
    assert_eq!(seen["failed"][1], "error");
    assert!(seen["direct"][0].as_str().unwrap().starts_with("42"), "{seen}");
    assert_eq!(seen["direct"][1], "c3");
    assert_eq!(seen["converted"]["parameters"]["required"], json!(["a", "b"]));
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_library_reads_its_form() {
    let space = TestSpace::new();
    let (hub, address) = arithmetic(&space).await;
    let seen = run("shapes", &[&address]).await;
    for format in ["openai", "openai_responses", "anthropic", "gemini", "ollama"] {
        assert!(seen[format].as_str().unwrap().starts_with('5'), "{format}: {seen}");
    }
    hub.shutdown().await;
}
