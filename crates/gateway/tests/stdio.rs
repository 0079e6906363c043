//! An endpoint on a stream of lines: receipts, both lives, and what is wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::time::Duration;

use dormouse::{Config, Hub, IdleSetting};
use dormouse_gateway::stdio::{Receipts, Talk};
use dormouse_gateway::{Gateway, Mode};
use dormouse_testing::{Fixture, Space, environment};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A hub with a server that behaves.
struct Stage {
    hub: Hub,
    gateway: Gateway,
    space: Space,
}

/// A client on a stream.
struct Client {
    lines: tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>,
    to_hub: WriteHalf<DuplexStream>,
    session: String,
    leave: CancellationToken,
    talk: JoinHandle<()>,
}

impl Stage {
    async fn new() -> Self {
        let space = Space::new();
        space.add("fix", &Fixture::new());
        Self::of(space).await
    }

    async fn of(space: Space) -> Self {
        let mut config = Config { model: "none".to_owned(), keyring: false, ..Config::default() };
        config.timing.idle_seconds = IdleSetting::Seconds(0.0);
        let hub = Hub::builder().space(space.path()).config(config).open().await.unwrap();
        // Later, the change of its lists would be told.
        hub.store().first_contacts(PATIENCE).await;
        let gateway = Gateway::new(&hub);
        Self { hub, gateway, space }
    }

    async fn client(&self, receipts: Receipts, session: Option<&str>) -> Client {
        let endpoint = self.gateway.endpoint(self.hub.store(), Mode::All).unwrap();
        let talk = Talk::begin(endpoint, session).await.unwrap();
        let (session, leave) = (talk.session().to_owned(), CancellationToken::new());
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let leaving = leave.clone();
        let talk = tokio::spawn(async move { talk.serve(theirs, receipts, leaving.cancelled_owned()).await });
        let (from_hub, to_hub) = tokio::io::split(ours);
        Client { lines: BufReader::new(from_hub).lines(), to_hub, session, leave, talk }
    }

    async fn end(self) {
        self.gateway.end();
        self.hub.shutdown().await;
    }
}

impl Client {
    async fn say(&mut self, line: impl ToString) {
        self.to_hub.write_all(format!("{}\n", line.to_string()).as_bytes()).await.unwrap();
    }

    async fn request(&mut self, id: u64, method: &str, params: Value) {
        self.say(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
    }

    async fn call(&mut self, id: u64, tool: &str, arguments: Value) {
        self.request(id, "tools/call", json!({"name": tool, "arguments": arguments})).await;
    }

    async fn greet(&mut self) {
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": {}});
        self.request(0, "initialize", params).await;
    }

    async fn line(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("a line in time").unwrap()
    }

    /// The next message, past receipts.
    async fn message(&mut self) -> Value {
        loop {
            let line = self.line().await.expect("a message");
            if !line.starts_with('#') {
                return serde_json::from_str(&line).unwrap();
            }
        }
    }

    /// Everything that is still said.
    async fn rest(mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(line) = self.line().await {
            rest.push(line);
        }
        tokio::time::timeout(PATIENCE, self.talk).await.expect("an end").unwrap();
        rest
    }
}

#[tokio::test]
async fn a_receipt_comes_before_what_it_is_for() {
    let stage = Stage::new().await;
    let mut client = stage.client(Receipts::Wanted, None).await;
    client.greet().await;
    assert_eq!(client.line().await.unwrap(), "#taken 1");
    assert_eq!(client.message().await["result"]["protocolVersion"], "2025-11-25");
    client.say("no message").await;
    assert_eq!(client.line().await.unwrap(), "#taken 2");
    assert_eq!(client.message().await["error"]["code"], -32700);
    let mut plain = stage.client(Receipts::None, None).await;
    plain.request(7, "ping", json!({})).await;
    assert_eq!(plain.message().await, json!({"jsonrpc": "2.0", "id": 7, "result": {}}));
    plain.greet().await;
    assert!(plain.line().await.unwrap().starts_with('{'));
    stage.end().await;
}

#[tokio::test]
async fn a_hub_that_leaves_answers_what_runs_and_refuses_the_rest() {
    let stage = Stage::new().await;
    let mut client = stage.client(Receipts::Wanted, None).await;
    client.greet().await;
    client.message().await;
    // It asks the client, and so runs until the client answers.
    client.call(1, "fix_ask", json!({"question": "how much?"})).await;
    let question = client.message().await;
    assert_eq!(question["method"], "elicitation/create");
    client.leave.cancel();
    // Whatever it hears first, this comes after it has begun to leave.
    tokio::task::yield_now().await;
    client.call(2, "fix_echo", json!({"text": "late"})).await;
    loop {
        let line = client.line().await.unwrap();
        if line.starts_with("#refused") {
            assert_eq!(line, "#refused 3");
            break;
        }
    }
    let content = json!({"action": "accept", "content": {"answer": "7"}});
    client.say(json!({"jsonrpc": "2.0", "id": question["id"], "result": content})).await;
    let answer = client.message().await;
    assert_eq!(answer["id"], 1, "{answer}");
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains('7'), "{answer}");
    let session = client.session.clone();
    assert_eq!(client.rest().await, Vec::<String>::new());

