//! Running one installer program to its end.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::Command;

/// Lines kept for the search for the reason of a failure. The log file has all of them.
const LINES_KEPT: usize = 4000;

/// A longer line is cut: no installer writes such, and what is kept must stay small.
const LINE_LIMIT: usize = 16 * 1024;

/// Runs a program and kills it, with itself and everything in their group, once nobody reads their
/// output any more: then the hub is gone, however it ended. A parent-death signal would need
/// unsafe code in the child and follows a thread; this costs 30 ms.
const WATCH: &str = "import os, select, signal, subprocess, sys
child = subprocess.Popen(sys.argv[1:])
poll = select.poll()
poll.register(1, 0)
try:
    poll.register(os.pidfd_open(child.pid), select.POLLIN)
except (AttributeError, OSError):
    pass
while child.poll() is None:
    if any(fd == 1 for fd, _ in poll.poll(200)):
        os.killpg(0, signal.SIGKILL)
sys.exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)";

/// A program with its arguments.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
}

impl Step {
    pub(super) fn new(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Self {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        Self { program: program.into(), args }
    }
}

/// What all steps of one build share.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    /// The base Python, which watches over the programs.
    pub(super) python: &'a Path,
    /// The whole environment of the programs.
    pub(super) variables: &'a BTreeMap<OsString, OsString>,
    /// Their working directory; holds nothing that a tool could take for input.
    pub(super) folder: &'a Path,
    /// The lock of the slot. Each program gets it as its standard input: it is empty, and the
    /// lock holds until the last program is gone, also if this process is killed.
    pub(super) lock: &'a File,
    /// Where all output goes.
    pub(super) log: &'a File,
}

/// How a step ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Its output, both streams in the order of writing.
    pub(super) lines: Vec<String>,
}

/// Kills the programs of a step, with their children, unless they ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The leader is not reaped yet or a member still lives, so the number is still theirs.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a step. If the future is dropped, its processes are killed.
pub(super) async fn run(
    step: &Step,
    ground: &Ground<'_>,
    on_line: &mut (dyn FnMut(&str) + Send),
) -> io::Result<Ended> {
    let mut log = ground.log;
    writeln!(log, "\n$ {} {}", step.program.display(), shown(&step.args))?;
    // One pipe for both streams keeps their order.
    let (output, input) = io::pipe()?;
    let mut child = Command::new(ground.python)
        .args(["-I", "-S", "-c", WATCH])
        .arg(&step.program)
        .args(&step.args)
        .env_clear()
        .envs(ground.variables)
        .current_dir(ground.folder)
        .stdin(Stdio::from(ground.lock.try_clone()?))
        .stdout(Stdio::from(input.try_clone()?))
        .stderr(Stdio::from(input))
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    crate::open_files::restore(child.id().unwrap_or_default());
    // Declared after the child, so dropped before it: the group is killed before the leader is reaped.
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let mut output = pipe::Receiver::from_owned_fd(output.into())?;

    let mut lines = Lines::default();
    let mut buffer = Vec::with_capacity(8192);
    let status = loop {
        buffer.clear();
        tokio::select! {
            // The output first: after an exit there may be lines left to read.
            biased;
            read = output.read_buf(&mut buffer) => {
                if read? == 0 {
                    let status = child.wait().await?;
                    group.0 = None;
                    break status;
                }
                log.write_all(&buffer)?;
                lines.take(&buffer, on_line);
            }
            status = child.wait() => {
                // Somebody still holds the pipe: a child that was left behind. It ends here.
                drop(group);
                drain(&mut output, log, &mut lines, on_line).await?;
                break status?;
            }
        }
    };
    lines.finish(on_line);
    Ok(Ended { status, lines: lines.kept })
}

/// Reads what is left in the pipe, for a moment only: a process with a session of its own may
/// keep it open for ever.
async fn drain(
    output: &mut pipe::Receiver,
    mut log: &File,
    lines: &mut Lines,
    on_line: &mut (dyn FnMut(&str) + Send),
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(8192);
    while let Ok(read) = tokio::time::timeout(Duration::from_millis(200), output.read_buf(&mut buffer)).await
    {
        if read? == 0 {
            break;
        }
        log.write_all(&buffer)?;
        lines.take(&buffer, on_line);
        buffer.clear();
    }
    Ok(())
}

fn shown(args: &[OsString]) -> String {
    args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Output cut into lines.
#[derive(Debug, Default)]
struct Lines {
    open: Vec<u8>,
    kept: Vec<String>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], on_line: &mut (dyn FnMut(&str) + Send)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.open.len() < LINE_LIMIT {
                self.open.extend_from_slice(&piece[..piece.len().min(LINE_LIMIT)]);
            }
            if piece.ends_with(b"\n") {
                self.finish(on_line);
            }
        }
    }

    fn finish(&mut self, on_line: &mut (dyn FnMut(&str) + Send)) {
        let bytes = std::mem::take(&mut self.open);
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if line.is_empty() && bytes.is_empty() {
            return;
        }
        on_line(&line);
        if self.kept.len() < LINES_KEPT {
            self.kept.push(line);
        }
    }
}
