//! What the hub does when its keeper dies: ends the processes that the keeper left.
//!
//! Their leaders die by themselves, by their parent-death signal. Whatever they had started
//! goes to init, out of reach of any tree; the mark in its environment still shows it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::Interest;

use super::link::{Entry, on_reactor};

/// How long a killed process may take to be gone.
const DYING: Duration = Duration::from_secs(5);

/// Kills the known leaders with their groups and everything that carries the keeper's mark,
/// and waits until they are gone.
pub(super) async fn end_all(left: impl Iterator<Item = &Entry>, keeper: &str) {
    let mut waiting = Vec::new();
    for entry in left {
        if let Some(pidfd) = &entry.pidfd {
            let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
            waiting.extend(pidfd.try_clone());
        }
        if let Some(group) = entry.pid.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // Safe against a reused number as long as the group has a member left; with none,
            // the number is free for so short a time that nobody else leads a group by it.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
    loop {
        let marked = marked(keeper);
        for pidfd in &marked {
            let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
        }
        if marked.is_empty() && waiting.is_empty() {
            return;
        }
        waiting.extend(marked);
        let gone = async {
            for pidfd in waiting.drain(..) {
                wait(pidfd).await;
            }
        };
        if tokio::time::timeout(DYING, gone).await.is_err() {
            tracing::error!("processes of a dead keeper do not die");
            return;
        }
    }
}

/// Waits until a process is dead.
async fn wait(pidfd: OwnedFd) {
    if let Ok(pidfd) = on_reactor(pidfd, Interest::READABLE) {
        let _ = pidfd.readable().await;
    }
}

/// Every living process that carries the mark of that keeper.
fn marked(keeper: &str) -> Vec<OwnedFd> {
    let mark = format!("DORMOUSE_KEEPER_MARK={keeper}.");
    let mut found = Vec::new();
    let Ok(processes) = std::fs::read_dir("/proc") else { return found };
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Some(pid) = Pid::from_raw(pid) else { continue };
        // Opened before its environment is read: so it is that very process that is killed.
        let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environ.split(|byte| *byte == 0).any(|pair| pair.starts_with(mark.as_bytes())) {
            found.push(pidfd);
        }
    }
    found
}
