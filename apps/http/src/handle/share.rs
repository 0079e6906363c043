//! Agents and what they share, entries, settings of tools, records of calls.

use axum::Json;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::tools::{OfServer, ToolPath};
use super::{ServerPath, named};
use crate::domain::{
    AgentId, CallFilter, Outcome, Reset, Scope, ServerName, Timestamp, ToolSettings, chain, intake_text,
    masked,
};
use crate::extract::{ApiJson, ApiPath, ApiQuery, Entered, JsonText, MaybeJson};
use crate::problem::{Code, Problem};
use crate::wire::{
    AddedServers, AgentItem, CallRecordItem, EntryReport, ResetBody, ResetReport, ServerItem, Sharing,
    ToolSetting, ToolStatItem,
};

/// The most records that one request gets.
const MOST_RECORDS: usize = 10_000;

/// Lists the agents that have servers. An agent sees only itself.
#[utoipa::path(
    get, path = "/agents", tag = "agents",
    responses((status = 200, body = Vec<AgentItem>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn agents(Entered { context, .. }: Entered) -> Json<Vec<AgentItem>> {
    Json(context.agents().into_iter().map(AgentItem::from).collect())
}

/// A server and an agent in the path.
#[derive(Debug, Deserialize)]
pub(crate) struct SharePath {
    name: String,
    agent: String,
}

impl SharePath {
    fn names(&self) -> Result<(ServerName, AgentId), Problem> {
        let server = named("name", ServerName::try_new(&self.name))?;
        Ok((server, named("agent", AgentId::try_new(&self.agent))?))
    }
}

/// Lets an agent use a server of the store, without a process of its own.
#[utoipa::path(
    put, path = "/servers/{name}/agents/{agent}", tag = "agents",
    params(("name" = String, Path), ("agent" = String, Path)),
    responses((status = 200, body = Sharing), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn share(
    Entered { context, access }: Entered,
    ApiPath(path): ApiPath<SharePath>,
) -> Result<Json<Sharing>, Problem> {
    access.to_store("sharing a server")?;
    let (server, agent) = path.names()?;
    context.assign(&server, &agent).await?;
    Ok(Json(Sharing { server_name: path.name, agent: path.agent, shared: true }))
}

/// Takes a server of the store away from an agent.
#[utoipa::path(
    delete, path = "/servers/{name}/agents/{agent}", tag = "agents",
    params(("name" = String, Path), ("agent" = String, Path)),
    responses((status = 200, body = Sharing), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn unshare(
    Entered { context, access }: Entered,
    ApiPath(path): ApiPath<SharePath>,
) -> Result<Json<Sharing>, Problem> {
    access.to_store("sharing a server")?;
    let (server, agent) = path.names()?;
    context.unassign(&server, &agent).await?;
    Ok(Json(Sharing { server_name: path.name, agent: path.agent, shared: false }))
}

/// Replaces the entry of a configured server. Needs a token for the store.
#[utoipa::path(
    put, path = "/servers/{name}", tag = "servers", params(("name" = String, Path)), request_body = Object,
    responses((status = 200, body = ServerItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn replace(
    Entered { context, access }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
    ApiJson(entry): ApiJson<Map<String, Value>>,
) -> Result<axum::response::Response, Problem> {
    access.to_store("changing a command or URL")?;
    let server = context.replace(&path.server()?, Value::Object(entry)).await?;
    Ok(super::servers::shown(&server))
}

/// Changes some members of the entry of a configured server (RFC 7396: `null` takes one away).
/// Needs a token for the store.
#[utoipa::path(
    patch, path = "/servers/{name}", tag = "servers", params(("name" = String, Path)), request_body = Object,
    responses((status = 200, body = ServerItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn patch(
    Entered { context, access }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
    ApiJson(members): ApiJson<Map<String, Value>>,
) -> Result<axum::response::Response, Problem> {
    access.to_store("changing a command or URL")?;
    let server = context.patch(&path.server()?, Value::Object(members)).await?;
    Ok(super::servers::shown(&server))
}

/// Shows the entry of a configured server, with `…` for what may be secret.
#[utoipa::path(
    get, path = "/servers/{name}/entry", tag = "servers", params(("name" = String, Path)),
    responses((status = 200, body = EntryReport), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn entry(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
) -> Result<Json<EntryReport>, Problem> {
    let entry = context.entry(&path.server()?).await?;
    Ok(Json(EntryReport { name: path.name, entry: entry.as_ref().map(masked) }))
}

/// Shows what this context configured, in the form of `mcp.json`, with `…` for what may be secret.
#[utoipa::path(
    get, path = "/config", tag = "configuration",
    responses((status = 200, body = Object), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn config(Entered { context, .. }: Entered) -> Result<Json<Value>, Problem> {
    Ok(Json(masked(&context.config().await?)))
}

/// Adds servers to `mcp.json` in any form: one with its `name`, a list, `{"mcpServers": …}`, a map
/// of names to entries, names of servers of the store, or any of it as JSON text.
///
/// Each entry counts by itself: what failed is told beside what was added. Needs a token for the
/// store.
#[utoipa::path(
    post, path = "/config/servers", tag = "configuration", request_body = Object,
    responses((status = 200, body = AddedServers), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn add_all(
    Entered { context, access }: Entered,
    JsonText(text): JsonText,
) -> Result<Json<AddedServers>, Problem> {
    access.to_store("adding commands or URLs")?;
    // All of it may be one JSON text in another.
    let text = serde_json::from_str(&text).unwrap_or(text);
    let taken = intake_text(&text).map_err(|error| Problem::new(Code::InvalidEntry, chain(&error)))?;
    Ok(Json(AddedServers::from(context.add_all(taken).await)))
}

/// Forgets what this context configured and registered, and what else is asked for. Scripts stay.
/// Needs a token for the store where agents lose something by it.
#[utoipa::path(
    post, path = "/config/reset", tag = "configuration", request_body = ResetBody,
    responses((status = 200, body = ResetReport), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn reset(
    Entered { context, access }: Entered,
    MaybeJson(ResetBody { agents, shares, tools, conversations }): MaybeJson<ResetBody>,
) -> Result<Json<ResetReport>, Problem> {
    if *context.scope() == Scope::Store {
        access.to_store("resetting the store")?;
    }
    let removed = context.reset(Reset { agents, shares, tools }).await?;
    let forgotten = if conversations { context.forget_conversations().await? } else { 0 };
    Ok(Json(ResetReport::of(context.scope(), &removed, forgotten)))
}

/// Shows what this context says about a tool on top of what its server says.
#[utoipa::path(
    get, path = "/tools/{name}/settings", tag = "tools",
    params(("name" = String, Path, description = "its full name, or its bare name where that is clear"), OfServer),
    responses((status = 200, body = Object), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn tool_settings(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ToolPath>,
    ApiQuery(of): ApiQuery<OfServer>,
) -> Result<Json<ToolSettings>, Problem> {
    let tool = context.tool_settings(&path.name, of.server_name.as_deref())?;
    Ok(Json(tool.settings().clone()))
}

/// Says how a tool shows in this context: disabled, under another name, with other words.
/// Other contexts see it as before; an empty object undoes what was said.
#[utoipa::path(
    put, path = "/tools/{name}/settings", tag = "tools", request_body = Object,
    params(("name" = String, Path, description = "its full name, or its bare name where that is clear"), OfServer),
    responses((status = 200, body = ToolSetting), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn set_tool(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ToolPath>,
    ApiQuery(of): ApiQuery<OfServer>,
    ApiJson(settings): ApiJson<ToolSettings>,
) -> Result<Json<ToolSetting>, Problem> {
    let tool = context.set_tool(&path.name, of.server_name.as_deref(), settings).await?;
    Ok(Json(ToolSetting::from(&tool)))
}

/// Which records are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Calls of this server.
    server_name: Option<String>,
    /// Calls of tools with this own name.
    tool_name: Option<String>,
    /// Calls that ended so: `ok`, `tool_error`, `failed` or `unknown`.
    #[param(value_type = Option<String>)]
    outcome: Option<Outcome>,
    /// Calls that ended at this moment or later.
    since: Option<String>,
    /// How many at most; 100 where nothing is said, never more than 10,000.
    limit: Option<usize>,
}

/// Lists how calls of this context ended, newest first. The store sees those of all contexts.
#[utoipa::path(
    get, path = "/calls", tag = "statistics", params(Wanted),
    responses((status = 200, body = Vec<CallRecordItem>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn calls(
    Entered { context, .. }: Entered,
    ApiQuery(wanted): ApiQuery<Wanted>,
) -> Result<Json<Vec<CallRecordItem>>, Problem> {
    let since = wanted.since.map(|text| text.parse::<Timestamp>()).transpose();
    let since = since.map_err(|error| Problem::field(Code::InvalidRequest, "since", error))?;
    let server = match &wanted.server_name {
        Some(name) => {
            Some(context.server(&named("server_name", ServerName::try_new(name))?)?.entry.key.clone())
        }
        None => None,
    };
    let limit = wanted.limit.unwrap_or(100).clamp(1, MOST_RECORDS);
    let filter = CallFilter { server, tool: wanted.tool_name, outcome: wanted.outcome, since, limit };
    let records = context.calls(&filter).await?;
    Ok(Json(records.iter().map(|record| CallRecordItem::of(context.scope(), record)).collect()))
}

/// Lists every tool with what became of its calls since the hub was opened.
#[utoipa::path(
    get, path = "/stats/tools", tag = "statistics",
    responses((status = 200, body = Vec<ToolStatItem>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn tool_stats(Entered { context, .. }: Entered) -> Json<Vec<ToolStatItem>> {
    let stats = context.tool_stats();
    let tools = context.all_tools();
    let item = |tool| ToolStatItem::of(tool, stats.get(&tool.key()).copied().unwrap_or_default());
    Json(tools.iter().map(item).collect())
}
