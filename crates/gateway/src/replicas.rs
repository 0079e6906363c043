//! Sessions that several hubs on one storage have in memory at once.
//!
//! A hub that stores a session, or ends it, tells the others its name; who has it in memory reads it
//! anew. So a client may speak to any of them: what it said to one holds at all.

use dormouse::{FromOthers, Storage};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tracing::debug;

use crate::gateway::Gateway;

/// Under which a session's name is told.
const SESSION: &str = "mcp_session";

/// Tells the other hubs that a session is not as it was.
pub(crate) async fn tell(storage: &dyn Storage, session: &str) {
    if !storage.is_shared() {
        return;
    }
    if let Err(error) = storage.tell(&json!({ SESSION: session })).await {
        debug!(%error, "other hubs are not told of a session");
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
                Ok(FromOthers::Told(told)) => {
                    if let Some(session) = told.get(SESSION).and_then(Value::as_str) {
                        reread(&gateway, session).await;
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
