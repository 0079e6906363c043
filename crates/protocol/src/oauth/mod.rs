//! Signing in at servers by OAuth 2.1, with a person at a browser or without.
//!
//! rmcp speaks OAuth: discovery, registration, PKCE, the exchange of codes and tokens. What is
//! here is all around it: [`SignIns`] keeps the grants of a hub, gives a [`Signer`](crate::Signer)
//! for each server, and leads a person through a browser and back.
//!
//! # Invariants
//!
//! * However many calls wait for a token, one renews it; of several hubs on one folder as well.
//! * A renewed grant is kept before its token is used: a rotated refresh token is never lost to a
//!   caller who gave up.
//! * No token, code or secret is in a message, in `Debug` or in a log.
//! * Where a server sends the hub to sign in is held to the rule of [`address`].

mod address;
mod authority;
mod begin;
mod callback;
mod grant;
mod key;
#[cfg(feature = "keyring")]
mod keyring;
mod sign_ins;
mod source;
mod vault;
mod web;

pub use self::begin::SigningIn;
pub use self::sign_ins::{SignInState, SignIns};
pub use self::vault::KeptIn;
