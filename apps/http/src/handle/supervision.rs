//! Supervision: checks, wishes, refresh, alerts, numbers, recent events, settings.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::servers::shown;
use super::{ServerPath, named};
use crate::app::App;
use crate::domain::{NewAlert, ServerName};
use crate::extract::{ApiJson, ApiPath, ApiQuery, Entered, MaybeJson};
use crate::problem::{Code, Problem};
use crate::wire::{
    AlertItem, CheckItem, ClearedAlerts, DisconnectBody, RaiseAlert, RecentEvent, ServerItem, StatsReport,
    SupervisionReport,
};

/// The longest reason of a disconnection, in characters: it stands in every list.
const LONGEST_REASON: usize = 500;
/// How many recent events are told where nothing is said.
const RECENT: usize = 100;
/// As many as are kept.
const MOST_RECENT: usize = crate::journal::KEPT;

/// Asks a server that is awake whether it answers, now. One that sleeps is not woken.
#[utoipa::path(
    post, path = "/servers/{name}/check", tag = "supervision", params(("name" = String, Path)),
    responses((status = 200, body = CheckItem), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn check(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
) -> Result<Json<CheckItem>, Problem> {
    let check = context.check(&path.server()?).await?;
    Ok(Json(CheckItem::of(path.name, check)))
}

/// Checks every server of the context at once. Of servers that the store shares with an agent it
/// tells what is known.
#[utoipa::path(
    post, path = "/check", tag = "supervision",
    responses((status = 200, body = Vec<CheckItem>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn check_all(Entered { context, .. }: Entered) -> Json<Vec<CheckItem>> {
    let checks = context.check_all().await;
    Json(checks.into_iter().map(|(name, check)| CheckItem::of(name, check)).collect())
}

/// Takes back that a server was disconnected, and wakes it. It sleeps again after its linger.
#[utoipa::path(
    post, path = "/servers/{name}/connect", tag = "supervision", params(("name" = String, Path)),
    responses((status = 200, body = ServerItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn connect(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
) -> Result<Response, Problem> {
    Ok(shown(&context.connect(&path.server()?).await?))
}

/// Stops a server until it is connected again, also over a restart of the hub.
///
/// Calls that run finish first, new ones fail. The answer comes when its process is gone.
#[utoipa::path(
    post, path = "/servers/{name}/disconnect", tag = "supervision",
    params(("name" = String, Path)), request_body = DisconnectBody,
    responses((status = 200, body = ServerItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn disconnect(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
    MaybeJson(DisconnectBody { reason }): MaybeJson<DisconnectBody>,
) -> Result<Response, Problem> {
    let length = reason.as_ref().map_or(0, |reason| reason.chars().count());
    if length > LONGEST_REASON {
        let detail = format!("`reason` has {length} characters; it may have at most {LONGEST_REASON}");
        return Err(Problem::field(Code::InvalidRequest, "reason", detail));
    }
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    Ok(shown(&context.disconnect(&path.server()?, reason).await?))
}

/// Reads anew what a server offers, waking it if need be.
#[utoipa::path(
    post, path = "/servers/{name}/refresh", tag = "supervision", params(("name" = String, Path)),
    responses((status = 200, body = ServerItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn refresh(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
) -> Result<Response, Problem> {
    Ok(shown(&context.refresh(&path.server()?).await?))
}

/// Lists what a person should look at, oldest first, at most 500. An agent sees what concerns the
/// servers that it sees.
#[utoipa::path(
    get, path = "/alerts", tag = "supervision",
    responses((status = 200, body = Vec<AlertItem>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn alerts(Entered { context, .. }: Entered) -> Json<Vec<AlertItem>> {
    Json(context.alerts().iter().map(|alert| AlertItem::of(context.scope(), alert)).collect())
}

/// Raises an alert: whoever listens is told, and it is listed with those that the hub raises.
#[utoipa::path(
    post, path = "/alerts", tag = "supervision", request_body = RaiseAlert,
    responses((status = 201, body = AlertItem), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn raise(
    Entered { context, .. }: Entered,
    ApiJson(asked): ApiJson<RaiseAlert>,
) -> Result<(StatusCode, Json<AlertItem>), Problem> {
    let RaiseAlert { level, title, message, server_name } = asked;
    let server = server_name.map(|name| named("server_name", ServerName::try_new(&name))).transpose()?;
    let alert = context.raise_alert(&NewAlert { level, title, message, server })?;
    Ok((StatusCode::CREATED, Json(AlertItem::of(context.scope(), &alert))))
}

/// Forgets all alerts. Only in the store.
#[utoipa::path(
    delete, path = "/alerts", tag = "supervision",
    responses((status = 200, body = ClearedAlerts), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn clear(Entered { context, .. }: Entered) -> Result<Json<ClearedAlerts>, Problem> {
    Ok(Json(ClearedAlerts { cleared: context.clear_alerts()? }))
}

/// Tells the context in numbers: servers by state, tools, calls, errors, alerts, and each server.
#[utoipa::path(
    get, path = "/stats", tag = "statistics",
    responses((status = 200, body = StatsReport), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn stats(Entered { context, .. }: Entered) -> Json<StatsReport> {
    Json(context.stats().into())
}

/// How many recent events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Recent {
    /// How many at most, the newest ones; from 1 to 1024.
    #[param(default = 100, minimum = 1, maximum = 1024)]
    limit: Option<usize>,
}

/// Lists what happened lately, oldest first, as far as it is kept.
#[utoipa::path(
    get, path = "/events/recent", tag = "events", params(Recent),
    responses((status = 200, body = Vec<RecentEvent>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn recent(
    State(app): State<App>,
    Entered { context, .. }: Entered,
    ApiQuery(Recent { limit }): ApiQuery<Recent>,
) -> Result<Json<Vec<RecentEvent>>, Problem> {
    let limit = limit.unwrap_or(RECENT);
    if !(1..=MOST_RECENT).contains(&limit) {
        let detail = format!("`limit` cannot be {limit}: it must be from 1 to {MOST_RECENT}");
        return Err(Problem::field(Code::InvalidRequest, "limit", detail));
    }
    let kept = app.journal().kept(app.hub());
    let told = kept.iter().rev().filter_map(|numbered| {
        let (id, event) = super::events::told(&app, &context, numbered)?;
        Some(RecentEvent { id, at: numbered.at.to_string(), event })
    });
    let mut events: Vec<RecentEvent> = told.take(limit).collect();
    events.reverse();
    Ok(Json(events))
}

/// Shows the thresholds and paces by which servers are watched, with their ranges.
#[utoipa::path(
    get, path = "/supervision", tag = "supervision",
    responses((status = 200, body = SupervisionReport), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn supervision(Entered { context, .. }: Entered) -> Json<SupervisionReport> {
    let defaults = context.orchestrator().supervision_defaults();
    Json(SupervisionReport::of(&context.supervision(), &defaults))
}

/// Changes some of them: an object of names and numbers. `null` takes back what was said.
///
/// They hold at once, and for hubs that open this space later. Of what is out of its range, each
/// setting is named with its value and range, and nothing is changed.
#[utoipa::path(
    patch, path = "/supervision", tag = "supervision", request_body = Object,
    responses((status = 200, body = SupervisionReport), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn set_supervision(
    Entered { context, .. }: Entered,
    ApiJson(patch): ApiJson<Map<String, Value>>,
) -> Result<Response, Problem> {
    let now = context.set_supervision(Value::Object(patch)).await?;
    let defaults = context.orchestrator().supervision_defaults();
    Ok(Json(SupervisionReport::of(&now, &defaults)).into_response())
}
