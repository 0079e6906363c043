//! The words of Dormouse as plain values: names, servers, features, calls, results, events.
//!
//! Every other crate speaks in these types. MCP content stays JSON here, so that nothing
//! a server sent is lost on its way to whoever asked.
//!
//! # Invariants
//!
//! * No I/O, no clock, no task, no lock. A value is valid once it exists.
//! * Names are validated on entry and never parsed apart again: a server's key is
//!   (scope, name), a tool's key is (server, tool).
//! * Only ids and values that MCP itself defines derive `Serialize`; what the outside sees
//!   has wire types of its own, in the frontends.

#![warn(missing_docs)]

mod call;
mod chain;
mod conversation;
mod event;
mod feature;
mod json;
mod name;
mod server;
mod status;

pub use call::{
    Arguments, BackChannel, CallEvent, CallResult, LOG_LEVELS, NoBackChannel, Outcome, PeerAnswer,
    PeerRequest, Rounds, ServerNote, SilentCaller,
};
pub use chain::chain;
pub use conversation::{Message, Role};
pub use event::{Alert, AlertLevel, CallEnd, CallId, Event, PrepareStep};
pub use feature::{
    Confidence, Doubt, Drift, DriftKind, FeatureSource, Features, Prompt, Resource, ResourceTemplate, Tool,
    ToolSettings,
};
pub use json::Json;
pub use name::{AgentId, InvalidName, Scope, ServerKey, ServerName, SessionId, ToolKey, ToolName};
pub use server::{
    Auth, Env, Idle, Launch, Limits, Origin, PythonNeeds, Remote, RemoteTransport, ServerConfig, Timing,
    Wanted,
};
pub use status::{ServerState, ServerStatus};

/// A point in time, in UTC.
pub use jiff::Timestamp;
