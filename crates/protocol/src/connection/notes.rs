//! What a server says that belongs to no call, and the asking for it.

use std::sync::Arc;
use std::time::Duration;

use dormouse_types::ServerNote;
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::{Connection, after};
use crate::error::CallError;

impl Connection {
    /// Every notification of the server that belongs to no call, from now on. Who reads too slowly
    /// loses the oldest.
    pub fn notes(&self) -> broadcast::Receiver<Arc<ServerNote>> {
        self.inner.wire.notes.subscribe()
    }

    /// Asks the server to tell when a resource changes.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn subscribe(&self, uri: &str, deadline: Duration) -> Result<(), CallError> {
        let params = Map::from_iter([("uri".to_owned(), Value::from(uri))]);
        self.inner.request("resources/subscribe", Some(&params), after(deadline), None).await.map(drop)
    }

    /// Takes a subscription back.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn unsubscribe(&self, uri: &str, deadline: Duration) -> Result<(), CallError> {
        let params = Map::from_iter([("uri".to_owned(), Value::from(uri))]);
        self.inner.request("resources/unsubscribe", Some(&params), after(deadline), None).await.map(drop)
    }
}
