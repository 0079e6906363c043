//! The trait that every backend implements.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_types::{Message, Scope, SessionId};
use serde_json::Value;
use tokio::sync::broadcast;

/// How many messages of a conversation are kept where nothing else is said, the newest ones, as in
/// the seed.
pub const MESSAGES_KEPT: usize = 50;

/// What identifies a conversation: one session id names two in two contexts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConversationKey {
    /// The context that it was held in.
    pub scope: Scope,
    /// Its session id there.
    pub session: SessionId,
}

/// A kind of record. A key is unique within its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Scripts that were registered by a call.
    Registrations,
    /// What a server served, by the hash of its content or configuration.
    LiveFeatures,
    /// The full names that tools were given; kept for ever.
    ToolNames,
    /// Hashes of tokens with their scopes.
    Tokens,
    /// Differences between what a source promised and what its server served.
    Drift,
    /// Which servers of the store an agent sees beside its own.
    Assignments,
    /// What a context says about single tools.
    ToolSettings,
    /// Texts that several hubs share, such as `mcp.json`, each with its version.
    Documents,
    /// Which scripts lie with which hub, where several share the storage.
    Scripts,
    /// How calls ended.
    Calls,
    /// Settings that were changed while the hub ran.
    Settings,
    /// Sessions of MCP clients, which outlive the hub that greeted them.
    Sessions,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 12] = [
        Self::Registrations,
        Self::LiveFeatures,
        Self::ToolNames,
        Self::Tokens,
        Self::Drift,
        Self::Assignments,
        Self::ToolSettings,
        Self::Documents,
        Self::Scripts,
        Self::Calls,
        Self::Settings,
        Self::Sessions,
    ];

    /// The name under which backends store it. Never renamed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registrations => "registrations",
            Self::LiveFeatures => "live_features",
            Self::ToolNames => "tool_names",
            Self::Tokens => "tokens",
            Self::Drift => "drift",
            Self::Assignments => "assignments",
            Self::ToolSettings => "tool_settings",
            Self::Documents => "documents",
            Self::Scripts => "scripts",
            Self::Calls => "calls",
            Self::Settings => "settings",
            Self::Sessions => "sessions",
        }
    }
}

/// One change of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Stores a value, over an older one.
    Put {
        /// Where.
        table: Table,
        /// Under which key.
        key: String,
        /// What.
        value: Value,
    },
    /// Forgets a value; a missing one is no error.
    Delete {
        /// Where.
        table: Table,
        /// Under which key.
        key: String,
    },
    /// Changes nothing, and fails the whole batch with [`StorageError::Conflict`] unless the record
    /// is as expected when the batch is made: so two writers cannot undo each other unseen.
    Expect {
        /// Where.
        table: Table,
        /// Under which key.
        key: String,
        /// What stands there; `None` when nothing does.
        value: Option<Value>,
    },
    /// Changes nothing, and fails the whole batch with [`StorageError::Fenced`] unless this hub
    /// still has a duty under this fence when the batch is made: so one that was away for longer
    /// than its lease does not undo what the next holder did.
    Led {
        /// The duty, as in [`Storage::lead`].
        duty: String,
        /// Under which it acts.
        fence: Fence,
    },
}

/// Something that reached a hub from the others on the same storage.
#[derive(Debug, Clone, PartialEq)]
pub enum FromOthers {
    /// Records of these tables were written: by another hub, or by this one in a batch of which it
    /// could not be told whether it was stored.
    Written(Vec<Table>),
    /// Another hub told something by [`Storage::tell`].
    Told(Value),
    /// Messages may have been lost: whoever keeps a copy reads all of it anew.
    Missed,
}

