//! Signing in at servers at URLs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{SignIn, SignInState, SignInsKept};

/// How it stands with signing in at a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInItem {
    /// The server's name in this context.
    pub server_name: String,
    /// `not_used`, `automatic` (by a secret), `signed_in` or `person_needed`.
    #[schema(example = "person_needed")]
    pub state: String,
    /// When the token ends, if that is known.
    #[schema(format = DateTime)]
    pub ends: Option<String>,
    /// Whether it is renewed then without a person.
    pub renewable: bool,
    /// What was granted.
    pub scopes: Vec<String>,
    /// What a person is to open in a browser on the hub's machine: a sign-in waits for them.
    pub authorize_url: Option<String>,
    /// Why the latest sign-in failed.
    pub failed: Option<String>,
}

impl SignInItem {
    pub(crate) fn of(server_name: String, sign_in: SignIn) -> Self {
        let SignIn { state, authorize_url, failed } = sign_in;
        let (state, ends, renewable, scopes) = match state {
            SignInState::NotUsed => ("not_used", None, false, Vec::new()),
            SignInState::Automatic => ("automatic", None, true, Vec::new()),
            SignInState::PersonNeeded => ("person_needed", None, false, Vec::new()),
            SignInState::SignedIn { ends, renewable, scopes } => ("signed_in", ends, renewable, scopes),
        };
        let ends = ends.map(|ends| ends.to_string());
        Self { server_name, state: state.to_owned(), ends, renewable, scopes, authorize_url, failed }
    }
}

/// Where sign-ins are kept, in words.
pub(crate) fn kept(kept: SignInsKept) -> String {
    match kept {
        SignInsKept::File(path) => format!("the file {}, which only its owner can read", path.display()),
        SignInsKept::Keyring => "the system's keyring".to_owned(),
        SignInsKept::Nowhere => "nowhere: this program was built without the feature `oauth`".to_owned(),
    }
}
