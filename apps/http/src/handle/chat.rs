//! Conversations.

use axum::Json;
use serde::Deserialize;

use super::named;
use crate::domain::SessionId;
use crate::extract::{ApiPath, Entered};
use crate::problem::Problem;
use crate::wire::{ChatMessage, Cleared};

/// A session id in the path; slashes in it come percent-encoded.
#[derive(Debug, Deserialize)]
pub(crate) struct SessionPath {
    session_id: String,
}

impl SessionPath {
    fn session(&self) -> Result<SessionId, Problem> {
        named("session_id", SessionId::try_new(&self.session_id))
    }
}

/// Returns a conversation, oldest message first.
///
/// At most its newest 50 messages; none for an unknown session id.
#[utoipa::path(
    get, path = "/chat/history/{session_id}", tag = "chat",
    params(("session_id" = String, Path, description = "1 to 256 characters, percent-encoded")),
    responses((status = 200, body = Vec<ChatMessage>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn history(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<SessionPath>,
) -> Result<Json<Vec<ChatMessage>>, Problem> {
    let messages = context.history(&path.session()?).await?;
    Ok(Json(messages.into_iter().map(ChatMessage::from).collect()))
}

/// Forgets a conversation.
///
/// An unknown one is no error.
#[utoipa::path(
    delete, path = "/chat/history/{session_id}", tag = "chat",
    params(("session_id" = String, Path, description = "1 to 256 characters, percent-encoded")),
    responses((status = 200, body = Cleared), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn clear(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<SessionPath>,
) -> Result<Json<Cleared>, Problem> {
    context.clear_history(&path.session()?).await?;
    Ok(Json(Cleared { cleared: path.session_id }))
}
