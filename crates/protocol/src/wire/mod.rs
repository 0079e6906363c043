//! The wire to one server: lines in, lines out, and who waits for which answer.
//!
//! The hub's own requests go out and their answers come back here, as the JSON values that they
//! are: nothing is typed on the way, so that nothing a server says is lost, and no task stands
//! between a caller and the pipe. The server's requests go on to rmcp's service loop, whose
//! transport this is.
//!
//! # Invariants
//!
//! * What is no JSON-RPC message is noise: recorded, never answered.
//! * A line is parsed once, and a request is written once from what its caller gave.
//! * Notifications are delivered here, in the order in which they came; rmcp would hand each to a
//!   task of its own.
//! * Sending never waits: a server that does not read costs memory only for calls that run.

mod exchange;
mod flights;
mod levels;
mod lines;
mod noise;
mod outbox;
mod request;
mod transport;

pub(crate) use self::exchange::Wire;
#[cfg(feature = "remote")]
pub(crate) use self::exchange::{Incoming, Stream, Taken, refused};
pub(crate) use self::flights::{Answer, LONGEST_THOUGHT, Ticket, are_of_one_client, are_of_one_context};
pub(crate) use self::levels::Wanting;
#[cfg(feature = "remote")]
pub(crate) use self::lines::LONGEST;
pub use self::noise::Noise;
pub(crate) use self::outbox::Outbox;
pub(crate) use self::request::{MODERN, Request, info, notification};
pub(crate) use self::transport::StdioTransport;
