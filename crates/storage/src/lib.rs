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

pub mod clients;
mod config_source;
mod dump;
mod embedded;
mod key;
pub mod mcp_json;
pub mod mcpstore;
mod memory;
mod mirrored;
#[cfg(feature = "redis")]
mod redis;
mod storage;

pub use async_trait::async_trait;
pub use config_source::{ConfigSource, DocumentSource, FileSource, SourceError, edit};
pub use dump::{DumpError, Dumped, dump, load, migrate};
pub use embedded::{Embedded, OpenError};
pub use key::joined_key;
pub use memory::Memory;
pub use mirrored::MirroredSource;
#[cfg(feature = "redis")]
pub use redis::{OpenError as RedisOpenError, Redis, RedisSettings};
pub use storage::{ConversationKey, Fence, FromOthers, MESSAGES_KEPT, Storage, StorageError, Table, Write};
