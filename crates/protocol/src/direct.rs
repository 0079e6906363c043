//! Starts programs as our own children, where no keeper can run.
//!
//! What this cannot promise: a child that leaves its process group outlives its server, and
//! when the hub is killed its servers only see the end of their input. Whoever chooses it says so.

use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use rustix::process::{Pid, Signal};
use tokio::process::Command;
use tokio::sync::{Notify, watch};

use crate::launch::{Control, Exit, ExitHandle, LaunchError, Launched, Launcher, Pipes, find};
use crate::program::Program;

/// A launcher without a keeper. Each process leads a group of its own, which ends with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

#[async_trait]
impl Launcher for Direct {
    async fn launch(&self, program: &Program) -> Result<Launched, LaunchError> {
        let found = find(program)?;
        if !program.cwd.is_dir() {
            let source = std::io::ErrorKind::NotADirectory.into();
            return Err(LaunchError::Directory { cwd: program.cwd.clone(), source });
        }
        let pipes = Pipes::new().map_err(|source| LaunchError::Resources { source })?;
        let [stdin, stdout, stderr] = pipes.theirs.map(Stdio::from);
        let mut child = Command::new(&found)
            .args(&program.args)
            .env_clear()
            .envs(&program.env)
            .current_dir(&program.cwd)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| LaunchError::Exec { program: found.to_string_lossy().into_owned(), source })?;
        let pid = child.id().unwrap_or_default();
        crate::open_files::restore(pid);
        let (told, seen) = watch::channel(None);
        let leash = Leash { pid, seen: seen.clone(), terminate: Notify::new(), kill: Notify::new() };
        let leash = Arc::new(leash);
        // Ends with the process, which it reaps.
        tokio::spawn({
            let leash = Arc::clone(&leash);
            async move {
                let status = loop {
                    tokio::select! {
                        status = child.wait() => break status,
                        // Signalled here, where the process cannot be reaped at the same time.
                        () = leash.terminate.notified() => leash.signal(Signal::TERM),
                        () = leash.kill.notified() => leash.signal(Signal::KILL),
                    }
                };
                // What is left of the group. Its number is not given anew while it has members.
                leash.signal(Signal::KILL);
                let raw = status.map(std::os::unix::process::ExitStatusExt::into_raw);
                told.send_replace(Some(raw.map_or(Exit::Lost, Exit::from_wait_status)));
            }
        });
        Ok(Launched {
            pid,
            stdin: pipes.stdin,
            stdout: pipes.stdout,
            stderr: pipes.stderr,
            exit: ExitHandle::new(seen, leash),
        })
    }
}

#[derive(Debug)]
struct Leash {
    pid: u32,
    seen: watch::Receiver<Option<Exit>>,
    terminate: Notify,
    kill: Notify,
}

impl Leash {
    fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.pid.cast_signed()) {
            // The group may be gone already.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

impl Control for Leash {
    fn terminate(&self) {
        if self.seen.borrow().is_none() {
            self.terminate.notify_one();
        }
    }

    fn kill(&self) {
        if self.seen.borrow().is_none() {
            self.kill.notify_one();
        }
    }
}
