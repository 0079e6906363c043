//! The life of one version of a server, as a pure state machine.
//!
//! A server stays dormant until a call needs it and returns there once idle. This crate
//! decides and never acts: [`Life::step`] names the [`Action`], and the orchestrator performs it.
//!
//! # Invariants
//!
//! * No I/O, clock, lock or task in this crate. Time arrives as an [`Event`].
//! * An event that cannot happen is an [`IllegalStep`], never a silent no-op.
//! * No phase is for ever but [`Phase::Gone`]: each other one has an event that leaves it.
//! * A process exists in `Starting`, `Running`, `Draining` and `Stopping` only, and one
//!   [`Action::Start`] is followed by one `Exited` or `StartFailed` before the next.

mod breaker;
mod policy;
mod step;
mod supervision;
mod word;

pub use breaker::{Breaker, CallStep};
pub use policy::{Policy, jittered};
pub use step::{Action, Event, IllegalStep, Life, Phase, Refusal, Then};
pub use supervision::{OutOfRange, Supervision};
