//! The hub itself: health, metrics, doctor, rescan, cleaning.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use dormouse_telemetry::Telemetry;
use tracing::warn;

use crate::app::App;
use crate::domain::chain;
use crate::extract::Entered;
use crate::problem::{Code, Problem};
use crate::wire::{Cleaned, DoctorReport, HealthReport};

/// Tells how the hub fares. Needs no token at the root.
#[utoipa::path(
    get, path = "/health", tag = "hub",
    responses((status = 200, body = HealthReport), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn health(State(app): State<App>, Entered { context, .. }: Entered) -> Json<HealthReport> {
    let catalog = context.registry().snapshot();
    let (servers, tools) = (catalog.server_count(context.scope()), catalog.tool_count(context.scope()));
    let connecting = context.connecting();
    let background = app.settings().retire.is_some();
    Json(HealthReport::of(app.hub().health().await, servers, tools, connecting, background))
}

/// Shows what was measured, in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", tag = "hub",
    responses((status = 200, body = String, content_type = "text/plain"), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let Some(telemetry) = &app.settings().telemetry else {
        return Err(Problem::new(Code::NotFound, "this hub measures nothing"));
    };
    Ok(([(header::CONTENT_TYPE, Telemetry::CONTENT_TYPE)], telemetry.render()).into_response())
}

/// Tells what a person should know who wonders why something does not work.
#[utoipa::path(
    get, path = "/doctor", tag = "hub",
    responses((status = 200, body = DoctorReport), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn doctor(State(app): State<App>) -> Json<DoctorReport> {
    let hub = app.hub();
    let servers = hub.store().servers();
    let background = app.settings().retire.is_some();
    Json(DoctorReport::of(hub.space().root(), hub.doctor().await, hub.health().await, &servers, background))
}

/// Looks at drop folders and `mcp.json` now, without waiting for word of a change.
#[utoipa::path(
    post, path = "/rescan", tag = "hub",
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn rescan(State(app): State<App>) -> StatusCode {
    app.hub().rescan().await;
    StatusCode::NO_CONTENT
}

/// Removes Python environments that no script of this space needs and nobody uses.
#[utoipa::path(
    post, path = "/environments/clean", tag = "hub",
    responses((status = 200, body = Cleaned), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn clean(State(app): State<App>) -> Result<Json<Cleaned>, Problem> {
    match app.hub().collect_garbage().await {
        Ok(garbage) => Ok(Json(garbage.into())),
        Err(error) => {
            warn!(error = %chain(&error), "environments were not cleaned");
            Err(Problem::new(Code::FileFailed, error))
        }
    }
}
