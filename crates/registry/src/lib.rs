//! Which servers and tools exist now: lock-free snapshots, names, and change events.
//!
//! A [`Catalog`] is one immutable version of everything known. Whoever answers a request
//! takes one snapshot and keeps it to its end, so it never sees two versions of a list.
//! Changes come in batches through [`Registry::apply`]; a thousand scanned scripts are one
//! new version.
//!
//! # Invariants
//!
//! * Reading takes no lock and waits for nothing.
//! * A name is looked up and never taken apart. Near misses are suggested, never taken.
//! * A full name, once given to a tool, is stored before anybody sees it, and never means
//!   another tool, also after its own tool is gone.
//! * An agent sees its own servers and those assigned to it, under names of its own view, and
//!   no other one.
//! * What people said about a key (assignments, settings of tools) outlives the server.
//! * What a server *is* stands in the catalog; how it *fares* stands in a cell beside it, so
//!   that waking a server copies nothing.

mod catalog;
mod entry;
mod facts;
mod find;
mod names;
mod next;
mod registry;
mod shards;
mod view;

pub use catalog::{Catalog, Version};
pub use entry::{Change, Entry, ToolRef};
pub use find::{NoSuchServer, NoSuchTool};
pub use registry::{ApplyError, OpenError, Registry};
