//! The hub over HTTP: REST, events, documentation, metrics.
//!
//! One set of routes for a context is mounted twice: at `/` for the store, and under
//! `/agents/{agent_id}` for an agent. A request passes the guard (address, token, context),
//! is taken apart by `extract`, handed to a verb of its context, and put on the wire by the
//! types of [`wire`]. What fails becomes a [`Problem`].
//!
//! # Invariants
//!
//! * No decision about tools or servers is made here; every route is a verb of the hub.
//! * Lists are written straight from a snapshot; no request waits for a lock over the catalog.
//! * Dropping a request cancels what it asked for.
//! * No secret is shown, but a new token's, once, to who made it.

mod app;
mod domain;
mod extract;
mod guard;
mod guests;
mod handle;
mod journal;
mod mcp;
mod openapi;
mod problem;
mod routes;
mod seats;
mod serve;
mod settings;
pub mod wire;

pub use guests::{Guest, Guests};
pub use mcp::SharedGateway;
pub use problem::{Code, Problem};
pub use routes::{openapi, router};
pub use seats::{Seats, seats};
pub use serve::{ListenError, Listening};
pub use settings::{Door, HttpSettings};
