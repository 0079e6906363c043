//! A server held awake for somebody who listens to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dormouse_protocol as protocol;
use dormouse_types::{BackChannel, ServerKey, ServerNote};
use tokio::sync::broadcast;

use crate::error::LeaseError;
use crate::lease::Lease;
use crate::orchestrator::Orchestrator;

/// How long a server may take to note a subscription.
const TO_SUBSCRIBE: Duration = Duration::from_secs(30);

/// A server that does not sleep while this is held, and what it says unasked.
///
/// It holds one start of one version. Whoever holds it lets go when that is to end
/// ([`closed`](Self::closed)), and holds the server anew if he still wants it.
#[derive(Debug)]
pub struct Held {
    lease: Lease,
    /// What this one subscribed; taken back when it is dropped.
    subscribed: Mutex<Vec<String>>,
}

impl Orchestrator {
    /// Holds a server awake, waking it if need be.
    ///
    /// # Errors
    /// [`LeaseError`]
    pub async fn hold(&self, server: &ServerKey, back: &Arc<dyn BackChannel>) -> Result<Held, LeaseError> {
        Ok(Held { lease: self.lease(server, back).await?, subscribed: Mutex::default() })
    }
}

impl Held {
    /// The server.
    pub fn server(&self) -> &ServerKey {
        self.lease.server()
    }

    /// The number of the start that is held.
    pub fn generation(&self) -> u64 {
        self.lease.generation()
    }

    /// Whether the server speaks 2026-07-28.
    pub fn is_modern(&self) -> bool {
        self.lease.is_modern()
    }

    /// Every notification of the server that belongs to no call, from now on. Who reads too slowly
    /// loses the oldest.
    pub fn updates(&self) -> broadcast::Receiver<Arc<ServerNote>> {
        self.lease.connection().notes()
    }

    /// Asks the server to tell when a resource changes. Those who hold it share their
    /// subscriptions: each is counted. Dropping this takes its own back.
    ///
    /// # Errors
    /// [`protocol::CallError`]
    pub async fn subscribe(&self, uri: &str) -> Result<(), protocol::CallError> {
        self.lease.connection().subscribe(uri, TO_SUBSCRIBE).await?;
        self.subscribed().push(uri.to_owned());
        Ok(())
    }

    /// Takes one [`subscribe`](Self::subscribe) of this one back.
    ///
    /// # Errors
    /// [`protocol::CallError`]
    pub async fn unsubscribe(&self, uri: &str) -> Result<(), protocol::CallError> {
        let known = {
            let mut subscribed = self.subscribed();
            let place = subscribed.iter().position(|known| known == uri);
            place.map(|place| subscribed.swap_remove(place))
        };
        match known {
            Some(uri) => self.lease.connection().unsubscribe(&uri, TO_SUBSCRIBE).await,
            None => Ok(()),
        }
    }

    fn subscribed(&self) -> MutexGuard<'_, Vec<String>> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the server's process is gone, or would go if it were not held: it is to sleep or
    /// to stop, or a new version stands in its place. Cancel-safe.
    pub async fn closed(&self) {
        self.lease.leaving().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let subscribed = std::mem::take(&mut *self.subscribed());
        if subscribed.is_empty() {
            return;
        }
        let connection = self.lease.connection().clone();
        // Detached: a drop cannot wait. It ends with the answers, or with the connection.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                for uri in subscribed {
                    // A server that is gone has forgotten it by itself.
                    let _ = connection.unsubscribe(&uri, TO_SUBSCRIBE).await;
                }
            });
        }
    }
}
