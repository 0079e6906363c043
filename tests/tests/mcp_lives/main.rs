//! The promises of the endpoint for MCP clients, in both lives of the protocol: a plain client over
//! HTTP, and real servers of every kind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod client;
mod links;
mod lossless;
mod matrix;
mod modes;
mod parallel;
mod sessions;
mod sleeping;
mod strict;
mod tasks;
mod tasks_between;
mod unasked;
mod visits;
mod waking;
mod watching;
