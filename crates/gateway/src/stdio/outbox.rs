//! What waits to be written to a client that may read slowly.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::caller::Outlet;

/// How many bytes may wait. Then answers wait with their requests, and what belongs to no answer
/// is left out.
const ROOM: usize = 4 << 20;
/// How many bytes of small messages are written at once.
const BATCH: usize = 64 << 10;

/// Messages on their way to a client.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    /// Something waits to be written.
    more: Notify,
    /// Something was written.
    less: Notify,
    /// Nobody reads any more.
    lost: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// A batch that is being written.
    writing: usize,
}

impl Waiting {
    fn has_room(&self) -> bool {
        self.bytes + self.writing < ROOM
    }

    fn is_empty(&self) -> bool {
        self.bytes + self.writing == 0
    }
}

impl Outbox {
    /// Resolves when nobody reads any more.
    pub(super) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Waits until there is room.
    pub(super) async fn room(&self) {
        loop {
            let mut less = std::pin::pin!(self.less.notified());
            // From here on no word is missed.
            less.as_mut().enable();
            if self.waiting().has_room() || self.lost.is_cancelled() {
                return;
            }
            less.await;
        }
    }

    /// Sends an answer as soon as there is room.
    pub(super) async fn answer(&self, message: &Value) {
        self.room().await;
        self.push(message.to_string().into_bytes());
    }

    fn push(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        {
            let mut waiting = self.waiting();
            waiting.bytes += line.len();
            waiting.lines.push_back(line);
        }
        self.more.notify_one();
    }

    /// The next lines to write.
    async fn next(&self) -> Vec<u8> {
        loop {
            {
                let mut waiting = self.waiting();
                let mut batch = Vec::new();
                while batch.len() < BATCH
                    && let Some(line) = waiting.lines.pop_front()
                {
                    waiting.bytes -= line.len();
                    if batch.is_empty() { batch = line } else { batch.extend_from_slice(&line) }
                }
                if !batch.is_empty() {
                    waiting.writing = batch.len();
                    return batch;
                }
            }
            self.more.notified().await;
        }
    }

    fn written(&self) {
        self.waiting().writing = 0;
        self.less.notify_waiters();
    }

    /// Resolves when everything was written, or nobody reads.
    pub(super) async fn drained(&self) {
        loop {
            let mut less = std::pin::pin!(self.less.notified());
            less.as_mut().enable();
            if self.lost.is_cancelled() || self.waiting().is_empty() {
                return;
            }
            less.await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes, for ever, or until it cannot be written. The writer is shared with who
    /// has to write ahead of all that waits.
    pub(super) async fn write<W: AsyncWrite + Unpin>(&self, writer: &tokio::sync::Mutex<W>) {
        loop {
            let batch = self.next().await;
            if let Err(error) = write(writer, &batch).await {
                debug!(%error, "a client does not read any more");
                self.lost.cancel();
                self.less.notify_waiters();
                return;
            }
            self.written();
        }
    }
}

impl Outlet for Outbox {
    fn send(&self, message: Value) -> bool {
        if self.lost.is_cancelled() {
            return false;
        }
        if !self.waiting().has_room() {
            // A question nobody hears must not wait for its answer.
            debug!("a client reads too slowly; something is not told to it");
            return message.get("id").is_none();
        }
        self.push(message.to_string().into_bytes());
        true
    }
}

/// Writes some lines at once.
pub(super) async fn write<W: AsyncWrite + Unpin>(
    writer: &tokio::sync::Mutex<W>,
    lines: &[u8],
) -> std::io::Result<()> {
    let mut writer = writer.lock().await;
    writer.write_all(lines).await?;
    writer.flush().await
}
