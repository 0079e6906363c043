//! The binary as a person and a shell see it: what it prints, how it ends, what it leaves.
//!
//! Servers are fixtures without an SDK, as commands of `mcp.json`: nothing is installed here.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod agents;
mod calls;
mod connect;
mod crowd;
mod hubs;
mod mcp;
mod settings;
mod sign_in;
mod supervision;
mod support;
