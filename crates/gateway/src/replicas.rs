//! Sessions that several hubs on one storage have in memory at once.
//!
//! A hub that stores a session, or ends it, tells the others its name; who has it in memory reads it
//! anew. So a client may speak to any of them: what it said to one holds at all.
//!
//! An answer, or a cancellation, that comes to a hub which has nothing it could be for is told to
//! the others. The ids of questions begin somewhere at each hub, and a client gives the id of a
//! request once: so one hub at most has what it is for, and only that one heeds it.

use std::sync::Arc;

use dormouse::{FromOthers, Storage};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tracing::debug;

use crate::gateway::Gateway;
use crate::message::{Id, Incoming};

/// Under which a session's name is told.
const SESSION: &str = "mcp_session";
/// Under which a message of a client is told, with the name of its session.
const MESSAGE: &str = "mcp_message";

/// Beside the name of a session that is over.
const ENDED: &str = "ended";

/// Tells the other hubs that a session is over. Who has it in memory may have been writing it at that
/// moment, and takes it away again.
pub(crate) async fn tell_ended(storage: &dyn Storage, session: &str) {
    if !storage.is_shared() {
        return;
    }
    if let Err(error) = storage.tell(&json!({ SESSION: session, ENDED: true })).await {
        debug!(%error, "other hubs are not told that a session is over");
    }
}

/// Tells the other hubs that a session is not as it was.
pub(crate) async fn tell(storage: &dyn Storage, session: &str) {
    if !storage.is_shared() {
        return;
    }
    if let Err(error) = storage.tell(&json!({ SESSION: session })).await {
        debug!(%error, "other hubs are not told of a session");
    }
}

/// Tells the other hubs what a client said that is for nothing here.
pub(crate) fn pass_on(storage: &Arc<dyn Storage>, session: &str, message: Value) {
    if !storage.is_shared() {
        debug!("a client answered what was not asked, or cancelled what does not run");
        return;
    }
    let storage = Arc::clone(storage);
    let told = json!({ MESSAGE: { "session": session, "message": message } });
    // Ends with one message.
    tokio::spawn(async move {
        if let Err(error) = storage.tell(&told).await {
            debug!(%error, "other hubs are not told what a client said");
        }
    });
}

/// Takes what a client said at another hub, if it is for something here.
fn hear(gateway: &Gateway, told: &mut Value) {
    let Some(session) = told["session"].as_str().and_then(|id| gateway.sessions().in_memory(id)) else {
        return;
    };
    match Incoming::read(told["message"].take()) {
        Ok(Incoming::Answer { id, answer }) => drop(session.answered(&id, answer)),
        Ok(Incoming::Notification { method, params }) if method == "notifications/cancelled" => {
            if let Some(id) = params.get("requestId").cloned().and_then(Id::read) {
                session.cancel(&id);
            }
        }
        // A newer hub may tell more.
        Ok(_) | Err(_) => debug!("another hub tells what is not understood"),
    }
}

/// Takes up what other hubs tell of sessions, until the gateway ends.
pub(crate) fn follow(gateway: &Gateway, storage: &dyn Storage) {
    let Some(mut feed) = storage.feed() else { return };
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let (ending, shared) = (gateway.ending().clone(), gateway.downgrade());
    // Ends with the gateway.
    runtime.spawn(async move {
        loop {
            let heard = tokio::select! {
                () = ending.cancelled() => return,
                heard = feed.recv() => heard,
            };
            let Some(gateway) = shared.upgrade().map(Gateway::from) else { return };
            match heard {
                Ok(FromOthers::Told(mut told)) => {
                    let is_over = told.get(ENDED).is_some_and(|ended| *ended == true);
                    match told.get(SESSION).and_then(Value::as_str) {
                        Some(session) if is_over => end(&gateway, session).await,
                        Some(session) => reread(&gateway, session).await,
                        None => {}
                    }
                    if let Some(message) = told.get_mut(MESSAGE) {
                        hear(&gateway, message);
                    }
                }
                Ok(FromOthers::Written(_)) => {}
                Ok(FromOthers::Missed) | Err(RecvError::Lagged(_)) => {
                    for session in gateway.sessions().names() {
                        reread(&gateway, &session).await;
                    }
                }
                Err(RecvError::Closed) => return,
            }
        }
    });
}

/// Ends a session that another hub has ended. Who has it in memory tells it on; the others do not.
async fn end(gateway: &Gateway, id: &str) {
    if !gateway.sessions().names().iter().any(|name| name == id) {
        return;
    }
    gateway.watches().leave(id);
    if let Err(error) = gateway.sessions().end(id).await {
        debug!(error.message, "a session that is over is still stored");
    }
}

async fn reread(gateway: &Gateway, id: &str) {
    let endpoint = gateway.changes().endpoint_of(id);
    match gateway.sessions().reread(id).await {
        Ok(Some(session)) => {
            if let Some(endpoint) = endpoint {
                crate::watch::agree(&endpoint, &session);
            }
        }
        Ok(None) => gateway.watches().leave(id),
        Err(error) => debug!(error.message, "a session is as it was here, for the moment"),
    }
}
