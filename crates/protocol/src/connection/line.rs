//! What a connection's requests go over: two pipes, or HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::sync::oneshot;

#[cfg(feature = "remote")]
use crate::remote::Link;
use crate::wire::{Answer, Outbox, Request, Ticket, notification};

/// The way of the hub's requests to one server.
#[derive(Debug)]
pub(super) enum Line {
    Pipe(Pipe),
    #[cfg(feature = "remote")]
    Http(Arc<Link>),
}

/// The pipe to a process.
#[derive(Debug)]
pub(super) struct Pipe {
    outbox: Arc<Outbox>,
    /// Known once the handshake is over.
    modern: AtomicBool,
}

impl Pipe {
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox, modern: AtomicBool::new(false) }
    }

    fn push(&self, mut text: Vec<u8>, ticket: Option<Arc<Ticket>>) -> std::io::Result<()> {
        text.push(b'\n');
        self.outbox.push(text, ticket)
    }
}

impl Line {
    /// Whether each request speaks for itself (2026-07-28).
    pub(super) fn is_modern(&self) -> bool {
        match self {
            Self::Pipe(pipe) => pipe.modern.load(Ordering::Relaxed),
            #[cfg(feature = "remote")]
            Self::Http(link) => link.is_modern(),
        }
    }

    /// Says how a server on pipes was met; the link to one at a URL knows by itself.
    pub(super) fn set_modern(&self, modern: bool) {
        match self {
            Self::Pipe(pipe) => pipe.modern.store(modern, Ordering::Relaxed),
            #[cfg(feature = "remote")]
            Self::Http(_) => {}
        }
    }

    /// Sends a request and waits for its answer; `None` when the line has ended before.
    pub(super) async fn exchange(
        &self,
        request: &Request<'_>,
        ticket: &Arc<Ticket>,
        answered: oneshot::Receiver<Answer>,
    ) -> Option<Answer> {
        match self {
            Self::Pipe(pipe) => {
                let text = request.text(self.is_modern());
                pipe.push(text, Some(Arc::clone(ticket))).ok()?;
                answered.await.ok()
            }
            #[cfg(feature = "remote")]
            Self::Http(link) => link.exchange(request, ticket, answered).await,
        }
    }

    /// Tells the server that nobody waits for an answer any more. Never waits.
    pub(super) fn cancel(&self, id: i64) {
        let params = json!({ "requestId": id, "reason": "nobody waits for the answer any more" });
        match self {
            Self::Pipe(_) => self.tell("notifications/cancelled", &params),
            // There the end of its stream is what tells the server, and that has come already.
            #[cfg(feature = "remote")]
            Self::Http(link) if link.is_modern() => {}
            #[cfg(feature = "remote")]
            Self::Http(_) => self.tell("notifications/cancelled", &params),
        }
    }

    /// Tells the server what needs no answer. Never waits; a server that is gone hears nothing.
    pub(super) fn tell(&self, method: &str, params: &Value) {
        match self {
            Self::Pipe(pipe) => drop(pipe.push(notification(method, params), None)),
            #[cfg(feature = "remote")]
            Self::Http(link) => link.begin_to_tell(notification(method, params)),
        }
    }
}
