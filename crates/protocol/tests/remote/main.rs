//! Connections to servers at URLs: real ones of the Python SDKs, and scripted ones that misbehave.

#![cfg(feature = "remote")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod bad;
mod real;
#[path = "../shared/mod.rs"]
mod shared;
mod support;
