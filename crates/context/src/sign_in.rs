//! Signing in at servers at URLs.

use dormouse_orchestrator::{SignIn, SignInFault};
use dormouse_registry::NoSuchServer;
use dormouse_types::{Scope, ServerKey, ServerName};

use crate::context::Context;

/// Why a sign-in did not begin, or was not looked at or forgotten.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No server has that name here.
    #[error(transparent)]
    UnknownServer(#[from] NoSuchServer),
    /// It is the store's and only shared with this agent.
    #[error("server `{server}` belongs to the store; this agent may use it and not sign in for it")]
    NotYours {
        /// The server.
        server: ServerName,
    },
    /// It could not be done.
    #[error(transparent)]
    SignIn(#[from] SignInFault),
}

impl Context {
    /// Begins to sign in at a server, for a person at a browser: what they are to open is
    /// [`SignIn::authorize_url`]. One that waits for the person already is given again. Once they
    /// have signed in, the server is started.
    ///
    /// # Errors
    /// [`LoginError`]
    pub async fn login(&self, name: &ServerName) -> Result<SignIn, LoginError> {
        Ok(self.orchestrator().login(&self.to_sign_in(name)?).await?)
    }

    /// Forgets what was granted at a server's address, and gives up a sign-in that waits.
    ///
    /// # Errors
    /// [`LoginError`]
    pub async fn logout(&self, name: &ServerName) -> Result<SignIn, LoginError> {
        Ok(self.orchestrator().logout(&self.to_sign_in(name)?).await?)
    }

    /// How it stands with signing in at a server.
    ///
    /// # Errors
    /// [`LoginError`]
    pub async fn sign_in(&self, name: &ServerName) -> Result<SignIn, LoginError> {
        let key = self.server(name)?.entry.key.clone();
        let now = self.orchestrator().sign_in(&key).await?;
        Ok(self.seen(&key, now))
    }

    /// Waits until no sign-in at a server waits for a person any more, and gives how it stands.
    ///
    /// # Errors
    /// [`LoginError`]
    pub async fn wait_sign_in(&self, name: &ServerName) -> Result<SignIn, LoginError> {
        let key = self.server(name)?.entry.key.clone();
        let then = self.orchestrator().wait_sign_in(&key).await?;
        Ok(self.seen(&key, then))
    }

    /// Whoever opened the address of somebody else's sign-in would sign in for them.
    fn seen(&self, key: &ServerKey, sign_in: SignIn) -> SignIn {
        let authorize_url = sign_in.authorize_url.filter(|_| self.may_sign_in(key));
        SignIn { authorize_url, ..sign_in }
    }

    fn to_sign_in(&self, name: &ServerName) -> Result<ServerKey, LoginError> {
        let key = self.server(name)?.entry.key.clone();
        if self.may_sign_in(&key) { Ok(key) } else { Err(LoginError::NotYours { server: name.clone() }) }
    }

    fn may_sign_in(&self, key: &ServerKey) -> bool {
        match self.scope() {
            Scope::Store => true,
            Scope::Agent(_) => key.scope == *self.scope(),
        }
    }
}
