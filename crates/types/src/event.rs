//! What changes in a hub, for whoever listens.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AgentId, Outcome, ServerKey, ServerStatus, ToolName};

/// The number of a call within the life of a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CallId(pub u64);

/// A step in the making of a server's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrepareStep {
    /// It waits for another build.
    Queued,
    /// The build runs; a line for people, such as the package just being installed.
    Building(String),
    /// It is ready.
    Ready,
    /// It failed; the package and the reason.
    Failed(String),
}

/// How a call ended, for listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallEnd {
    /// What became of it.
    pub outcome: Outcome,
    /// From the caller's request to the answer, a wake included.
    pub duration: Duration,
    /// Whether the server was woken for it.
    pub woke: bool,
}

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its number within the hub; a later one is greater.
    pub id: u64,
    /// How bad it is.
    pub level: AlertLevel,
    /// What it is about, in a few words.
    pub title: String,
    /// What happened, in words for a person.
    pub message: String,
    /// The server that it is about.
    pub server: Option<ServerKey>,
    /// When it was raised.
    pub at: Timestamp,
}

/// How bad an [`Alert`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertLevel {
    /// Good to know.
    Info,
    /// Something works worse than it should.
    Warning,
    /// Something does not work.
    Error,
}

/// Something changed. Cheap to clone; carries no arguments, results or secrets.
///
/// Its JSON is what hubs that share a storage tell each other, and of no other use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A server is known now, or what is known of it changed (its configuration or its features).
    ServerChanged {
        /// Which server.
        server: ServerKey,
    },
    /// A server is not known any more.
    ServerRemoved {
        /// Which server.
        server: ServerKey,
        /// The agents that saw it though it was the store's.
        #[serde(default)]
        agents: Vec<AgentId>,
    },
    /// An agent does not see a server of the store any more.
    ServerUnassigned {
        /// Which server.
        server: ServerKey,
        /// Which agent.
        agent: AgentId,
    },
    /// A server's state changed.
    StatusChanged {
        /// Which server.
        server: ServerKey,
        /// Its state now.
        status: Arc<ServerStatus>,
    },
    /// The environment of a server is being made.
    Preparing {
        /// Which server.
        server: ServerKey,
        /// How far it is.
        step: PrepareStep,
    },
    /// A server got a process: one for each `Detached` to come.
    Attached {
        /// Which server.
        server: ServerKey,
        /// The number of this start.
        generation: u64,
        /// From the decision to the listed tools.
        took: Duration,
    },
    /// A server's process is gone.
    Detached {
        /// Which server.
        server: ServerKey,
        /// The number of the start that ended.
        generation: u64,
    },
    /// A person should look at something.
    Alert {
        /// What.
        alert: Arc<Alert>,
    },
    /// A person dismissed the alerts.
    AlertsCleared {
        /// Those up to this moment.
        until: Timestamp,
    },
    /// A call was sent.
    CallStarted {
        /// Its number.
        call: CallId,
        /// Which server.
        server: ServerKey,
        /// Which tool.
        tool: ToolName,
    },
    /// A call ended.
    CallEnded {
        /// Its number.
        call: CallId,
        /// Which server.
        server: ServerKey,
        /// Which tool.
        tool: ToolName,
        /// How.
        end: CallEnd,
    },
    /// Something changed in another hub of the same space.
    Elsewhere {
        /// That hub's id.
        hub: Arc<str>,
        /// What; never one from elsewhere itself.
        event: Arc<Event>,
    },
}

impl Event {
    /// The server that it is about.
    pub fn server(&self) -> Option<&ServerKey> {
        match self {
            Self::Alert { alert } => alert.server.as_ref(),
            Self::Elsewhere { event, .. } => event.server(),
            Self::AlertsCleared { .. } => None,
            Self::ServerChanged { server }
            | Self::ServerRemoved { server, .. }
            | Self::ServerUnassigned { server, .. }
            | Self::StatusChanged { server, .. }
            | Self::Preparing { server, .. }
            | Self::Attached { server, .. }
            | Self::Detached { server, .. }
            | Self::CallStarted { server, .. }
            | Self::CallEnded { server, .. } => Some(server),
        }
    }
}
