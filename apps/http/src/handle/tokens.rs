//! Tokens: make, list, revoke.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::named;
use crate::app::App;
use crate::domain::{AgentId, Scope};
use crate::extract::{ApiJson, ApiPath};
use crate::problem::Problem;
use crate::wire::{CreateToken, MadeToken, Revoked, TokenItem};

/// Lists the tokens, without their secrets.
#[utoipa::path(
    get, path = "/tokens", tag = "tokens",
    responses((status = 200, body = Vec<TokenItem>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn list(State(app): State<App>) -> Json<Vec<TokenItem>> {
    Json(app.hub().tokens().list().into_iter().map(TokenItem::from).collect())
}

/// Makes a token, and shows its secret this one time.
///
/// From the first token on, every path but `/health` needs one.
#[utoipa::path(
    post, path = "/tokens", tag = "tokens", request_body = CreateToken,
    responses((status = 201, body = MadeToken), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn create(
    State(app): State<App>,
    ApiJson(asked): ApiJson<CreateToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    let scope = match asked.agent {
        Some(agent) => Scope::Agent(named("agent", AgentId::try_new(agent))?),
        None => Scope::Store,
    };
    let made = app.hub().tokens().create(&asked.name, scope).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// A token's name in the path.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenPath {
    name: String,
}

/// Revokes a token. It opens nothing from now on.
#[utoipa::path(
    delete, path = "/tokens/{name}", tag = "tokens", params(("name" = String, Path)),
    responses((status = 200, body = Revoked), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    ApiPath(path): ApiPath<TokenPath>,
) -> Result<Json<Revoked>, Problem> {
    app.hub().tokens().revoke(&path.name).await?;
    Ok(Json(Revoked { revoked: path.name }))
}
