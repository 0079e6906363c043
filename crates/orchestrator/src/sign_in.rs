//! Signing in at servers at URLs, with a person at a browser: begin, wait, look, forget.
//!
//! A sign-in that a person began goes on without whoever asked for it, until they come back from
//! the browser, it takes too long, or the hub ends. Then all servers that it is for are started.

use std::path::PathBuf;

use dormouse_protocol::SignInError;
use dormouse_types::{AlertLevel, Auth, Launch, Scope, ServerKey, Timestamp};

use crate::alerts::{Cause, SIGN_IN, Words};
use crate::error::StartFault;
use crate::instance::Instance;

#[cfg(feature = "oauth")]
mod login;
#[cfg(not(feature = "oauth"))]
mod without;

#[cfg(feature = "oauth")]
pub(crate) use login::Logins;

/// How it stands with signing in at a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// What there is now.
    pub state: SignInState,
    /// What a person's browser is to open: a sign-in waits for them. They must be on the hub's
    /// machine, since the browser is sent back to 127.0.0.1.
    pub authorize_url: Option<String>,
    /// Why the latest sign-in failed, until the next one begins.
    pub failed: Option<String>,
}

/// Whether a server is signed in at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInState {
    /// It does not sign in, or by its headers.
    NotUsed,
    /// It signs in by itself, with a secret.
    Automatic,
    /// A person signed in.
    SignedIn {
        /// When the token ends, if that is known.
        ends: Option<Timestamp>,
        /// Whether it is renewed then without a person.
        renewable: bool,
        /// What was granted.
        scopes: Vec<String>,
    },
    /// A person has to sign in.
    PersonNeeded,
}

/// Where sign-ins are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInsKept {
    /// In this file, which only its owner can read.
    File(PathBuf),
    /// In the system's keyring.
    Keyring,
    /// Nowhere: this program was built without the feature `oauth`.
    Nowhere,
}

/// Why a sign-in did not begin, or was not looked at or forgotten.
#[derive(Debug, thiserror::Error)]
pub enum SignInFault {
    /// The hub does not know the server (any more).
    #[error("no server is named `{server}`")]
    UnknownServer {
        /// The server.
        server: ServerKey,
    },
    /// Nobody signs in there.
    #[error("server `{server}` takes no sign-in: {why}")]
    NotUsed {
        /// The server.
        server: ServerKey,
        /// Why.
        why: &'static str,
    },
    /// Its entry cannot be used.
    #[error("server `{server}` cannot be signed in at")]
    Entry {
        /// The server.
        server: ServerKey,
        /// Why.
        #[source]
        source: Box<StartFault>,
    },
    /// The sign-in failed.
    #[error("the sign-in at server `{server}` failed")]
    Failed {
        /// The server.
        server: ServerKey,
        /// Why.
        #[source]
        source: SignInError,
    },
    /// This program cannot.
    #[error("this program was built without the feature `oauth`")]
    NotBuilt,
}

/// What a person can do for a server that does not let the hub in; `None` if signing in is not it.
pub(crate) fn remedy(key: &ServerKey, auth: &Auth, error: &SignInError) -> Option<String> {
    let by_person = matches!(auth, Auth::AuthorizationCode { .. });
    let mended = match error {
        SignInError::PersonNeeded | SignInError::MoreNeeded { .. } | SignInError::Refused { .. } => by_person,
        SignInError::Denied { .. }
        | SignInError::TimedOut { .. }
        | SignInError::NotOffered { .. }
        | SignInError::Failed { .. }
        | SignInError::Store { .. } => false,
    };
    mended.then(|| match &key.scope {
        Scope::Store => format!("{error}: `dormouse servers login {}`", key.name),
        Scope::Agent(agent) => format!("{error}: `dormouse servers login {} --agent {agent}`", key.name),
    })
}

impl Instance {
    /// Tells a person that this server wants a sign-in, and gives what was told.
    pub(crate) fn wants_sign_in(&self, error: &SignInError) -> String {
        let remedy = match &self.config().launch {
            Launch::Url(remote) => remedy(self.key(), &remote.auth, error),
            _ => None,
        };
        let message = remedy.unwrap_or_else(|| error.to_string());
        self.alert_sign_in(message.clone());
        message
    }

    pub(crate) fn alert_sign_in(&self, message: String) {
        let words = Words { level: AlertLevel::Warning, title: SIGN_IN.to_owned(), message };
        let (engine, key) = (self.engine(), Some(self.key().clone()));
        engine.alerts.begin(&engine.registry, key, Cause::SignIn, words);
    }
}
