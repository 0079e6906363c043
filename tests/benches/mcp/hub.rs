//! The hub in a process of its own, as `dormouse serve` is one; and the servers beside it.
//!
//! The benchmark starts itself once more with `--hub-of=SPACE`. That process serves the space and
//! answers questions about itself, a line each, on its standard input and output.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use dormouse::{BackChannel, CallRequest, Config, Hub, NoBackChannel};
use dormouse_http::{HttpSettings, Listening};
use dormouse_telemetry::Telemetry;
use dormouse_tests::gauge::{cpu_of, open_files_of, rss_kib_of};
use dormouse_tests::{TestSpace, environments};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::counting::{self, Counted};

const ECHO: &str = env!("CARGO_BIN_EXE_dormouse-rmcp-echo");

/// Serves a space until the standard input ends.
pub(crate) async fn serve(space: PathBuf) {
    let telemetry = Telemetry::new().expect("metrics");
    let mut config = Config { model: "none".to_owned(), keyring: false, ..Config::default() };
    config.python.cache = environments().to_string_lossy().into_owned();
    let builder = Hub::builder().space(space).config(config).meter(telemetry.meter());
    let hub = builder.open().await.expect("a hub");
    let listening = Listening::on(&hub, "127.0.0.1", 0).await.expect("a port");
    println!("listening on http://{}", listening.address().expect("an address"));
    let settings = HttpSettings { telemetry: Some(Arc::new(telemetry)), ..HttpSettings::default() };
    tokio::spawn(listening.serve(hub.clone(), settings));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut words = line.split(' ');
        match words.next() {
            Some("count") => counting::start(),
            Some("stop") => counting::stop(),
            Some("call") => {
                let tool = words.next().unwrap_or_default();
                let calls: u32 = words.next().and_then(|calls| calls.parse().ok()).unwrap_or_default();
                let began = Instant::now();
                for _ in 0..calls {
                    call(&hub, tool).await;
                }
                println!("{}", began.elapsed().as_nanos() / u128::from(calls.max(1)));
                continue;
            }
            _ => {}
        }
        let Counted { allocations, bytes, held } = counting::counted();
        println!("{allocations} {bytes} {held}");
    }
    hub.shutdown().await;
}

/// A call through the library, in the hub's own process.
async fn call(hub: &Hub, tool: &str) {
    let back: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
    let arguments = json!({ "text": "hello 1" }).as_object().cloned().unwrap_or_default();
    let request = CallRequest { tool: tool.to_owned(), server: None, arguments, deadline: None };
    hub.store().call(request, back).await.expect("an echo");
}

/// A process that said where it listens.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) url: String,
}

impl Process {
    async fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("a process");
        let stdin = child.stdin.take().expect("a pipe");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = lines.next_line().await.expect("a line").expect("it says where it listens");
        let url = line.strip_prefix("listening on ").expect("an address").to_owned();
        Self { child, stdin, lines, url }
    }

    /// The echo server over HTTP; `json`: without sessions and streams.
    pub(crate) async fn echo(json: bool) -> Self {
        let mut command = Command::new(ECHO);
        command.arg("http").args(json.then_some("json"));
        Self::start(command).await
    }

    /// A hub of this space.
    pub(crate) async fn hub(space: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("a program"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DORMOUSE_"))
        {
            command.env_remove(name);
        }
        command.arg(format!("--hub-of={}", space.display()));
        Self::start(command).await
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it lives")
    }

    pub(crate) fn cpu(&self) -> std::time::Duration {
        cpu_of(self.pid())
    }

    pub(crate) fn rss_kib(&self) -> u64 {
        rss_kib_of(self.pid())
    }

    pub(crate) fn open_files(&self) -> usize {
        open_files_of(self.pid())
    }

    async fn ask(&mut self, line: &str) -> String {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.expect("it listens");
        self.lines.next_line().await.expect("a line").expect("it answers")
    }

    /// Counts allocations from now on.
    pub(crate) async fn count(&mut self) {
        self.ask("count").await;
    }

    /// What was counted.
    pub(crate) async fn counted(&mut self) -> Counted {
        let line = self.ask("counted").await;
        let mut numbers = line.split(' ').map(|number| number.parse::<i64>().expect("a number"));
        let mut next = || numbers.next().expect("three numbers");
        Counted { allocations: next() as u64, bytes: next() as u64, held: next() }
    }

    /// Counts no more.
    pub(crate) async fn stop(&mut self) {
        self.ask("stop").await;
    }

    /// Calls in its own process, one after the other; nanoseconds of one.
    pub(crate) async fn call(&mut self, tool: &str, calls: usize) -> f64 {
        self.ask(&format!("call {tool} {calls}")).await.parse().expect("a number")
    }

    /// Ends it in its order.
    pub(crate) async fn end(mut self) {
        drop(self.stdin);
        let hub = tokio::time::timeout(std::time::Duration::from_secs(20), self.child.wait()).await;
        assert!(hub.is_ok(), "it ends when its input does");
    }
}

/// A hub before two servers that are the same program: `http` at an address, `stdio` on pipes.
#[derive(Debug)]
pub(crate) struct Site {
    space: TestSpace,
    /// The server at the address, which is also called directly.
    pub(crate) echo: Process,
    pub(crate) hub: Process,
}

/// What the tool is called directly, and at the hub.
pub(crate) const DIRECT: &str = "echo";
pub(crate) const OVER_HTTP: &str = "http_echo";
pub(crate) const OVER_STDIO: &str = "stdio_echo";

impl Site {
    /// Starts all, and waits until both servers are known and awake.
    pub(crate) async fn start(json: bool) -> Self {
        let echo = Process::echo(json).await;
        let space = TestSpace::new();
        let awake = json!({ "idle_seconds": "never" });
        let servers = json!({
            "http": { "type": "http", "url": echo.url, "dormouse": awake },
            "stdio": { "command": ECHO, "args": ["stdio"], "dormouse": awake },
        });
        space.write("mcp.json", json!({ "mcpServers": servers }).to_string());
        let mut hub = Process::hub(&space.root()).await;
        for tool in [OVER_HTTP, OVER_STDIO] {
            hub.call(tool, 100).await;
        }
        Self { space, echo, hub }
    }

    /// Where the hub's endpoint is.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}/mcp", self.hub.url)
    }

    /// Ends all; no process of the space is left.
    pub(crate) async fn end(self) {
        self.hub.end().await;
        assert_eq!(self.space.processes(), Vec::<u32>::new());
    }
}
