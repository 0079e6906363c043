//! Tokens, for programs without a runtime.

use std::convert::Infallible;

use dormouse_types::Scope;

use super::runtime::{Error, Owned};
use crate::token::{NewToken, TokenError};

/// The tokens of a hub; see [`dormouse::Tokens`](crate::Tokens).
#[derive(Debug, Clone)]
pub struct Tokens {
    tokens: crate::Tokens,
    runtime: Owned,
}

impl Tokens {
    pub(super) fn new(tokens: crate::Tokens, runtime: Owned) -> Self {
        Self { tokens, runtime }
    }

    /// Makes a token and returns its secret, which is shown only here.
    ///
    /// # Errors
    /// [`TokenError`]
    pub fn create(&self, name: &str, scope: Scope) -> Result<NewToken, Error<TokenError>> {
        self.runtime.run(self.tokens.create(name, scope))
    }

    /// Forgets a token; from now on it opens nothing.
    ///
    /// # Errors
    /// [`TokenError`]
    pub fn revoke(&self, name: &str) -> Result<(), Error<TokenError>> {
        self.runtime.run(self.tokens.revoke(name))
    }

    /// Waits until a secret does not open what it opens now.
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn revoked(&self, secret: &str) -> Result<(), Error<Infallible>> {
        self.runtime.wait(self.tokens.revoked(secret))
    }

    /// Waits until there is a token.
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn needed(&self) -> Result<(), Error<Infallible>> {
        self.runtime.wait(self.tokens.needed())
    }
}

/// Everything that answers from memory.
impl std::ops::Deref for Tokens {
    type Target = crate::Tokens;

    fn deref(&self) -> &crate::Tokens {
        &self.tokens
    }
}
