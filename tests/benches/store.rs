//! What agents, lists, memory and replicas cost. `cargo xtask bench store`
//!
//! `agents`: 100 agents with 10 servers of 10 tools each, on each storage: lists, restart, memory.
//! `mcpstore`: the work that MCPStore's own figures were measured on: list, warm call, calls a
//! second, idle CPU, memory a call. `idle`: 30 connected servers. `memory`: 100,000 calls.
//! `replicas`: a change at one hub until another one on the same Redis shows it: a server, a tool's
//! settings, a message of a conversation, the news of a call.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dormouse::{Config, ConversationKey, Hub, Message, Role, Scope, Timestamp, ToolSettings};
use dormouse_testing::RedisServer;
use dormouse_tests::gauge::{cpu, open_files, peak_kib, quantile, rss_kib};
use dormouse_tests::{TestSpace, call, serve, until};
use futures::future::join_all;
use serde_json::{Map, Value, json};

const ECHO: &str = env!("CARGO_BIN_EXE_dormouse-echo");
const AGENTS: usize = 100;
const SERVERS: usize = 10;
const TOOLS: usize = 10;
const STORAGES: [&str; 3] = ["memory", "embedded", "redis"];

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    for storage in STORAGES {
        // A process of its own for each, so that its memory is its own.
        if wanted == [format!("agents-{storage}")] {
            return agents_on(storage).await;
        }
    }
    if wants("agents") {
        agents();
    }
    if wants("mcpstore") {
        mcpstore().await;
    }
    if wants("idle") {
        idle().await;
    }
    if wants("memory") {
        memory().await;
    }
    if wants("replicas") {
        replicas().await;
    }
}

/// Both ends of some times.
fn p50_p99(mut times: Vec<Duration>) -> String {
    times.sort();
    format!("p50 {:.1?}, p99 {:.1?}", quantile(&times, 0.5), quantile(&times, 0.99))
}

/// The `mcp.json` of 100 agents with 10 servers each, no two of which are alike.
fn of_agents() -> Value {
    let mut servers = Map::new();
    for agent in 0..AGENTS {
        for server in 0..SERVERS {
            let name = format!("s{server}");
            let key = format!("{name}bya{agent}");
            let entry = json!({
                "command": ECHO,
                "args": [key, TOOLS.to_string()],
                "dormouse": { "agent": format!("a{agent}"), "name": name },
            });
            servers.insert(key, entry);
        }
    }
    json!({ "mcpServers": servers })
}

fn agents() {
    println!("\n## {AGENTS} agents, each with {SERVERS} servers of {TOOLS} tools");
    println!(
        "storage    first open     warm open      all listed     list of an agent             \
         GET /agents/a/tools          memory: empty, after the first open, after all, its peak"
    );
    for storage in STORAGES {
        let exe = std::env::current_exe().expect("this program");
        let mut part = std::process::Command::new(exe);
        let ended = part.arg(format!("agents-{storage}")).status().expect("this program starts");
        assert!(ended.success(), "{storage}: {ended}");
    }
    println!(
        "(first open: every server is contacted once. The warm open is in the process of the first one. \
         memory keeps nothing over a restart)"
    );
}

