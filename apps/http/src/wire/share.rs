//! Agents, what they share, and how calls ended.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{owner, shown};
use crate::domain::{
    AddReport, AgentSummary, CallRecord, NotAdded, Offered, Outcome, Scope, ServerInfo, ServerKey,
    ServerState, ToolRef, ToolStats, chain,
};

/// An agent in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentItem {
    /// Its id.
    pub agent: String,
    /// Servers of its own.
    pub own: usize,
    /// Servers of the store that it may use.
    pub shared: usize,
    /// Tools that it can call.
    pub tools: usize,
}

impl From<AgentSummary> for AgentItem {
    fn from(agent: AgentSummary) -> Self {
        let AgentSummary { agent, own, shared, tools } = agent;
        Self { agent: agent.to_string(), own, shared, tools }
    }
}

/// Whether an agent may use a server of the store now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sharing {
    /// The server.
    pub server_name: String,
    /// The agent.
    pub agent: String,
    /// Whether it may.
    pub shared: bool,
}

/// A server's entry of `mcp.json`, with `…` for what may be secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EntryReport {
    /// The server.
    pub name: String,
    /// The entry; `null` for a script.
    #[schema(value_type = Option<Object>)]
    pub entry: Option<Value>,
}

/// What became of servers that were handed in, each by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AddedServers {
    /// Those that are servers of this context now.
    pub added: Vec<AddedServer>,
    /// Those that are not.
    pub failed: Vec<FailedServer>,
}

/// A server that was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddedServer {
    /// Its name in this context.
    pub name: String,
    /// Its state now; it is contacted in the background.
    #[schema(value_type = String, example = "initializing")]
    pub status: ServerState,
    /// How many of its tools are known so far.
    pub tool_count: usize,
}

/// A server that was not added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedServer {
    /// Its name as it was written.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl From<AddReport> for AddedServers {
    fn from(report: AddReport) -> Self {
        let added = |info: ServerInfo| AddedServer {
            status: info.status.state,
            tool_count: info.tools.len(),
            name: info.name,
        };
        let failed = |not: NotAdded| FailedServer { name: not.name, reason: chain(&not.reason) };
        Self {
            added: report.added.into_iter().map(added).collect(),
            failed: report.failed.into_iter().map(failed).collect(),
        }
    }
}

/// What else is forgotten when a context is reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResetBody {
    /// For the store: also what all agents configured.
    pub agents: bool,
    /// Which servers of the store agents share.
    pub shares: bool,
    /// How tools show.
    pub tools: bool,
    /// The conversations of this context.
    pub conversations: bool,
}

/// A server that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gone {
    /// Its name in this context.
    pub server_name: String,
    /// Whose it was.
    pub owner: Option<String>,
}

/// What a reset removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResetReport {
    /// The servers that are gone.
    pub removed: Vec<Gone>,
    /// How many conversations are forgotten.
    #[serde(default)]
    pub conversations: usize,
}

impl ResetReport {
    pub(crate) fn of(scope: &Scope, removed: &[ServerKey], conversations: usize) -> Self {
        let gone = |key| Gone { server_name: shown(scope, key), owner: owner(key) };
        Self { removed: removed.iter().map(gone).collect(), conversations }
    }
}

/// How a tool shows in this context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToolSetting {
    /// The name under which it is listed here.
    pub full_name: String,
    /// Its full name without settings.
    pub given_name: String,
    /// Its server.
    pub server_name: String,
    /// Its own name there.
    pub tool_name: String,
    /// Whether it is left out here.
    pub disabled: bool,
    /// What it does, as it is told here.
    pub description: String,
}

impl From<&ToolRef> for ToolSetting {
    fn from(tool: &ToolRef) -> Self {
        Self {
            full_name: tool.full_name().to_owned(),
            given_name: tool.given_name().to_owned(),
            server_name: tool.server_name().to_owned(),
            tool_name: tool.tool().name.to_string(),
            disabled: tool.settings().disabled,
            description: tool.description().unwrap_or_default().to_owned(),
        }
    }
}

/// How one call ended. Neither arguments nor results are recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallRecordItem {
    /// Its number within the hub that made it.
    pub id: u64,
    /// When it ended.
    pub at: String,
    /// The agent that called; `null` for the store.
    pub caller: Option<String>,
    /// The server's name in this context.
    pub server_name: String,
    /// The tool's own name.
    pub tool_name: String,
    /// `ok`, `tool_error`, `failed` or `unknown`.
    #[schema(value_type = String, example = "ok")]
    pub outcome: Outcome,
    /// From the request to the answer, a wake included.
    pub duration_ms: f64,
    /// Whether the server was woken for it.
    pub woke: bool,
    /// What went wrong, in the hub's words and none of the server's.
    pub error: Option<String>,
}

impl CallRecordItem {
    pub(crate) fn of(scope: &Scope, record: &CallRecord) -> Self {
        Self {
            id: record.id,
            at: record.at.to_string(),
            caller: match &record.caller {
                Scope::Store => None,
                Scope::Agent(agent) => Some(agent.to_string()),
            },
            server_name: shown(scope, &record.server),
            tool_name: record.tool.to_string(),
            outcome: record.outcome,
            duration_ms: (record.duration_ms * 10.0).round() / 10.0,
            woke: record.woke,
            error: record.error.clone(),
        }
    }
}

/// What became of a tool's calls since the hub was opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolStatItem {
    /// Its server.
    pub server_name: String,
    /// Its own name there.
    pub tool_name: String,
    /// Its full name here.
    pub full_name: String,
    /// Whether it is left out in this context, and cannot be called.
    #[serde(default)]
    pub disabled: bool,
    /// How many calls ended.
    pub calls: u64,
    /// How many of them did not end well.
    pub errors: u64,
    /// How long one took on average; `null` without a call.
    pub mean_ms: Option<f64>,
    /// When the last one ended.
    pub last: Option<String>,
}

impl ToolStatItem {
    pub(crate) fn of(tool: &ToolRef, stats: ToolStats) -> Self {
        Self {
            server_name: tool.server_name().to_owned(),
            tool_name: tool.tool().name.to_string(),
            full_name: tool.full_name().to_owned(),
            disabled: tool.settings().disabled,
            calls: stats.calls,
            errors: stats.errors,
            mean_ms: stats.mean().map(super::ms),
            last: stats.last.map(|at| at.to_string()),
        }
    }
}

/// A resource, a template or a prompt, as MCP lists it, with its server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OfferedItem {
    /// Its server's name in this context.
    pub server_name: String,
    /// MCP's own members.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub item: Map<String, Value>,
}

impl OfferedItem {
    pub(crate) fn of<T: Serialize>(offered: &Offered<T>) -> Self {
        let item = match serde_json::to_value(&offered.item) {
            Ok(Value::Object(item)) => item,
            // What is offered is always an object.
            _ => Map::new(),
        };
        Self { server_name: offered.server_name.clone(), item }
    }
}

/// A resource to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadResource {
    /// Its address.
    pub uri: String,
    /// Its server, where the address alone does not say it.
    #[serde(default)]
    pub server_name: Option<String>,
    /// The whole time that the caller gives, a wake included.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// A prompt to be got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GetPrompt {
    /// Its name.
    pub name: String,
    /// Its server, where the name alone does not say it.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Its arguments.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub arguments: Map<String, Value>,
    /// The whole time that the caller gives, a wake included.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}
