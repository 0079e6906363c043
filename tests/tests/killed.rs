//! The hub is killed without a word: nothing that it started lives on, and its space is free.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use dormouse_testing::{descendants_of, none_left, processes_with_mark};
use dormouse_tests::{TestSpace, call, until};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// The binary, which cargo puts beside the tests; built once where only the tests were.
fn binary() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().and_then(|deps| deps.parent()).unwrap();
    let binary = profile.join("dormouse");
    if !binary.exists() {
        let mut build = std::process::Command::new(env!("CARGO"));
        build.args(["build", "--package", "dormouse-cli"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
    }
    binary
}

/// A command without the settings of who runs the tests.
fn dormouse(space: &TestSpace) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DORMOUSE_") {
            command.env_remove(name);
        }
    }
    command.env("DORMOUSE_MODEL", "none").arg("--space").arg(space.root()).kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_hub_leaves_no_process_and_a_free_space() {
    let space = TestSpace::new();
    let never = json!({ "idle_seconds": "never" });
    space.fixtures(&[("calm", &[], never.clone()), ("deaf", &["--deaf"], never)]);
    let mut hub = dormouse(&space)
        .args(["serve", "--port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(hub.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut grandchildren = Vec::new();
    for server in ["calm", "deaf"] {
        let waits = format!("{address}/servers/{server}/wait?state=healthy,dormant&timeout_ms=30000");
        assert_eq!(http.get(waits).send().await.unwrap().status(), 200);
        let calls = http.post(format!("{address}/tools/{server}_spawn/call"));
        let answer: serde_json::Value =
            calls.json(&json!({ "arguments": {} })).send().await.unwrap().json().await.unwrap();
        grandchildren.push(answer["result"].as_str().unwrap().parse::<u32>().unwrap());
    }
    // A call that runs while the hub dies.
    let running = tokio::spawn(
        http.post(format!("{address}/tools/calm_sleep/call"))
            .json(&json!({ "arguments": { "seconds": 600 } }))
            .send(),
    );
    let pid = hub.id().unwrap();
    let mut started: Vec<u32> = descendants_of(pid).into_iter().map(|process| process.pid).collect();
    started.extend(space.processes());
    assert!(grandchildren.iter().all(|pid| started.contains(pid)), "{grandchildren:?} of {started:?}");

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