async fn agents_on(storage: &str) {
    let redis = (storage == "redis").then(RedisServer::start);
    let space = TestSpace::new();
    let settings = |config: &mut Config| {
        config.storage = redis.as_ref().map_or_else(|| storage.to_owned(), RedisServer::url);
    };
    let empty = {
        let space = TestSpace::new();
        let hub = space.hub(|config| config.storage = "memory".to_owned()).await;
        let empty = rss_kib();
        hub.shutdown().await;
        empty
    };
    space.write("mcp.json", of_agents().to_string());
    let all = AGENTS * SERVERS * TOOLS;
    let count = |hub: &Hub| hub.registry().snapshot().tool_count(&Scope::Store);
    let began = Instant::now();
    let mut hub = space.hub(settings).await;
    while count(&hub) < all {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (first, after_first) = (began.elapsed(), rss_kib());
    let (mut opened, mut listed) = (Duration::ZERO, Duration::ZERO);
    if storage != "memory" {
        hub.shutdown().await;
        drop(hub);
        let began = Instant::now();
        hub = space.hub(settings).await;
        opened = began.elapsed();
        assert_eq!(count(&hub), all, "a warm open knows all tools");
        assert_eq!(hub.store().tools().len(), all);
        listed = began.elapsed();
    }
    let mut times = Vec::new();
    for round in 0..10_000 {
        let agent = hub.for_agent(&format!("a{}", round % AGENTS)).expect("an agent");
        let began = Instant::now();
        let tools = std::hint::black_box(agent.tools());
        times.push(began.elapsed());
        assert_eq!(tools.len(), SERVERS * TOOLS);
    }
    let base = serve(&hub).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut over_http = Vec::new();
    for round in 0..1_000 {
        let began = Instant::now();
        let url = format!("{base}/agents/a{}/tools", round % AGENTS);
        let answer = client.get(&url).send().await.expect("an answer");
        answer.bytes().await.expect("a body");
        over_http.push(began.elapsed());
    }
    println!(
        "{storage:<9} {:>11.0?}  {:>11.0?}  {:>13.0?}     {:<28} {:<28} {empty}, {after_first}, {}, {} KiB",
        first,
        opened,
        listed,
        p50_p99(times),
        p50_p99(over_http),
        rss_kib(),
        peak_kib(),
    );
    hub.shutdown().await;
}

/// A FastMCP echo server as a script, as the figures of MCPStore were measured with.
const PYTHON_ECHO: &str = "# /// script\n# dependencies = [\"mcp<2\"]\n# ///\n\
    from mcp.server.fastmcp import FastMCP\n\nmcp = FastMCP(\"echo\")\n\n\n\
    @mcp.tool()\ndef echo(text: str) -> str:\n    \"\"\"Echoes the text\"\"\"\n    return text\n\n\n\
    mcp.run()\n";

async fn mcpstore() {
    println!("\n## The work of MCPStore's figures: one FastMCP echo server on stdio (mcp 1.x)");
    let space = TestSpace::new();
    space.write("servers/echo.py", PYTHON_ECHO);
    let hub = space.hub(|config| config.timing.idle_seconds = dormouse::IdleSetting::Seconds(600.0)).await;
    let began = Instant::now();
    echo(&hub).await;
    println!("first call, wake included: {:.0?}; memory {} KiB", began.elapsed(), rss_kib());
    let mut times = Vec::new();
    for _ in 0..1_000 {
        let began = Instant::now();
        std::hint::black_box(hub.store().tools());
        times.push(began.elapsed());
    }
    println!("list of the tools: {}", p50_p99(times));
    let (mut times, began, before) = (Vec::new(), Instant::now(), cpu());
    for n in 1..=3_000 {
        let began = Instant::now();
        echo(&hub).await;
        times.push(began.elapsed());
        if [200, 1_000, 3_000].contains(&n) {
            println!("memory after {n} calls: {} KiB", rss_kib());
        }
    }
    let (took, spent) = (began.elapsed().as_secs_f64(), cpu().saturating_sub(before).as_secs_f64());
    println!(
        "warm call: {}; {:.0} calls/s one by one; {:.2} ms of our CPU a call",
        p50_p99(times),
        3_000.0 / took,
        spent * 1_000.0 / 3_000.0
    );
    let left = Arc::new(AtomicUsize::new(3_000));
    let began = Instant::now();
    join_all((0..16).map(|_| {
        let (hub, left) = (hub.clone(), left.clone());
        tokio::spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                echo(&hub).await;
            }
        })
    }))
    .await;
    println!("{:.0} calls/s by 16 at once", 3_000.0 / began.elapsed().as_secs_f64());
    let before = cpu();
    tokio::time::sleep(Duration::from_secs(20)).await;
    println!("idle CPU in 20 s, connected: {:?}", cpu().saturating_sub(before));
    hub.shutdown().await;
}

async fn echo(hub: &Hub) {
    call(hub, "echo", json!({ "text": "hello" })).await.expect("an echo");
}

async fn idle() {
    println!("\n## 30 connected servers, idle for 60 s");
    let space = TestSpace::new();
    let servers: Map<String, Value> = (0..30)
        .map(|n| {
            let name = format!("s{n}");
            (name.clone(), json!({ "command": ECHO, "args": [name], "dormouse": { "wanted": "always" } }))
        })
        .collect();
    space.write("mcp.json", json!({ "mcpServers": servers }).to_string());
    let hub = space.hub(|_| {}).await;
    until("all are connected", || space.processes().len() == 30).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, files) = (cpu(), open_files());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let spent = cpu().saturating_sub(before);
    println!(
        "CPU {spent:?}, that is {:.3} % of a core, with two probes of each; {files} open files, memory {} KiB",
        spent.as_secs_f64() / 60.0 * 100.0,
        rss_kib()
    );
    hub.shutdown().await;
}

async fn memory() {
    println!("\n## Memory over calls of one echo server");
    let space = TestSpace::new();
    let entry = json!({ "command": ECHO, "dormouse": { "idle_seconds": "never" } });
    space.write("mcp.json", json!({ "mcpServers": { "echo": entry } }).to_string());
    let hub = space.hub(|_| {}).await;
    println!("calls     memory KiB   open files");
    for n in 1..=100_000 {
        echo(&hub).await;
        if [1, 1_000, 10_000, 20_000, 50_000, 100_000].contains(&n) {
            println!("{n:>6}  {:>10}   {:>10}", rss_kib(), open_files());
        }
    }
    println!("(the records of the newest 10,000 calls stay in memory)");
    hub.shutdown().await;
}

