//! The lists, from memory.

use std::time::Duration;

use dormouse::FeatureSource;
use serde_json::{Map, Value};

use crate::caller::{Caller, Life};
use crate::endpoint::Endpoint;
use crate::message::{Fault, Request};
use crate::mode::Mode;
use crate::revision::Revision;

/// How long a list may be kept by a client. Who listens hears of changes sooner.
const TTL_MS: u64 = 60_000;
/// Lists are those of one context.
pub(super) const SCOPE: &str = "private";
/// How long what a client sees waits for servers that are contacted for the first time ever: many
/// clients look once, and ignore what comes later.
pub(crate) const FIRST_CONTACT: Duration = Duration::from_secs(5);

pub(super) async fn list(endpoint: &Endpoint, caller: &Caller, request: &Request) -> Result<Value, Fault> {
    match (request.method.as_str(), endpoint.mode()) {
        // Three tools, which are always there; the search waits for the others.
        ("tools/list", Mode::Search) => {}
        _ => first_contacts(endpoint).await,
    }
    let ttl_ms = match (request.method.as_str(), endpoint.mode()) {
        ("tools/list", Mode::Search) => TTL_MS,
        _ => ttl_ms(endpoint),
    };
    let lists = endpoint.lists();
    let (member, list) = match request.method.as_str() {
        "tools/list" => ("tools", &lists.tools),
        "resources/list" => ("resources", &lists.resources),
        "resources/templates/list" => ("resourceTemplates", &lists.templates),
        _ => ("prompts", &lists.prompts),
    };
    let cursor = match request.params.get("cursor") {
        None | Some(Value::Null) => None,
        Some(Value::String(cursor)) => Some(cursor.as_str()),
        Some(_) => return Err(Fault::invalid("`cursor` must be a text")),
    };
    let Some((mut page, next)) = list.page(cursor) else {
        return Err(Fault::invalid("`cursor` is none of this list"));
    };
    if member == "tools" && !caller.is_stateless() {
        lists.fit_to_session(&mut page);
        if knows_tasks(caller) {
            lists.mark_tasks(&mut page);
        }
    }
    let mut result = Map::with_capacity(5);
    result.insert(member.to_owned(), Value::Array(page));
    if let Some(next) = next {
        result.insert("nextCursor".to_owned(), Value::String(next));
    }
    if caller.is_stateless() {
        result.insert("resultType".to_owned(), Value::from("complete"));
        result.insert("ttlMs".to_owned(), Value::from(ttl_ms));
        result.insert("cacheScope".to_owned(), Value::from(SCOPE));
    }
    Ok(Value::Object(result))
}

/// How long a client may keep what is about to be made of what the servers said: not at all while
/// one is not known yet. Asked afterwards, it would be that of what is known a moment later.
pub(super) fn ttl_ms(endpoint: &Endpoint) -> u64 {
    let is_known = match endpoint.only() {
        Some(only) => {
            let catalog = endpoint.context().registry().snapshot();
            catalog.get(only).is_some_and(|entry| entry.source == FeatureSource::Live)
        }
        None => endpoint.context().connecting() == 0,
    };
    if is_known { TTL_MS } else { 0 }
}

/// Whether a client's revision has tasks that it asks for itself.
fn knows_tasks(caller: &Caller) -> bool {
    matches!(&caller.life, Life::Session(session) if session.revision() >= Revision::V2025_11_25)
}

/// Waits until the servers of this endpoint are known that never were before. What is shown then is
/// what is known by then.
pub(super) async fn first_contacts(endpoint: &Endpoint) {
    match endpoint.only() {
        Some(only) => endpoint.context().first_contact_of(only, FIRST_CONTACT).await,
        None => endpoint.context().first_contacts(FIRST_CONTACT).await,
    }
}
