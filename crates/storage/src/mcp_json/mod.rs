//! `mcp.json`: the servers that a person configured, in the form that all MCP clients share.
//!
//! The file belongs to the person. We read `mcpServers` (or VS Code's `servers`), keep every
//! field that we do not know, and change nothing but the entry in question, byte for byte.
//! What only Dormouse knows about a server stands in its entry under `dormouse`:
//!
//! ```json
//! {
//!   "mcpServers": {
//!     "files": {
//!       "command": "npx",
//!       "args": ["-y", "some-files-server", "${HOME}/docs"],
//!       "env": { "TOKEN": "${FILES_TOKEN:-none}" },
//!       "dormouse": { "wanted": "on_demand", "idle_seconds": 60 }
//!     }
//!   }
//! }
//! ```
//!
//! # Invariants
//!
//! * One faulty entry costs only itself; it is a [`Problem`] with its path.
//! * A file that cannot be read as a whole is an error, and never an empty list of servers:
//!   whoever watches it keeps what was there.
//! * Variables are expanded where a value is used and never stored expanded.

mod expand;
mod read;
mod save;
mod server;
mod splice;

use std::collections::BTreeMap;
use std::fmt;

use dormouse_types::ServerName;
use serde_json::{Map, Value};

pub use expand::{MissingVariable, expand};
pub use save::{LoadError, SaveError};
pub use server::{McpServer, Settings};

/// The content of one `mcp.json`.
#[derive(Clone, PartialEq)]
pub struct McpFile {
    text: String,
    /// What the file held when it was loaded; `None` when there was none.
    on_disk: Option<String>,
    servers: BTreeMap<ServerName, McpServer>,
    /// Every entry that has a name, usable or not, by its key in the file.
    keys: BTreeMap<ServerName, String>,
    problems: Vec<Problem>,
}

/// Something in the file that does not work as written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    /// Where, such as `mcpServers.files.args[1]`.
    pub path: String,
    /// The server that the entry would be, if its name can be told.
    pub server: Option<ServerName>,
    /// What it means for the entry.
    pub kind: ProblemKind,
    /// What is wrong, in words.
    pub message: String,
}

/// What a [`Problem`] means for its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The entry is no server.
    Unusable,
    /// The entry is well, but this version cannot run it.
    NotYetSupported,
    /// The entry works; this part of it does nothing.
    Ignored,
}

/// Why a text is no `mcp.json`.
#[derive(Debug, thiserror::Error)]
pub enum McpFileError {
    /// It is no JSON, or only half of it.
    #[error("line {line}, column {column} is no JSON")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// It is JSON of another shape.
    #[error("{path}: expected an object, found {found}")]
    Shape {
        /// Where: `the file`, or the key that holds the servers.
        path: String,
        /// What stands there.
        found: &'static str,
    },
}

/// Without the text, which holds secrets.
impl fmt::Debug for McpFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpFile")
            .field("servers", &self.servers)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

impl McpFile {
    /// A file without servers.
    pub fn empty() -> Self {
        Self::read("{\n  \"mcpServers\": {}\n}\n").expect("this is an mcp.json")
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`McpFileError`] when the text as a whole is unusable; single entries become
    /// [`problems`](Self::problems).
    pub fn read(text: &str) -> Result<Self, McpFileError> {
        read::file(text)
    }

    /// The usable servers.
    pub fn servers(&self) -> &BTreeMap<ServerName, McpServer> {
        &self.servers
    }

    /// What does not work as written, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The text as it would be saved.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is an entry of that name, usable or not.
    pub fn contains(&self, name: &ServerName) -> bool {
        self.keys.contains_key(name)
    }

    /// Adds a server, or replaces what is known of it; unknown fields of its entry stay.
    pub fn put(&mut self, name: &ServerName, server: &McpServer) {
        let entry = server.written_over(self.entry(name));
        let text = self.with_entry(name, &entry);
        self.become_text(&text).expect("texts and numbers make no file that cannot be read");
    }

    /// Adds an entry as somebody gave it, or replaces the whole entry.
    ///
    /// # Errors
    /// The problems that make it no server; then the file is as it was.
    pub fn put_raw(
        &mut self,
        name: &ServerName,
        entry: &Map<String, Value>,
    ) -> Result<&McpServer, Vec<Problem>> {
        let unusable = |message: &str| {
            vec![Problem {
                path: name.to_string(),
                server: Some(name.clone()),
                kind: ProblemKind::Unusable,
                message: message.to_owned(),
            }]
        };
        let text = self.with_entry(name, entry);
        if text.len() as u64 > save::LARGEST {
            return Err(unusable("is too large for the file"));
        }
        let mut changed = self.clone();
        changed.become_text(&text).map_err(|_| unusable("is nested too deeply"))?;
        if changed.servers.contains_key(name) {
            *self = changed;
            Ok(&self.servers[name])
        } else {
            let of_name = |problem: &Problem| problem.server.as_ref() == Some(name);
            Err(changed.problems.into_iter().filter(of_name).collect())
        }
    }

    /// Removes an entry, usable or not; says whether there was one.
    pub fn remove(&mut self, name: &ServerName) -> bool {
        let Some(key) = self.keys.get(name) else { return false };
        let text = splice::remove(&self.text, &[&read::servers_key(&self.text), key]);
        self.become_text(&text).expect("a good file is good without one entry");
        true
    }

    fn with_entry(&self, name: &ServerName, entry: &Map<String, Value>) -> String {
        let key = self.keys.get(name).map_or(name.as_str(), String::as_str);
        let entry = Value::Object(entry.clone());
        splice::put(&self.text, &[&read::servers_key(&self.text), key], &entry)
    }

    /// The entry as it stands in the file.
    fn entry(&self, name: &ServerName) -> Map<String, Value> {
        let entry = self.keys.get(name).and_then(|key| read::entry(&self.text, key));
        entry.unwrap_or_default()
    }

    /// Reads the edited text anew: there is one truth, and the edit is known to be a good file.
    fn become_text(&mut self, text: &str) -> Result<(), McpFileError> {
        *self = Self { on_disk: self.on_disk.take(), ..Self::read(text)? };
        Ok(())
    }
}