async fn replicas() {
    println!("\n## A change at one hub until the other one on the same Redis shows it (target: 100 ms)");
    let redis = RedisServer::start();
    let (here, there) = (TestSpace::new(), TestSpace::new());
    let settings = |config: &mut Config| {
        config.storage = redis.url();
        // The calls below are warm ones.
        config.timing.idle_seconds = dormouse::IdleSetting::Seconds(600.0);
    };
    let (one, other) = (here.hub(settings).await, there.hub(settings).await);
    let intake = |name: &str| {
        let entry = json!({ "name": name, "command": ECHO, "args": ["same"] });
        dormouse::mcp_json::intake(&entry).expect("an entry")
    };
    let has = |hub: &Hub, name: &str| hub.for_store().server(&name.parse().expect("a name")).is_ok();
    let mut version = other.registry().version();
    let (mut added, mut visible) = (Vec::new(), Vec::new());
    for n in 0..300 {
        let name = format!("s{n}");
        let began = Instant::now();
        let add = async {
            let report = one.for_store().add_all(intake(&name)).await;
            assert!(report.failed.is_empty(), "{report:?}");
            added.push(began.elapsed());
        };
        let look = async {
            while !has(&other, &name) {
                version.changed().await.expect("the other hub lives");
            }
            visible.push(began.elapsed());
        };
        tokio::join!(add, look);
        // One change after another, as people make them: the files of both are written meanwhile.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("`add` returns: {}", p50_p99(added));
    println!("the other hub lists it, counted from the beginning of `add`: {}", p50_p99(visible));

    settings_and_messages(&one, &other).await;

    let mut news = other.events();
    let mut told = Vec::new();
    call(&one, "s0_echo", json!({ "text": "x" })).await.expect("an echo");
    tokio::time::sleep(Duration::from_millis(500)).await;
    while news.try_recv().is_ok() {}
    for _ in 0..300 {
        let began = Instant::now();
        call(&one, "s0_echo", json!({ "text": "x" })).await.expect("an echo");
        let ended = |event: &dormouse::Event| {
            matches!(event, dormouse::Event::Elsewhere { event, .. }
                if matches!(**event, dormouse::Event::CallEnded { .. }))
        };
        while !news.recv().await.is_ok_and(|event| ended(&event)) {}
        told.push(began.elapsed());
    }
    println!("the other hub tells of a call, counted from its beginning: {}", p50_p99(told));
    one.shutdown().await;
    other.shutdown().await;
}

/// A tool's settings and a message of a conversation, from one hub to the other.
async fn settings_and_messages(one: &Hub, other: &Hub) {
    let (here, there) = (one.for_store(), other.for_store());
    let mut version = other.registry().version();
    let (mut returned, mut visible) = (Vec::new(), Vec::new());
    for n in 0..300 {
        let description = format!("what it does in round {n}");
        let settings = ToolSettings { description: Some(description.clone()), ..ToolSettings::default() };
        let shows = || {
            let tool = there.tool("s0_echo", None).expect("it is known there");
            tool.description() == Some(description.as_str())
        };
        let began = Instant::now();
        let change = async {
            here.set_tool("s0_echo", None, settings).await.expect("it is stored");
            returned.push(began.elapsed());
        };
        let look = async {
            while !shows() {
                version.changed().await.expect("the other hub lives");
            }
            visible.push(began.elapsed());
        };
        tokio::join!(change, look);
    }
    println!("a change of a tool's settings returns: {}", p50_p99(returned));
    println!("the other hub shows it, counted from its beginning: {}", p50_p99(visible));

    let (mut returned, mut visible) = (Vec::new(), Vec::new());
    for n in 0..300 {
        let key = ConversationKey { scope: Scope::Store, session: format!("c{n}").parse().expect("an id") };
        let message = Message { role: Role::User, content: "hello".to_owned(), timestamp: Timestamp::now() };
        let began = Instant::now();
        let write = async {
            one.storage().append(&key, &[message]).await.expect("it is stored");
            returned.push(began.elapsed());
        };
        let look = async {
            // There is no word of it: whoever wants a conversation reads it.
            while there.history(&key.session).await.expect("it is read").is_empty() {}
            visible.push(began.elapsed());
        };
        tokio::join!(write, look);
    }
    println!("a message of a conversation is stored: {}", p50_p99(returned));
    println!("the other hub reads it, counted from the beginning of the write: {}", p50_p99(visible));
}
