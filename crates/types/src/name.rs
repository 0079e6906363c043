//! Names and keys, validated once and never split again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text that may not serve as a name of the given kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no valid {kind}: {rule}")]
pub struct InvalidName {
    /// What the text was meant to name, in words.
    pub kind: &'static str,
    /// The text, cut to 80 characters.
    pub value: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

impl InvalidName {
    fn new(kind: &'static str, value: &str, rule: &'static str) -> Self {
        let value = value.chars().take(80).collect();
        Self { kind, value, rule }
    }
}

const SLUG_RULE: &str = "1 to 100 of A-Z, a-z, 0-9, `_` and `-`";
const TOOL_RULE: &str = "1 to 256 characters without control characters";
const SESSION_RULE: &str = "1 to 256 characters without control characters";

fn is_slug(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= 256 && !text.chars().any(char::is_control)
}

/// One newtype over a shared string; four types need the very same ten impls.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $valid:path, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Takes a text as a name.
            ///
            /// # Errors
            /// [`InvalidName`] with the rule that the text breaks.
            pub fn try_new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                let text = text.as_ref();
                if $valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName::new($kind, text, $rule))
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::try_new(text)
            }
        }
        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::try_new(text)
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name! {
    /// A server's local name: 1 to 100 of `A-Za-z0-9_-`.
    ServerName, "server name", is_slug, SLUG_RULE
}
name! {
    /// An agent's id: 1 to 100 of `A-Za-z0-9_-`.
    AgentId, "agent id", is_slug, SLUG_RULE
}
name! {
    /// A tool's own name as its server gives it: 1 to 256 characters, none a control character.
    ToolName, "tool name", is_plain, TOOL_RULE
}
name! {
    /// The id of a conversation: 1 to 256 characters, none a control character.
    SessionId, "session id", is_plain, SESSION_RULE
}

impl ServerName {
    /// Makes a name of any text: what may not stand in a name becomes `-`.
    ///
    /// # Errors
    /// [`InvalidName`] when nothing usable is left.
    pub fn slug(text: &str) -> Result<Self, InvalidName> {
        let mut slug = String::with_capacity(text.len().min(100));
        for c in text.chars() {
            let c = if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
            if !(c == '-' && slug.ends_with('-')) && slug.len() < 100 {
                slug.push(c);
            }
        }
        Self::try_new(slug.trim_matches('-')).map_err(|_| InvalidName::new("server name", text, SLUG_RULE))
    }
}

/// Whose a server is: the store's, or one agent's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The store, which sees every server.
    Store,
    /// One agent, which sees its own.
    Agent(AgentId),
}

/// What identifies a server in a hub. Never parsed out of a string.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServerKey {
    /// Whose server it is.
    pub scope: Scope,
    /// Its name within that scope.
    pub name: ServerName,
}

impl ServerKey {
    /// The key of a server of the store.
    pub fn store(name: ServerName) -> Self {
        Self { scope: Scope::Store, name }
    }

    /// The name under which the store shows it: an agent's server is `{name}by{agent}`, as in MCPStore.
    /// A rendering only; nothing may be looked up by taking it apart.
    pub fn store_name(&self) -> String {
        match &self.scope {
            Scope::Store => self.name.to_string(),
            Scope::Agent(agent) => format!("{}by{agent}", self.name),
        }
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Scope::Store => write!(f, "{}", self.name),
            Scope::Agent(agent) => write!(f, "{} of agent {agent}", self.name),
        }
    }
}
impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What identifies a tool in a hub.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ToolKey {
    /// Its server.
    pub server: ServerKey,
    /// Its own name there.
    pub tool: ToolName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_rules() {
        assert!(ServerName::try_new("web-research_2").is_ok());
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(101)] {
            assert!(ServerName::try_new(bad).is_err(), "{bad}");
        }
        assert!(SessionId::try_new("team/7 ü").is_ok());
        assert!(SessionId::try_new("x".repeat(257)).is_err());
        assert!(ToolName::try_new("a\nb").is_err());
    }

    #[test]
    fn slug_keeps_what_it_can() {
        assert_eq!(ServerName::slug("@scope/My Server!").unwrap().as_str(), "scope-My-Server");
        assert!(ServerName::slug("…").is_err());
    }

    #[test]
    fn a_long_bad_name_is_cut_in_its_error() {
        let error = AgentId::try_new("ü".repeat(10_000)).unwrap_err();
        assert_eq!(error.value.chars().count(), 80);
    }
}
