//! Signing in at a real authorisation server over real HTTP, with a browser of a few lines.

#![cfg(feature = "oauth")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod browser;
mod connecting;
mod keeping;
#[cfg(feature = "keyring")]
mod keyring;
mod renewing;
mod support;
