//! A script in the drop folder is a tool, at once, without a process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::time::Duration;

use dormouse::{Confidence, FeatureSource, RegisterError, Scope, ServerName, ServerState};
use dormouse_tests::{TestSpace, call, until};
use serde_json::json;

const GREET: &str = r#"# /// script
# dependencies = ["mcp>=2"]
# ///
from mcp.server import MCPServer

mcp = MCPServer("Greeter")


@mcp.tool()
def greet(name: str, loud: bool = False) -> str:
    """Greet somebody by name."""
    text = f"Hello, {name}!"
    return text.upper() if loud else text


if __name__ == "__main__":
    mcp.run()
"#;

fn name(text: &str) -> ServerName {
    ServerName::try_new(text).unwrap()
}

fn servers(hub: &dormouse::Hub) -> Vec<String> {
    hub.store().servers().into_iter().map(|server| server.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_script_is_a_tool_before_it_ever_ran() {
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    assert!(servers(&hub).is_empty());
    let script = space.write("servers/greeter.py", GREET);
    until("the script shows", || servers(&hub) == ["greeter"]).await;

    let info = hub.store().server(&name("greeter")).unwrap();
    assert_eq!((info.entry.source, &info.entry.confidence), (FeatureSource::Static, &Confidence::Full));
    assert_eq!(info.status.state, ServerState::Dormant);
    assert_eq!(space.processes(), Vec::<u32>::new());

    let answer = call(&hub, "greet", json!({ "name": "Ada" })).await.unwrap();
    assert_eq!((answer.result.text().as_str(), answer.woke), ("Hello, Ada!", true));
    let hub2 = hub.clone();
    until("the live lists are the truth", || {
        hub2.store().server(&name("greeter")).unwrap().entry.source == FeatureSource::Live
    })
    .await;
    let info = hub.store().server(&name("greeter")).unwrap();
    assert!(info.entry.drift.is_empty(), "{:?}", info.entry.drift);

    // Renamed, changed, removed: each shows by itself.
    let moved = script.with_file_name("welcome.py");
    std::fs::rename(&script, &moved).unwrap();
    until("the new name shows", || servers(&hub) == ["welcome"]).await;
    std::fs::write(&moved, GREET.replace("def greet", "def welcome")).unwrap();
    let found = |tool: &str| hub.registry().snapshot().find_tool(&Scope::Store, tool, None).is_ok();
    until("the new tool shows", || found("welcome") && !found("greet")).await;
    std::fs::remove_file(&moved).unwrap();
    until("it is gone", || servers(&hub).is_empty()).await;
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_script_loses_no_call() {
    let space = TestSpace::new();
    let script = GREET.replace(
        "    text = f\"Hello",
        "    import time; time.sleep(1.0 if name == 'Slow' else 0)\n    text = f\"Hello",
    );
    let path = space.write("servers/greeter.py", &script);
    let hub = space.hub(|_| {}).await;
    call(&hub, "greet", json!({ "name": "Warm" })).await.unwrap();
    let old = tokio::spawn({
        let hub = hub.clone();
        async move { call(&hub, "greet", json!({ "name": "Slow" })).await }
    });
    hub.store().wait(&name("greeter"), &[ServerState::Healthy], Duration::from_secs(60)).await.unwrap();
    std::fs::write(&path, script.replace("Hello", "Bonjour")).unwrap();
    until("the change shows", || {
        let server = hub.store().server(&name("greeter")).unwrap();
        server.entry.source == FeatureSource::Static
    })
    .await;
    let new = call(&hub, "greet", json!({ "name": "New" })).await.unwrap();
    assert_eq!(new.result.text(), "Bonjour, New!");
    assert_eq!(old.await.unwrap().unwrap().result.text(), "Hello, Slow!");
    hub.shutdown().await;
    assert_eq!(space.processes(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_servers_are_told_and_harm_nobody() {
    let space = TestSpace::new();
    space.write("servers/greeter.py", GREET);
    space.write("servers/plain.py", "print('hello')\n");
    space.write("servers/broken.py", "from mcp.server import MCPServer\nmcp = MCPServer('x'\ndef (:\n");
    space.write("servers/latin.py", b"# \xe9\nfrom mcp.server import MCPServer\n");
    space.write("servers/huge.py", vec![b'#'; 100 << 20]);
    let outside = space.write("outside.py", GREET);
    std::os::unix::fs::symlink(outside, space.root().join("servers/link.py")).unwrap();
    let hub = space.hub(|_| {}).await;
    assert_eq!(servers(&hub), ["greeter"]);
    let findings = hub.store().orchestrator().findings();
    for file in ["plain.py", "broken.py", "latin.py", "huge.py", "link.py"] {
        assert!(findings.iter().any(|f| f.path.ends_with(file)), "{file} is told: {findings:#?}");
    }
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn needs_that_cannot_be_met_are_told_with_their_reason() {
    let space = TestSpace::new();
    let with = |dependencies: &str| GREET.replace(r#"["mcp>=2"]"#, dependencies);
    space.write("servers/url.py", with(r#"["mcp>=2", "x @ https://example.com/x-1.0-py3-none-any.whl"]"#));
    space.write("servers/vcs.py", with(r#"["git+https://example.com/x.git"]"#));
    space.write("servers/header.py", with("[\"mcp"));
    space.write(
        "servers/stranger.py",
        GREET.replace("# ///", "#").replace("mcp = ", "import zzzunknown\nmcp = "),
    );
    space.write("servers/missing.py", with(r#"["mcp>=2", "dormouse-no-such-package-xyz"]"#));
    let hub = space.hub(|_| {}).await;
    for (server, said) in [
        ("url", "https://example.com"),
        ("vcs", "git+"),
        ("header", "header"),
        ("stranger", "zzzunknown"),
        ("missing", "dormouse-no-such-package-xyz"),
    ] {
        let error = hub.store().attach(&name(server)).await.unwrap_err();
        let info = hub.store().server(&name(server)).unwrap();
        assert_eq!(info.status.state, ServerState::Unreachable, "{server}: {error}");
        let reason = info.status.reason.clone().unwrap_or_default();
        assert!(reason.contains(said), "{server}: {reason}");
    }
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_stay_inside_the_drop_folders_and_are_remembered() {
    let space = TestSpace::new();
    let script = space.write("servers/greeter.py", GREET);
    let outside = space.write("outside.py", GREET);
    let hub = space.hub(|_| {}).await;
    let store = hub.store();
    let missing = store.register(name("x"), &space.root().join("servers/none.py")).await;
    assert!(matches!(missing, Err(RegisterError::Missing { .. })), "{missing:?}");
    let refused = store.register(name("x"), &outside).await;
    assert!(matches!(refused, Err(RegisterError::Outside { .. })), "{refused:?}");

    store.register(name("hello"), &script).await.unwrap();
    assert_eq!(servers(&hub), ["hello"], "the registration replaces the indexed entry");
    store.register(name("hello"), &script).await.unwrap();
    let other = space.write("servers/other.py", GREET);
    let conflict = store.register(name("hello"), &other).await;
    assert!(matches!(conflict, Err(RegisterError::Conflict { .. })), "{conflict:?}");
    hub.shutdown().await;

    let hub = space.hub(|_| {}).await;
    assert_eq!(servers(&hub), ["hello", "other"]);
    hub.store().remove(&name("hello"), false).await.unwrap();
    assert_eq!(servers(&hub), ["greeter", "other"], "the file stays, dormant again");
    hub.store().remove(&name("other"), true).await.unwrap();
    assert!(!other.exists());
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_written_all_the_time_keep_nobody_waiting() {
    let space = TestSpace::new();
    space.write("servers/greeter.py", GREET);
    let hub = space.hub(|_| {}).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let folder = space.root().join("servers");
    let writer = tokio::spawn(async move {
        let writing = async {
            for number in 0.. {
                std::fs::write(folder.join("greeter.log"), format!("line {number}\n")).unwrap();
                std::fs::write(folder.join("busy.py"), format!("NUMBER = {number}\n")).unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            () = writing => {}
            _ = stopped => {}
        }
    });
    let told = || hub.store().orchestrator().findings();
    until("what is written all the time is read", || told().iter().any(|it| it.path.ends_with("busy.py")))
        .await;
    let (store, server, ada) = (hub.store(), name("greeter"), "ada".parse().unwrap());
    let assigned = tokio::time::timeout(Duration::from_secs(30), store.assign(&server, &ada)).await;
    assigned.expect("an order waits for no file").unwrap();
    space.write("servers/other.py", GREET.replace("def greet", "def welcome"));
    until("another script shows", || servers(&hub) == ["greeter", "other"]).await;
    stop.send(()).unwrap();
    writer.await.unwrap();
    hub.shutdown().await;
}
