//! Servers.

use std::borrow::Cow;

use dormouse::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::owner;
use crate::domain::{
    Confidence, Drift, DriftKind, FeatureSource, Launch, Noise, Origin, ServerInfo, ServerState, ToolRef,
    Wanted,
};

/// A tool in its server's list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerTool<'a> {
    /// Its own name.
    #[schema(value_type = String)]
    pub name: Cow<'a, str>,
    /// What it does; empty when the server does not say.
    #[schema(value_type = String)]
    pub description: Cow<'a, str>,
    /// JSON Schema of its arguments.
    #[serde(rename = "inputSchema")]
    #[schema(value_type = Object)]
    pub input_schema: Cow<'a, Json>,
    /// Its name that is unique in this context.
    #[schema(value_type = String)]
    pub full_name: Cow<'a, str>,
}

impl<'a> From<&'a ToolRef> for ServerTool<'a> {
    fn from(tool: &'a ToolRef) -> Self {
        let of = tool.tool();
        Self {
            name: Cow::Borrowed(of.name.as_str()),
            description: Cow::Borrowed(tool.description().unwrap_or_default()),
            input_schema: Cow::Borrowed(&of.input_schema),
            full_name: Cow::Borrowed(tool.full_name()),
        }
    }
}

/// Something that a script's source cannot tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Doubtful {
    /// The line in the script, from 1.
    pub line: usize,
    /// What is open, in words.
    pub reason: String,
}

/// A difference between what a script's source promised and what the server served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DriftItem {
    /// The tool, resource or prompt.
    pub feature: String,
    /// `added`, `removed` or `changed`.
    pub kind: String,
    /// Where they differ: a JSON pointer into the feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What the source said there.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Value)]
    pub promised: Value,
    /// What the server said there.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Value)]
    pub served: Value,
}

impl From<&Drift> for DriftItem {
    fn from(drift: &Drift) -> Self {
        let (kind, at, promised, served) = match &drift.kind {
            DriftKind::Added => ("added", None, Value::Null, Value::Null),
            DriftKind::Removed => ("removed", None, Value::Null, Value::Null),
            DriftKind::Changed { at, promised, served } => {
                ("changed", Some(at.clone()), promised.clone(), served.clone())
            }
        };
        Self { feature: drift.feature.clone(), kind: kind.to_owned(), at, promised, served }
    }
}

// Borrows from the catalog, as `ToolItem` does.
/// One server of a context, asleep or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerItem<'a> {
    /// Its name in this context.
    #[schema(value_type = String)]
    pub name: Cow<'a, str>,
    /// Its script; empty for a server that is a command.
    pub script_path: String,
    /// `dormant`, `initializing`, `healthy`, `warning`, `reconnecting`, `unreachable`,
    /// `disconnecting` or `disconnected`.
    #[schema(value_type = String, example = "dormant")]
    pub status: ServerState,
    /// When it was first known.
    #[schema(format = DateTime)]
    pub registered_at: String,
    /// How many tools it has.
    pub tool_count: usize,
    /// Its tools.
    #[schema(value_type = Vec<ServerTool<'static>>)]
    pub tools: Vec<ServerTool<'a>>,
    /// Whose it is: an agent, or `null` for the store.
    pub owner: Option<String>,
    /// Its name for itself.
    #[schema(value_type = Option<String>)]
    pub title: Option<Cow<'a, str>>,
    /// How its tools are known: `static` (read from its source), `live` (told by it) or
    /// `unknown` (it was never contacted).
    #[schema(value_type = String, example = "static")]
    pub source: FeatureSource,
    /// How sure a reading of its source is: `full` or `partial`.
    #[schema(example = "full")]
    pub confidence: String,
    /// What its source leaves open.
    pub doubts: Vec<Doubtful>,
    /// Where its source and the running server disagree.
    pub drift: Vec<DriftItem>,
    /// Why it is in this state, where the word does not say it.
    pub reason: Option<String>,
    /// Since when it is in this state.
    #[schema(format = DateTime)]
    pub since: String,
    /// Failures in a row.
    pub failures: u32,
    /// When the hub tries again by itself.
    pub next_retry: Option<String>,
    /// Its process.
    pub pid: Option<u32>,
    /// How often it was started.
    pub generation: u64,
    /// How the hub knows it: `dropped`, `registered` or `configured`.
    #[schema(example = "dropped")]
    pub origin: String,
    /// Whether it should run unasked: `on_demand`, `always` or `stopped`.
    #[schema(example = "on_demand")]
    pub wanted: String,
    /// Its program, for a server that is a command.
    pub command: Option<String>,
    /// Its address, for a server at a URL, without what may be secret.
    pub url: Option<String>,
    /// The packages that its environment holds.
    pub packages: Vec<String>,
    /// The names of the variables that it gets on top of the usual ones.
    pub env: Vec<String>,
    /// How many resources it has.
    pub resource_count: usize,
    /// How many prompts it has.
    pub prompt_count: usize,
}

