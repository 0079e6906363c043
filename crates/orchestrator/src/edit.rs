//! Changes of what is configured: entries of `mcp.json`, in one step for many of them.

use dormouse_storage::StorageError;
use dormouse_types::ServerKey;
use serde_json::Value;

/// What is to become of one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The server.
    pub server: ServerKey,
    /// What is done with its entry.
    pub kind: EditKind,
}

/// What is done with an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum EditKind {
    /// It is added; one that is there stays, and is a conflict.
    Add(Value),
    /// It is added, or replaces the one that is there.
    Put(Value),
    /// It replaces the one that must be there.
    Replace(Value),
    /// These members of the one that must be there are changed (RFC 7396: `null` takes one away).
    Patch(Value),
    /// It is taken out.
    Remove,
}

/// Why an entry was not changed. The others of the same order may have been.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It describes no server; every problem with its path.
    #[error("the entry describes no server: {0}")]
    Invalid(String),
    /// The name belongs to something else.
    #[error("the name `{server}` is taken by {taken_by}")]
    Conflict {
        /// The name.
        server: ServerKey,
        /// What has it.
        taken_by: String,
    },
    /// There is no entry to change.
    #[error("server `{server}` has no entry in mcp.json")]
    NotConfigured {
        /// The server.
        server: ServerKey,
    },
    /// `mcp.json` cannot be read or saved; nothing was changed.
    #[error("mcp.json cannot be changed: {0}")]
    File(String),
    /// The storage failed.
    #[error("what is configured could not be stored")]
    Storage(#[from] StorageError),
    /// The hub is ending.
    #[error("the hub is ending")]
    Ending,
}

/// What else is forgotten when a context is reset, beside its configured and registered servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reset {
    /// For the store: also those of all agents.
    pub agents: bool,
    /// Which servers of the store the agents share.
    pub shares: bool,
    /// How tools show.
    pub tools: bool,
}
