//! Measures the registry at its design size: 10,000 tools over 1,000 servers in 100 agents, half
//! of the servers the store's; then 100 agents with 10 servers of 10 tools each.
//!
//! Prints one JSON object; `cargo xtask bench` runs it in release mode.
#![expect(clippy::print_stdout, reason = "its output is its result")]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dormouse_registry::{Change, Entry, Registry};
use dormouse_storage::{Embedded, Memory, Storage};
use dormouse_types::{
    Confidence, FeatureSource, Features, Launch, Origin, PythonNeeds, Scope, ServerConfig, ServerKey,
    ServerStatus, Timestamp, Tool,
};
use serde_json::{Value, json};

const SERVERS: usize = 1_000;
const TOOLS_EACH: usize = 10;
const AGENTS: usize = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // First, so that its memory is not what others left.
    let agents = of_agents().await?;
    let folder = tempfile::tempdir()?;
    let entries = (0..SERVERS).map(|number| entry(number, "")).collect::<Result<Vec<_>, _>>()?;
    let changes = || entries.iter().cloned().map(Change::Put).collect::<Vec<_>>();

    // The best of some rounds: what else the machine does can only make a round slower.
    let mut registry = Registry::open(Arc::new(Memory::new())).await?;
    let mut first_batch = Duration::MAX;
    for _ in 0..10 {
        registry = Registry::open(Arc::new(Memory::new())).await?;
        let (first, start) = (changes(), Instant::now());
        registry.apply(first).await?;
        first_batch = first_batch.min(start.elapsed());
    }
    let (same, batch) = (changes(), Instant::now());
    registry.apply(same).await?;
    let unchanged_batch = batch.elapsed();

    let mut one = Vec::new();
    for round in 0..100 {
        let change = Change::Put(entry(round * 7 % SERVERS, &format!("v{round}"))?);
        let start = Instant::now();
        registry.apply(vec![change]).await?;
        one.push(start.elapsed());
    }

    let file = folder.path().join("dormouse.redb");
    let storage: Arc<dyn Storage> = Arc::new(Embedded::open(&file).await?);
    let (on_disk, start) = (Registry::open(Arc::clone(&storage)).await?, Instant::now());
    on_disk.apply(changes()).await?;
    let first_batch_on_disk = start.elapsed();
    storage.close().await;
    let start = Instant::now();
    let storage: Arc<dyn Storage> = Arc::new(Embedded::open(&file).await?);
    let opened = start.elapsed();
    let restarted = Registry::open(storage).await?;
    let names_read = start.elapsed();
    restarted.apply(changes()).await?;
    let restart = start.elapsed();

    let (store, agent) = (Scope::Store, Scope::Agent("agent7".parse()?));
    let catalog = registry.snapshot();
    let names: Vec<_> = catalog.tools(&store).map(|tool| tool.full_name().to_owned()).collect();
    let mut next = 0;
    let mut name = || {
        next = (next + 7919) % names.len();
        &names[next]
    };
    let key: ServerKey = catalog.servers(&store).next().ok_or("there are servers")?.key.clone();
    let status = ServerStatus::dormant(Timestamp::UNIX_EPOCH);
    let figures = json!({
        "tools": catalog.tool_count(&store),
        "tools_of_an_agent": catalog.tool_count(&agent),
        "snapshot_ns": nanos(|| drop(black_box(registry.snapshot()))),
        "find_full_name_ns": nanos(|| drop(black_box(catalog.find_tool(&store, name(), None)))),
        "find_bare_name_ns": nanos(|| drop(black_box(catalog.find_tool(&store, "only_17", None)))),
        "find_server_ns": nanos(|| drop(black_box(catalog.find_server(&store, "server2")))),
        "find_near_misses_us": nanos(|| drop(black_box(catalog.find_tool(&store, "srver3_raed_0", None)))) / 1e3,
        "set_status_ns": nanos(|| registry.set_status(&key, status.clone())),
        "list_all_tools_us": nanos(|| { black_box(catalog.tools(&store).map(|tool| tool.full_name().len()).sum::<usize>()); }) / 1e3,
        "first_batch_ms": millis(first_batch),
        "first_batch_on_disk_ms": millis(first_batch_on_disk),
        "unchanged_batch_ms": millis(unchanged_batch),
        "restart_ms": {
            "file_opened": millis(opened),
            "names_read": millis(names_read),
            "all_known": millis(restart),
        },
        "of_100_agents": agents,
        "one_changed_server_us": median(one).as_secs_f64() * 1e6,
    });
    println!("{figures:#}");
    Ok(())
}

