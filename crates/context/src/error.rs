//! Why a verb of a context failed.

use std::time::Duration;

use dormouse_orchestrator as orchestrator;
use dormouse_registry::{NoSuchServer, NoSuchTool};
use dormouse_routing::InvalidArguments;
use dormouse_storage::StorageError;
use dormouse_types::{Outcome, ServerName, ServerState};

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No tool has that name here.
    #[error(transparent)]
    UnknownTool(#[from] NoSuchTool),
    /// The arguments do not fit the tool, also after what could be repaired.
    #[error("the arguments do not fit the tool `{tool}`")]
    Arguments {
        /// The tool's full name.
        tool: String,
        /// What does not fit, and where.
        #[source]
        source: InvalidArguments,
    },
    /// The server could not be used, or the call failed on the wire.
    #[error(transparent)]
    Run(#[from] orchestrator::CallError),
}

impl CallError {
    /// Whether the tool may have run.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::UnknownTool(_) | Self::Arguments { .. } => Outcome::Failed,
            Self::Run(error) => error.outcome(),
        }
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is nothing in it.
    #[error("the query is empty")]
    Empty,
    /// It is longer than any question.
    #[error("the query has {bytes} bytes; {limit} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// Why a conversation could not be read or cleared.
#[derive(Debug, thiserror::Error)]
#[error("the conversation could not be reached")]
pub struct ConversationError(#[from] pub StorageError);

/// Why a wait for a server's state ended without it.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// No server has that name here.
    #[error(transparent)]
    UnknownServer(#[from] NoSuchServer),
    /// The state did not come in time.
    #[error("server `{server}` is {now} after {} s{}", .waited.as_secs_f64(), because(.reason))]
    Late {
        /// The server.
        server: ServerName,
        /// Its state.
        now: ServerState,
        /// Why it is in it, where that is known.
        reason: Option<String>,
        /// How long it was waited for.
        waited: Duration,
    },
}

fn because(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}
