//! Servers: list, show, register, add, remove, attach, detach, restart, wait, output.

use std::path::Path;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::{ServerPath, listed, named};
use crate::domain::{ServerInfo, ServerName, ServerState};
use crate::extract::{ApiJson, ApiPath, ApiQuery, Entered};
use crate::problem::{Code, Problem};
use crate::wire::{AddServer, Disconnected, OutputReport, RegisterServer, Registered, ServerItem};

/// The longest wait for a state.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

pub(super) fn shown(server: &ServerInfo) -> Response {
    Json(ServerItem::from(server)).into_response()
}

/// Lists every server of the context by name, asleep or not, each with its tools.
#[utoipa::path(
    get, path = "/servers", tag = "servers",
    responses((status = 200, body = Vec<ServerItem<'static>>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn list(Entered { context, .. }: Entered) -> Response {
    let servers = context.servers();
    let items: Vec<ServerItem<'_>> = servers.iter().map(ServerItem::from).collect();
    listed(&context, Json(&items))
}

/// Shows one server.
#[utoipa::path(
    get, path = "/servers/{name}", tag = "servers", params(("name" = String, Path)),
    responses((status = 200, body = ServerItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn show(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
) -> Result<Response, Problem> {
    Ok(shown(&context.server(&path.server()?)?))
}

/// Registers a script of a drop folder under a name.
///
/// The same name and script again is no error; the same name and another script is a conflict.
#[utoipa::path(
    post, path = "/servers/register", tag = "servers", request_body = RegisterServer,
    responses((status = 200, body = Registered), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn register(
    Entered { context, .. }: Entered,
    ApiJson(asked): ApiJson<RegisterServer>,
) -> Result<Json<Registered>, Problem> {
    let name = named("name", ServerName::try_new(&asked.name))?;
    let server = context.register(name, Path::new(&asked.script_path)).await?;
    let tools = server.tools.iter().map(|tool| tool.tool().name.to_string()).collect();
    Ok(Json(Registered { name: server.name, tools_discovered: tools }))
}

/// Adds a server that is a command or URL to `mcp.json`, or replaces the entry of that name.
///
/// It is contacted once in the background, and sleeps then. Needs a token for the store.
#[utoipa::path(
    post, path = "/servers", tag = "servers", request_body = AddServer,
    responses((status = 201, body = ServerItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn add(
    Entered { context, access }: Entered,
    ApiJson(asked): ApiJson<AddServer>,
) -> Result<Response, Problem> {
    access.to_store("adding a command or URL")?;
    let name = named("name", ServerName::try_new(&asked.name))?;
    let server = context.add(name, Value::Object(asked.entry)).await?;
    Ok((StatusCode::CREATED, shown(&server)).into_response())
}

/// What is to be removed beside the server.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Removal {
    /// Whether the script itself is deleted too. Needs a token for the store.
    #[serde(default)]
    file: bool,
}

/// Removes a registration or a configured entry.
///
/// A script that was only dropped is put to sleep, and its file stays.
#[utoipa::path(
    delete, path = "/servers/{name}", tag = "servers", params(("name" = String, Path), Removal),
    responses((status = 200, body = Disconnected), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn remove(
    Entered { context, access }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
    ApiQuery(removal): ApiQuery<Removal>,
) -> Result<Json<Disconnected>, Problem> {
    if removal.file {
        access.to_store("deleting a script")?;
    }
    context.remove(&path.server()?, removal.file).await?;
    Ok(Json(Disconnected { disconnected: path.name }))
}

/// Wakes a server. It sleeps again after its linger.
#[utoipa::path(
    post, path = "/servers/{name}/attach", tag = "servers", params(("name" = String, Path)),
    responses((status = 200, body = ServerItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn attach(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
) -> Result<Response, Problem> {
    Ok(shown(&context.attach(&path.server()?).await?))
}

/// Puts a server to sleep. Calls that run finish first.
#[utoipa::path(
    post, path = "/servers/{name}/detach", tag = "servers", params(("name" = String, Path)),
    responses((status = 200, body = ServerItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn detach(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
) -> Result<Response, Problem> {
    Ok(shown(&context.detach(&path.server()?).await?))
}

/// Puts a server to sleep and wakes it again. Calls that run finish first.
#[utoipa::path(
    post, path = "/servers/{name}/restart", tag = "servers", params(("name" = String, Path)),
    responses((status = 200, body = ServerItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn restart(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
) -> Result<Response, Problem> {
    Ok(shown(&context.restart(&path.server()?).await?))
}

/// What to wait for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Awaited {
    /// The states that end the wait, with commas between them; `healthy` where nothing is said.
    /// `status` is the same.
    #[serde(alias = "status")]
    #[param(example = "healthy,dormant")]
    state: Option<String>,
    /// Wait until it is in another state than now, instead of for a certain one.
    #[serde(default)]
    change: bool,
    /// How long at most; never longer than ten minutes.
    #[serde(default = "default_wait")]
    #[param(default = 10_000, maximum = 600_000)]
    timeout_ms: u64,
}

fn default_wait() -> u64 {
    10_000
}

/// Waits until a server is in one of the states, or in another one than now.
///
/// Whoever waits for `healthy` wakes it.
#[utoipa::path(
    get, path = "/servers/{name}/wait", tag = "servers", params(("name" = String, Path), Awaited),
    responses((status = 200, body = ServerItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn wait(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
    ApiQuery(awaited): ApiQuery<Awaited>,
) -> Result<Response, Problem> {
    let name = path.server()?;
    let timeout = Duration::from_millis(awaited.timeout_ms).min(LONGEST_WAIT);
    let server = match (awaited.state, awaited.change) {
        (None, true) => context.wait_change(&name, timeout).await?,
        (Some(_), true) => {
            let detail = "wait for a `state` or for a `change`, not for both";
            return Err(Problem::field(Code::InvalidRequest, "change", detail));
        }
        (states, false) => {
            let states = states.unwrap_or_else(|| ServerState::Healthy.to_string());
            let states = states.split(',').map(state).collect::<Result<Vec<ServerState>, Problem>>()?;
            context.wait(&name, &states, timeout).await?
        }
    };
    Ok(shown(&server))
}

fn state(word: &str) -> Result<ServerState, Problem> {
    let word = word.trim();
    ServerState::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(|| {
        let known: Vec<&str> = ServerState::ALL.iter().map(|state| state.as_str()).collect();
        let detail = format!("`{word}` is no state; there are {}", known.join(", "));
        Problem::field(Code::InvalidRequest, "state", detail)
    })
}

/// Shows what a server's process printed beside MCP; an agent sees that of its own servers only.
#[utoipa::path(
    get, path = "/servers/{name}/output", tag = "servers", params(("name" = String, Path)),
    responses((status = 200, body = OutputReport), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn output(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
) -> Result<Json<OutputReport>, Problem> {
    let output = context.output(&path.server()?)?;
    Ok(Json(output.map(OutputReport::from).unwrap_or_default()))
}
