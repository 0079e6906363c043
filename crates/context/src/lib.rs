//! A [`Context`]: the store's or an agent's view of the hub, with the verbs.
//!
//! Names are mapped here, at the edge: inside, a server is its key. A query is walked here:
//! routing says what to do next, the orchestrator does it, and this crate goes between.
//!
//! # Invariants
//!
//! * A query takes one snapshot of the catalog a round; no answer mixes two.
//! * Leases of a query are held to its end and given back after its answer: no server that it
//!   woke sleeps between two of its rounds, and no answer waits for a sleep.
//! * A tool is called at most once a plan; nothing here retries a call.

#![warn(missing_docs)]

mod alert;
mod call;
mod change;
mod context;
mod conversation;
mod error;
mod events;
mod incoming;
mod listener;
mod measure;
mod output;
mod query;
mod record;
mod resource;
mod servers;
mod sign_in;
mod stats;
mod supervise;
mod tools;
mod transfer;
mod validate;
mod wait;

pub use alert::{AlertError, NewAlert};
pub use call::{CallAnswer, CallRequest, RawAnswer, RawCall};
pub use change::{AddFault, AddReport, AgentSummary, ChangeError, NotAdded};
pub use context::{Context, Parts, Wake};
pub use error::{CallError, ConversationError, QueryError, WaitError};
pub use events::Events;
pub use listener::{NoListener, QueryEvent, QueryListener};
pub use measure::Measures;
pub use query::{QueryAnswer, QueryRequest, Step};
pub use record::{CallFilter, CallRecord, ToolStats};
pub use resource::{Offered, ReadError};
pub use servers::ServerInfo;
pub use sign_in::LoginError;
pub use stats::{ServerStats, Stats};
pub use supervise::SupervisionError;
pub use tools::ToolSettingError;
pub use transfer::{
    Export, ExportError, Fate, Import, ImportError, ImportReport, Imported, LeftOut, OnConflict,
};
