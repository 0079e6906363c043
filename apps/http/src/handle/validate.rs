//! What is wrong with what is configured.

use axum::Json;

use crate::extract::Entered;
use crate::problem::Problem;
use crate::wire::ConfigFinding;

/// Tells what does not work as it is configured: entries of `mcp.json` that are no servers, and
/// parts of entries that do nothing. An agent is told of its own entries.
#[utoipa::path(
    get, path = "/config/validate", tag = "configuration",
    responses((status = 200, body = Vec<ConfigFinding>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn validate(Entered { context, .. }: Entered) -> Result<Json<Vec<ConfigFinding>>, Problem> {
    let problems = context.validate().await?;
    Ok(Json(problems.iter().map(|problem| ConfigFinding::of(context.scope(), problem)).collect()))
}
