//! Owns everything that runs: attach, leases, detach, calls, drop folders, first contact.
//!
//! The [`Orchestrator`] performs what `dormouse-lifecycle` decides. Each version of each
//! server that was ever needed is an instance with one life; a dormant server that nobody
//! called is only an entry in the registry.
//!
//! # Invariants
//!
//! * One start of one version at a time; a hundred callers share it.
//! * A server with a lease never sleeps, and a lease always comes back: it is returned when
//!   it is dropped.
//! * Every `Attached` event is followed by one `Detached`.
//! * What the registry says of servers is written by one task, the inventory, which knows all
//!   sources (drop folders, registrations, `mcp.json`) and applies differences only.
//! * [`Orchestrator::shutdown`] returns when no process is left.

mod alerts;
mod ask;
mod call;
mod configured;
mod duty;
mod edit;
mod engine;
mod error;
mod file_watch;
mod finding;
mod folders;
mod hearsay;
mod held;
mod instance;
mod inventory;
mod learning;
mod lease;
mod limits;
mod measure;
mod orchestrator;
mod orders;
mod own;
mod probe;
mod reconcile;
mod remotes;
mod replicas;
mod roster;
mod said;
mod settings;
mod share;
mod sign_in;
mod starter;
mod supervision;
mod tuning;
mod unasked;
mod welcome;
mod wishes;

pub use ask::{AskError, PassRequest, Passed};
pub use call::{Call, Called, Reply};
pub use dormouse_lifecycle::{OutOfRange, Supervision};
pub use dormouse_protocol::Noise;
pub use edit::{Edit, EditError, EditKind, Reset};
pub use error::{
    CallError, CheckError, LeaseError, OpenError, RefreshError, RegisterError, RemoveError, StartFault,
    WantError, WithoutOutput,
};
pub use finding::Finding;
pub use held::Held;
pub use lease::Lease;
pub use measure::Measures;
pub use orchestrator::{Orchestrator, Parts};
pub use own::Transports;
pub use said::ShareError;
pub use settings::{Overrides, Settings};
pub use sign_in::{SignIn, SignInFault, SignInState, SignInsKept};
pub use supervision::Check;
pub use tuning::TuneError;
pub use unasked::Unasked;
pub use welcome::Contacts;
