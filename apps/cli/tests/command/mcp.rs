//! `dormouse mcp`: a client on standard input and output, whatever becomes of the hub behind it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use dormouse_testing::{Process, none_left, processes_with_mark, python};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::support::{Cli, Ended, PATIENCE, code, kill};

/// A server whose tool writes a line into a file when it begins, and answers when it is told to by
/// another file, or at once.
const LEDGER: &str = r#"
import json, os, sys, threading, time
file, gate = sys.argv[1], sys.argv[2]
lock = threading.Lock()
def say(message):
    with lock:
        print(json.dumps(message), flush=True)
def call(id, text, wait):
    with open(file, "a") as out:
        out.write(text + "\n")
    while wait and not os.path.exists(gate):
        time.sleep(0.01)
    say({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}})
schema = {"type": "object", "properties": {"text": {"type": "string"}, "wait": {"type": "boolean"}}, "required": ["text"]}
for line in sys.stdin:
    message = json.loads(line)
    method, id = message.get("method"), message.get("id")
    if method == "initialize":
        say({"jsonrpc": "2.0", "id": id, "result": {"protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}}, "serverInfo": {"name": "ledger", "version": "1"}}})
    elif method == "tools/list":
        say({"jsonrpc": "2.0", "id": id, "result": {"tools": [
            {"name": "note", "description": "Notes a text.", "inputSchema": schema}]}})
    elif method == "tools/call":
        arguments = message["params"]["arguments"]
        threading.Thread(target=call, args=(id, arguments["text"], arguments.get("wait", False)), daemon=True).start()
    elif id is not None:
        say({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no such method"}})
"#;

/// A client of `dormouse mcp`.
struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    last: u64,
    /// Answers that came before they were asked for.
    answers: BTreeMap<u64, Value>,
    /// What belongs to no request.
    told: Vec<Value>,
}

impl Client {
    fn start(cli: &Cli, args: &[&str]) -> Self {
        let mut command = cli.command(&[&["mcp"], args].concat());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let (answers, told) = (BTreeMap::new(), Vec::new());
        Self { input: child.stdin.take(), child, output, last: 0, answers, told }
    }

    /// A client that has greeted.
    async fn greeted(cli: &Cli) -> Self {
        let mut client = Self::start(cli, &[]);
        client.greet("2025-06-18").await;
        client
    }

    async fn greet(&mut self, revision: &str) {
        let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let result = self.ask("initialize", params).await;
        assert_eq!(result["result"]["protocolVersion"], revision, "{result}");
        self.line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    }

    async fn line(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        input.flush().await.unwrap();
    }

    /// Sends a request; returns its id.
    async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.last += 1;
        let id = self.last;
        self.line(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()).await;
        id
    }

    /// Waits for the answer to a request.
    async fn answer(&mut self, id: u64) -> Value {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            let message = self.next().await.expect("an answer");
            match message["id"].as_u64().filter(|_| message.get("method").is_none()) {
                Some(id) => assert!(self.answers.insert(id, message).is_none(), "answered twice"),
                None => self.told.push(message),
            }
        }
    }

    /// The next message; all that is on standard output is one.
    async fn next(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line())
            .await
            .expect("a line in time")
            .unwrap()?;
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Some(message)
    }

    /// The next message that is no announcement: these come whenever a list has become another one.
    async fn said(&mut self) -> Value {
        loop {
            let message = self.next().await.expect("a message");
            if message.is_array() || message.get("id").is_some() {
                return message;
            }
            self.told.push(message);
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        self.answer(id).await
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Closes standard input; how it ends.
    async fn leave(mut self) -> Option<i32> {
        drop(self.input.take());
        while self.next().await.is_some() {}
        code(&mut self.child).await
    }
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

/// What a request of 2026-07-28 says of its client.
fn stateless() -> Value {
    json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }})
}

impl Cli {
    /// Its hubs in the background.
    fn background_hubs(&self) -> Vec<Process> {
        let space = self.space.path().to_string_lossy().into_owned();
        processes_with_mark(&space).into_iter().filter(|p| p.command.contains("--background")).collect()
    }

    /// Hubs in the background end as soon as nobody uses them.
    fn brief(self) -> Self {
        self.space.settings("[hub]\nlinger_seconds = 0");
        self
    }

    /// A space with the server that keeps a ledger.
    fn with_ledger() -> Self {
        let cli = Self::new().brief();
        let script = cli.space.write("ledger.py", LEDGER);
        let mut args = vec!["-I".to_owned(), "-S".to_owned(), script.display().to_string()];
        args.extend(["noted", "open"].map(|name| cli.space.path().join(name).display().to_string()));
        cli.space.configure("ledger", json!({"command": python(), "args": args}));
        cli
    }

    /// What was noted, sorted.
    fn noted(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.space.path().join("noted")).unwrap_or_default();
        let mut noted: Vec<String> = text.lines().map(str::to_owned).collect();
        noted.sort();
        noted
    }

    pub(crate) async fn until(&self, what: &str, done: impl Fn() -> bool) {
        let waiting = async {
            while !done() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
    }

    /// Waits until no process of the space is left.
    async fn deserted(&self) {
        none_left(PATIENCE, || self.background_hubs()).await;
        let space = self.space.path().to_string_lossy().into_owned();
        none_left(PATIENCE, || processes_with_mark(&space)).await;
        assert!(!self.space.state_folder().join("hub.sock").exists());
    }
}

#[tokio::test]
async fn a_client_lists_and_calls_a_tool_that_sleeps() {
    let cli = Cli::with_server().brief();
    let mut client = Client::greeted(&cli).await;
    let list = client.ask("tools/list", json!({})).await;
    let names: Vec<&str> = list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"fix_echo"), "{names:?}");
    assert_eq!(text(&client.call("fix_echo", json!({"text": "awake"})).await), "awake");
    assert!(cli.ok(&["doctor"]).await.contains("hub\tin the background\n"));
    assert_eq!(cli.background_hubs().len(), 1);
    assert_eq!(client.leave().await, Some(0));
    cli.deserted().await;
}