/// An address up to its query; one that holds a user's name or password is not shown at all.
fn without_secrets(url: &str) -> &str {
    let address = url.split(['?', '#']).next().unwrap_or_default();
    let authority = address.split_once("://").map_or(address, |(_, rest)| rest);
    if authority.split('/').next().is_some_and(|host| host.contains('@')) { "…" } else { address }
}

impl<'a> From<&'a ServerInfo> for ServerItem<'a> {
    fn from(server: &'a ServerInfo) -> Self {
        let ServerInfo { name, entry, status, tools } = server;
        let mut url = None;
        let (script_path, command, packages) = match &entry.config.launch {
            Launch::Script { path, needs } => {
                // An address after `@` may hold a password.
                let named = needs.requirements.iter().filter_map(|needed| needed.split('@').next());
                (path.display().to_string(), None, named.map(|name| name.trim().to_owned()).collect())
            }
            Launch::Command { command, .. } => (String::new(), Some(command.clone()), Vec::new()),
            Launch::Url(remote) => {
                url = Some(without_secrets(&remote.url).to_owned());
                (String::new(), None, Vec::new())
            }
            Launch::Elsewhere { .. } => (String::new(), None, Vec::new()),
        };
        let (confidence, doubts) = match &entry.confidence {
            Confidence::Full => ("full", Vec::new()),
            Confidence::Partial(doubts) => {
                let doubts = doubts.iter().map(|d| Doubtful { line: d.line, reason: d.reason.clone() });
                ("partial", doubts.collect())
            }
        };
        let origin = match entry.config.origin {
            Origin::Dropped => "dropped",
            Origin::Registered => "registered",
            Origin::Configured => "configured",
        };
        let wanted = match entry.config.wanted {
            Wanted::OnDemand => "on_demand",
            Wanted::Always => "always",
            Wanted::Stopped => "stopped",
        };
        Self {
            name: Cow::Borrowed(name),
            script_path,
            status: status.state,
            registered_at: entry.registered_at.to_string(),
            tool_count: tools.len(),
            tools: tools.iter().map(ServerTool::from).collect(),
            owner: owner(&entry.key),
            title: entry.features.title.as_deref().map(Cow::Borrowed),
            source: entry.source,
            confidence: confidence.to_owned(),
            doubts,
            drift: entry.drift.iter().map(DriftItem::from).collect(),
            reason: status.told(),
            since: status.since.to_string(),
            failures: status.failures,
            next_retry: status.next_retry.map(|at| at.to_string()),
            pid: status.pid,
            generation: status.generation,
            origin: origin.to_owned(),
            wanted: wanted.to_owned(),
            command,
            url,
            packages,
            env: entry.config.env.0.keys().cloned().collect(),
            resource_count: entry.features.resources.len() + entry.features.resource_templates.len(),
            prompt_count: entry.features.prompts.len(),
        }
    }
}

/// A script of a drop folder to be registered. Other members are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegisterServer {
    /// The server's name: 1 to 100 of `A-Za-z0-9_-`.
    pub name: String,
    /// Its script in a drop folder, absolute or from the space's folder.
    #[schema(example = "servers/greet.py")]
    pub script_path: String,
}

/// A script was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registered {
    /// The server's name.
    pub name: String,
    /// Its tools, by their own names.
    pub tools_discovered: Vec<String>,
}

/// A server to be added to `mcp.json`.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AddServer {
    /// Its name: 1 to 100 of `A-Za-z0-9_-`.
    pub name: String,
    /// Its entry, in the ecosystem's form: `command`, `args`, `env`, `cwd`, and what else
    /// `mcp.json` may say of a server.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub entry: Map<String, Value>,
}

/// Shows the names of its members only: variables are secrets.
impl std::fmt::Debug for AddServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let members: Vec<&String> = self.entry.keys().collect();
        f.debug_struct("AddServer").field("name", &self.name).field("entry", &members).finish()
    }
}

/// A server was removed or put to sleep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Disconnected {
    /// Its name.
    pub disconnected: String,
}

/// What a server's process printed beside MCP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutputReport {
    /// Whether it has a process; without one there is no output.
    pub attached: bool,
    /// Its last lines on stderr, at most 50.
    pub stderr: Vec<String>,
    /// How many lines on stdout were no message.
    pub noise_lines: u64,
    /// How many answers came that nobody waited for.
    pub stray_answers: u64,
    /// The last few of either.
    pub noise: Vec<String>,
}

impl From<(Vec<String>, Noise)> for OutputReport {
    fn from((stderr, noise): (Vec<String>, Noise)) -> Self {
        let Noise { lines, strays, last } = noise;
        Self { attached: true, stderr, noise_lines: lines, stray_answers: strays, noise: last }
    }
}
