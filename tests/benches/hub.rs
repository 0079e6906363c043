//! What a call, a wake, a list and a sleeping server cost. `cargo xtask bench hub`
//!
//! Every comparison is made side by side in one run: rounds of each are interleaved, and the
//! medians of the rounds are printed with their ratio.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dormouse::{Hub, Scope, ServerName, ServerState};
use dormouse_tests::gauge::{cpu, median, open_files, quantile, rss_kib};
use dormouse_tests::{TestSpace, call, serve, until};
use futures::future::join_all;
use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use serde_json::{Value, json};

const ECHO: &str = env!("CARGO_BIN_EXE_dormouse-echo");

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    if wants("warm") {
        warm().await;
    }
    if wants("wake") {
        wake().await;
    }
    if wants("cycles") {
        cycles().await;
    }
    if wants("many") {
        many().await;
    }
}

/// One way to call the echo server.
#[derive(Clone)]
enum Way {
    Bare(Arc<rmcp::service::RunningService<rmcp::RoleClient, ()>>),
    Rust(Hub),
    Http(reqwest::Client, String),
}

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Self::Bare(_) => "bare rmcp",
            Self::Rust(_) => "Rust API",
            Self::Http(..) => "POST /tools/echo/call",
        }
    }

    async fn call(&self) {
        match self {
            Self::Bare(client) => {
                let arguments = json!({ "text": "hello" }).as_object().cloned();
                let mut request = CallToolRequestParams::new("echo");
                request.arguments = arguments;
                client.call_tool(request).await.expect("an echo");
            }
            Self::Rust(hub) => {
                call(hub, "echo", json!({ "text": "hello" })).await.expect("an echo");
            }
            Self::Http(client, url) => {
                let body = json!({ "arguments": { "text": "hello" } });
                let answer = client.post(url).json(&body).send().await.expect("an answer");
                assert!(answer.status().is_success());
                let _: Value = answer.json().await.expect("JSON");
            }
        }
    }
}

struct Figures {
    p50: f64,
    p99: f64,
    per_second: f64,
    cpu_us: f64,
}

async fn measure(way: &Way, callers: usize, calls: usize) -> Figures {
    let left = Arc::new(AtomicUsize::new(calls));
    let (began, before) = (Instant::now(), cpu());
    let tasks = (0..callers).map(|_| {
        let (way, left) = (way.clone(), left.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                let began = Instant::now();
                way.call().await;
                times.push(began.elapsed());
            }
            times
        })
    });
    let mut times: Vec<Duration> =
        join_all(tasks).await.into_iter().flat_map(|times| times.expect("no caller panics")).collect();
    let (took, spent) = (began.elapsed(), cpu().saturating_sub(before));
    times.sort();
    Figures {
        p50: quantile(&times, 0.5).as_secs_f64() * 1e6,
        p99: quantile(&times, 0.99).as_secs_f64() * 1e6,
        per_second: calls as f64 / took.as_secs_f64(),
        cpu_us: spent.as_secs_f64() * 1e6 / calls as f64,
    }
}

fn echo_entry(settings: Value) -> String {
    json!({ "mcpServers": { "echo": { "command": ECHO, "dormouse": settings } } }).to_string()
}

/// Warm calls: bare rmcp, the Rust API and HTTP, interleaved.
async fn warm() {
    println!("\n## Warm call of an echo server on stdio");
    let space = TestSpace::new();
    space.write("mcp.json", echo_entry(json!({ "idle_seconds": "never" })));
    let hub = space.hub(|_| {}).await;
    call(&hub, "echo", json!({ "text": "warm" })).await.expect("an echo");
    let mut child = tokio::process::Command::new(ECHO)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the echo server");
    let pipes = (child.stdout.take().expect("a pipe"), child.stdin.take().expect("a pipe"));
    let bare = Arc::new(().serve(pipes).await.expect("a handshake"));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let http = Way::Http(client, format!("{}/tools/echo/call", serve(&hub).await));
    let ways = [Way::Bare(bare), Way::Rust(hub.clone()), http];

    println!("callers  way                     p50 µs   p99 µs   calls/s   CPU µs   +p50 µs   +CPU µs");
    for (callers, calls) in [(1, 3_000), (16, 12_000), (64, 12_000)] {
        let mut rounds: Vec<Vec<Figures>> = vec![vec![], vec![], vec![]];
        for round in 0..6 {
            for (way, figures) in ways.iter().zip(&mut rounds) {
                let measured = measure(way, callers, calls).await;
                // The first round warms all up.
                if round > 0 {
                    figures.push(measured);
                }
            }
        }
        let of = |way: usize, figure: fn(&Figures) -> f64| median(rounds[way].iter().map(figure).collect());
        for (n, way) in ways.iter().enumerate() {
            println!(
                "{callers:>7}  {:<22} {:>7.0}  {:>7.0}  {:>8.0}  {:>7.0}  {:>8.0}  {:>8.0}",
                way.name(),
                of(n, |f| f.p50),
                of(n, |f| f.p99),
                of(n, |f| f.per_second),
                of(n, |f| f.cpu_us),
                of(n, |f| f.p50) - of(0, |f| f.p50),
                of(n, |f| f.cpu_us) - of(0, |f| f.cpu_us),
            );
        }
    }
    println!("(CPU of this process: client and hub together for HTTP, so less is the hub's own)");
    hub.shutdown().await;
}

