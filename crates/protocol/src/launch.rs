//! The seam between a connection and whatever makes processes.
//!
//! A [`Launcher`] gives pipes and an [`ExitHandle`]. The [`Keeper`](crate::Keeper) is one; a warm
//! process that forks, or a scripted double, is another. Nothing above this seam knows which.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use crate::keeper::KeeperError;
use crate::program::Program;

/// Something that starts programs.
#[async_trait]
pub trait Launcher: Send + Sync + fmt::Debug {
    /// Starts a program. When it is dropped midway, the process is killed as soon as it exists.
    ///
    /// # Errors
    /// [`LaunchError`]; then there is no process.
    async fn launch(&self, program: &Program) -> Result<Launched, LaunchError>;
}

/// A process just started.
#[derive(Debug)]
pub struct Launched {
    /// Its number, which is also that of its session and its group.
    pub pid: u32,
    /// Our end of its standard input.
    pub stdin: pipe::Sender,
    /// Our end of its standard output.
    pub stdout: pipe::Receiver,
    /// Our end of its standard error.
    pub stderr: pipe::Receiver,
    /// How it is ended, and how its end is learnt.
    pub exit: ExitHandle,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Its keeper was gone before it could tell; the process was killed.
    Lost,
    /// There was no process: the connection to a server at a URL ended.
    Closed,
}

impl Exit {
    /// Reads a wait status as the kernel gives it.
    pub(crate) fn from_wait_status(status: i32) -> Self {
        match status & 0x7f {
            0 => Self::Code((status >> 8) & 0xff),
            signal => Self::Signal(signal),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(6) => f.write_str("aborted (signal 6)"),
            Self::Signal(9) => f.write_str("killed (signal 9)"),
            Self::Signal(11) => f.write_str("segmentation fault (signal 11)"),
            Self::Signal(15) => f.write_str("terminated (signal 15)"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Lost => f.write_str("killed when its keeper was lost"),
            Self::Closed => f.write_str("its connection closed"),
        }
    }
}

/// What a launcher can do to a process that it started. None of it waits.
pub trait Control: Send + Sync + fmt::Debug {
    /// Asks the process and its group to end (SIGTERM).
    fn terminate(&self);
    /// Kills the process and everything that it started, also what left its session.
    fn kill(&self);
}

/// The end of one process: how to bring it about and how to learn of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ExitHandle {
    seen: watch::Receiver<Option<Exit>>,
    control: Arc<dyn Control>,
}

impl ExitHandle {
    /// Joins what a launcher knows of an exit and what it can do about it. The launcher keeps
    /// the sender and sets it once, when the process and all that it started are gone.
    pub fn new(seen: watch::Receiver<Option<Exit>>, control: Arc<dyn Control>) -> Self {
        Self { seen, control }
    }

    /// How it ended, if it has.
    pub fn seen(&self) -> Option<Exit> {
        *self.seen.borrow()
    }

    /// Waits until the process and everything that it started are gone. Cancel-safe.
    pub async fn wait(&self) -> Exit {
        let mut seen = self.seen.clone();
        match seen.wait_for(Option::is_some).await {
            Ok(exit) => exit.unwrap_or(Exit::Lost),
            Err(_) => Exit::Lost,
        }
    }

    /// Asks the process and its group to end (SIGTERM).
    pub fn terminate(&self) {
        self.control.terminate();
    }

    /// Kills the process and everything that it started.
    pub fn kill(&self) {
        self.control.kill();
    }
}

/// Why a program did not start. There is no process then.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No such program, neither as a path nor in the `PATH` of its environment.
    #[error("the program `{program}` was not found")]
    NotFound {
        /// What was looked for.
        program: String,
    },
    /// The working directory cannot be entered.
    #[error("the working directory `{}` cannot be entered", cwd.display())]
    Directory {
        /// The directory.
        cwd: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel refused to run it.
    #[error("the program `{program}` cannot be run")]
    Exec {
        /// The program as it was found.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An argument or variable that no process can be given.
    #[error("{what} holds a NUL byte or, in a variable's name, an `=`")]
    Unpassable {
        /// Which.
        what: String,
    },
    /// Arguments and environment are more than the keeper takes.
    #[error("arguments and environment take {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Their size.
        bytes: usize,
        /// The most that can be passed.
        limit: usize,
    },
    /// No pipes, no process: the machine is out of something.
    #[error("the machine gave no process")]
    Resources {
        /// What it is out of.
        #[source]
        source: io::Error,
    },
    /// The keeper does not run.
    #[error("the keeper of child processes is not there")]
    Keeper {
        /// Why.
        #[source]
        source: KeeperError,
    },
}

/// Finds the program as a shell would, in the `PATH` that the child will have.
pub(crate) fn find(program: &Program) -> Result<PathBuf, LaunchError> {
    let path = program.env.get(std::ffi::OsStr::new("PATH"));
    which::which_in(&program.program, path, &program.cwd)
        .map_err(|_| LaunchError::NotFound { program: program.program.to_string_lossy().into_owned() })
}

/// The three pipes of a child: our ends on the reactor, its ends blocking.
pub(crate) struct Pipes {
    pub(crate) stdin: pipe::Sender,
    pub(crate) stdout: pipe::Receiver,
    pub(crate) stderr: pipe::Receiver,
    pub(crate) theirs: [OwnedFd; 3],
}

impl Pipes {
    pub(crate) fn new() -> io::Result<Self> {
        let (stdin, their_stdin) = pipe::pipe()?;
        let (their_stdout, stdout) = pipe::pipe()?;
        let (their_stderr, stderr) = pipe::pipe()?;
        let theirs = [
            their_stdin.into_blocking_fd()?,
            their_stdout.into_blocking_fd()?,
            their_stderr.into_blocking_fd()?,
        ];
        Ok(Self { stdin, stdout, stderr, theirs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_are_read_as_the_kernel_means_them() {
        assert_eq!(Exit::from_wait_status(0), Exit::Code(0));
        assert_eq!(Exit::from_wait_status(3 << 8), Exit::Code(3));
        assert_eq!(Exit::from_wait_status(9), Exit::Signal(9));
        assert_eq!(Exit::from_wait_status(11 | 0x80), Exit::Signal(11));
    }
}
