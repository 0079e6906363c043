//! `mcp.json`: the servers that a person configured, in the form that all MCP clients share.
//!
//! The file belongs to the person. We read `mcpServers` (or VS Code's `servers`), keep every
//! field that we do not know, and change nothing but the entry in question, byte for byte.
//! What only Dormouse knows about a server stands in its entry under `dormouse`; also whose it
//! is. An agent's server stands in the same file; its key there is only a rendering.
//!
//! ```json
//! {
//!   "mcpServers": {
//!     "files": {
//!       "command": "npx",
//!       "args": ["-y", "some-files-server", "${HOME}/docs"],
//!       "env": { "TOKEN": "${FILES_TOKEN:-none}" },
//!       "dormouse": { "wanted": "on_demand", "idle_seconds": 60 }
//!     },
//!     "searchbya1": {
//!       "url": "https://search.example.org/mcp",
//!       "headers": { "Authorization": "Bearer ${SEARCH_TOKEN}" },
//!       "dormouse": { "agent": "a1", "name": "search", "concurrency": 4 }
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

mod edit;
mod expand;
mod intake;
mod mask;
mod read;
mod reader;
mod remote;
mod save;
mod server;
mod splice;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dormouse_types::ServerKey;
use serde_json::{Map, Value};

pub use expand::{MissingVariable, expand};
pub use intake::{Intake, IntakeEntry, IntakeError, intake, intake_text};
pub(crate) use intake::{fold_credentials, intake_maps};
pub(crate) use mask::servers_masked;
use mask::unmasked;
pub use mask::{MASK, masked};
pub(crate) use reader::kind;
pub(crate) use remote::{NamedTransport, inferred_transport, named_transport, names_own};
pub(crate) use save::{Backup, LARGEST_OF_CLIENTS, read as read_file, read_up_to, replace_if, resolved};
pub use save::{LoadError, SaveError};
pub use server::{McpLaunch, McpServer, Settings};
pub(crate) use splice::{applied, doubled_keys, member_at, put_edit, remove_edit, value_at};

/// The largest text that is read, in bytes: far more than a person writes.
pub const LARGEST: usize = 4 << 20;

/// The content of one `mcp.json`.
#[derive(Clone, PartialEq)]
pub struct McpFile {
    text: String,
    /// What the file held when it was loaded; `None` when there was none.
    on_disk: Option<String>,
    /// The key that holds the servers, or would hold them.
    servers_key: &'static str,
    servers: BTreeMap<ServerKey, McpServer>,
    /// Every entry whose owner and name can be told, usable or not.
    entries: BTreeMap<ServerKey, Entry>,
    /// The keys of all entries.
    file_keys: BTreeSet<String>,
    problems: Vec<Problem>,
}

/// One entry as it stands in the file.
#[derive(Clone, PartialEq)]
struct Entry {
    file_key: String,
    value: Value,
}

/// Something in the file that does not work as written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    /// Where, such as `mcpServers.files.args[1]`.
    pub path: String,
    /// The server that the entry would be, if its owner and name can be told.
    pub server: Option<ServerKey>,
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
    /// It is larger than anything that a person writes.
    #[error("it is larger than {} MiB", LARGEST >> 20)]
    TooLarge,
}

/// Why an entry was not changed. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// There is none to patch.
    #[error("there is no entry for `{key}`")]
    Unknown {
        /// The server that was meant.
        key: ServerKey,
    },
    /// It would be no server, or holds [`MASK`] where nothing is stored that it could stand for.
    #[error("{}", problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))]
    Invalid {
        /// All of what is wrong with it.
        problems: Vec<Problem>,
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
    pub fn servers(&self) -> &BTreeMap<ServerKey, McpServer> {
        &self.servers
    }

    /// What does not work as written, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// An entry that is handed in for a server, with what is stored in place of each [`MASK`].
    ///
    /// # Errors
    /// [`EntryError::Invalid`] with every place where nothing is stored that a mask could stand for.
    pub fn unmasked(
        &self,
        key: &ServerKey,
        entry: &Map<String, Value>,
    ) -> Result<Map<String, Value>, EntryError> {
        unmasked(entry, self.raw(key).as_ref()).map_err(|places| {
            let problem = |place: String| Problem {
                path: format!("{key}{place}"),
                server: Some(key.clone()),
                kind: ProblemKind::Unusable,
                message: format!(
                    "holds `{MASK}`, which stands for a hidden value, and no such value is stored there"
                ),
            };
            EntryError::Invalid { problems: places.into_iter().map(problem).collect() }
        })
    }

    /// The text as it would be saved.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is an entry for a server, usable or not.
    pub fn contains(&self, key: &ServerKey) -> bool {
        self.entries.contains_key(key)
    }

    /// Every entry whose owner and name can be told, usable or not, with its key in the file.
    pub fn entries(&self) -> impl Iterator<Item = (&ServerKey, &str)> {
        self.entries.iter().map(|(key, entry)| (key, entry.file_key.as_str()))
    }

    /// The keys in the file of the entries whose owner or name cannot be told, or is another one's.
    pub fn nobodys(&self) -> impl Iterator<Item = &str> {
        let known: BTreeSet<&str> = self.entries().map(|(_, file_key)| file_key).collect();
        self.file_keys.iter().map(String::as_str).filter(move |file_key| !known.contains(file_key))
    }
}
