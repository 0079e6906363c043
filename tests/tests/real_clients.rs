//! Clients of others, as they come from npm and PyPI, at a hub: over HTTP and on stdio, at the store's
//! endpoint and at an agent's, with servers of both generations of the Python SDK behind it.
//!
//! Each client has a driver in `tests/clients`, which prints a line for each thing that it tried.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use dormouse_testing::environment;
use dormouse_tests::{TestSpace, binary, peers, repository, serving};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::Child;

/// A hub, which serves a space with two servers: `old` in the store, `new` of the agent `amy`.
struct Hub {
    space: TestSpace,
    process: Child,
    address: String,
}

/// Where a driver connects to, and what stands before the names of its tools there.
struct Place {
    prefix: &'static str,
    target: Vec<String>,
}

/// Where a client is taken.
#[derive(Debug, Clone, Copy)]
enum Tour {
    /// To both views on both transports.
    Everywhere,
    /// To the agent's endpoint on both transports.
    Agent,
    /// To the store over HTTP and the agent on stdio: for clients that are much like another one, or slow.
    Across,
}

impl Hub {
    async fn start() -> Self {
        let space = TestSpace::new();
        // A server that fell asleep meanwhile would forget which calls were cancelled.
        space.write("dormouse.toml", "[timing]\nidle_seconds = 600\nstart_seconds = 120\n");
        let entry = |generation: &str| {
            let script = repository(&format!("tests/clients/upstream_{generation}.py"));
            json!({ "command": environment(generation), "args": [script] })
        };
        let mut amys = entry("mcp2");
        amys["dormouse"] = json!({ "agent": "amy", "name": "new" });
        let file = json!({ "mcpServers": { "old": entry("mcp1"), "amys": amys } });
        space.write("mcp.json", file.to_string());
        let (process, address) = serving(&space).await;
        let hub = Self { space, process, address };
        hub.knows("/servers/old").await;
        hub.knows("/agents/amy/servers/new").await;
        hub
    }

    /// Waits until a server's tools are known, and puts it to sleep: the first client wakes it.
    async fn knows(&self, path: &str) {
        let client = Client::builder().no_proxy().build().unwrap();
        let address = format!("{}{path}", self.address);
        let began = Instant::now();
        loop {
            let server: Value = client.get(&address).send().await.unwrap().json().await.unwrap();
            if server["tool_count"] != 0 {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "{server:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let detached = client.post(format!("{address}/detach")).send().await.unwrap();
        assert!(detached.status().is_success());
    }

    /// The hub on standard input and output.
    fn stdio(&self, prefix: &'static str, more: &[&str]) -> Place {
        let program = binary().to_string_lossy().into_owned();
        let root = self.space.root().to_string_lossy().into_owned();
        let more = more.iter().map(|&word| word.to_owned());
        let target = [program, "--space".to_owned(), root].into_iter().chain(more).collect();
        Place { prefix, target }
    }

    /// Both transports, both views, both servers.
    fn places(&self, tour: Tour) -> Vec<Place> {
        let store = format!("{}/mcp", self.address);
        let amy = format!("{}/agents/amy/mcp", self.address);
        let store = [Place { prefix: "old_", target: vec![store] }, self.stdio("old_", &["mcp"])];
        let amy =
            [Place { prefix: "new_", target: vec![amy] }, self.stdio("new_", &["mcp", "--agent", "amy"])];
        match tour {
            Tour::Everywhere => store.into_iter().chain(amy).collect(),
            Tour::Agent => Vec::from(amy),
            Tour::Across => {
                let ([http, _], [_, stdio]) = (store, amy);
                vec![http, stdio]
            }
        }
    }

    async fn end(mut self) {
        let pid = self.process.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.process.wait().await.unwrap();
        assert_eq!(self.space.processes(), Vec::<u32>::new());
    }
}

/// What a driver printed, a list of lines for each connection that it made.
async fn drive(driver: &[PathBuf], place: &Place, home: &TestSpace) -> Vec<Vec<Value>> {
    let output = tokio::process::Command::new(&driver[0])
        .args(&driver[1..])
        .arg(place.prefix)
        .args(&place.target)
        // The inspector keeps files in its home.
        .env("HOME", home.root())
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8(output.stdout).unwrap();
    let at =
        format!("{} at {}:\n{printed}\n{said}", driver.last().unwrap().display(), place.target.join(" "));
    assert!(output.status.success(), "{at}");
    let mut connections = Vec::new();
    for line in printed.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {at}"));
        if line["tried"] == "connect" || connections.is_empty() {
            connections.push(Vec::new());
        }
        connections.last_mut().unwrap().push(line);
    }
    connections
}

/// Lets a driver loose at each place, and looks at each of its connections.
async fn check(driver: &[PathBuf], tour: Tour, connections: usize, look: impl Fn(&[Value])) {
    let hub = Hub::start().await;
    let home = TestSpace::new();
    for place in hub.places(tour) {
        let seen = drive(driver, &place, &home).await;
        assert_eq!(seen.len(), connections, "{seen:#?}");
        for connection in &seen {
            look(connection);
        }
    }
    hub.end().await;
}

fn python(environs: &str, driver: &str) -> Vec<PathBuf> {
    vec![environment(environs), repository(&format!("tests/clients/{driver}.py"))]
}

fn node(driver: &str) -> Vec<PathBuf> {
    let node = environment("node").with_file_name("node");
    vec![node, repository(&format!("tests/clients/{driver}.mjs")), peers::npm_folder()]
}

/// The lines about one thing.
fn about<'a>(lines: &'a [Value], tried: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["tried"] == tried).collect()
}

