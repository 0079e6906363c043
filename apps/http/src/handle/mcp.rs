//! The endpoints for MCP clients. What they say is the gateway's; here they are found.

use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use dormouse_gateway::http::{Limits, refused, serve};
use dormouse_gateway::{Endpoint, Mode};
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::domain::{Context, Scope};
use crate::extract::Entered;

/// What an address says of the endpoint.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    mode: Option<String>,
    server: Option<String>,
}

/// Takes a message of an MCP client.
///
/// The Streamable HTTP transport of every revision: with sessions up to 2025-11-25, without from
/// 2026-07-28 on. Answers are JSON, or a stream of events.
#[utoipa::path(
    post, path = "/mcp", tag = "mcp",
    params(
        ("mode" = Option<String>, Query, description = "`all` (every tool), `search` (three tools: find, describe, call) or `single`; the settings' mode without it"),
        ("server" = Option<String>, Query, description = "the one server of the mode `single`"),
        ("Mcp-Session-Id" = Option<String>, Header, description = "the session, as the answer to `initialize` named it"),
        ("MCP-Protocol-Version" = Option<String>, Header, description = "the revision that the client speaks"),
    ),
    request_body(content = Value, description = "a JSON-RPC message"),
    responses(
        (status = 200, body = Value, description = "the answer, or `text/event-stream` with it as the last event"),
        (status = 202, description = "a notification or an answer was taken"),
        (status = "default", body = Value, description = "a JSON-RPC error"),
    ),
)]
pub(crate) async fn post(app: State<App>, entered: Entered, request: Request) -> Response {
    served(&app, entered, request).await
}

/// Streams what a session's server says unasked, or the rest of a stream.
#[utoipa::path(
    get, path = "/mcp", tag = "mcp",
    params(
        ("Mcp-Session-Id" = String, Header, description = "the session"),
        ("Last-Event-ID" = Option<String>, Header, description = "the last event of a stream that broke off: the rest of that stream follows"),
    ),
    responses(
        (status = 200, body = Value, content_type = "text/event-stream"),
        (status = "default", body = Value, description = "a JSON-RPC error"),
    ),
)]
pub(crate) async fn get(app: State<App>, entered: Entered, request: Request) -> Response {
    served(&app, entered, request).await
}

/// Ends a session.
#[utoipa::path(
    delete, path = "/mcp", tag = "mcp",
    params(("Mcp-Session-Id" = String, Header, description = "the session")),
    responses((status = 204), (status = "default", body = Value, description = "a JSON-RPC error")),
)]
pub(crate) async fn delete(app: State<App>, entered: Entered, request: Request) -> Response {
    served(&app, entered, request).await
}

async fn served(app: &App, Entered { context, .. }: Entered, request: Request) -> Response {
    let limits = Limits { body: app.settings().max_body_bytes };
    match endpoint(app, context, request.uri()) {
        Ok(endpoint) => serve(&endpoint, request, limits).await.map(axum::body::Body::new),
        Err(response) => *response,
    }
}

/// The endpoint that an address means.
pub(crate) fn endpoint(app: &App, context: Context, uri: &Uri) -> Result<Endpoint, Box<Response>> {
    let refuse = |status, message: String, code: &str| {
        Box::new(
            refused(status, &message, json!({ "code": code })).map(axum::body::Body::new).into_response(),
        )
    };
    let mode = mode(app, &context, uri)
        .map_err(|message| refuse(StatusCode::BAD_REQUEST, message, "unknown_mode"))?;
    app.gateway()
        .endpoint(context, mode)
        .map_err(|error| refuse(StatusCode::NOT_FOUND, error.to_string(), "unknown_server"))
}

/// What an address asks for, or the settings say.
pub(super) fn mode(app: &App, context: &Context, uri: &Uri) -> Result<Mode, String> {
    let asked = match uri.query() {
        Some(_) => Query::<Asked>::try_from_uri(uri).map_err(|error| error.body_text())?.0,
        None => Asked::default(),
    };
    let agent = match context.scope() {
        Scope::Store => None,
        Scope::Agent(agent) => Some(agent),
    };
    let said = match (&asked.mode, &asked.server) {
        (None, None) => {
            let (mode, server) = app.hub().config().mcp.of(agent);
            Mode::of(Some(mode.as_str()), server)
        }
        (mode, server) => Mode::of(mode.as_deref(), server.as_deref()),
    };
    said.map_err(|error| error.to_string())
}
