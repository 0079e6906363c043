//! A context of the hub as an MCP server, for clients of every revision.
//!
//! A [`Gateway`] belongs to a hub. An [`Endpoint`] of it is one context seen in one [`Mode`]; the
//! transports ([`http`], [`stdio`]) bring it messages and take its answers. Messages are JSON
//! values from end to end: what a server or a client says beyond what this crate knows goes through.
//!
//! # The two lives
//!
//! Clients up to 2025-11-25 greet by `initialize` and have a session;
//! those of 2026-07-28 say with each request who they are. Servers are of either kind too, and all
//! four pairs work: what the one side does not know is translated in `back`, `parked`
//! and `tasks`.
//!
//! # Invariants
//!
//! * A list shows what is known, whether its server sleeps or not, in an order that depends on
//!   nothing but its content.
//! * `list_changed` is said when a list of that endpoint reads otherwise than before, never
//!   because a server woke or slept.
//! * A session belongs to one context. Elsewhere it is unknown.
//! * A request of a client is at most one request of a server, but for the rounds that a server asks
//!   for, and for tasks between the lives.

#![warn(missing_docs)]

mod back;
mod caller;
mod catalogue;
mod changes;
mod dispatch;
mod endpoint;
mod gateway;
pub mod http;
mod links;
mod message;
mod mode;
mod parked;
mod replicas;
mod revision;
mod search;
mod session;
pub mod stdio;
mod tasks;
mod unasked;
mod watch;

pub use endpoint::{Endpoint, NoSuchEndpoint};
pub use gateway::Gateway;
pub use mode::{Mode, UnknownMode};
