//! How much all streams of a gateway hold, and for how long what is finished is kept.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::streams::Streams;

/// How long the stream of a finished request can be resumed.
const FINISHED: Duration = Duration::from_secs(5 * 60);
/// How much the events of all streams may take; then the oldest finished ones go, and streams
/// that are not read hold only [`LITTLE`].
pub(super) const ALL: usize = 64 << 20;
/// How much the events of one stream may take while memory is short.
pub(super) const LITTLE: usize = 16 << 10;
/// How many finished streams are kept, since each takes something beside its events.
const MOST: usize = 10_000;

/// What all streams of a gateway hold.
#[derive(Debug, Default)]
pub(crate) struct Keep {
    bytes: AtomicUsize,
    finished: Mutex<Finished>,
}

#[derive(Debug, Default)]
struct Finished {
    /// Oldest first.
    streams: VecDeque<(Instant, Weak<Streams>, u64)>,
    /// Whether a task waits for the first of them to grow old.
    watched: bool,
}

impl Keep {
    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How much one stream may hold now, of what it may hold at most.
    pub(super) fn limit(&self, most: usize) -> usize {
        if self.is_full() { most.min(LITTLE) } else { most }
    }

    fn is_full(&self) -> bool {
        self.held() > ALL
    }

    /// How much all streams hold now, in bytes.
    pub(super) fn held(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Keeps a finished stream for a while. It is known to its session by the number.
    pub(super) fn keep(self: &Arc<Self>, streams: &Arc<Streams>, number: u64) {
        let mut finished = self.finished();
        finished.streams.push_back((Instant::now(), Arc::downgrade(streams), number));
        while self.is_full() || finished.streams.len() > MOST {
            let Some((_, streams, number)) = finished.streams.pop_front() else { break };
            forget(&streams, number);
        }
        if finished.watched || finished.streams.is_empty() {
            return;
        }
        // A runtime that ends drops what ran, and nothing grows old in it.
        if let Ok(runtime) = Handle::try_current() {
            finished.watched = true;
            // It ends by itself, minutes after the last stream, and holds nothing but this.
            runtime.spawn(Arc::clone(self).grow_old());
        }
    }

    async fn grow_old(self: Arc<Self>) {
        loop {
            let next = {
                let mut finished = self.finished();
                while let Some((since, streams, number)) = finished.streams.front()
                    && since.elapsed() >= FINISHED
                {
                    forget(streams, *number);
                    finished.streams.pop_front();
                }
                let Some((since, ..)) = finished.streams.front() else {
                    finished.watched = false;
                    return;
                };
                *since + FINISHED
            };
            tokio::time::sleep_until(next).await;
        }
    }

    fn finished(&self) -> MutexGuard<'_, Finished> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget(streams: &Weak<Streams>, number: u64) {
    if let Some(streams) = streams.upgrade() {
        streams.forget(number);
    }
}
