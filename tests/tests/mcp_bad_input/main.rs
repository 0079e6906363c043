//! What clients should not send and servers should not do, through the gateway: each time an answer
//! that says what is wrong, and nothing lost for anybody else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod cancel;
mod client;
mod many;
mod messages;
mod names;
mod servers;
mod streams;
