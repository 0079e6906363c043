//! Measures a launch by the keeper, and a warm call beside the same call on a bare rmcp client.
//!
//! `cargo run --release -p dormouse-protocol --example overhead`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dormouse_protocol::{Connection, Keeper, Launcher, Program, allowed_env};
use dormouse_types::{Arguments, BackChannel, NoBackChannel, ToolName};
use rmcp::ServiceExt;
use rmcp::model::CallToolRequestParams;
use serde_json::json;

const CALLS: usize = 4_000;

#[tokio::main]
async fn main() {
    let told = std::process::Command::new("python3")
        .args(["-I", "-S", "-c", "import sys; print(sys.executable)"])
        .output()
        .unwrap();
    let python = String::from_utf8(told.stdout).unwrap().trim().to_owned();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/server.py");
    let program = |program: &str, args: &[&str]| Program {
        program: program.into(),
        args: args.iter().map(Into::into).collect(),
        env: allowed_env(),
        cwd: "/".into(),
    };
    let echo = program(&python, &["-I", "-S", script.to_str().unwrap()]);

    let begun = Instant::now();
    let keeper = Keeper::start(Path::new(&python)).unwrap();
    keeper.launch(&program("true", &[])).await.unwrap().exit.wait().await;
    println!("keeper up and first launch: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    let mut launches = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        let launched = keeper.launch(&program("true", &[])).await.unwrap();
        launches.push(begun.elapsed());
        launched.exit.wait().await;
        ends.push(begun.elapsed());
    }
    println!("launch of `true`: {}; until its exit is known: {}", spread(launches), spread(ends));

    let connection = Connection::open(&keeper, &echo, Duration::from_secs(30)).await.unwrap();
    let mut child = tokio::process::Command::new(&echo.program)
        .args(&echo.args)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pipes = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let bare = ().serve(pipes).await.unwrap();
    let arguments: Arguments = json!({ "text": "hello" }).as_object().unwrap().clone();
    let name = ToolName::try_new("echo").unwrap();
    let back: Arc<dyn BackChannel> = Arc::new(NoBackChannel);

    for round in 0..2 {
        for callers in [1, 16, 64] {
            let shared = (connection.clone(), name.clone(), Arc::clone(&back), arguments.clone());
            let ours = measure(callers, move || {
                let (connection, name, back, arguments) = shared.clone();
                async move {
                    let limit = Duration::from_secs(30);
                    connection.call(&name, &arguments, limit, &back).await.unwrap();
                }
            })
            .await;
            let shared = (bare.peer().clone(), arguments.clone());
            let theirs = measure(callers, move || {
                let (peer, arguments) = shared.clone();
                async move {
                    let params = CallToolRequestParams::new("echo").with_arguments(arguments);
                    peer.call_tool(params).await.unwrap();
                }
            })
            .await;
            if round > 0 {
                println!("{callers:2} callers  ours {ours}\n            bare {theirs}");
            }
        }
    }
    connection.close(Duration::from_secs(3)).await;
    keeper.shutdown().await;
    child.kill().await.unwrap();
}

async fn measure<F: Future<Output = ()> + Send + 'static>(
    callers: usize,
    call: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> String {
    let (cpu, begun) = (cpu(), Instant::now());
    let tasks = (0..callers).map(|_| {
        let call = call.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            for _ in 0..CALLS / callers {
                let begun = Instant::now();
                call().await;
                took.push(begun.elapsed());
            }
            took
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.unwrap());
    }
    let rate = all.len() as f64 / begun.elapsed().as_secs_f64();
    let each = (self::cpu() - cpu).as_secs_f64() * 1e6 / all.len() as f64;
    format!("{}, {rate:.0}/s, {each:.0} µs CPU each", spread(all))
}

fn spread(mut all: Vec<Duration>) -> String {
    all.sort();
    let at = |part: f64| all[(all.len() as f64 * part) as usize].as_secs_f64() * 1e3;
    format!("p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99))
}

/// What this process has used of the processor, without its children.
fn cpu() -> Duration {
    let spent = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    let main: u64 = spent.split_whitespace().next().unwrap().parse().unwrap();
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let all: u64 = threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|spent| spent.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(all.max(main))
}
