//! Which processes live.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A living process. Zombies are not counted: they run nothing and hold nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// Its command line, with spaces between the arguments.
    pub command: String,
}

/// Lists the living descendants of a process, not itself.
///
/// A process whose parent died is its child no more, unless the ancestor is a subreaper; look
/// for such by a mark.
pub fn descendants_of(pid: u32) -> Vec<Process> {
    let all: BTreeMap<u32, Process> = all().into_iter().map(|process| (process.pid, process)).collect();
    let is_descendant = |process: &Process| {
        let ancestors =
            std::iter::successors(Some(process.parent), |pid| all.get(pid).map(|process| process.parent));
        // A bound, since two reads of a changing table could form a ring.
        ancestors.take(64).any(|ancestor| ancestor == pid)
    };
    all.values().filter(|process| is_descendant(process)).cloned().collect()
}

/// Lists the living processes with this text on their command line, but this one.
pub fn processes_with_mark(mark: &str) -> Vec<Process> {
    let me = std::process::id();
    all().into_iter().filter(|process| process.pid != me && process.command.contains(mark)).collect()
}

/// Waits until `list` finds no process; panics with those that are left after `within`.
pub async fn none_left(within: Duration, list: impl Fn() -> Vec<Process>) {
    let end = Instant::now() + within;
    loop {
        let left = list();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "processes are left: {left:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(target_os = "linux")]
fn all() -> Vec<Process> {
    let read = |entry: std::fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name in brackets may hold anything, brackets too.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ").trim_end().to_owned();
        (!matches!(state, "Z" | "X")).then_some(Process { pid, parent, command })
    };
    std::fs::read_dir("/proc").unwrap().filter_map(|entry| read(entry.ok()?)).collect()
}

#[cfg(not(target_os = "linux"))]
fn all() -> Vec<Process> {
    let output =
        std::process::Command::new("ps").args(["-axww", "-o", "pid=,ppid=,stat=,command="]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let read = |line: &str| {
        let mut fields = line.split_whitespace();
        let (pid, parent, state) =
            (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?);
        let command = fields.collect::<Vec<_>>().join(" ");
        (!state.starts_with('Z')).then_some(Process { pid, parent, command })
    };
    text.lines().filter_map(read).collect()
}
