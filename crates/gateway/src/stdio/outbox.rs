//! What waits to be written to a client that may read slowly.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::caller::Outlet;
use crate::session::Receipt;

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
    lines: VecDeque<Written>,
    bytes: usize,
    /// A batch that is being written, and who wants to know when it was.
    writing: usize,
    receipts: Vec<Receipt>,
    /// What there was no room for and must be said: that lists read otherwise. Each thing once.
    later: Vec<Written>,
}

/// A line, and who wants to know when it was written.
#[derive(Debug)]
struct Written {
    line: Vec<u8>,
    receipt: Option<Receipt>,
}

impl Waiting {
    fn has_room(&self) -> bool {
        self.bytes + self.writing < ROOM
    }

    fn is_empty(&self) -> bool {
        self.bytes + self.writing == 0 && self.later.is_empty()
    }

    fn push(&mut self, mut line: Vec<u8>, receipt: Option<Receipt>) {
        line.push(b'\n');
        self.bytes += line.len();
        self.lines.push_back(Written { line, receipt });
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

    fn push(&self, line: Vec<u8>) {
        self.waiting().push(line, None);
        self.more.notify_one();
    }

    /// Sends what must be said once, sooner or later.
    fn push_surely(&self, line: Vec<u8>, receipt: Option<Receipt>) {
        {
            let mut waiting = self.waiting();
            if waiting.has_room() {
                waiting.push(line, receipt);
            } else {
                waiting.later.retain(|later| later.line != line);
                waiting.later.push(Written { line, receipt });
            }
        }
        self.more.notify_one();
    }

    /// The next lines to write.
    async fn next(&self) -> Vec<u8> {
        loop {
            {
                let mut waiting = self.waiting();
                if waiting.lines.is_empty() {
                    for later in std::mem::take(&mut waiting.later) {
                        waiting.push(later.line, later.receipt);
                    }
                }
                let mut batch = Vec::new();
                while batch.len() < BATCH
                    && let Some(Written { line, receipt }) = waiting.lines.pop_front()
                {
                    waiting.bytes -= line.len();
                    waiting.receipts.extend(receipt);
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
        let receipts = {
            let mut waiting = self.waiting();
            waiting.writing = 0;
            std::mem::take(&mut waiting.receipts)
        };
        receipts.into_iter().for_each(Receipt::written);
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
        if is_of_lists(&message) {
            self.push_surely(message.to_string().into_bytes(), None);
            return true;
        }
        if !self.waiting().has_room() {
            // A question nobody hears must not wait for its answer.
            debug!("a client reads too slowly; something is not told to it");
            return message.get("id").is_none();
        }
        self.push(message.to_string().into_bytes());
        true
    }

    fn send_noted(&self, message: Value, receipt: Receipt) {
        if !self.lost.is_cancelled() {
            self.push_surely(message.to_string().into_bytes(), Some(receipt));
        }
    }
}

/// Whether it tells that a list reads otherwise: nobody else will say so again.
fn is_of_lists(message: &Value) -> bool {
    message.get("method").and_then(Value::as_str).is_some_and(|method| method.ends_with("/list_changed"))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::notification;

    const CHANGED: &str = "notifications/tools/list_changed";

    /// What a client gets that reads at last.
    async fn read(outbox: &Outbox) -> String {
        let mut text = Vec::new();
        loop {
            let batch = tokio::select! {
                biased;
                batch = outbox.next() => batch,
                () = std::future::ready(()) => return String::from_utf8(text).unwrap(),
            };
            text.extend(batch);
            outbox.written();
        }
    }

    #[tokio::test]
    async fn who_reads_slowly_costs_a_bounded_memory_and_misses_no_change_of_lists() {
        let outbox = Outbox::default();
        let text = "x".repeat(10_000);
        for n in 0..2_000 {
            outbox.send(notification("notifications/message", json!({ "data": text, "n": n })));
            if n % 100 == 0 {
                assert!(outbox.send(notification(CHANGED, Value::Null)));
            }
            let waiting = outbox.waiting();
            let later: usize = waiting.later.iter().map(|later| later.line.len()).sum();
            assert!(waiting.bytes + later <= ROOM + 11_000, "{} and {later}", waiting.bytes);
        }
        let text = read(&outbox).await;
        assert!(text.len() <= ROOM + 22_000);
        assert!(
            text.trim_end().ends_with(&notification(CHANGED, Value::Null).to_string()),
            "it is said last"
        );
        assert!(outbox.waiting().is_empty());
    }
}
