//! Tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{NewToken, Scope, TokenInfo};

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Its name: 1 to 100 characters.
    pub name: String,
    /// The one agent that it opens; without one it opens the store, which is everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenItem {
    /// Its name.
    pub name: String,
    /// `store` or `agent`.
    #[schema(example = "store")]
    pub scope: String,
    /// The agent that it opens.
    pub agent: Option<String>,
    /// When it was made, in UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl From<TokenInfo> for TokenItem {
    fn from(info: TokenInfo) -> Self {
        let (scope, agent) = match info.scope {
            Scope::Store => ("store", None),
            Scope::Agent(agent) => ("agent", Some(agent.to_string())),
        };
        Self { name: info.name, scope: scope.to_owned(), agent, created_at: info.created_at.to_string() }
    }
}

/// A token just made; the only time that its secret is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MadeToken {
    /// What will be known of it.
    #[serde(flatten)]
    pub info: TokenItem,
    /// The secret, for `Authorization: Bearer …`.
    pub token: String,
}

impl From<NewToken> for MadeToken {
    fn from(made: NewToken) -> Self {
        Self { info: made.info.into(), token: made.secret }
    }
}

/// Does not show the secret.
impl std::fmt::Debug for MadeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeToken").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A token opens nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revoked {
    /// Its name.
    pub revoked: String,
}