#[tokio::test]
async fn a_client_without_a_session_needs_no_greeting() {
    let cli = Cli::with_server().brief();
    let mut client = Client::start(&cli, &["--server", "fix"]);
    let found = client.ask("server/discover", stateless()).await;
    assert_eq!(found["result"]["resultType"], "complete", "{found}");
    let mut params = stateless();
    params["name"] = json!("echo");
    params["arguments"] = json!({"text": "hello"});
    assert_eq!(text(&client.ask("tools/call", params).await), "hello");
    assert_eq!(client.leave().await, Some(0));
    cli.deserted().await;
}

#[tokio::test]
async fn two_that_start_at_once_have_one_hub() {
    let cli = Cli::with_server().brief();
    let mut clients = [Client::start(&cli, &[]), Client::start(&cli, &[])];
    let mut pids = Vec::new();
    for client in &mut clients {
        client.greet("2025-11-25").await;
    }
    for client in &mut clients {
        pids.push(text(&client.call("fix_pid", json!({})).await).to_owned());
    }
    assert_eq!(pids[0], pids[1]);
    cli.until("one of two hubs gives way", || cli.background_hubs().len() == 1).await;
    let [one, other] = clients;
    assert_eq!((one.leave().await, other.leave().await), (Some(0), Some(0)));
    cli.deserted().await;
}

#[tokio::test]
async fn what_a_killed_hub_was_doing_is_said_and_not_done_again() {
    let cli = Cli::with_ledger();
    let mut client = Client::greeted(&cli).await;
    let lost =
        client.send("tools/call", json!({"name": "note", "arguments": {"text": "a", "wait": true}})).await;
    cli.until("the call runs", || cli.noted() == ["a"]).await;
    let hub = cli.background_hubs()[0].pid.to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &hub]).status().unwrap().success());
    let answer = client.answer(lost).await;
    assert_eq!(answer["error"]["data"]["code"], "outcome_unknown", "{answer}");
    // The session goes on at the next hub.
    assert_eq!(text(&client.call("note", json!({"text": "b"})).await), "b");
    assert_eq!(cli.noted(), ["a", "b"]);
    assert_eq!(client.leave().await, Some(0));
    cli.deserted().await;
}

#[tokio::test]
async fn what_is_not_answered_after_the_end_of_the_input_is_an_error() {
    let cli = Cli::with_ledger();
    let mut client = Client::greeted(&cli).await;
    let endless =
        client.send("tools/call", json!({"name": "note", "arguments": {"text": "a", "wait": true}})).await;
    cli.until("the call runs", || cli.noted() == ["a"]).await;
    let mut params = stateless();
    params["notifications"] = json!({"toolsListChanged": true});
    let listening = client.send("subscriptions/listen", params).await;
    while client.next().await.unwrap()["method"] != "notifications/subscriptions/acknowledged" {}
    drop(client.input.take());
    let answer = client.answer(endless).await;
    assert_eq!(answer["error"]["data"]["code"], "outcome_unknown", "{answer}");
    while let Some(message) = client.next().await {
        assert_ne!(message["id"], listening, "what lasts as long as the client is not owed to it");
    }
    assert_eq!(code(&mut client.child).await, Some(7));
    assert_eq!(cli.noted(), ["a"]);
    cli.deserted().await;
}

