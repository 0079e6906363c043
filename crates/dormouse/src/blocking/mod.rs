//! The hub for programs without an async runtime: every verb waits for its end.
//!
//! A [`Hub`] owns a runtime of its own; its [`Context`]s give every verb of
//! [`dormouse::Context`](crate::Context) under the same name, and so do its [`Tokens`]. Verbs that answer from memory are
//! those of the async context itself, by dereferencing.
//!
//! ```no_run
//! use dormouse::blocking::Hub;
//! use dormouse::CallRequest;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::open(dormouse::Hub::builder().space("my-space"))?;
//! for tool in hub.store().tools() {
//!     println!("{}", tool.full_name());
//! }
//! hub.shutdown()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//!
//! * Inside an async runtime a verb is an error, [`Error::InsideRuntime`], never a panic or a
//!   thread of that runtime that stands still.
//! * The runtime ends with the last handle on it. Without [`Hub::shutdown`] nothing is awaited,
//!   and the hub's processes are killed.

mod context;
mod events;
mod hub;
mod offline;
mod runtime;
#[cfg(test)]
mod tests;
mod token;

pub use context::Context;
pub use events::Events;
pub use hub::Hub;
pub use offline::IdleSpace;
pub use runtime::Error;
pub use token::Tokens;
