//! The keeper of child processes, seen from the hub.
//!
//! The keeper itself is a small Python program (`keeper.py`), run by the base Python: so it is
//! the same in the binary, in embedding programs and in tests. It is the parent of every server
//! process and a subreaper. The hub asks it over a socket; when the socket ends, it kills all.
//!
//! # Invariants
//!
//! * An [`ExitHandle`] resolves once, when the process and all that it started are gone, also
//!   when the keeper dies: then the hub kills what it knows, by pidfd and by mark.
//! * A launch that nobody waits for any more is killed as soon as it is reported.
//! * Dropping the last handle on a keeper and its processes ends the keeper and them.

mod link;
mod lost;
mod message;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use self::link::{Link, Refusal};
use crate::launch::{ExitHandle, LaunchError, Launched, Launcher, Pipes, find};
use crate::program::Program;

/// Why the keeper is not there.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// Its Python cannot be run.
    #[error("the keeper cannot be run with `{}`", python.display())]
    Spawn {
        /// The interpreter.
        python: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended while it was needed.
    #[error("the keeper ended: {last_words}")]
    Ended {
        /// The end of what it wrote on its standard error.
        last_words: String,
    },
    /// The hub has shut it down.
    #[error("the keeper was shut down")]
    ShutDown,
}

/// A handle on the keeper. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keeper {
    python: Arc<Path>,
    /// The keeper of now. One that died is replaced by the next launch.
    link: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    Up(Arc<Link>),
    Down,
}

impl Keeper {
    /// Starts a keeper on a Python of at least 3.8. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`KeeperError::Spawn`] when that Python cannot be run at all. A Python that runs and
    /// fails is seen by the first launch.
    pub fn start(python: &Path) -> Result<Self, KeeperError> {
        let link = Link::start(python)?;
        Ok(Self { python: python.into(), link: Arc::new(Mutex::new(State::Up(Arc::new(link)))) })
    }

    /// The process number of the keeper; `None` after it was shut down.
    pub fn pid(&self) -> Option<u32> {
        match &*self.state() {
            State::Up(link) => Some(link.pid()),
            State::Down => None,
        }
    }

    /// What the keeper cannot guarantee on this machine, in words; empty as a rule, and until
    /// it has said so.
    pub fn weaknesses(&self) -> Vec<String> {
        match &*self.state() {
            State::Up(link) => link.weaknesses(),
            State::Down => Vec::new(),
        }
    }

    /// Kills every process that is left and ends the keeper. Later launches fail.
    pub async fn shutdown(&self) {
        let link = match std::mem::replace(&mut *self.state(), State::Down) {
            State::Up(link) => link,
            State::Down => return,
        };
        link.shutdown().await;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link to a keeper that lives, as far as anybody knows.
    fn living(&self) -> Result<Arc<Link>, KeeperError> {
        let mut state = self.state();
        match &*state {
            State::Up(link) if !link.has_ended() => Ok(Arc::clone(link)),
            State::Up(_) => {
                let link = Arc::new(Link::start(&self.python)?);
                tracing::warn!(pid = link.pid(), "the keeper had ended; a new one was started");
                *state = State::Up(Arc::clone(&link));
                Ok(link)
            }
            State::Down => Err(KeeperError::ShutDown),
        }
    }
}

#[async_trait]
impl Launcher for Keeper {
    async fn launch(&self, program: &Program) -> Result<Launched, LaunchError> {
        let found = find(program)?;
        let pipes = Pipes::new().map_err(|source| LaunchError::Resources { source })?;
        let link = self.living().map_err(|source| LaunchError::Keeper { source })?;
        let started = link
            .launch(&found, program, pipes.theirs)
            .await
            .map_err(|refusal| refused(refusal, &found, program))?;
        Ok(Launched {
            pid: started.pid,
            stdin: pipes.stdin,
            stdout: pipes.stdout,
            stderr: pipes.stderr,
            exit: ExitHandle::new(started.exit, Arc::new(started.control)),
        })
    }
}

fn refused(refusal: Refusal, found: &Path, program: &Program) -> LaunchError {
    match refusal {
        Refusal::Message(error) => error,
        Refusal::Keeper(source) => LaunchError::Keeper { source },
        Refusal::Failed { errno, step } => {
            let source = io::Error::from_raw_os_error(errno);
            match step.as_str() {
                "cwd" => LaunchError::Directory { cwd: program.cwd.clone(), source },
                "exec" => LaunchError::Exec { program: found.to_string_lossy().into_owned(), source },
                _ => LaunchError::Resources { source },
            }
        }
    }
}
