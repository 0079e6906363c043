//! What is imported and exported.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{owner, shown};
use crate::domain::{ImportReport, Imported, LeftOut, OnConflict, Scope};

/// Servers to be taken from elsewhere: exactly one of `text`, `document` and `files`.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImportBody {
    /// Whose form it has: `claude-desktop`, `claude-code`, `cursor`, `vscode`, `codex`, `mcpstore`,
    /// or `mcp.json`, which is also what is meant where nothing is said.
    #[schema(example = "cursor")]
    pub client: Option<String>,
    /// The configuration as text, comments and all.
    pub text: Option<String>,
    /// The configuration as JSON.
    // As it was written: in a value, a name that stands there twice stands there once.
    #[schema(value_type = Option<Object>)]
    pub document: Option<Box<RawValue>>,
    /// MCPStore's files.
    pub files: Option<MovingFiles>,
    /// Whether nothing is changed, and the report says what would be.
    pub dry_run: bool,
    /// Whether an entry takes the place of another one of its name.
    pub replace: bool,
}

/// Without the texts, which hold secrets.
impl std::fmt::Debug for ImportBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportBody").field("client", &self.client).finish_non_exhaustive()
    }
}

/// MCPStore's files as texts; what is not there is left out.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MovingFiles {
    /// `mcp.json`.
    pub mcp_json: Option<String>,
    /// `agent_clients.json`.
    pub agent_clients: Option<String>,
    /// `client_services.json`.
    pub client_services: Option<String>,
}

/// Without the texts, which hold secrets.
impl std::fmt::Debug for MovingFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MovingFiles")
    }
}

impl ImportBody {
    pub(crate) fn on_conflict(&self) -> OnConflict {
        if self.replace { OnConflict::Replace } else { OnConflict::Keep }
    }
}

/// What an import did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedReport {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// What became of each entry.
    pub entries: Vec<ImportedItem>,
    /// What was left out and belongs to no entry.
    pub notes: Vec<String>,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedItem {
    /// Where it stood.
    #[schema(example = "mcpServers.files")]
    pub path: String,
    /// Its name as it was written.
    pub name: String,
    /// The server's name in this context; `null` when it is none.
    pub server_name: Option<String>,
    /// The agent that it belongs to; `null` for the store's.
    pub owner: Option<String>,
    /// `added`, `replaced`, `unchanged`, `shared`, `conflict` or `refused`.
    #[schema(example = "added")]
    pub outcome: String,
    /// Why it was not taken.
    pub reason: Option<String>,
    /// What of it does nothing here.
    pub notes: Vec<String>,
}

impl ImportedReport {
    pub(crate) fn of(scope: &Scope, dry_run: bool, report: ImportReport) -> Self {
        let item = |entry: Imported| ImportedItem {
            server_name: entry.server.as_ref().map(|key| shown(scope, key)),
            owner: entry.server.as_ref().and_then(owner),
            outcome: entry.fate.as_str().to_owned(),
            reason: entry.fate.reason().map(str::to_owned),
            path: entry.path,
            name: entry.name,
            notes: entry.notes,
        };
        Self {
            dry_run,
            entries: report.entries.into_iter().map(item).collect(),
            notes: report.notes.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Servers for other clients.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExportedServers {
    /// The client whose form `text` has; `null` for that of `mcp.json`.
    pub client: Option<String>,
    /// A whole configuration with these servers and nothing else.
    pub text: String,
    /// Each server's entry in the form of `mcp.json`, by name.
    #[schema(value_type = Object)]
    pub servers: Map<String, Value>,
    /// Servers that others cannot have.
    pub left_out: Vec<LeftOutItem>,
    /// What the client does not know of the servers that it has.
    pub notes: Vec<LeftOutItem>,
}

/// Without the entries, which hold secrets where these were asked for.
impl std::fmt::Debug for ExportedServers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.servers.keys().collect();
        f.debug_struct("ExportedServers").field("servers", &names).finish_non_exhaustive()
    }
}

/// Something that is not in an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOutItem {
    /// The server.
    pub server_name: String,
    /// What is left out, and why.
    pub reason: String,
}

impl From<LeftOut> for LeftOutItem {
    fn from(out: LeftOut) -> Self {
        Self { server_name: out.name, reason: out.reason }
    }
}
