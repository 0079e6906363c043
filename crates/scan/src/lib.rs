//! A script's source to the tools that it would serve and the packages that it needs.
//!
//! The script never runs. [`scan_file`] reads one, [`Cache`] a whole folder; [`drift`] tells what
//! the running server serves otherwise.
//!
//! # Invariants
//!
//! * Nothing is executed, and nothing is read but the script, the modules beside it that it
//!   imports, and the cache file.
//! * Nothing is invented. What the source cannot tell is a [`Doubt`](dormouse_types::Doubt) with its line.
//! * No text, however broken or deep, makes it panic or run for ever.

mod codec;
mod drift;
mod folder;
mod hash;
mod lazy;
mod needs;
mod record;
mod scan;
mod schema;
mod sdk;
mod source;

pub use drift::drift;
pub use folder::{Cache, FolderReport};
pub use scan::{MAX_BYTES, ScanError, Scanned, Script, scan_file, scan_source};
pub use sdk::Sdk;