#[tokio::test]
async fn a_subscription_is_heard_by_the_next_hub() {
    let cli = Cli::with_server().brief();
    let mut client = Client::start(&cli, &[]);
    let mut params = stateless();
    params["notifications"] = json!({"toolsListChanged": true});
    let listening = client.send("subscriptions/listen", params).await;
    client.ask("tools/list", stateless()).await;
    let hub = cli.background_hubs()[0].pid.to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &hub]).status().unwrap().success());
    client.ask("tools/list", stateless()).await;
    assert!(!client.answers.contains_key(&listening));
    cli.space.add("more", &dormouse_testing::Fixture::new());
    let told = async {
        while !client.told.iter().any(|message| message["method"] == "notifications/tools/list_changed") {
            let message = client.next().await.unwrap();
            client.told.push(message);
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert_eq!(client.leave().await, Some(0));
    cli.deserted().await;
}

/// The day that the manual calls an ordinary one.
#[tokio::test]
async fn no_call_is_lost_or_made_twice_while_serve_takes_the_space_over() {
    let cli = Cli::with_ledger();
    let mut clients = [Client::greeted(&cli).await, Client::greeted(&cli).await];
    let note = |text: String, wait: bool| json!({"name": "note", "arguments": {"text": text, "wait": wait}});
    let mut expected = Vec::new();

    // Before.
    let mut running = Vec::new();
    for (n, client) in clients.iter_mut().enumerate() {
        let before = format!("before-{n}");
        assert_eq!(text(&client.ask("tools/call", note(before.clone(), false)).await), before);
        running.push(client.send("tools/call", note(format!("running-{n}"), true)).await);
        expected.extend([before, format!("running-{n}")]);
    }
    cli.until("both calls run", || cli.noted().len() == 4).await;

    // During: the hub makes way once they are answered; what is asked meanwhile waits.
    let mut serve = cli.command(&["serve", "--port", "0"]).spawn().unwrap();
    cli.until("the hub takes nobody new", || !cli.space.state_folder().join("hub.sock").exists()).await;
    let ask = cli.command(&["ask", "note the milk"]).spawn().unwrap();
    let mut waiting = Vec::new();
    for (n, client) in clients.iter_mut().enumerate() {
        for m in 0..5 {
            let text = format!("during-{n}-{m}");
            waiting.push((n, client.send("tools/call", note(text.clone(), false)).await, text.clone()));
            expected.push(text);
        }
    }
    cli.space.write("open", "");
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(text(&client.answer(running[n]).await), format!("running-{n}"));
    }
    let mut lines = BufReader::new(serve.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert!(line.starts_with("listening on "), "{line}");
    for (n, id, said) in waiting {
        assert_eq!(text(&clients[n].answer(id).await), said);
    }
    let ask = ask.wait_with_output().await.unwrap();
    assert_eq!(ask.status.code(), Some(0), "{ask:?}");

    // After: the bridges are at the hub that serves.
    for (n, client) in clients.iter_mut().enumerate() {
        let after = format!("after-{n}");
        assert_eq!(text(&client.ask("tools/call", note(after.clone(), false)).await), after);
        expected.push(after);
    }
    assert_eq!(cli.background_hubs(), []);
    assert!(!cli.ok(&["doctor"]).await.contains("in the background"));
    let mut noted = cli.noted();
    let asked: Vec<String> = noted.extract_if(.., |text| text.contains("milk")).collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    expected.sort();
    assert_eq!(noted, expected);

    // And when that one ends, they start a hub again.
    kill("-TERM", &serve).await;
    for (n, client) in clients.iter_mut().enumerate() {
        let last = format!("last-{n}");
        assert_eq!(text(&client.ask("tools/call", note(last.clone(), false)).await), last);
        expected.push(last);
    }
    assert_eq!(code(&mut serve).await, Some(0));
    expected.sort();
    assert_eq!(cli.noted().into_iter().filter(|text| !asked.contains(text)).collect::<Vec<_>>(), expected);
    let [one, other] = clients;
    assert_eq!((one.leave().await, other.leave().await), (Some(0), Some(0)));
    cli.deserted().await;
}

#[tokio::test]
async fn a_hub_that_serves_is_not_taken_over() {
    let cli = Cli::with_server();
    let (mut hub, _) = cli.serve().await;
    let mut client = Client::greeted(&cli).await;
    let ended = cli.run(&["serve", "--port", "0"]).await;
    assert_eq!(ended.code, Some(8), "{ended:?}");
    assert_eq!(text(&client.call("fix_echo", json!({"text": "still"})).await), "still");
    assert_eq!(client.leave().await, Some(0));
    kill("-TERM", &hub).await;
    assert_eq!(code(&mut hub).await, Some(0));
    cli.deserted().await;
}

#[tokio::test]
async fn a_command_that_is_the_hub_does_not_wait_for_a_client_that_stays() {
    let cli = Cli::with_ledger();
    let call = ["tools", "call", "note", "text=command", "wait:=true"];
    let mut command = cli.command(&call).spawn().unwrap();
    cli.until("the command is the hub", || cli.noted() == ["command"]).await;
    let mut client = Client::greeted(&cli).await;
    assert_eq!(cli.background_hubs(), []);
    cli.space.write("open", "");
    assert_eq!(code(&mut command).await, Some(0));
    assert_eq!(text(&client.call("note", json!({"text": "client"})).await), "client");
    assert_eq!(cli.background_hubs().len(), 1);
    assert_eq!(cli.noted(), ["client", "command"]);
    assert_eq!(client.leave().await, Some(0));
    cli.deserted().await;
}

#[tokio::test]
async fn a_question_that_is_open_is_answered_while_serve_takes_over() {
    let cli = Cli::with_server().brief();
    let mut client = Client::start(&cli, &[]);
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": {}});
    client.ask("initialize", params).await;
    let asking =
        client.send("tools/call", json!({"name": "fix_ask", "arguments": {"question": "how much?"}})).await;
    let question = client.said().await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let mut serve = cli.command(&["serve", "--port", "0"]).spawn().unwrap();
    cli.until("the hub takes nobody new", || !cli.space.state_folder().join("hub.sock").exists()).await;
    let answer = json!({"jsonrpc": "2.0", "id": question["id"],
        "result": {"action": "accept", "content": {"answer": "seven"}}});
    client.line(&answer.to_string()).await;
    assert!(text(&client.answer(asking).await).contains("seven"));
    assert_eq!(text(&client.call("fix_echo", json!({"text": "next"})).await), "next");
    assert_eq!(cli.background_hubs(), []);
    assert_eq!(client.leave().await, Some(0));
    kill("-TERM", &serve).await;
    assert_eq!(code(&mut serve).await, Some(0));
    cli.deserted().await;
}

#[tokio::test]
async fn answers_under_way_are_written_when_the_client_has_closed_its_side() {
    let cli = Cli::with_server().brief();
    let mut client = Client::greeted(&cli).await;
    let id = client.send("tools/call", json!({"name": "fix_pause", "arguments": {"seconds": 0.5}})).await;
    drop(client.input.take());
    assert!(client.answer(id).await["result"].is_object());
    assert_eq!(client.leave().await, Some(0));
    cli.deserted().await;
}

#[tokio::test]
async fn a_signal_ends_it_at_once() {
    let cli = Cli::with_server().brief();
    let mut client = Client::greeted(&cli).await;
    client.send("tools/call", json!({"name": "fix_pause", "arguments": {"seconds": 60}})).await;
    kill("-TERM", &client.child).await;
    assert_eq!(code(&mut client.child).await, Some(143));
    cli.deserted().await;
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_the_next_is_heard() {
    let cli = Cli::with_server().brief();
    let mut client = Client::start(&cli, &[]);
    for (line, code) in [
        ("not JSON", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"#, -32700),
        (r#"{"jsonrpc":"2.0"}"#, -32600),
        ("7", -32600),
        ("[]", -32600),
        (r##"#taken 7"##, -32700),
    ] {
        client.line(line).await;
        let answer = client.said().await;
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&Value::Null, &json!(code)),
            "{line}: {answer}"
        );
    }
    let early = client.ask("tools/list", json!({})).await;
    assert_eq!(early["error"]["code"], -32600, "{early}");
    client.line(&format!(r#"{{"jsonrpc":"2.0","id":"{}"}}"#, "x".repeat(16 * 1024 * 1024))).await;
    assert_eq!(client.said().await["error"]["code"], -32600);
    client.line("\u{fffd}\u{0}").await;
    assert_eq!(client.said().await["error"]["code"], -32700);
    client.greet("2025-03-26").await;
    client
        .line(
            r#"[{"jsonrpc":"2.0","id":"a","method":"ping"},{"jsonrpc":"2.0","id":"b","method":"nonsense"}]"#,
        )
        .await;
    let batch = client.said().await;
    let of = |id: &str| batch.as_array().unwrap().iter().find(|answer| answer["id"] == id).cloned().unwrap();
    assert!(of("a")["result"].is_object() && of("b")["error"].is_object(), "{batch}");
    client.greet("2025-11-25").await;
    client.line(r#"[{"jsonrpc":"2.0","id":"a","method":"ping"}]"#).await;
    assert_eq!(client.said().await["error"]["code"], -32600);
    assert_eq!(client.leave().await, Some(0));
    cli.deserted().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_only_its_own_answers() {
    /// Far more than pipes and sockets hold.
    const CALLS: usize = 40;
    let cli = Cli::with_server().brief();
    let mut slow = Client::greeted(&cli).await;
    let mut ids = Vec::new();
    for _ in 0..CALLS {
        let arguments = json!({"bytes": 1_000_000});
        ids.push(slow.send("tools/call", json!({"name": "fix_bulk", "arguments": arguments})).await);
    }
    let mut quick = Client::greeted(&cli).await;
    assert_eq!(text(&quick.call("fix_echo", json!({"text": "quick"})).await), "quick");
    for id in ids {
        assert_eq!(text(&slow.answer(id).await).len(), 1_000_000);
    }
    assert_eq!((slow.leave().await, quick.leave().await), (Some(0), Some(0)));
    cli.deserted().await;
}

#[tokio::test]
async fn messages_that_are_larger_than_any_pipe_cross() {
    let cli = Cli::with_server().brief();
    let mut client = Client::greeted(&cli).await;
    let said = "ü".repeat(500_000);
    let mut ids = Vec::new();
    for _ in 0..6 {
        let arguments = json!({"text": said});
        ids.push(client.send("tools/call", json!({"name": "fix_echo", "arguments": arguments})).await);
    }
    for id in ids {
        assert_eq!(text(&client.answer(id).await), said);
    }
    assert_eq!(client.leave().await, Some(0));
    cli.deserted().await;
}

#[tokio::test]
async fn a_client_that_never_reads_does_not_keep_the_bridge() {
    let cli = Cli::with_server().brief();
    let mut client = Client::greeted(&cli).await;
    for _ in 0..20 {
        let arguments = json!({"bytes": 1_000_000});
        client.send("tools/call", json!({"name": "fix_bulk", "arguments": arguments})).await;
    }
    let Client { mut child, input, output, .. } = client;
    drop((input, output));
    // What it asked may have been done, and it will not hear of it.
    assert_eq!(code(&mut child).await, Some(7));
    cli.deserted().await;
}

#[tokio::test]
async fn a_request_that_is_cancelled_gets_no_answer() {
    let cli = Cli::with_server().brief();
    let mut client = Client::greeted(&cli).await;
    let id = client.send("tools/call", json!({"name": "fix_pause", "arguments": {"seconds": 60}})).await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    client.line(&cancel.to_string()).await;
    assert_eq!(text(&client.call("fix_echo", json!({"text": "next"})).await), "next");
    assert_eq!(client.leave().await, Some(0));
    cli.deserted().await;
}

/// Runs a command whose client says nothing, and does not leave.
async fn waiting(cli: &Cli, args: &[&str]) -> Ended {
    let mut child = cli.command(args).stdin(Stdio::piped()).spawn().unwrap();
    let _input = child.stdin.take();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test]
async fn why_there_is_no_hub_is_said_beside_the_messages() {
    let cli = Cli::new();
    cli.space.settings("modell = 'x'");
    let ended = waiting(&cli, &["mcp"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(8), ""), "{ended:?}");
    assert!(ended.err.contains("modell") && ended.err.contains("hub.log"), "{ended:?}");
    let mut client = Client::start(&cli, &[]);
    let answer = client.ask("initialize", json!({})).await;
    assert_eq!(answer["error"]["data"]["code"], "no_hub", "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("modell"), "{answer}");
    assert_eq!(code(&mut client.child).await, Some(8));
    let cli = Cli::with_server().brief();
    let ended = waiting(&cli, &["mcp", "--server", "nobody"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{ended:?}");
    assert_eq!(cli.run(&["mcp", "--mode", "all", "--server", "fix"]).await.code, Some(2));
    assert_eq!(cli.run(&["mcp", "--mode", "single"]).await.code, Some(2));
    cli.deserted().await;
}
