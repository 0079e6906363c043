//! Servers at URLs, through a hub: real ones of the Python SDKs, and ones that misbehave.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod bad;
mod forms;
mod real;
mod secure;
mod sign_in;
mod support;
