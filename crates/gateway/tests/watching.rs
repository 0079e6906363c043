//! Who asks to watch a resource hears what became of it, whoever else asks at the same moment.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::time::Duration;

use dormouse::{Config, Hub};
use dormouse_gateway::stdio::{Receipts, Talk};
use dormouse_gateway::{Gateway, Mode};
use dormouse_testing::{Space, python};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A hub with one server, which two contexts share.
struct Stage {
    hub: Hub,
    gateway: Gateway,
    space: Space,
}

/// A client of 2025-11-25 that has greeted.
struct Client {
    lines: tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>,
    to_hub: WriteHalf<DuplexStream>,
}

impl Stage {
    async fn new() -> Self {
        let space = Space::new();
        let script = space.write("watched.py", include_str!("watched.py"));
        let args = json!(["-u", script, space.path()]);
        let entry = json!({ "command": python(), "args": args, "dormouse": { "idle_seconds": 0 } });
        space.write("mcp.json", json!({ "mcpServers": { "watched": entry } }).to_string());
        let config = Config { model: "none".to_owned(), keyring: false, ..Config::default() };
        let hub = Hub::builder().space(space.path()).config(config).open().await.unwrap();
        hub.store().first_contacts(PATIENCE).await;
        let gateway = Gateway::new(&hub);
        Self { hub, gateway, space }
    }

    async fn client(&self) -> Client {
        let endpoint = self.gateway.endpoint(self.hub.store(), Mode::All).unwrap();
        let talk = Talk::begin(endpoint, None).await.unwrap();
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        // Ends when the client closes its side.
        tokio::spawn(talk.serve(theirs, Receipts::None, std::future::pending()));
        let (from_hub, to_hub) = tokio::io::split(ours);
        let mut client = Client { lines: BufReader::new(from_hub).lines(), to_hub };
        let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
        client.request(0, "initialize", hello).await;
        client.answer(0).await;
        client
    }

    /// What the server was asked.
    fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.space.path().join("asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let so = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, so).await.is_ok(), "{what}: {:?}", self.asked());
    }

    fn is_awake(&self) -> bool {
        self.hub.store().servers().iter().any(|server| server.status.pid.is_some())
    }

    async fn end(self) {
        self.gateway.end();
        self.hub.shutdown().await;
    }
}

impl Client {
    async fn request(&mut self, id: u64, method: &str, params: Value) {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.to_hub.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    /// Asks to watch an address, and returns once that waits for the server.
    async fn begins_to_watch(&mut self, id: u64, own: &str) {
        self.request(id, "resources/subscribe", json!({ "uri": format!("dormouse://watched/{own}") })).await;
        self.request(id + 1, "ping", json!({})).await;
        assert_eq!(self.answer(id + 1).await["result"], json!({}));
    }

    /// The answer to a request.
    async fn answer(&mut self, id: u64) -> Value {
        loop {
            let line =
                tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("an answer in time");
            let message: Value = serde_json::from_str(&line.unwrap().expect("an answer")).unwrap();
            if message["id"] == id {
                return message;
            }
        }
    }
}

/// Two clients ask while the server takes its time for the first: what each of them hears.
async fn both(first: &str, second: &str) -> (Stage, Value, Value) {
    let stage = Stage::new().await;
    let (mut one, mut other) = (stage.client().await, stage.client().await);
    one.begins_to_watch(1, first).await;
    stage.until("the server is asked", |stage| !stage.asked().is_empty()).await;
    other.begins_to_watch(1, second).await;
    stage.space.write("go", "");
    let (one_heard, other_heard) = (one.answer(1).await, other.answer(1).await);
    (stage, one_heard, other_heard)
}

#[tokio::test]
async fn an_error_of_one_address_is_told_to_nobody_else() {
    let (stage, one, other) = both("r://slow-bad", "r://good").await;
    assert_eq!(one["error"], json!({ "code": -32002, "message": "there is no r://slow-bad" }));
    assert_eq!(other["result"], json!({}), "{other}");
    stage.end().await;
}

#[tokio::test]
async fn who_asked_meanwhile_hears_of_its_own_address() {
    let (stage, one, other) = both("r://slow-good", "r://bad").await;
    assert_eq!(one["result"], json!({}), "{one}");
    assert_eq!(other["error"], json!({ "code": -32002, "message": "there is no r://bad" }));
    stage.end().await;
}

#[tokio::test]
async fn what_was_refused_keeps_no_server_awake() {
    let (stage, one, other) = both("r://slow-bad", "r://bad").await;
    for (heard, uri) in [(&one, "r://slow-bad"), (&other, "r://bad")] {
        assert_eq!(heard["error"]["message"], format!("there is no {uri}"), "{heard}");
    }
    stage.until("it sleeps", |stage| !stage.is_awake()).await;
    stage.end().await;
}

#[tokio::test]
async fn who_takes_its_request_back_keeps_no_server_awake() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    client.begins_to_watch(1, "r://slow-good").await;
    stage.until("the server is asked", |stage| !stage.asked().is_empty()).await;
    let cancelled =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    client.to_hub.write_all(format!("{cancelled}\n").as_bytes()).await.unwrap();
    client.request(3, "ping", json!({})).await;
    client.answer(3).await;
    stage.space.write("go", "");
    stage.until("it sleeps", |stage| !stage.is_awake()).await;
    stage.end().await;
}
