//! What the tests of this crate share: the fixture server, and looking at real processes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dormouse_protocol::{Connection, Keeper, Program, StartError, allowed_env};
use dormouse_types::{Arguments, BackChannel, CallEvent, NoBackChannel, PeerAnswer, PeerRequest, ToolName};
use serde_json::Value;

/// Long enough for a loaded machine; no test waits for it unless it fails.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The interpreter itself; what `PATH` names may be a shell script that looks for one.
pub(crate) fn python() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let told = std::process::Command::new("python3")
                .args(["-I", "-S", "-c", "import sys; print(sys.executable)"])
                .output()
                .expect("the tests need a python3");
            PathBuf::from(String::from_utf8(told.stdout).unwrap().trim())
        })
        .clone()
}

pub(crate) fn keeper() -> Keeper {
    Keeper::start(&python()).unwrap()
}

pub(crate) fn server(args: &[&str]) -> Program {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/server.py");
    let mut all = vec!["-S".into(), script.into_os_string()];
    all.extend(args.iter().map(Into::into));
    Program { program: python().into(), args: all, env: allowed_env(), cwd: std::env::temp_dir() }
}

pub(crate) async fn open(keeper: &Keeper, args: &[&str]) -> Connection {
    Connection::open(keeper, &server(args), LONG).await.unwrap()
}

pub(crate) async fn open_error(keeper: &Keeper, args: &[&str], deadline: Duration) -> StartError {
    Connection::open(keeper, &server(args), deadline).await.unwrap_err()
}

pub(crate) fn tool(name: &str) -> ToolName {
    ToolName::try_new(name).unwrap()
}

pub(crate) fn arguments(value: Value) -> Arguments {
    value.as_object().unwrap().clone()
}

pub(crate) fn nobody() -> Arc<dyn BackChannel> {
    Arc::new(NoBackChannel)
}

/// Calls a tool and gives its text.
pub(crate) async fn text(connection: &Connection, name: &str, args: Value) -> String {
    connection.call(&tool(name), &arguments(args), LONG, &nobody()).await.unwrap().text()
}

/// A caller who writes down what comes, and answers questions.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    pub(crate) events: Mutex<Vec<CallEvent>>,
    pub(crate) questions: Mutex<Vec<PeerRequest>>,
    pub(crate) answer: Option<Value>,
}

#[async_trait]
impl BackChannel for Listener {
    fn notify(&self, event: CallEvent) {
        self.events.lock().unwrap().push(event);
    }

    async fn ask(&self, request: PeerRequest) -> PeerAnswer {
        self.questions.lock().unwrap().push(request);
        match &self.answer {
            Some(answer) => PeerAnswer::Result(answer.clone()),
            None => PeerAnswer::Unsupported,
        }
    }
}

/// Whether a process is there and not dead, be it reaped (`X` while it is) or not.
pub(crate) fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next());
        !matches!(state, Some('Z' | 'X'))
    })
}

/// The children of a process, dead ones that nobody reaped included.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// Waits for a condition, with an end.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LONG, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The process numbers that daemons wrote into a file, once there are so many.
pub(crate) async fn written_pids(path: &Path, count: usize) -> Vec<u32> {
    let read = || -> Vec<u32> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| line.parse().unwrap()).collect()
    };
    until("the daemon's number", || read().len() >= count).await;
    read()
}
