//! Why an operation of the orchestrator failed, and what that says about a call.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dormouse_protocol as protocol;
use dormouse_registry::ApplyError;
use dormouse_storage::StorageError;
use dormouse_types::{Launch, Outcome, ServerConfig, ServerKey, ServerName, ToolName};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// Its needs cannot be met, by its own source.
    #[error("{0}")]
    Needs(String),
    /// Its Python environment could not be made.
    #[error("its environment could not be made")]
    Environment(#[source] protocol::EnvironmentError),
    /// Its configuration names a variable that is not set.
    #[error("its configuration names `{0}`, which is not set")]
    Variable(String),
    /// It was started and did not answer as a server.
    #[error(transparent)]
    Start(protocol::StartError),
    /// A person has to sign in first.
    #[error("{how}")]
    SignIn {
        /// Why, and by what command.
        how: String,
    },
    /// It was started and did not answer as a server; told without what it printed.
    #[error("{0}")]
    Told(String),
}

impl StartFault {
    /// The fault with its causes, as one line for a status.
    pub fn chain(&self) -> String {
        dormouse_types::chain(self)
    }

    /// The fault as it concerns this server, which may share its start with others: where a person
    /// has to sign in, the words name the server.
    pub(crate) fn told_of(self: Arc<Self>, key: &ServerKey, config: &ServerConfig) -> Arc<Self> {
        use protocol::{StartError, StartFault as Fault};
        let Self::Start(StartError { fault: Fault::SignIn(error), .. }) = &*self else { return self };
        let Launch::Url(remote) = &config.launch else { return self };
        let how = crate::sign_in::remedy(key, &remote.auth, error);
        how.map_or_else(|| self.clone(), |how| Arc::new(Self::SignIn { how }))
    }

    /// What a person must do so that it can start, if it is a matter of signing in.
    pub(crate) fn sign_in(&self) -> Option<String> {
        match self {
            Self::SignIn { how } => Some(how.clone()),
            Self::Start(protocol::StartError { fault: protocol::StartFault::SignIn(error), .. }) => {
                Some(error.to_string())
            }
            Self::Needs(_) | Self::Environment(_) | Self::Variable(_) | Self::Start(_) | Self::Told(_) => {
                None
            }
        }
    }

    /// What the server printed last before it failed.
    pub(crate) fn last_words(&self) -> Option<String> {
        match self {
            Self::Start(error) => error.last_words().map(str::to_owned),
            Self::Needs(_)
            | Self::Environment(_)
            | Self::Variable(_)
            | Self::SignIn { .. }
            | Self::Told(_) => None,
        }
    }

    /// The fault without what the server printed.
    fn without_output(self: Arc<Self>) -> Arc<Self> {
        match &*self {
            Self::Start(error) if error.stderr.is_empty() && error.noise == protocol::Noise::default() => {
                self
            }
            Self::Start(_) => Arc::new(match self.sign_in() {
                Some(how) => Self::SignIn { how },
                None => Self::Told(self.chain()),
            }),
            Self::Needs(_)
            | Self::Environment(_)
            | Self::Variable(_)
            | Self::SignIn { .. }
            | Self::Told(_) => self,
        }
    }
}

/// Errors that may hold what a server's process printed, which may tell of anybody's calls.
pub trait WithoutOutput {
    /// The same for those who may not see that.
    #[must_use]
    fn without_output(self) -> Self;
}

impl WithoutOutput for LeaseError {
    fn without_output(self) -> Self {
        match self {
            Self::Start { server, source } => Self::Start { server, source: source.without_output() },
            Self::Open { server, failures, reason, .. } => {
                Self::Open { server, failures, reason, said: None }
            }
            other => other,
        }
    }
}

impl WithoutOutput for protocol::CallError {
    fn without_output(self) -> Self {
        match self {
            Self::Died { exit, .. } => Self::Died { exit, stderr: Vec::new() },
            other => other,
        }
    }
}

impl WithoutOutput for RefreshError {
    fn without_output(self) -> Self {
        match self {
            Self::Lease(error) => Self::Lease(error.without_output()),
            Self::Wire { server, source } => Self::Wire { server, source: source.without_output() },
        }
    }
}

impl WithoutOutput for CallError {
    fn without_output(self) -> Self {
        match self {
            Self::Lease(error) => Self::Lease(error.without_output()),
            Self::Wire { server, tool, source } => {
                Self::Wire { server, tool, source: source.without_output() }
            }
        }
    }
}

/// Why there is no lease on a server.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LeaseError {
    /// The hub does not know it (any more).
    #[error("no server is named `{server}`")]
    UnknownServer {
        /// The server.
        server: ServerKey,
    },
    /// It did not start.
    #[error("server `{server}` did not start")]
    Start {
        /// The server.
        server: ServerKey,
        /// Why.
        #[source]
        source: Arc<StartFault>,
    },
    /// It failed too often in a row; the hub waits before it tries again.
    #[error("server `{server}` failed {failures} times in a row and is left alone for a while: {reason}{}", last_said(.said))]
    Open {
        /// The server.
        server: ServerKey,
        /// How often.
        failures: u32,
        /// The last failure.
        reason: String,
        /// What its process printed last before that.
        said: Option<String>,
    },
    /// A person stopped it.
    #[error("server `{server}` is stopped")]
    Stopped {
        /// The server.
        server: ServerKey,
    },
    /// As many calls as it may have run, and no turn came.
    #[error("server `{server}` is busy: {running} calls run and {queued} wait{}", waited_for(.waited))]
    Busy {
        /// The server.
        server: ServerKey,
        /// How many calls run: as many as it may have at a time.
        running: u32,
        /// How many wait for their turn.
        queued: u32,
        /// How long this one waited; zero when the queue was full.
        waited: Duration,
    },
    /// The hub is ending.
    #[error("the hub is ending")]
    Ending,
    /// It was not awake in time.
    #[error("server `{server}` was not awake within {}", seconds(.deadline))]
    Late {
        /// The server.
        server: ServerKey,
        /// The caller's deadline.
        deadline: Duration,
    },
}

