//! Signing in at servers at URLs: begin, look or wait, forget.

use std::time::Duration;

use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ServerPath;
use crate::extract::{ApiPath, ApiQuery, Entered};
use crate::problem::Problem;
use crate::wire::SignInItem;

/// The longest wait for a person.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// Begins to sign in at a server, for a person at a browser on the hub's machine.
///
/// A sign-in that waits for the person already is given again. Once they have signed in, the
/// server is started.
#[utoipa::path(
    post, path = "/servers/{name}/login", tag = "servers", params(("name" = String, Path)),
    responses((status = 200, body = SignInItem), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn login(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
) -> Result<Json<SignInItem>, Problem> {
    let begun = context.login(&path.server()?).await?;
    Ok(Json(SignInItem::of(path.name, begun)))
}

/// Whether to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Patience {
    /// How long to wait at most while a sign-in waits for a person; never longer than ten minutes.
    #[serde(default)]
    #[param(default = 0, maximum = 600_000)]
    timeout_ms: u64,
}

/// Tells how it stands with signing in at a server; waits for a person who is at it, if asked to.
#[utoipa::path(
    get, path = "/servers/{name}/login", tag = "servers", params(("name" = String, Path), Patience),
    responses((status = 200, body = SignInItem), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn sign_in(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
    ApiQuery(Patience { timeout_ms }): ApiQuery<Patience>,
) -> Result<Json<SignInItem>, Problem> {
    let name = path.server()?;
    let patience = Duration::from_millis(timeout_ms).min(LONGEST_WAIT);
    let now = match tokio::time::timeout(patience, context.wait_sign_in(&name)).await {
        Ok(then) => then?,
        Err(_) => context.sign_in(&name).await?,
    };
    Ok(Json(SignInItem::of(path.name, now)))
}

/// Forgets what was granted at a server's address, and gives up a sign-in that waits.
#[utoipa::path(
    delete, path = "/servers/{name}/login", tag = "servers", params(("name" = String, Path)),
    responses((status = 200, body = SignInItem), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn logout(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ServerPath>,
) -> Result<Json<SignInItem>, Problem> {
    let then = context.logout(&path.server()?).await?;
    Ok(Json(SignInItem::of(path.name, then)))
}
