//! The requests of one client that are being answered.

use std::collections::HashMap;

use serde_json::Value;
use tokio::task::{AbortHandle, JoinSet};

use super::too_many;
use crate::message::{Fault, INVALID_REQUEST, Id};

/// How many requests of one client may be under way.
const MOST: usize = 1024;

/// Requests under way. Dropping it cancels them.
#[derive(Debug, Default)]
pub(super) struct Running {
    tasks: JoinSet<()>,
    /// By their ids; batches have none.
    requests: HashMap<Id, Task>,
}

#[derive(Debug)]
struct Task {
    handle: AbortHandle,
    /// It lasts until the client or the hub leaves.
    listens: bool,
}

impl Running {
    /// Whether a request of that id can begin.
    pub(super) fn may_begin(&self, id: &Id) -> Result<(), Fault> {
        match self.requests.get(id) {
            Some(task) if !task.handle.is_finished() => {
                Err(Fault::new(INVALID_REQUEST, "a request of this id is under way"))
            }
            _ if self.tasks.len() >= MOST => Err(too_many()),
            _ => Ok(()),
        }
    }

    /// Begins to answer a request.
    pub(super) fn begin(&mut self, id: Id, listens: bool, work: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(work);
        self.requests.insert(id, Task { handle, listens });
    }

    /// Begins to answer several at once.
    pub(super) fn begin_batch(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Cancels a request; whether it was under way.
    pub(super) fn cancel(&mut self, id: &Value) -> bool {
        let task = Id::read(id.clone()).and_then(|id| self.requests.remove(&id));
        if let Some(task) = &task {
            task.handle.abort();
        }
        task.is_some()
    }

    /// Ends what would last for ever.
    pub(super) fn stop_listening(&mut self) {
        self.requests.retain(|_, task| {
            if task.listens {
                task.handle.abort();
            }
            !task.listens
        });
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits until one has ended; for ever if none is under way. Returns the request that will not
    /// be answered, since its work panicked.
    pub(super) async fn next_end(&mut self) -> Option<Id> {
        let Some(ended) = self.tasks.join_next().await else { return std::future::pending().await };
        let mistake = ended.err().filter(|error| error.is_panic()).map(|error| error.id());
        let mut failed = None;
        self.requests.retain(|id, task| {
            if Some(task.handle.id()) == mistake {
                failed = Some(id.clone());
            }
            !task.handle.is_finished()
        });
        failed
    }

    /// Cancels all.
    pub(super) async fn end(&mut self) {
        self.tasks.shutdown().await;
        self.requests.clear();
    }
}
