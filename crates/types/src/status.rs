//! The one word that the outside sees of a server's state, and what belongs to it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The state of a server in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// Known, without a process or connection.
    Dormant,
    /// Its environment is being prepared, or it is starting.
    Initializing,
    /// Attached and well.
    Healthy,
    /// Attached, and failing now and then.
    Warning,
    /// Not attached after failures; an attempt to attach again is under way or planned.
    Reconnecting,
    /// Given up for now; the reason says why, and a long retry, a call, a change or a person leaves it.
    Unreachable,
    /// Being detached.
    Disconnecting,
    /// Stopped by a person.
    Disconnected,
}

impl ServerState {
    /// Every state, from asleep over well and unwell to stopped.
    pub const ALL: [Self; 8] = [
        Self::Dormant,
        Self::Initializing,
        Self::Healthy,
        Self::Warning,
        Self::Reconnecting,
        Self::Unreachable,
        Self::Disconnecting,
        Self::Disconnected,
    ];

    /// The word as it stands in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dormant => "dormant",
            Self::Initializing => "initializing",
            Self::Healthy => "healthy",
            Self::Warning => "warning",
            Self::Reconnecting => "reconnecting",
            Self::Unreachable => "unreachable",
            Self::Disconnecting => "disconnecting",
            Self::Disconnected => "disconnected",
        }
    }
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A server's state with what a person asks next: why, since when, what now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// The word.
    pub state: ServerState,
    /// Why, where the word alone does not say it. Nothing in it is from the server's own output,
    /// which may tell of anybody's calls.
    pub reason: Option<String>,
    /// What its process printed last before it failed. For the store, and for an agent of which
    /// alone the server and its process are; see [`told`](Self::told).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// When it entered this state.
    pub since: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// When the hub tries again by itself; `None` when nothing is planned.
    pub next_retry: Option<Timestamp>,
    /// The process, while there is one.
    pub pid: Option<u32>,
    /// How many starts there have been; the last one's number.
    pub generation: u64,
}

impl ServerStatus {
    /// A server that was never started.
    pub fn dormant(since: Timestamp) -> Self {
        Self {
            state: ServerState::Dormant,
            reason: None,
            said: None,
            since,
            failures: 0,
            next_retry: None,
            pid: None,
            generation: 0,
        }
    }

    /// The reason with what the process printed last, for those who may see that.
    pub fn told(&self) -> Option<String> {
        match (&self.reason, &self.said) {
            (Some(reason), Some(said)) => Some(format!("{reason}; it said: {said}")),
            (reason, _) => reason.clone(),
        }
    }

    /// The same without what the process printed.
    pub fn without_output(&self) -> Self {
        Self { said: None, ..self.clone() }
    }
}
