//! The wire to one server: lines in, lines out, and who waits for which answer.
//!
//! It stands below rmcp's service loop as its transport. rmcp does the handshake, the numbering
//! of requests and the answers to a server's own requests; this module sees every message as
//! the JSON value that it is, so that nothing a server says is lost.
//!
//! # Invariants
//!
//! * What is no JSON-RPC message is noise: recorded, never answered.
//! * A line is parsed once. Results are handed on as raw values; only `initialize` is typed.
//! * Notifications are delivered here, in the order in which they came; rmcp would hand each to a
//!   task of its own.
//! * Sending never waits: a server that does not read costs memory only for calls that run.

mod exchange;
mod flights;
mod lines;
mod noise;
mod outbox;
mod transport;

pub(crate) use self::exchange::Wire;
#[cfg(feature = "remote")]
pub(crate) use self::exchange::{Incoming, Stream};
pub(crate) use self::flights::Ticket;
#[cfg(feature = "remote")]
pub(crate) use self::lines::LONGEST;
pub use self::noise::Noise;
pub(crate) use self::outbox::Outbox;
pub(crate) use self::transport::StdioTransport;
