//! What the endpoints for MCP clients show: `[mcp]`.

use std::collections::BTreeMap;

use dormouse_types::{AgentId, ServerName};
use serde::{Deserialize, Serialize};

/// What endpoints for MCP clients show, where their address says nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mcp {
    /// The mode of the store's endpoint, and of agents of which nothing is said.
    pub mode: McpMode,
    /// The server of the mode `single`; empty in the others.
    pub server: String,
    /// How many sessions of clients there may be. Then those end that were used longest ago.
    pub max_sessions: u32,
    /// What is said about single agents.
    pub agents: BTreeMap<String, McpSection>,
}

/// What one agent's endpoint shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct McpSection {
    /// Its mode.
    pub mode: McpMode,
    /// The server of the mode `single`, by the agent's name for it; empty in the others.
    pub server: String,
}

/// What an endpoint shows of its context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum McpMode {
    /// Every tool under its full name.
    #[default]
    All,
    /// Three tools: find, describe, call.
    Search,
    /// One server with its own names.
    Single,
}

impl McpMode {
    /// The word, as it stands in the settings and in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Search => "search",
            Self::Single => "single",
        }
    }
}

impl Default for Mcp {
    fn default() -> Self {
        Self {
            mode: McpMode::default(),
            server: String::new(),
            max_sessions: 20_000,
            agents: BTreeMap::new(),
        }
    }
}

impl Mcp {
    /// The mode of an agent's endpoint, or of the store's, and the server if it is `single`.
    pub fn of(&self, agent: Option<&AgentId>) -> (McpMode, Option<&str>) {
        let (mode, server) = match agent.and_then(|agent| self.agents.get(agent.as_str())) {
            Some(section) => (section.mode, &section.server),
            None => (self.mode, &self.server),
        };
        (mode, (!server.is_empty()).then_some(server))
    }

    /// What is wrong, with its place.
    pub(super) fn problem(&self) -> Option<String> {
        if let Some(problem) = wrong("mcp", self.mode, &self.server) {
            return Some(problem);
        }
        if self.max_sessions == 0 {
            return Some("mcp.max_sessions: there must be room for one".to_owned());
        }
        self.agents.iter().find_map(|(agent, said)| {
            let place = format!("mcp.agents.{agent}");
            match AgentId::try_new(agent) {
                Ok(_) => wrong(&place, said.mode, &said.server),
                Err(error) => Some(format!("{place}: {error}")),
            }
        })
    }
}

fn wrong(place: &str, mode: McpMode, server: &str) -> Option<String> {
    match (mode, server.is_empty()) {
        (McpMode::Single, true) => Some(format!("{place}.server: the mode `single` needs a server's name")),
        (McpMode::Single, false) => {
            ServerName::try_new(server).err().map(|error| format!("{place}.server: {error}"))
        }
        (McpMode::All | McpMode::Search, false) => {
            Some(format!("{place}.server: the mode `{}` has no use for a server", mode.as_str()))
        }
        (McpMode::All | McpMode::Search, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Mcp, String> {
        let mcp: Mcp = toml::from_str(text).map_err(|error| error.to_string())?;
        mcp.problem().map_or(Ok(mcp), Err)
    }

    #[test]
    fn an_agent_has_its_own_mode_or_that_of_all() {
        let mcp = read("mode = 'search'\n[agents.a1]\nmode = 'single'\nserver = 'time'").unwrap();
        let (one, two) = (AgentId::try_new("a1").unwrap(), AgentId::try_new("a2").unwrap());
        assert_eq!(mcp.of(Some(&one)), (McpMode::Single, Some("time")));
        assert_eq!(mcp.of(Some(&two)), (McpMode::Search, None));
        assert_eq!(mcp.of(None), (McpMode::Search, None));
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_place() {
        for (text, named) in [
            ("mode = 'everything'", "everything"),
            ("mode = 'single'", "mcp.server"),
            ("mode = 'search'\nserver = 'x'", "mcp.server"),
            ("mode = 'single'\nserver = 'a/b'", "mcp.server"),
            ("max_sessions = 0", "mcp.max_sessions"),
            ("[agents.a1]\nmode = 'single'", "mcp.agents.a1.server"),
            ("[agents.'a b']", "a b"),
            ("[agents.a1]\nmood = 'all'", "mood"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
