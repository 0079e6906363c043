//! A server held awake for somebody who listens to it.

use std::sync::Arc;
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
}

impl Orchestrator {
    /// Holds a server awake, waking it if need be.
    ///
    /// # Errors
    /// [`LeaseError`]
    pub async fn hold(&self, server: &ServerKey, back: &Arc<dyn BackChannel>) -> Result<Held, LeaseError> {
        Ok(Held { lease: self.lease(server, back).await? })
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
    /// subscriptions: each is counted, and taken back once each of them did.
    ///
    /// # Errors
    /// [`protocol::CallError`]
    pub async fn subscribe(&self, uri: &str) -> Result<(), protocol::CallError> {
        self.lease.connection().subscribe(uri, TO_SUBSCRIBE).await
    }

    /// Takes one [`subscribe`](Self::subscribe) back.
    ///
    /// # Errors
    /// [`protocol::CallError`]
    pub async fn unsubscribe(&self, uri: &str) -> Result<(), protocol::CallError> {
        self.lease.connection().unsubscribe(uri, TO_SUBSCRIBE).await
    }

    /// Returns when the server's process is gone, or would go if it were not held: it is to sleep or
    /// to stop, or a new version stands in its place. Cancel-safe.
    pub async fn closed(&self) {
        self.lease.leaving().await;
    }
}
