//! Questions: the answer at once, or everything as it happens.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::http::HeaderMap;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;

use super::{named, sent};
use crate::domain::{Context, NoListener, QueryEvent, QueryListener, QueryRequest, Scope, SessionId};
use crate::extract::{ApiJson, Entered, wants_events};
use crate::problem::Problem;
use crate::wire::{Lagged, QueryAnswered, QueryAsked, QueryNews};

/// How many events wait for a client who reads slowly. Further ones are left out and counted;
/// the last one always comes.
const WAITING: usize = 1024;

/// Answers a question.
///
/// Chooses tools, wakes their servers, calls, and says what came of it; servers that were woken
/// sleep again after the answer. Faults of models and tools end in a truthful answer, not in an
/// error. With `Accept: text/event-stream` everything is told as it happens, see `QueryNews`.
/// Whoever hangs up cancels the query.
#[utoipa::path(
    post, path = "/query", tag = "query", request_body = QueryAsked,
    responses(
        (status = 200, content((QueryAnswered = "application/json"), (QueryNews = "text/event-stream"))),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn query(
    Entered { context, .. }: Entered,
    headers: HeaderMap,
    ApiJson(asked): ApiJson<QueryAsked>,
) -> Result<Response, Problem> {
    let session = named("session_id", SessionId::try_new(asked.session_id))?;
    let request = QueryRequest { query: asked.query, session };
    if wants_events(&headers) {
        let news = told(context, request).map(|news| Ok::<_, Infallible>(sent(&news)));
        return Ok(Sse::new(news).keep_alive(KeepAlive::default()).into_response());
    }
    let answer = context.query(request, Arc::new(NoListener)).await?;
    Ok(Json(QueryAnswered::of(context.scope(), answer)).into_response())
}

/// Everything that happens while a question is answered. Dropping the stream cancels the query.
fn told(context: Context, request: QueryRequest) -> impl Stream<Item = QueryNews> {
    let (news, told) = mpsc::channel(WAITING);
    let listener =
        Arc::new(Listener { scope: context.scope().clone(), news: news.clone(), missed: AtomicU64::new(0) });
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        let last = match context.query(request, listener.clone()).await {
            Ok(answer) => QueryNews::Answer(Box::new(QueryAnswered::of(context.scope(), answer))),
            Err(error) => QueryNews::Problem(error.into()),
        };
        let missed = listener.missed.load(Ordering::Relaxed);
        if missed > 0 {
            let _ = news.send(QueryNews::Lagged(Lagged { missed: Some(missed) })).await;
        }
        // The client may have hung up.
        let _ = news.send(last).await;
    }));
    ReceiverStream::new(told).map(move |news| {
        // Lives as long as the stream does.
        let _running = &task;
        news
    })
}

struct Listener {
    scope: Scope,
    news: mpsc::Sender<QueryNews>,
    missed: AtomicU64,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl QueryListener for Listener {
    fn notify(&self, event: QueryEvent) {
        let Some(news) = QueryNews::of(&self.scope, event) else { return };
        if self.news.try_send(news).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
