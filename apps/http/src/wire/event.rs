//! What changes in a hub.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ms, owner, shown};
use crate::domain::{AlertLevel, Event, Outcome, PrepareStep, Scope, ServerState};

/// Something changed. Over the wire `event` is the event's name and `data` its data.
///
/// `owner` is the agent that the server belongs to, `null` for the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum HubEvent {
    /// A server is known now, or what is known of it changed.
    ServerChanged {
        /// Its name in this context.
        server_name: String,
        /// Whose it is.
        owner: Option<String>,
    },
    /// A server is not known any more.
    ServerRemoved {
        /// Its name in this context.
        server_name: String,
        /// Whose it was.
        owner: Option<String>,
    },
    /// An agent does not see a server of the store any more. That agent is told `server_removed`.
    ServerUnassigned {
        /// Its name in this context.
        server_name: String,
        /// Whose it is.
        owner: Option<String>,
        /// The agent.
        agent_id: String,
    },
    /// A server's state changed.
    StatusChanged {
        /// Its name in this context.
        server_name: String,
        /// Whose it is.
        owner: Option<String>,
        /// The state in one word.
        #[schema(value_type = String, example = "healthy")]
        status: ServerState,
        /// Why.
        reason: Option<String>,
        /// Since when.
        since: String,
        /// Failures in a row.
        failures: u32,
        /// When the hub tries again by itself.
        next_retry: Option<String>,
    },
    /// A person should look at something.
    Alert {
        /// Its number.
        id: u64,
        /// `info`, `warning` or `error`.
        #[schema(value_type = String, example = "warning")]
        level: AlertLevel,
        /// What it is about, in a few words.
        title: String,
        /// What happened.
        message: String,
        /// The server that it is about, by its name in this context.
        server_name: Option<String>,
        /// Whose server it is.
        owner: Option<String>,
        /// When it was raised.
        at: String,
    },
    /// A person dismissed the alerts.
    AlertsCleared {
        /// Those up to this moment.
        until: String,
    },
    /// A server's Python environment is being made.
    Preparing {
        /// Its name in this context.
        server_name: String,
        /// Whose it is.
        owner: Option<String>,
        /// `queued`, `building`, `ready` or `failed`.
        step: String,
        /// A line for people, such as the package that is being installed.
        message: Option<String>,
    },
    /// A server got a process.
    Attached {
        /// Its name in this context.
        server_name: String,
        /// Whose it is.
        owner: Option<String>,
        /// The number of this start.
        generation: u64,
        /// From the decision to the listed tools, to 0.1 ms.
        took_ms: f64,
    },
    /// A server's process is gone.
    Detached {
        /// Its name in this context.
        server_name: String,
        /// Whose it is.
        owner: Option<String>,
        /// The number of the start that ended.
        generation: u64,
    },
    /// A call was sent.
    CallStarted {
        /// The call's number.
        call: u64,
        /// Its server's name in this context.
        server_name: String,
        /// Whose it is.
        owner: Option<String>,
        /// The tool's own name.
        tool_name: String,
    },
    /// A call ended.
    CallEnded {
        /// The call's number.
        call: u64,
        /// Its server's name in this context.
        server_name: String,
        /// Whose it is.
        owner: Option<String>,
        /// The tool's own name.
        tool_name: String,
        /// How it ended.
        #[schema(value_type = String, example = "ok")]
        outcome: Outcome,
        /// From the request to the answer, to 0.1 ms.
        duration_ms: f64,
        /// Whether the server was woken for it.
        woke: bool,
    },
    /// Something changed in another hub of the same space.
    Elsewhere {
        /// The other hub's id.
        hub: String,
        /// What changed there, in the form of an event here.
        #[schema(value_type = Object)]
        change: Box<HubEvent>,
    },
    /// The listener was too slow or away too long, and events are missing: look at the lists.
    Lagged(Lagged),
}

/// Events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lagged {
    /// How many at least; `null` when nobody can say.
    pub missed: Option<u64>,
}

impl HubEvent {
    pub(crate) fn of(scope: &Scope, event: &Event) -> Self {
        let about = event.server();
        let server_name = about.map(|server| shown(scope, server)).unwrap_or_default();
        let owner = about.and_then(owner);
        match event {
            Event::Elsewhere { hub, event } => {
                Self::Elsewhere { hub: hub.to_string(), change: Box::new(Self::of(scope, event)) }
            }
            Event::Alert { alert } => Self::Alert {
                id: alert.id,
                level: alert.level,
                title: alert.title.clone(),
                message: alert.message.clone(),
                server_name: about.map(|_| server_name),
                owner,
                at: alert.at.to_string(),
            },
            Event::ServerChanged { .. } => Self::ServerChanged { server_name, owner },
            Event::ServerRemoved { .. } => Self::ServerRemoved { server_name, owner },
            Event::ServerUnassigned { agent, .. } => match scope {
                Scope::Store => Self::ServerUnassigned { server_name, owner, agent_id: agent.to_string() },
                Scope::Agent(_) => Self::ServerRemoved { server_name, owner },
            },
            Event::AlertsCleared { until } => Self::AlertsCleared { until: until.to_string() },
            Event::StatusChanged { status, .. } => Self::StatusChanged {
                server_name,
                owner,
                status: status.state,
                reason: match scope {
                    Scope::Store => status.told(),
                    // What a process prints may tell of others' calls.
                    Scope::Agent(_) => status.reason.clone(),
                },
                since: status.since.to_string(),
                failures: status.failures,
                next_retry: status.next_retry.map(|at| at.to_string()),
            },
            Event::Preparing { step, .. } => {
                let (step, message) = match step {
                    PrepareStep::Queued => ("queued", None),
                    PrepareStep::Building(line) => ("building", Some(line.clone())),
                    PrepareStep::Ready => ("ready", None),
                    PrepareStep::Failed(why) => ("failed", Some(why.clone())),
                };
                Self::Preparing { server_name, owner, step: step.to_owned(), message }
            }
            Event::Attached { generation, took, .. } => {
                Self::Attached { server_name, owner, generation: *generation, took_ms: ms(*took) }
            }
            Event::Detached { generation, .. } => {
                Self::Detached { server_name, owner, generation: *generation }
            }
            Event::CallStarted { call, tool, .. } => {
                Self::CallStarted { call: call.0, server_name, owner, tool_name: tool.to_string() }
            }
            Event::CallEnded { call, tool, end, .. } => Self::CallEnded {
                call: call.0,
                server_name,
                owner,
                tool_name: tool.to_string(),
                outcome: end.outcome,
                duration_ms: ms(end.duration),
                woke: end.woke,
            },
        }
    }
}