/// The right to do something that only one hub does at a time, until a moment.
///
/// The number grows with each holder, over all duties of a space: whoever acts under an older one
/// is too late. [`Write::Led`] checks it in the step of the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// Why something could not be read or stored.
///
/// Nothing stored before is lost by it, and the next try may succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// No room is left.
    #[error("the disk is full, or the database may not grow any more")]
    Full(#[source] Arc<std::io::Error>),
    /// The engine failed.
    #[error("the database could not {doing}")]
    Engine {
        /// What it was asked, in words.
        doing: &'static str,
        /// What it said.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A stored value is no JSON of its shape.
    #[error("a stored record of `{table}` is damaged")]
    Damaged {
        /// Where it stands.
        table: &'static str,
        /// What is wrong with it.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// A record is not as a [`Write::Expect`] said. Nothing of the batch is stored.
    #[error("a record of `{table}` was changed by somebody else meanwhile")]
    Conflict {
        /// Where it stands.
        table: &'static str,
    },
    /// A duty that a [`Write::Led`] names is not this hub's any more. Nothing of the batch is stored.
    #[error("another hub has the duty to {duty}, or may have had it meanwhile")]
    Fenced {
        /// The duty.
        duty: String,
    },
    /// The storage cannot be reached, or did not answer in time. A write may have been stored
    /// all the same; the feed tells the writer's own hub so, as soon as that is known.
    #[error("the storage cannot be reached: {reason}")]
    Unreachable {
        /// Why, in words.
        reason: String,
    },
    /// The storage answers, and refuses: a wrong password, read-only, out of memory.
    #[error("the storage refused: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
}

impl StorageError {
    /// A stored value that does not have its shape.
    pub fn damaged(table: Table, source: serde_json::Error) -> Self {
        Self::Damaged { table: table.as_str(), source: Arc::new(source) }
    }
}

/// What the hub remembers.
///
/// Dropping the future of a write does not take it back: it may still be stored.
#[async_trait]
pub trait Storage: Send + Sync + fmt::Debug {
    /// Appends messages and drops all but the newest ones, in one step: [`MESSAGES_KEPT`], unless it
    /// was made to keep another number.
    ///
    /// # Errors
    /// [`StorageError`]; then none of the messages is stored.
    async fn append(&self, of: &ConversationKey, messages: &[Message]) -> Result<(), StorageError>;

    /// The messages of a conversation, oldest first; none if it is unknown.
    ///
    /// # Errors
    /// [`StorageError`]
    async fn history(&self, of: &ConversationKey) -> Result<Vec<Message>, StorageError>;

    /// Forgets a conversation; an unknown one is no error.
    ///
    /// # Errors
    /// [`StorageError`]
    async fn clear(&self, of: &ConversationKey) -> Result<(), StorageError>;

    /// One value.
    ///
    /// # Errors
    /// [`StorageError`]
    async fn get(&self, table: Table, key: &str) -> Result<Option<Value>, StorageError>;

    /// All values of a table, sorted by the bytes of their keys.
    ///
    /// # Errors
    /// [`StorageError`]
    async fn all(&self, table: Table) -> Result<Vec<(String, Value)>, StorageError>;

    /// Makes changes in their order, all or none.
    ///
    /// # Errors
    /// [`StorageError`]; then none of the changes is stored.
    async fn write(&self, batch: Vec<Write>) -> Result<(), StorageError>;

    /// Every conversation that there is, in no order.
    ///
    /// # Errors
    /// [`StorageError`]
    async fn conversations(&self) -> Result<Vec<ConversationKey>, StorageError>;

    /// Whether other hubs may be on it at the same time.
    fn is_shared(&self) -> bool {
        false
    }

    /// What other hubs on the same storage write and tell from now on. `None`: there are no others.
    ///
    /// A receiver that lags behind has missed something as well, as with [`FromOthers::Missed`].
    fn feed(&self) -> Option<broadcast::Receiver<FromOthers>> {
        None
    }

    /// How many other hubs have it open now, as far as can be told: a cluster's are not counted.
    ///
    /// # Errors
    /// [`StorageError`]
    async fn others(&self) -> Result<usize, StorageError> {
        Ok(0)
    }

    /// Tells the other hubs on the same storage something, such as an event. Nobody may be there.
    ///
    /// # Errors
    /// [`StorageError`]
    async fn tell(&self, what: &Value) -> Result<(), StorageError> {
        let _ = what;
        Ok(())
    }

    /// Takes or renews a duty for so long; `None` while another hub holds it. Where there are no
    /// others the duty is always ours.
    ///
    /// # Errors
    /// [`StorageError`]
    async fn lead(&self, duty: &str, lease: Duration) -> Result<Option<Fence>, StorageError> {
        let _ = (duty, lease);
        Ok(Some(Fence(0)))
    }

    /// Whether it can be reached now. Cheap, and answers at once.
    fn is_reachable(&self) -> bool {
        true
    }

    /// Finishes what it was asked before, and lets go of its file or connection; from then on
    /// everything is [`StorageError::Closed`]. So the place is free for the next hub, whoever
    /// still holds a handle.
    async fn close(&self);
}
