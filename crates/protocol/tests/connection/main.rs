//! Connections to real servers: Python children of a real keeper.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod calls;
mod ends;
mod logs;
mod modern;
#[path = "../shared/mod.rs"]
mod shared;
mod starts;
mod support;
