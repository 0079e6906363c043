//! The fixture server on pipes, and looking at real processes.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use dormouse_protocol::{Connection, Keeper, Program, StartError, allowed_env};

use crate::shared::LONG;

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