fn one<'a>(lines: &'a [Value], tried: &str) -> &'a Value {
    let found = about(lines, tried);
    assert_eq!(found.len(), 1, "{tried} in {lines:#?}");
    found[0]
}

fn lists_calls_and_meets_an_error(lines: &[Value]) {
    let tools = ["cancelled", "echo", "fail", "order", "slow", "wait"];
    assert_eq!(one(lines, "list")["tools"], json!(tools), "{lines:#?}");
    assert_eq!(one(lines, "call")["text"], "héllo", "{lines:#?}");
    let failed = one(lines, "error");
    assert!(failed["text"].as_str().unwrap().contains("no luck"), "{failed}");
    assert!(failed["error"] == true || failed["status"] == "error", "{failed}");
}

fn does_all(lines: &[Value]) {
    lists_calls_and_meets_an_error(lines);
    let called = one(lines, "call");
    assert_eq!((&called["structured"], &called["error"]), (&json!({ "result": "héllo" }), &json!(false)));
    let seen = one(lines, "progress")["seen"].as_array().unwrap();
    let steps: Vec<_> = seen.iter().map(|step| (step[0].as_f64(), step[1].as_f64(), &step[2])).collect();
    let step = |number: f64, text: &'static str| (Some(number), Some(3.0), json!(text));
    let expected = [step(1.0, "step 1"), step(2.0, "step 2"), step(3.0, "step 3")];
    assert_eq!(steps, expected.each_ref().map(|(done, total, text)| (*done, *total, text)), "{lines:#?}");
    assert_eq!(one(lines, "cancel")["seen"], 1, "{lines:#?}");
    for asked in about(lines, "asked") {
        assert_eq!(asked["fields"], json!(["guests", "sure"]));
    }
    let answers: Vec<_> = about(lines, "elicit").iter().map(|line| line["text"].clone()).collect();
    assert_eq!(answers, ["soup for 3", "decline: no refuse"], "{lines:#?}");
    assert_eq!(one(lines, "unknown")["code"], -32602, "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn python_mcp_1_does_all() {
    check(&python("mcp1", "mcp1_client"), Tour::Everywhere, 1, does_all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_mcp_2_does_all_in_each_life() {
    check(&python("mcp2", "mcp2_client"), Tour::Everywhere, 3, does_all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fastmcp_2_does_all() {
    check(&python("fastmcp2", "fastmcp_client"), Tour::Across, 1, does_all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fastmcp_3_does_all() {
    check(&python("fastmcp3", "fastmcp_client"), Tour::Across, 1, does_all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fastmcp_4_does_all() {
    check(&python("fastmcp4", "fastmcp_client"), Tour::Everywhere, 1, does_all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_1_does_all() {
    check(&node("ts1_client"), Tour::Everywhere, 1, does_all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_2_does_all_in_each_life() {
    check(&node("ts2_client"), Tour::Everywhere, 3, does_all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inspector_lists_calls_and_meets_an_error_in_each_life() {
    check(&node("inspector"), Tour::Across, 3, lists_calls_and_meets_an_error).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn langchain_lists_and_calls() {
    check(&python("adapters", "langchain_client"), Tour::Agent, 1, lists_calls_and_meets_an_error).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn llamaindex_lists_and_calls() {
    check(&python("llamaindex", "llamaindex_client"), Tour::Agent, 1, lists_calls_and_meets_an_error).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_server_everything_is_the_same_through_the_hub_but_its_roots() {
    let space = TestSpace::new();
    let server = peers::everything();
    space.write("mcp.json", json!({ "mcpServers": { "everything": server.entry } }).to_string());
    let (process, address) = serving(&space).await;
    let hub = Hub { space, process, address };
    hub.knows("/servers/everything").await;
    let word = |word: &Value| word.as_str().unwrap().to_owned();
    let entry = &server.entry;
    let itself = [&entry["command"]].into_iter().chain(entry["args"].as_array().unwrap()).map(word);
    let stdio = hub.stdio("", &["mcp", "--mode", "single", "--server", "everything"]);
    let places = [
        Place { prefix: "", target: itself.collect() },
        Place { prefix: "", target: vec![format!("{}/mcp?mode=single&server=everything", hub.address)] },
        stdio,
    ];
    let home = TestSpace::new();
    let mut seen = Vec::new();
    for place in &places {
        let lines = drive(&node("everything"), place, &home).await.concat();
        // The server asks for roots once, when its connection begins: before anybody called.
        let (roots, lines): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line["tried"] == "tool get-roots-list");
        assert_eq!(roots.len(), 1);
        seen.push(lines);
    }
    assert!(seen[0].len() > 25, "{:#?}", seen[0]);
    for (line, (http, stdio)) in seen[0].iter().zip(seen[1].iter().zip(&seen[2])) {
        assert_eq!(line, http);
        assert_eq!(line, stdio);
    }
    hub.end().await;
}