fn entry(number: usize, version: &str) -> Result<Entry, Box<dyn Error>> {
    // Half of the servers are the store's, half belong to agents.
    let scope = match number % 2 {
        0 => Scope::Store,
        _ => Scope::Agent(format!("agent{}", number % AGENTS).parse()?),
    };
    let tool = |index: usize| -> Result<Tool, Box<dyn Error>> {
        let name = match index {
            0 => format!("only_{number}{version}"),
            _ => format!("read_{index}"),
        };
        let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}});
        Ok(Tool::new(name.parse()?, schema))
    };
    made_of(scope, number, version, tool)
}

fn made_of(
    scope: Scope,
    number: usize,
    version: &str,
    tool: impl Fn(usize) -> Result<Tool, Box<dyn Error>>,
) -> Result<Entry, Box<dyn Error>> {
    let path = format!("/drop/server{number}.py").into();
    Ok(Entry {
        key: ServerKey { scope, name: format!("server{number}").parse()? },
        config: Arc::new(ServerConfig::new(
            Launch::Script { path, needs: PythonNeeds::default() },
            Origin::Dropped,
        )),
        features: Arc::new(Features {
            tools: (0..TOOLS_EACH).map(tool).collect::<Result<_, _>>()?,
            ..Features::default()
        }),
        source: FeatureSource::Static,
        confidence: Confidence::Full,
        drift: Arc::new([]),
        content_hash: version.to_owned(),
        registered_at: Timestamp::UNIX_EPOCH,
    })
}

/// 100 agents with 10 servers of 10 tools each: what a list costs, and the memory of it all.
async fn of_agents() -> Result<Value, Box<dyn Error>> {
    let entry = |number: usize| {
        let scope = Scope::Agent(format!("agent{}", number % AGENTS).parse()?);
        let tool = |index: usize| {
            let name = format!("forecast_{number}_{index}");
            let description = format!("Tells forecast number {index} of station {number}, for some days.");
            let schema = json!({
                "type": "object",
                "title": format!("{name}Arguments"),
                "properties": {
                    "city": {"type": "string", "title": "City"},
                    "days": {"type": "integer", "title": "Days", "default": 3},
                    "unit": {"type": "string", "title": "Unit", "default": "C"},
                },
                "required": ["city"],
            });
            let output = json!({
                "type": "object",
                "title": format!("{name}Output"),
                "properties": {"result": {"type": "string", "title": "Result"}},
                "required": ["result"],
            });
            let mut tool = Tool::new(name.parse()?, schema);
            tool.description = Some(description);
            tool.output_schema = Some(output.into());
            Ok(tool)
        };
        made_of(scope, number, "", tool)
    };
    let empty = resident();
    let entries = (0..SERVERS).map(entry).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let described = resident();
    let registry = Registry::open(Arc::new(Memory::new())).await?;
    registry.apply(entries.into_iter().map(Change::Put).collect()).await?;
    let known = resident();
    let mut times = Vec::new();
    for round in 0..10_000 {
        let scope = Scope::Agent(format!("agent{}", round * 7 % AGENTS).parse()?);
        let start = Instant::now();
        let catalog = registry.snapshot();
        let tools: Vec<_> = catalog.tools(&scope).collect();
        let names: usize = tools.iter().map(|tool| tool.full_name().len()).sum();
        times.push(start.elapsed());
        assert!(black_box(names) > 0 && tools.len() == SERVERS / AGENTS * TOOLS_EACH);
    }
    times.sort();
    let micros = |time: Duration| (time.as_secs_f64() * 1e7).round() / 10.0;
    Ok(json!({
        "list_us": {"p50": micros(times[times.len() / 2]), "p99": micros(times[times.len() * 99 / 100])},
        "memory_mib": {"features": mib(described - empty), "registry": mib(known - described)},
    }))
}

/// The resident memory of this process in KiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(f64::NAN)
}

fn mib(kib: f64) -> f64 {
    (kib / 102.4).round() / 10.0
}

/// What one run takes, over at least a fifth of a second.
fn nanos(mut run: impl FnMut()) -> f64 {
    run();
    let (start, mut runs) = (Instant::now(), 0_u32);
    while start.elapsed() < Duration::from_millis(200) {
        for _ in 0..100 {
            run();
        }
        runs += 100;
    }
    (start.elapsed().as_nanos() as f64 / f64::from(runs)).round()
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
