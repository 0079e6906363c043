//! Which method does what.
//!
//! One file a family of methods: what a client [`greet`]s by, [`lists`], [`calls`] and what else is
//! passed to one server, [`listen`]ing, [`tasks`] and the [`bridge`] between theirs.

mod about;
mod again;
mod bridge;
mod calls;
mod faults;
mod greet;
mod listen;
mod lists;
mod tasks;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::caller::{Caller, Life};
use crate::endpoint::Endpoint;
use crate::message::{Fault, Id, Params, Request, notification};
use crate::session::Session;

pub(crate) use self::faults::wire_fault;
pub(crate) use self::greet::{greeting, introduced};
pub(crate) use self::lists::FIRST_CONTACT;

/// Answers a request. Dropping the future cancels it.
pub(crate) async fn answer(endpoint: &Endpoint, caller: Caller, request: Request) -> Result<Value, Fault> {
    let life = caller.life.clone();
    match (request.method.as_str(), &life) {
        ("tools/call", _) => calls::call_tool(endpoint, &caller, request).await,
        ("tools/list" | "resources/list" | "resources/templates/list" | "prompts/list", _) => {
            lists::list(endpoint, &caller, &request).await
        }
        ("resources/read", _) => calls::read_resource(endpoint, &caller, request).await,
        ("prompts/get", _) => calls::get_prompt(endpoint, &caller, request).await,
        ("completion/complete", _) => calls::complete(endpoint, &caller, request).await,
        ("tasks/get" | "tasks/cancel", _)
        | ("tasks/result" | "tasks/list", Life::Session(_))
        | ("tasks/update", Life::Stateless(_)) => tasks::answer(endpoint, &caller, request).await,

        ("ping", Life::Session(_)) => Ok(json!({})),
        ("logging/setLevel", Life::Session(session)) => calls::set_level(endpoint, session, &request).await,
        ("resources/subscribe", Life::Session(session)) => {
            crate::watch::subscribe(endpoint, session, &request.params).await
        }
        ("resources/unsubscribe", Life::Session(session)) => {
            crate::watch::unsubscribe(endpoint, session, &request.params).await
        }

        ("server/discover", Life::Stateless(_)) => Ok(greet::discovery(endpoint).await),
        ("subscriptions/listen", Life::Stateless(_)) => listen::listen(endpoint, &caller, &request).await,

        // Of the other life.
        (
            "initialize"
            | "ping"
            | "logging/setLevel"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "tasks/result"
            | "tasks/list"
            | "tasks/update"
            | "server/discover"
            | "subscriptions/listen",
            _,
        ) => Err(Fault::no_method(&request.method)),
        _ => calls::pass_unknown(endpoint, &caller, request).await,
    }
}

/// Takes a notification of a client with a session.
pub(crate) fn noted(endpoint: &Endpoint, session: &Arc<Session>, method: &str, params: Params) {
    match method {
        "notifications/cancelled" => {
            // What is not under way here may be at another hub.
            if let Some(id) = params.get("requestId").cloned().and_then(Id::read)
                && !session.cancel(&id)
            {
                session.pass_on(notification(method, Value::Object(params)));
            }
        }
        // Roots are asked for when a server wants them, never kept. Nobody waits for the others.
        _ => tracing::trace!(method, mode = %endpoint.mode(), "a notification of a client"),
    }
}