    // The session goes on elsewhere.
    let mut again = stage.client(Receipts::Wanted, Some(&session)).await;
    assert_eq!(again.session, session);
    again.call(2, "fix_echo", json!({"text": "late"})).await;
    assert_eq!(again.message().await["result"]["content"][0]["text"], "late");
    stage.end().await;
}

#[tokio::test]
async fn a_client_that_closes_its_side_has_no_session_any_more() {
    let stage = Stage::new().await;
    let mut client = stage.client(Receipts::None, None).await;
    client.greet().await;
    client.message().await;
    client.call(1, "fix_pause", json!({"seconds": 0.2})).await;
    client.to_hub.shutdown().await.unwrap();
    let session = client.session.clone();
    let rest = client.rest().await;
    assert!(rest.len() == 1 && rest[0].contains("result"), "{rest:?}");
    assert_ne!(stage.client(Receipts::None, Some(&session)).await.session, session);
    stage.end().await;
}

#[tokio::test]
async fn a_client_that_vanishes_cancels_what_runs() {
    let stage = Stage::new().await;
    let mut client = stage.client(Receipts::None, None).await;
    client.greet().await;
    client.message().await;
    client.call(1, "fix_ask", json!({"question": "still there?"})).await;
    assert_eq!(client.message().await["method"], "elicitation/create");
    let Client { lines, to_hub, talk, .. } = client;
    // The stream closes with its last half.
    drop((lines, to_hub));
    tokio::time::timeout(PATIENCE, talk).await.expect("an end").unwrap();
    stage.end().await;
}

#[tokio::test]
async fn an_id_that_is_under_way_is_refused() {
    let stage = Stage::new().await;
    let mut client = stage.client(Receipts::None, None).await;
    client.greet().await;
    client.message().await;
    client.call(7, "fix_ask", json!({"question": "once?"})).await;
    let question = client.message().await;
    client.call(7, "fix_echo", json!({"text": "twice"})).await;
    assert_eq!(client.message().await["error"]["code"], -32600);
    client.say(json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}})).await;
    let answer = client.message().await;
    assert!(answer["id"] == 7 && answer["result"].is_object(), "{answer}");
    client.call(7, "fix_echo", json!({"text": "again"})).await;
    assert_eq!(client.message().await["result"]["content"][0]["text"], "again");
    stage.end().await;
}

#[tokio::test]
async fn both_lives_share_a_stream() {
    let stage = Stage::new().await;
    let mut client = stage.client(Receipts::None, None).await;
    client.greet().await;
    assert_eq!(client.message().await["result"]["protocolVersion"], "2025-11-25");
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    client.request(1, "server/discover", json!({"_meta": meta})).await;
    assert_eq!(client.message().await["result"]["resultType"], "complete");
    client.request(2, "ping", json!({})).await;
    assert!(client.message().await["result"].is_object());
    let params = json!({"_meta": meta, "notifications": {"toolsListChanged": true}});
    client.request(3, "subscriptions/listen", params).await;
    assert_eq!(client.message().await["method"], "notifications/subscriptions/acknowledged");
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}});
    client.say(cancel).await;
    client.request(4, "ping", json!({})).await;
    assert_eq!(client.message().await["id"], 4);
    stage.end().await;
}

#[tokio::test]
async fn a_server_may_ask_while_another_call_of_the_same_client_runs() {
    let space = Space::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/tests/mcp_lives/talker.py");
    let entry = json!({ "command": environment("mcp1"), "args": [script] });
    std::fs::write(space.path().join("mcp.json"), json!({ "mcpServers": { "talker": entry } }).to_string())
        .unwrap();
    let stage = Stage::of(space).await;
    let mut client = stage.client(Receipts::None, None).await;
    client.greet().await;
    client.message().await;
    let (rest, ask) = (stage.space.path().join("rest"), stage.space.path().join("ask"));
    std::fs::write(&ask, "").unwrap();
    client.call(1, "talker_rest", json!({ "until": rest })).await;
    tokio::time::timeout(PATIENCE, async {
        while !stage.space.path().join("rest.began").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the call runs");
    client.call(2, "talker_ask", json!({ "question": "Which colour?", "until": ask })).await;
    let question = client.message().await;
    assert_eq!(question["params"]["message"], "Which colour?", "{question}");
    let red = json!({ "action": "accept", "content": { "answer": "red" } });
    client.say(json!({ "jsonrpc": "2.0", "id": question["id"], "result": red })).await;
    let answer = client.message().await;
    assert_eq!(answer["result"]["content"][0]["text"], "accept {'answer': 'red'}", "{answer}");
    std::fs::write(&rest, "").unwrap();
    assert_eq!(client.message().await["result"]["content"][0]["text"], "rested");
    stage.end().await;
}
