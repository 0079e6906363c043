//! The endpoint for MCP clients over HTTP: what the specification's transport says, with a plain
//! HTTP client and real servers that sleep first.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod bad_input;
mod client;
mod revoked;
mod scopes;
mod sessions;
mod stateless;
mod streams;