fn last_said(said: &Option<String>) -> String {
    said.as_ref().map(|said| format!("; it said: {said}")).unwrap_or_default()
}

fn waited_for(waited: &Duration) -> String {
    if waited.is_zero() { String::new() } else { format!("; no turn came within {}", seconds(waited)) }
}

fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// Why a server was not checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The hub does not know it.
    #[error("no server is named `{server}`")]
    UnknownServer {
        /// The server.
        server: ServerKey,
    },
}

/// Why a server's lists were not read anew.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The server could not be used.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// It did not answer.
    #[error("server `{server}` could not list what it offers")]
    Wire {
        /// The server.
        server: ServerKey,
        /// How it failed.
        #[source]
        source: protocol::CallError,
    },
}

/// Why a wish about a server was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WantError {
    /// The hub does not know it.
    #[error("no server is named `{server}`")]
    UnknownServer {
        /// The server.
        server: ServerKey,
    },
    /// It could not be kept.
    #[error("the wish could not be stored")]
    Storage(#[from] StorageError),
    /// The hub is ending.
    #[error("the hub is ending")]
    Ending,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server could not be used; nothing was sent.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The call was sent, or about to be, and failed on the wire.
    #[error("the call of `{tool}` on server `{server}` failed")]
    Wire {
        /// The server.
        server: ServerKey,
        /// The tool.
        tool: ToolName,
        /// How.
        #[source]
        source: protocol::CallError,
    },
}

impl CallError {
    /// Whether the tool may have run.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Lease(_) => Outcome::Failed,
            Self::Wire { source, .. } => source.outcome(),
        }
    }

    /// What went wrong, without anything that the server said: errors of servers repeat arguments
    /// and results.
    pub fn in_our_words(&self) -> String {
        use protocol::CallError as Fault;
        match self {
            Self::Lease(LeaseError::Open { server, failures, .. }) => {
                format!("server `{server}` failed {failures} times in a row and is left alone for a while")
            }
            Self::Lease(error) => error.to_string(),
            Self::Wire { source, .. } => match source {
                Fault::Refused { code, .. } => format!("the server refused ({code})"),
                Fault::Unreachable { .. } => "the server cannot be reached".to_owned(),
                Fault::Broken { .. } => "the connection broke in the middle of the call".to_owned(),
                Fault::Status { status, .. } => format!("the server answered with HTTP status {status}"),
                Fault::Unreadable { .. } => "the server's answer cannot be read".to_owned(),
                ours @ (Fault::NotSent | Fault::Died { .. } | Fault::TimedOut { .. } | Fault::SignIn(_)) => {
                    ours.to_string()
                }
            },
        }
    }
}

/// Why the orchestrator could not begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What was said of servers and tools before cannot be taken up.
    #[error("cannot take up what is said of servers and tools")]
    Said(#[source] ApplyError),
    /// A folder that it needs cannot be made or read.
    #[error("cannot use the folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was stored cannot be read.
    #[error("cannot read what was stored")]
    Storage(#[from] StorageError),
    /// What was stored does not fit together.
    #[error("cannot build the registry")]
    Registry(#[from] ApplyError),
}

/// Why a script was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// There is no such file.
    #[error("there is no file {path}")]
    Missing {
        /// As it was given.
        path: PathBuf,
    },
    /// It lies outside the folders from which scripts are accepted.
    #[error("{path} is not in a drop folder; scripts are accepted from {}", list(.folders))]
    Outside {
        /// As it was given.
        path: PathBuf,
        /// The folders.
        folders: Vec<PathBuf>,
    },
    /// The file is no server.
    #[error("{path} is no MCP server: {reason}")]
    NoServer {
        /// As it was given.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The name is taken by another file.
    #[error("the name `{name}` is taken by {taken_by}")]
    Conflict {
        /// The name.
        name: ServerName,
        /// What has it.
        taken_by: String,
    },
    /// It could not be stored.
    #[error("the registration could not be stored")]
    Storage(#[from] StorageError),
    /// The hub is ending.
    #[error("the hub is ending")]
    Ending,
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Why a server was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The hub does not know it.
    #[error("no server is named `{server}`")]
    UnknownServer {
        /// The server.
        server: ServerKey,
    },
    /// Its file could not be deleted.
    #[error("cannot delete {path}")]
    File {
        /// The script.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `mcp.json` cannot be changed.
    #[error("mcp.json cannot be changed: {0}")]
    Config(String),
    /// It could not be stored.
    #[error("the removal could not be stored")]
    Storage(#[from] StorageError),
    /// The hub is ending.
    #[error("the hub is ending")]
    Ending,
}
