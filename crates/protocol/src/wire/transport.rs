//! rmcp's transport over a server's two pipes.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::{Future, ready};
use std::io;
use std::sync::Arc;

use rmcp::RoleClient;
use rmcp::service::TxJsonRpcMessage;
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::net::unix::pipe;

use super::exchange::{Incoming, Stream, Wire};
use super::lines::{Found, LONGEST, Lines};
use super::outbox::Outbox;

/// The transport. rmcp owns it while the connection lasts.
pub(crate) struct StdioTransport {
    wire: Arc<Wire>,
    outbox: Arc<Outbox>,
    lines: Lines<pipe::Receiver>,
    /// The rest of a batch (an array of messages, as the revision of March 2025 allows).
    batch: VecDeque<Value>,
}

impl StdioTransport {
    pub(crate) fn new(wire: Arc<Wire>, outbox: Arc<Outbox>, stdout: pipe::Receiver) -> Self {
        Self { wire, outbox, lines: Lines::new(stdout, LONGEST), batch: VecDeque::new() }
    }
}

impl Transport<RoleClient> for StdioTransport {
    type Error = io::Error;

    fn name() -> Cow<'static, str> {
        "stdio".into()
    }

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        // Done before it returns: rmcp gives the future to a task of its own.
        ready(self.push(&item))
    }

    /// Cancel-safe: lines are kept by the reader, batches here.
    async fn receive(&mut self) -> Option<Incoming> {
        loop {
            if let Some(value) = self.batch.pop_front() {
                let taken = self.wire.accept(value, b"a part of a batch", Stream::Shared);
                if let Some(message) = taken.incoming() {
                    return Some(message);
                }
                continue;
            }
            let message = match self.lines.next().await {
                Ok(Found::Line(line)) => {
                    let line = self.lines.get(line);
                    self.wire.read(line, &mut self.batch)
                }
                Ok(Found::TooLong { bytes, head, tail }) => {
                    let why = format!("it has {bytes} bytes on one line, more than {LONGEST}");
                    self.wire.unreadable(&head, &tail, why);
                    None
                }
                Ok(Found::End) => return None,
                Err(error) => {
                    tracing::debug!(%error, "a server's standard output cannot be read");
                    return None;
                }
            };
            if message.is_some() {
                return message;
            }
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        self.outbox.close();
        Ok(())
    }
}

impl StdioTransport {
    /// Answers to the server: the hub's own requests do not come this way.
    fn push(&self, item: &TxJsonRpcMessage<RoleClient>) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(item)?;
        bytes.push(b'\n');
        self.outbox.push(bytes, None)
    }
}

/// Dropped with rmcp's loop, when the server's output has ended.
impl Drop for StdioTransport {
    fn drop(&mut self) {
        self.wire.flights.end();
    }
}