/// Wake to first result of a dormant script, beside the same handshake without a hub.
async fn wake() {
    println!("\n## Wake to first result of a dormant Python script (calculator, mcp 2), by plain start");
    let space = TestSpace::new();
    space.ship("calculator");
    let hub = space.hub(|config| config.timing.idle_seconds = dormouse::IdleSetting::Seconds(0.0)).await;
    let arguments = || json!({ "expression": "42 * 58" });
    call(&hub, "calculate", arguments()).await.expect("a result");
    let calculator = ServerName::try_new("calculator").expect("a name");
    let asleep = async || {
        hub.store()
            .wait(&calculator, &[ServerState::Dormant], Duration::from_secs(30))
            .await
            .expect("it sleeps again");
    };
    asleep().await;
    let python = python_of(&space, &hub).await;
    let (mut bare, mut ours, mut own) = (vec![], vec![], vec![]);
    for _ in 0..15 {
        bare.push(bare_wake(&python, &space.root().join("servers/calculator.py")).await.as_secs_f64());
        let began = Instant::now();
        let answer = call(&hub, "calculate", arguments()).await.expect("a result");
        ours.push(began.elapsed().as_secs_f64());
        own.push(answer.duration.as_secs_f64());
        asleep().await;
    }
    let ratios: Vec<f64> = bare.iter().zip(&ours).map(|(bare, ours)| ours / bare).collect();
    println!("bare `python script.py`: {:.0} ms", median(bare) * 1e3);
    println!("through the hub:         {:.0} ms", median(ours) * 1e3);
    println!("ratio, pair by pair:     {:.3} (median of 15)", median(ratios));
    hub.shutdown().await;
}

/// The interpreter that the hub uses for the calculator: the one that its process runs.
async fn python_of(space: &TestSpace, hub: &Hub) -> std::path::PathBuf {
    let name = ServerName::try_new("calculator").expect("a name");
    let back: Arc<dyn dormouse::BackChannel> = Arc::new(dormouse::NoBackChannel);
    let key = hub.store().server(&name).expect("it is known").entry.key.clone();
    let lease = hub.store().orchestrator().lease(&key, &back).await.expect("it wakes");
    let pid = space.processes()[0];
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).expect("its command line");
    drop(lease);
    hub.store().wait(&name, &[ServerState::Dormant], Duration::from_secs(30)).await.expect("it sleeps again");
    let program = line.split(|byte| *byte == 0).next().expect("a program");
    std::path::PathBuf::from(String::from_utf8_lossy(program).into_owned())
}

async fn bare_wake(python: &Path, script: &Path) -> Duration {
    let began = Instant::now();
    let mut child = tokio::process::Command::new(python)
        .arg("-u")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("python");
    let pipes = (child.stdout.take().expect("a pipe"), child.stdin.take().expect("a pipe"));
    let client = ().serve(pipes).await.expect("a handshake");
    client.list_all_tools().await.expect("tools");
    let mut request = CallToolRequestParams::new("calculate");
    request.arguments = json!({ "expression": "42 * 58" }).as_object().cloned();
    client.call_tool(request).await.expect("a result");
    let took = began.elapsed();
    let _ = client.cancel().await;
    let _ = child.wait().await;
    took
}

