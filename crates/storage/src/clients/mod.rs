//! Servers in the configuration of other MCP clients: read from there, and written there.
//!
//! Export is three steps: a [`Plan`] shows what would change, [`Plan::apply`] does it with a
//! backup, [`undo`] takes it back.
//!
//! # Invariants
//!
//! * Their file is theirs: every field, comment and server that is not meant stays as it is.
//! * Nothing of ours (`dormouse`) goes into their files.
//! * What a difference shows holds no value of a variable and of a header.
//! * An undo never undoes what somebody did after the export.

mod codex;
mod diff;
mod entry;
mod json;
mod jsonc;
mod places;
mod plan;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde_json::{Map, Value};

pub use diff::DiffLine;
pub use places::{Named, Places, Platform};
pub use plan::{Applied, ApplyError, Plan, UndoError, backup_of, plan, undo};

use crate::mcp_json::{Intake, LoadError, Problem};

/// A client whose configuration we read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    /// Claude Desktop: `claude_desktop_config.json`.
    ClaudeDesktop,
    /// Claude Code: `.mcp.json` of a project, `~/.claude.json`.
    ClaudeCode,
    /// Cursor: `.cursor/mcp.json`.
    Cursor,
    /// VS Code: `.vscode/mcp.json`, with servers under `servers`.
    VsCode,
    /// Codex: `config.toml`, with tables `[mcp_servers.NAME]`.
    Codex,
}

impl Client {
    /// Every client.
    pub const ALL: [Self; 5] =
        [Self::ClaudeDesktop, Self::ClaudeCode, Self::Cursor, Self::VsCode, Self::Codex];

    /// Its name in commands and paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "claude-desktop",
            Self::ClaudeCode => "claude-code",
            Self::Cursor => "cursor",
            Self::VsCode => "vscode",
            Self::Codex => "codex",
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No client has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no client is named `{0}`: claude-desktop, claude-code, cursor, vscode and codex are")]
pub struct UnknownClient(String);

impl FromStr for Client {
    type Err = UnknownClient;
    fn from_str(text: &str) -> Result<Self, UnknownClient> {
        let is_it = |client: &Self| client.as_str() == text;
        Self::ALL.into_iter().find(is_it).ok_or_else(|| UnknownClient(text.chars().take(80).collect()))
    }
}

/// Why a client's configuration cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It is no JSON.
    #[error("line {line}, column {column} is no JSON")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// It is no TOML. The parser's words are left out: they quote the file.
    #[error("{place} is no TOML")]
    Toml {
        /// Where, such as `line 3`.
        place: String,
    },
    /// It has another shape.
    #[error("{path}: expected an object, found {found}")]
    Shape {
        /// Where.
        path: String,
        /// What stands there.
        found: &'static str,
    },
}

/// The servers of a client's configuration, in our form. `${input:token}` of VS Code becomes the
/// variable `TOKEN`, with a note.
///
/// # Errors
/// [`ClientError`] when the text as a whole is unusable.
pub fn read(client: Client, text: &str) -> Result<Intake, ClientError> {
    match client {
        Client::Codex => codex::read(text),
        _ => json::read(client, text),
    }
}

/// The same configuration with nothing but its servers, for whoever hands it on: these files hold
/// much else that is nobody's business.
///
/// # Errors
/// As [`read`].
pub fn only_servers(client: Client, text: &str) -> Result<String, ClientError> {
    match client {
        Client::Codex => codex::only_servers(text),
        _ => json::only_servers(client, text),
    }
}

/// A server as it stands in a client's configuration, in the client's own words.
#[derive(Clone, PartialEq)]
pub struct Found {
    /// Where it stands, as [`read`] tells it, such as `mcpServers.files`.
    pub path: String,
    /// Its name there.
    pub name: String,
    /// Whether it is for all that the client does, and not for one project alone.
    pub is_everywhere: bool,
    /// What stands there.
    pub entry: Value,
}

/// Without the entry, which holds secrets.
impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Found").field(&self.path).finish()
    }
}

/// Every server of a client's configuration, as it is written.
///
/// # Errors
/// As [`read`].
pub fn found(client: Client, text: &str) -> Result<Vec<Found>, ClientError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    match client {
        Client::Codex => codex::found(text),
        _ => json::found(client, text),
    }
}

/// The configuration without the servers at these paths; nothing else of it changes.
///
/// # Errors
/// As [`read`].
pub fn without(client: Client, text: &str, paths: &[&str]) -> Result<String, ClientError> {
    match client {
        _ if paths.is_empty() => Ok(text.to_owned()),
        Client::Codex => codex::without(text, paths),
        _ => json::without(client, text, paths),
    }
}

/// A client's configuration with servers added.
#[derive(Clone, PartialEq)]
pub struct Written {
    /// The whole text.
    pub text: String,
    /// Servers that the client cannot have, and what of the others it does not know; each with
    /// the server's name as its path.
    pub problems: Vec<Problem>,
}

/// Without the text, which holds secrets.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").field("problems", &self.problems).finish_non_exhaustive()
    }
}

/// Puts servers into a client's configuration, over those of the same name; `None` is one that
/// does not exist yet. Names are local ones, entries as [`raw`](crate::mcp_json::McpFile::raw)
/// gives them.
///
/// # Errors
/// [`ClientError`] when the text as a whole is unusable.
pub fn write(
    client: Client,
    existing: Option<&str>,
    entries: &[(String, Map<String, Value>)],
) -> Result<Written, ClientError> {
    let mut problems = Vec::new();
    let mut theirs = Vec::new();
    for (name, entry) in entries {
        if let Some(entry) = entry::theirs(client, name, entry, &mut problems) {
            theirs.push((name.as_str(), entry));
        }
    }
    let text = match client {
        Client::Codex => codex::write(existing.unwrap_or_default(), &theirs)?,
        _ => json::write(client, existing, &theirs)?,
    };
    Ok(Written { text, problems })
}

/// What a program sees of a path that may not exist.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
