//! Resources and prompts: list, read, get.

use std::time::Duration;

use axum::Json;
use axum::response::Response;
use serde_json::Value;

use super::listed;
use crate::extract::{ApiJson, Entered};
use crate::problem::Problem;
use crate::wire::{GetPrompt, OfferedItem, ReadResource};

/// Lists every resource of the context, with its server.
#[utoipa::path(
    get, path = "/resources", tag = "resources",
    responses((status = 200, body = Vec<OfferedItem>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn list(Entered { context, .. }: Entered) -> Response {
    let items: Vec<OfferedItem> = context.resources().iter().map(OfferedItem::of).collect();
    listed(&context, Json(items))
}

/// Lists every family of resources of the context, with its server.
#[utoipa::path(
    get, path = "/resources/templates", tag = "resources",
    responses((status = 200, body = Vec<OfferedItem>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn templates(Entered { context, .. }: Entered) -> Response {
    let items: Vec<OfferedItem> = context.resource_templates().iter().map(OfferedItem::of).collect();
    listed(&context, Json(items))
}

/// Reads a resource, waking its server if need be. The answer is MCP's.
#[utoipa::path(
    post, path = "/resources/read", tag = "resources", request_body = ReadResource,
    responses((status = 200, body = Object), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn read(
    Entered { context, .. }: Entered,
    ApiJson(ReadResource { uri, server_name, timeout_ms }): ApiJson<ReadResource>,
) -> Result<Json<Value>, Problem> {
    let deadline = timeout_ms.map(Duration::from_millis);
    Ok(Json(context.read_resource(server_name.as_deref(), &uri, deadline).await?))
}

/// Lists every prompt of the context, with its server.
#[utoipa::path(
    get, path = "/prompts", tag = "resources",
    responses((status = 200, body = Vec<OfferedItem>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn prompts(Entered { context, .. }: Entered) -> Response {
    let items: Vec<OfferedItem> = context.prompts().iter().map(OfferedItem::of).collect();
    listed(&context, Json(items))
}

/// Gets a prompt, waking its server if need be. The answer is MCP's.
#[utoipa::path(
    post, path = "/prompts/get", tag = "resources", request_body = GetPrompt,
    responses((status = 200, body = Object), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn prompt(
    Entered { context, .. }: Entered,
    ApiJson(GetPrompt { name, server_name, arguments, timeout_ms }): ApiJson<GetPrompt>,
) -> Result<Json<Value>, Problem> {
    let deadline = timeout_ms.map(Duration::from_millis);
    Ok(Json(context.prompt(server_name.as_deref(), &name, &arguments, deadline).await?))
}
