//! `subscriptions/listen`: how a stateless client hears of changes.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use crate::changes::Listener;
use crate::endpoint::Endpoint;
use crate::message::{Fault, Request};

/// The most addresses that one subscription may name.
const MOST_WATCHED: usize = 1_000;

/// Runs until the client leaves, or the gateway ends: then it has a result.
pub(super) async fn listen(endpoint: &Endpoint, caller: &Caller, request: &Request) -> Result<Value, Fault> {
    let Some(Value::Object(filter)) = request.params.get("notifications") else {
        return Err(Fault::invalid("`notifications` must be an object"));
    };
    let wants = |name: &str| filter.get(name).and_then(Value::as_bool) == Some(true);
    let uris = match filter.get("resourceSubscriptions") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(uris)) if uris.len() <= MOST_WATCHED => {
            uris.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(_) => {
            let words = format!("`resourceSubscriptions` must be a list of at most {MOST_WATCHED} addresses");
            return Err(Fault::invalid(words));
        }
    };
    // What changes before it is acknowledged, while servers wake to be watched, is told afterwards.
    let seen = endpoint.lists().digests();
    let can = endpoint.capabilities(true);
    let changes = |kind: &str| can[kind]["listChanged"] == true;
    let listener = Arc::new(Listener {
        outlet: Arc::clone(&caller.outlet),
        id: request.id.clone(),
        tools: wants("toolsListChanged") && changes("tools"),
        resources: wants("resourcesListChanged") && changes("resources"),
        prompts: wants("promptsListChanged") && changes("prompts"),
        gone: CancellationToken::new(),
    });
    // However this ends, nobody is told any more; and then what nobody watches is let go.
    let _tidy = Tidy(endpoint);
    let _left = listener.gone.clone().drop_guard();
    let watchable = can["resources"]["subscribe"] == true;
    let watched = match watchable {
        true => crate::watch::listen(endpoint, &listener, uris).await,
        false => Vec::new(),
    };
    let mut accepted = Map::new();
    for (name, taken) in [
        ("toolsListChanged", listener.tools),
        ("promptsListChanged", listener.prompts),
        ("resourcesListChanged", listener.resources),
    ] {
        if taken {
            accepted.insert(name.to_owned(), Value::Bool(true));
        }
    }
    if watchable && filter.contains_key("resourceSubscriptions") {
        accepted.insert("resourceSubscriptions".to_owned(), json!(watched));
    }
    listener.tell("notifications/subscriptions/acknowledged", json!({ "notifications": accepted }));
    endpoint.gateway().changes().follow_listener(endpoint, Arc::clone(&listener), seen);
    tokio::select! {
        () = listener.gone.cancelled() => Err(Fault::cancelled()),
        () = endpoint.gateway().ending().cancelled() => Ok(json!({
            "resultType": "complete",
            "_meta": { "io.modelcontextprotocol/subscriptionId": request.id.to_value() },
        })),
    }
}

/// Lets servers go that nobody watches any more.
struct Tidy<'a>(&'a Endpoint);

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        self.0.gateway().watches().tidy();
    }
}