/// A thousand wakes and sleeps: nothing may grow.
async fn cycles() {
    println!("\n## 1,000 wake-and-sleep cycles of an echo server");
    let space = TestSpace::new();
    space.write("mcp.json", echo_entry(json!({ "idle_seconds": 0 })));
    let hub = space.hub(|_| {}).await;
    let echo = ServerName::try_new("echo").expect("a name");
    let cycle = async || {
        let answer = call(&hub, "echo", json!({ "text": "x" })).await.expect("an echo");
        hub.store()
            .wait(&echo, &[ServerState::Dormant], Duration::from_secs(30))
            .await
            .expect("it sleeps again");
        answer.woke
    };
    println!("cycles   RSS KiB   open files   processes");
    let mut times = Vec::new();
    for n in 0..=1000 {
        if n % 250 == 0 {
            println!("{n:>6}  {:>8}   {:>10}   {:>9}", rss_kib(), open_files(), space.processes().len());
        }
        let began = Instant::now();
        assert!(cycle().await);
        times.push(began.elapsed());
    }
    times.sort();
    println!(
        "one cycle, wake, call and sleep: p50 {:?}, p99 {:?}",
        quantile(&times, 0.5),
        quantile(&times, 0.99)
    );
    hub.shutdown().await;
}

fn script(server: usize) -> String {
    let tools: String = (0..10)
        .map(|tool| {
            format!(
                "@mcp.tool()\ndef tool_{server}_{tool}(city: str, days: int = 3, unit: str = \"C\") -> str:\n    \
                 \"\"\"Tells forecast number {tool} of station {server}, for some days.\"\"\"\n    return city\n\n\n"
            )
        })
        .collect();
    format!(
        "from mcp.server import MCPServer\n\nmcp = MCPServer(\"station {server}\")\n\n\n{tools}\nmcp.run()\n"
    )
}

/// A hub with 1,000 dormant servers and 10,000 tools: its memory, its idle CPU, its lists.
async fn many() {
    println!("\n## 1,000 dormant servers with 10,000 tools");
    let space = TestSpace::new();
    for server in 0..1000 {
        space.write(&format!("servers/station-{server}.py"), script(server));
    }
    let empty = rss_kib();
    let began = Instant::now();
    let hub = space.hub(|_| {}).await;
    println!("cold open: {:?} (every script scanned)", began.elapsed());
    let tools = hub.registry().snapshot().tool_count(&Scope::Store);
    assert_eq!(tools, 10_000);
    hub.shutdown().await;
    drop(hub);
    let began = Instant::now();
    let hub = space.hub(|_| {}).await;
    println!("open again: {:?} (nothing changed)", began.elapsed());
    println!("memory: {} KiB more than without", rss_kib().saturating_sub(empty));

    let before = cpu();
    tokio::time::sleep(Duration::from_secs(20)).await;
    println!("idle CPU in 20 s: {:?}", cpu().saturating_sub(before));

    let catalog = hub.registry().snapshot();
    let names: Vec<String> = hub.store().tools().iter().map(|tool| tool.full_name().to_owned()).collect();
    let began = Instant::now();
    let rounds = 100;
    for _ in 0..rounds {
        for name in &names {
            assert!(catalog.find_tool(&Scope::Store, std::hint::black_box(name), None).is_ok());
        }
    }
    println!(
        "look-up of a tool by name: {:.0} ns",
        began.elapsed().as_nanos() as f64 / (rounds * names.len()) as f64
    );

    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/tools", serve(&hub).await);
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..100 {
        let began = Instant::now();
        bytes = client.get(&url).send().await.expect("an answer").bytes().await.expect("a body").len();
        times.push(began.elapsed());
    }
    times.sort();
    println!("GET /tools ({bytes} bytes): p50 {:?}, p99 {:?}", quantile(&times, 0.5), quantile(&times, 0.99));

    hub.store().search("warm up", 8);
    let mut times = Vec::new();
    for n in 0..200 {
        let began = Instant::now();
        let found = hub.store().search(&format!("forecast of station {n} in Oslo"), 8);
        times.push(began.elapsed());
        assert!(!found.is_empty());
    }
    times.sort();
    println!("search: p50 {:?}, p99 {:?}", quantile(&times, 0.5), quantile(&times, 0.99));

    let began = Instant::now();
    space.write("servers/station-0.py", script(0).replace("station 0,", "station zero,"));
    let changed = || {
        let text = hub
            .store()
            .tools()
            .iter()
            .find(|t| t.tool().name.as_str() == "tool_0_0")
            .map(|tool| tool.tool().description.clone().unwrap_or_default());
        text.is_some_and(|text| text.contains("zero"))
    };
    until("the change shows", changed).await;
    println!("a changed script shows after {:?}", began.elapsed());
    hub.shutdown().await;
}
