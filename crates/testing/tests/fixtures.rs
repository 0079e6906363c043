//! The fixture servers speak MCP and misbehave as told.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use dormouse_testing::{Fixture, Space, descendants_of, none_left, processes_with_mark};
use serde_json::{Value, json};

/// A fixture that runs; killed with its test.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    next: u64,
}

impl Running {
    fn start(fixture: &Fixture) -> Self {
        let mut child = Command::new(fixture.program())
            .args(fixture.args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout, next: 0 }
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn message(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line:?}"))
    }

    fn ask(&mut self, method: &str, params: Value) -> u64 {
        self.next += 1;
        let id = self.next;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        self.ask(method, params);
        self.message()["result"].take()
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({"name": tool, "arguments": arguments}))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_fixture_serves_tools_resources_and_prompts() {
    let mut server = Running::start(&Fixture::new());
    let hello = server.request("initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}}));
    assert_eq!(hello["protocolVersion"], "2025-11-25");
    let tools = server.request("tools/list", json!({}));
    assert_eq!(tools["tools"][1]["inputSchema"]["required"], json!(["a", "b"]));
    assert_eq!(server.call("add", json!({"a": 2, "b": 3}))["structuredContent"], json!({"result": 5}));
    assert_eq!(server.call("fail", json!({"message": "no"}))["isError"], json!(true));
    let read = server.request("resources/read", json!({"uri": "fixture://greeting"}));
    assert_eq!(read["contents"][0]["text"], "Hello from fixture://greeting");
    let prompt = server.request("prompts/get", json!({"name": "greet", "arguments": {"who": "Ada"}}));
    assert_eq!(prompt["messages"][0]["content"]["text"], "Greet Ada.");
    server.ask("tools/call", json!({"name": "nothing"}));
    assert_eq!(server.message()["error"]["code"], json!(-32602));
}

#[test]
fn a_fixture_reports_asks_grows_and_hears_a_cancellation() {
    let mut server = Running::start(&Fixture::new());
    server.ask(
        "tools/call",
        json!({"name": "count", "arguments": {"steps": 1}, "_meta": {"progressToken": 7}}),
    );
    assert_eq!(server.message()["params"]["progressToken"], json!(7));
    assert_eq!(server.message()["method"], "notifications/message");
    server.message();

    server.ask("tools/call", json!({"name": "ask", "arguments": {"question": "why?"}}));
    let question = server.message();
    assert_eq!(question["method"], "elicitation/create");
    server.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}}));
    assert_eq!(server.message()["result"]["content"][0]["text"], "{\"action\": \"decline\"}");

    server.ask("tools/call", json!({"name": "grow"}));
    assert_eq!(server.message()["method"], "notifications/tools/list_changed");
    server.message();

    let id = server.ask("tools/call", json!({"name": "pause", "arguments": {"seconds": 600}}));
    server.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}));
    server.message();
    assert_eq!(server.call("cancelled", json!({}))["content"][0]["text"], format!("[{id}]"));
}

#[test]
fn a_fixture_lists_in_pages_and_lies_from_its_second_start_on() {
    let space = Space::new();
    let fixture = Fixture::new().pages_of(5).extra_tools(10).lies_after(&space.path().join("note"));
    let lists = [0, 1].map(|_| {
        let mut server = Running::start(&fixture);
        let (mut tools, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let page = server.request("tools/list", json!({"cursor": cursor}));
            tools.extend(page["tools"].as_array().unwrap().clone());
            cursor = page["nextCursor"].clone();
            if cursor.is_null() {
                return tools;
            }
        }
    });
    assert_eq!(lists[0].len(), 22);
    assert_eq!(lists[0][1]["inputSchema"]["required"], json!(["a", "b"]));
    assert_eq!(lists[1][1]["inputSchema"]["required"], json!(["first", "second"]));
}

#[test]
fn a_fixture_prints_garbles_refuses_hangs_and_crashes() {
    let fixture = Fixture::new()
        .prints(&["42", "ready!"])
        .garbles("tools/list")
        .refuses("prompts/list")
        .hangs_on("resources/list")
        .crashes_on("ping");
    let mut server = Running::start(&fixture);
    assert_eq!((server.line(), server.line()), ("42".into(), "ready!".into()));
    server.ask("tools/list", json!({}));
    assert!(serde_json::from_str::<Value>(&server.line()).is_err());
    server.ask("prompts/list", json!({}));
    assert_eq!(server.message()["error"]["code"], json!(-32000));
    server.ask("resources/list", json!({}));
    server.ask("ping", json!({}));
    assert_eq!(server.line(), "", "the hanging request got no answer before the end");
    assert_eq!(server.child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_fixture_floods_both_streams() {
    let mut server =
        Running::start(&Fixture::new().floods_stdout(1 << 20).floods_stderr(1 << 20).exits_at_start(7));
    let mut bytes = 0;
    loop {
        let line = server.line();
        if line.is_empty() {
            break;
        }
        bytes += line.len() + 2;
    }
    assert!(bytes >= 1 << 20);
    assert_eq!(server.child.wait().unwrap().code(), Some(7));
}

#[tokio::test]
async fn a_fixture_leaves_children_that_are_found_by_parent_and_by_mark() {
    let mark = format!("mark-{}", std::process::id());
    let fixture = Fixture::new().mark(&mark).leaves_children(2).in_own_sessions().will_not_leave();
    let mut server = Running::start(&fixture);
    server.request("ping", json!({}));
    // For a moment a new process has no command line yet.
    while processes_with_mark(&mark).len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let children = descendants_of(server.child.id());
    assert_eq!(children.len(), 2);
    server.stdin = None;
    let terminate = |pid: u32, signal: &str| {
        Command::new("sh").args(["-c", "kill \"$0\" \"$1\"", signal, &pid.to_string()]).status().unwrap()
    };
    terminate(server.child.id(), "-TERM");
    assert!(server.child.try_wait().unwrap().is_none(), "it stays");
    drop(server);
    assert_eq!(processes_with_mark(&mark).len(), 2, "its children outlive it");
    for child in &children {
        terminate(child.pid, "-KILL");
    }
    none_left(Duration::from_secs(10), || processes_with_mark(&mark)).await;
}
