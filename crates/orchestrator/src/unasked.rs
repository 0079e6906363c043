//! What servers say while nobody calls them.

use std::convert::Infallible;
use std::sync::Arc;

use dormouse_protocol::Connection;
use dormouse_types::{ServerKey, ServerNote};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::instance::Instance;
use crate::orchestrator::Orchestrator;

/// How much of it waits for who reads slowly.
pub(crate) const WAITING: usize = 256;

/// What a server said that belongs to no call.
#[derive(Debug, Clone)]
pub struct Unasked {
    /// The server. What a process said that several servers share comes once for each of them, and is
    /// one note.
    pub server: ServerKey,
    /// What it said, and whom it may concern.
    pub note: Arc<ServerNote>,
}

impl Orchestrator {
    /// What all servers say that belongs to no call, from now on. Who reads too slowly loses the
    /// oldest. It wakes no server, and keeps none awake.
    pub fn unasked(&self) -> broadcast::Receiver<Unasked> {
        self.engine().unasked.subscribe()
    }
}

impl Instance {
    /// Passes on what the server says that belongs to no call, as long as somebody waits for it.
    pub(crate) async fn overhear(&self, connection: &Connection) -> Infallible {
        let mut notes = connection.notes();
        loop {
            match notes.recv().await {
                Ok(note) => {
                    // Fails when nobody listens.
                    let _ = self.engine().unasked.send(Unasked { server: self.key().clone(), note });
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
