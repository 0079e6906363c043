//! The stream of everything that changes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures::{StreamExt, stream};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::sent;
use crate::app::App;
use crate::domain::Context;
use crate::extract::Entered;
use crate::journal::{Numbered, Subscription};
use crate::problem::Problem;
use crate::wire::{HubEvent, Lagged};

/// Streams everything that changes.
///
/// Each event has an id; whoever comes back with it as `Last-Event-ID` gets what was missed, as
/// far as it is kept. `lagged` says that events are missing: look at the lists then.
#[utoipa::path(
    get, path = "/events", tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "the id of the last event that was seen")),
    responses(
        (status = 200, body = HubEvent, content_type = "text/event-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn events(
    State(app): State<App>,
    Entered { context, .. }: Entered,
    headers: HeaderMap,
) -> impl IntoResponse {
    let last_id = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let Subscription { gap, kept, news } = app.journal().subscribe(app.hub(), last_id);
    let gap = gap.map(|missed| Told { id: None, event: HubEvent::Lagged(Lagged { missed }) });
    let missed = stream::iter(gap);
    let kept = stream::iter(kept).filter_map({
        let (app, context) = (app.clone(), context.clone());
        move |numbered| std::future::ready(told(&app, &context, &numbered).map(Told::from))
    });
    let ending = app.settings().ending.clone();
    let to_come = stream::unfold((news, app, context), |(mut news, app, context)| async move {
        let told = next(&mut news, &app, &context).await?;
        Some((told, (news, app, context)))
    });
    let all = missed.chain(kept).chain(to_come).map(|told| Ok::<_, Infallible>(as_event(told)));
    Sse::new(all.take_until(ending.cancelled_owned())).keep_alive(KeepAlive::default())
}

struct Told {
    id: Option<String>,
    event: HubEvent,
}

impl From<(String, HubEvent)> for Told {
    fn from((id, event): (String, HubEvent)) -> Self {
        Self { id: Some(id), event }
    }
}

/// The next event of this context; `None` when the hub has ended.
async fn next(news: &mut broadcast::Receiver<Arc<Numbered>>, app: &App, context: &Context) -> Option<Told> {
    loop {
        match news.recv().await {
            Ok(numbered) => {
                if let Some(told) = told(app, context, &numbered) {
                    return Some(told.into());
                }
            }
            Err(RecvError::Lagged(missed)) => {
                return Some(Told { id: None, event: HubEvent::Lagged(Lagged { missed: Some(missed) }) });
            }
            Err(RecvError::Closed) => return None,
        }
    }
}

/// An event with its id, as this context sees it; `None` when it does not concern it.
pub(super) fn told(app: &App, context: &Context, numbered: &Numbered) -> Option<(String, HubEvent)> {
    let event = match &numbered.event {
        Ok(event) if !context.hears(event) => return None,
        Ok(event) => HubEvent::of(context.scope(), event),
        Err(missed) => HubEvent::Lagged(Lagged { missed: Some(*missed) }),
    };
    Some((app.journal().id(numbered.number), event))
}

fn as_event(told: Told) -> SseEvent {
    let event = sent(&told.event);
    match told.id {
        Some(id) => event.id(id),
        None => event,
    }
}
