//! What nobody should send, and what a machine should not do, over HTTP: the answer says what is wrong.

use std::process::{Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use dormouse::{
    ConversationKey, Hub, LockError, Memory, Message, OpenError, Storage, StorageError, Table, Write,
};
use dormouse_http::{ListenError, Listening};
use dormouse_testing::Fixture;
use dormouse_tests::{Served, TestSpace, refused};
use futures::future::join_all;
use serde_json::{Value, json};

const ROWS: &str = r#"# /// script
# dependencies = ["mcp>=2"]
# ///
from mcp.server import MCPServer

mcp = MCPServer("Rows")


@mcp.tool()
def total(rows: list[list[float]]) -> float:
    """Add up the cells of a table."""
    return sum(sum(row) for row in rows)


if __name__ == "__main__":
    mcp.run()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_are_none_are_refused_and_any_language_is_answered() {
    let hub = Served::start().await;
    for empty in ["", " \n\t "] {
        refused(hub.post("/query", json!({ "query": empty })).await, 422, "empty_query", Some("query"));
    }
    let long = "calculate ".repeat(100_000);
    refused(hub.post("/query", json!({ "query": long })).await, 413, "query_too_long", Some("query"));
    let longer = "x".repeat(5 << 20);
    refused(hub.post("/query", json!({ "query": longer })).await, 413, "body_too_large", None);
    for query in
        ["北京今天天气怎么样？", "Wie spät ist es in Zürich?", "كم الساعة", "🐭🐭🐭", "\u{202e}\u{0}"]
    {
        let (status, answer) = hub.post("/query", json!({ "query": query })).await;
        assert_eq!(status, 200, "{answer:#}");
        assert_eq!(answer["tools_used"], json!([]), "{answer:#}");
        assert!(!answer["answer"].as_str().unwrap().is_empty());
    }
    hub.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_ids_may_hold_slashes_and_no_book() {
    let hub = Served::start().await;
    let session = "team/a b/../ü?#%2F";
    let encoded = "team%2Fa%20b%2F..%2F%C3%BC%3F%23%252F";
    let asked = json!({ "query": "good morning", "session_id": session });
    assert_eq!(hub.post("/query", asked).await.0, 200);
    let (status, history) = hub.get(&format!("/chat/history/{encoded}")).await;
    assert_eq!((status, &history[0]["content"]), (200, &json!("good morning")), "{history:#}");
    let gone = hub.delete(&format!("/chat/history/{encoded}")).await;
    assert_eq!(gone, (200, json!({ "cleared": session })));
    assert_eq!(hub.get(&format!("/chat/history/{encoded}")).await, (200, json!([])));

    let book = "s".repeat(10_000);
    let asked = json!({ "query": "good morning", "session_id": book });
    refused(hub.post("/query", asked).await, 422, "invalid_name", Some("session_id"));
    refused(hub.get(&format!("/chat/history/{book}")).await, 414, "uri_too_long", None);
    let long = "s".repeat(300);
    refused(hub.get(&format!("/chat/history/{long}")).await, 422, "invalid_name", Some("session_id"));
    hub.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_the_wrong_shape_names_its_field() {
    let hub = Served::start().await;
    refused(hub.post("/query", "{\"query\": ").await, 400, "invalid_json", None);
    refused(hub.post("/query", "{}").await, 422, "invalid_request", Some("query"));
    refused(hub.post("/query", json!({ "query": [] })).await, 422, "invalid_request", Some("query"));
    let call = "/tools/fix_echo/call";
    for (body, code, field) in [
        (json!({ "arguments": [] }), "invalid_request", "arguments"),
        (json!({ "argumnets": {} }), "invalid_request", "argumnets"),
        (json!({ "timeout_ms": -1 }), "invalid_request", "timeout_ms"),
        (json!({ "timeout_ms": 0 }), "invalid_request", "timeout_ms"),
        (json!({ "arguments": {}, "idempotency_key": "k" }), "not_supported", "idempotency_key"),
    ] {
        let (status, problem) = hub.post(call, body).await;
        assert_eq!(problem["outcome"], "failed", "{problem:#}");
        refused((status, problem), 422, code, Some(field));
    }
    let (status, problem) = hub.post("/tools/fix_ecko/call", json!({ "arguments": {} })).await;
    assert_eq!((status, &problem["code"]), (404, &json!("unknown_tool")), "{problem:#}");
    assert!(problem["near"].as_array().unwrap().contains(&json!("fix_echo")), "{problem:#}");
    hub.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_that_cannot_be_say_why() {
    let hub = Served::start().await;
    let inside = hub.space.write("servers/rows.py", ROWS);
    let other = hub.space.write("servers/other.py", ROWS);
    let outside = hub.space.write("outside.py", ROWS);
    let plain = hub.space.write("servers/plain.py", "print('hello')\n");
    let register = async |name: &str, path: &std::path::Path| {
        hub.post("/servers/register", json!({ "name": name, "script_path": path })).await
    };
    let field = Some("script_path");
    refused(register("x", &outside).await, 403, "outside_drop_folder", field);
    refused(
        register("x", std::path::Path::new("servers/../outside.py")).await,
        403,
        "outside_drop_folder",
        field,
    );
    refused(register("x", &inside.with_file_name("none.py")).await, 404, "script_not_found", field);
    refused(register("x", &plain).await, 422, "not_a_server", field);
    refused(register("no/name", &inside).await, 422, "invalid_name", Some("name"));
    let (status, registered) = register("mine", &inside).await;
    assert_eq!((status, registered), (200, json!({ "name": "mine", "tools_discovered": ["total"] })));
    assert_eq!(register("mine", &inside).await.0, 200, "the same again is no error");
    refused(register("mine", &other).await, 409, "name_conflict", Some("name"));
    hub.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_calls_at_once_each_get_their_own_answer() {
    let hub = Served::start().await;
    let calls = (0..100).map(|n| {
        let hub = &hub;
        async move {
            let text = format!("call {n}");
            let (status, answer) =
                hub.post("/tools/fix_echo/call", json!({ "arguments": { "text": text } })).await;
            assert_eq!((status, &answer["result"]), (200, &json!(text)), "{answer:#}");
        }
    });
    join_all(calls).await;
    hub.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_arrays_arrive_as_they_are_or_are_refused_with_their_place() {
    let space = TestSpace::new();
    space.write("servers/rows.py", ROWS);
    let hub = space.hub(|_| {}).await;
    let hub = Served::of(space, hub).await;
    let total =
        async |rows: Value| hub.post("/tools/total/call", json!({ "arguments": { "rows": rows } })).await;
    let (status, answer) = total(json!([[1, 2.5], [], [3]])).await;
    assert_eq!((status, &answer["result"]), (200, &json!("6.5")), "{answer:#}");
    for rows in [json!([[[1, 2]]]), json!([[1, "many"]]), json!({ "a": [[]] })] {
        let (status, problem) = total(rows).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid_arguments")), "{problem:#}");
        assert!(problem["problems"][0]["path"].as_str().unwrap().contains("rows"), "{problem:#}");
    }
    let deep = format!("{{\"arguments\":{{\"rows\":{}{}}}}}", "[".repeat(5_000), "]".repeat(5_000));
    refused(hub.post("/tools/total/call", deep).await, 400, "invalid_json", None);
    hub.end().await;
}

/// Remembers everything but conversations, for which no room is left.
#[derive(Debug, Default)]
struct FullDisk(Memory);

#[async_trait]
impl Storage for FullDisk {
    async fn append(&self, _: &ConversationKey, _: &[Message]) -> Result<(), StorageError> {
        Err(StorageError::Full(Arc::new(std::io::ErrorKind::StorageFull.into())))
    }
    async fn history(&self, of: &ConversationKey) -> Result<Vec<Message>, StorageError> {
        self.0.history(of).await
    }
    async fn clear(&self, of: &ConversationKey) -> Result<(), StorageError> {
        self.0.clear(of).await
    }
    async fn get(&self, table: Table, key: &str) -> Result<Option<Value>, StorageError> {
        self.0.get(table, key).await
    }
    async fn all(&self, table: Table) -> Result<Vec<(String, Value)>, StorageError> {
        self.0.all(table).await
    }
    async fn write(&self, batch: Vec<Write>) -> Result<(), StorageError> {
        self.0.write(batch).await
    }
    async fn conversations(&self) -> Result<Vec<ConversationKey>, StorageError> {
        self.0.conversations().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_the_memory_and_not_the_answer() {
    let space = TestSpace::new();
    space.fixtures(&[("fix", Fixture::new(), json!({}))]);
    let config = dormouse::Config { model: "none".to_owned(), ..dormouse::Config::default() };
    let hub = Hub::builder().space(space.root()).config(config).storage(Arc::new(FullDisk::default()));
    let hub = Served::of(space, hub.open().await.unwrap()).await;
    let (status, answer) = hub.post("/query", json!({ "query": "echo \"well\"" })).await;
    assert_eq!(status, 200, "{answer:#}");
    assert!(!answer["answer"].as_str().unwrap().is_empty());
    assert!(answer["notes"].to_string().contains("the disk is full"), "{answer:#}");
    assert_eq!(hub.get("/chat/history/default").await, (200, json!([])));
    hub.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_another_process_serves_is_refused_until_that_ends() {
    let space = TestSpace::new();
    let state = space.root().join(".dormouse");
    std::fs::create_dir(&state).unwrap();
    let holds = "import fcntl, sys\nf = open(sys.argv[1], 'a')\nfcntl.flock(f, fcntl.LOCK_EX)\nprint('held', flush=True)\nsys.stdin.read()";
    let mut other = Command::new("python3")
        .args(["-c", holds])
        .arg(state.join("lock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(other.stdout.take().unwrap()), &mut line)
        .unwrap();
    assert_eq!(line, "held\n");
    let config = || dormouse::Config { model: "none".to_owned(), ..dormouse::Config::default() };
    let error = Hub::builder().space(space.root()).config(config()).open().await.unwrap_err();
    assert!(matches!(error, OpenError::Lock(LockError::Held { .. })), "{error}");
    drop(other.stdin.take());
    other.wait().unwrap();
    Hub::builder().space(space.root()).config(config()).open().await.unwrap().shutdown().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_cannot_be_written_is_named() {
    // Nobody can make a folder there, not even root.
    for folder in ["/proc/dormouse", "/proc/self"] {
        let config = dormouse::Config { model: "none".to_owned(), ..dormouse::Config::default() };
        let error = Hub::builder().space(folder).config(config).open().await.unwrap_err();
        assert!(error.to_string().contains("/proc/"), "{error}");
        assert!(
            matches!(error, OpenError::Space { .. } | OpenError::Lock(LockError::Unwritable { .. })),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let space = TestSpace::new();
    let hub = space.hub(|_| {}).await;
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let error = Listening::on(&hub, "127.0.0.1", port).await.unwrap_err();
    assert!(matches!(error, ListenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    hub.shutdown().await;
}
