//! What the hub remembers: the [`Storage`] trait and its backends, and `mcp.json`.
//!
//! Values are JSON, keys are text; whoever stores a structured key joins its parts with
//! [`joined_key`] and never takes it apart again. A conversation is the one thing with a
//! shape of its own, since it is appended to and capped in one step.
//!
//! # Invariants
//!
//! * A write is one transaction: all of it is stored, or nothing.
//! * What was acknowledged survives a crash of the process, in every backend that is not
//!   [`Memory`].
//! * All backends pass one suite, `tests/conformance`; a backend adds no behaviour of its own.

mod embedded;
mod key;
pub mod mcp_json;
mod memory;
mod storage;

pub use embedded::{Embedded, OpenError};
pub use key::joined_key;
pub use memory::Memory;
pub use storage::{ConversationKey, Fence, FromOthers, MESSAGES_KEPT, Storage, StorageError, Table, Write};
