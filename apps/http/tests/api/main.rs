//! The API as clients see it, on a hub over a temporary space, without a socket where that
//! suffices. Calls on real servers are tested end to end.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod calls;
mod events;
mod forms;
mod guard;
mod listening;
mod lists;
mod local;
mod mcp;
mod problems;
mod secrets;
mod support;
mod tokens;
mod validate;
