//! The handle: snapshots for readers, one writer, one stream of events.

use std::sync::Arc;

use arc_swap::ArcSwap;
use dormouse_storage::{Storage, StorageError};
use dormouse_types::{Event, Launch, ServerKey, ServerStatus, ToolKey, ToolName};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::catalog::{Catalog, Version};
use crate::entry::Change;
use crate::names::{Fresh, Names};
use crate::next::Next;

/// How many events a listener may lag behind before it loses the oldest: a thousand scripts
/// that come at once fit.
const EVENTS_KEPT: usize = 2048;

/// How often names are given anew because another hub was faster.
const ATTEMPTS: usize = 20;

/// How many batches may wait; who brings more waits for room.
const BATCHES_WAITING: usize = 64;

/// A cheap handle on the servers and tools that the hub knows.
#[derive(Debug, Clone)]
pub struct Registry {
    catalog: Arc<ArcSwap<Catalog>>,
    batches: mpsc::Sender<Batch>,
    events: broadcast::Sender<Event>,
    version: watch::Receiver<Version>,
}

/// Why a registry could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the names of the tools could not be read")]
pub struct OpenError(#[source] pub StorageError);

/// Why a batch was refused. None of it is applied then.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The name is taken by a server that starts from something else. The message shows no
    /// path, since a client may read it.
    #[error("a server named `{server}` is registered already, from another file or command")]
    Conflict {
        /// The name.
        server: ServerKey,
        /// How the known one starts.
        known: Box<Launch>,
        /// How the refused one would start.
        asked: Box<Launch>,
    },
    /// Only servers of the store can be assigned.
    #[error("`{server}` is not a server of the store, so it cannot be assigned")]
    NotOfStore {
        /// The agent's server.
        server: ServerKey,
    },
    /// A name that a person chose is the full name of another tool in that context, or was.
    #[error("the name `{name}` belongs to the tool `{}` of `{}`", by.tool, by.server)]
    NameTaken {
        /// The name.
        name: ToolName,
        /// The other tool; it may be gone.
        by: Box<ToolKey>,
    },
    /// A name that a person chose is none that models and MCP clients take.
    #[error("`{name}` cannot name a tool in a list: 1 to 64 of A-Z, a-z, 0-9, `_` and `-`")]
    NameRule {
        /// The name.
        name: ToolName,
    },
    /// The new names could not be stored.
    #[error("the names of the new tools could not be stored")]
    Storage(#[source] StorageError),
    /// The registry's writer is gone: its runtime ends.
    #[error("the registry is closed")]
    Closed,
}

#[derive(Debug)]
struct Batch {
    changes: Vec<Change>,
    reply: oneshot::Sender<Result<Version, ApplyError>>,
}

impl Registry {
    /// Opens an empty registry that remembers the names which it gave in earlier lives.
    ///
    /// Its writer is a task of the current runtime; it ends with the last handle.
    ///
    /// # Errors
    /// [`OpenError`] when the storage fails.
    pub async fn open(storage: Arc<dyn Storage>) -> Result<Self, OpenError> {
        let names = Names::load(&*storage).await.map_err(OpenError)?;
        let catalog = Arc::new(ArcSwap::from_pointee(Catalog::default()));
        let (batches, waiting) = mpsc::channel(BATCHES_WAITING);
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let (changed, version) = watch::channel(Version::default());
        let writer =
            Writer { catalog: Arc::clone(&catalog), storage, names, events: events.clone(), changed };
        // Nobody awaits it: it holds nothing that must be closed, and ends with the last sender.
        tokio::spawn(writer.run(waiting));
        Ok(Self { catalog, batches, events, version })
    }

    /// The catalog as it is now.
    pub fn snapshot(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Makes changes in their order as one new version, all or none; returns when readers see it.
    ///
    /// A batch that changes nothing makes no version. Dropping the future does not take the
    /// batch back.
    ///
    /// # Errors
    /// [`ApplyError`]
    pub async fn apply(&self, changes: Vec<Change>) -> Result<Version, ApplyError> {
        let (reply, answer) = oneshot::channel();
        self.batches.send(Batch { changes, reply }).await.map_err(|_| ApplyError::Closed)?;
        answer.await.map_err(|_| ApplyError::Closed)?
    }

    /// The number of the newest catalog, for who waits for a change.
    pub fn version(&self) -> watch::Receiver<Version> {
        self.version.clone()
    }

    /// Everything that changes from now on. Who lags too far behind loses the oldest events,
    /// is told so, and looks at a snapshot.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Tells an event to all who listen. Returns at once.
    pub fn emit(&self, event: Event) {
        // No listener is no error.
        let _ = self.events.send(event);
    }

    /// How a server fares; `None` if it is not known.
    pub fn status(&self, server: &ServerKey) -> Option<Arc<ServerStatus>> {
        self.catalog.load().status(server)
    }

    /// Says how a server fares, and tells it if that is new. Costs no new catalog.
    ///
    /// One server's status has one writer: its owner. A server that is not known (any more)
    /// has no status; the event is told all the same, for who follows its end.
    pub fn set_status(&self, server: &ServerKey, status: ServerStatus) {
        let status = Arc::new(status);
        if let Some(cell) = self.catalog.load().cell(server) {
            let old = cell.swap(Arc::clone(&status));
            if old == status {
                return;
            }
        }
        self.emit(Event::StatusChanged { server: server.clone(), status });
    }
}

/// The one that changes the catalog.
#[derive(Debug)]
struct Writer {
    catalog: Arc<ArcSwap<Catalog>>,
    storage: Arc<dyn Storage>,
    names: Names,
    events: broadcast::Sender<Event>,
    changed: watch::Sender<Version>,
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Batch>) {
        while let Some(Batch { changes, reply }) = waiting.recv().await {
            let result = self.apply(changes).await;
            // The caller may have gone meanwhile.
            let _ = reply.send(result);
        }
    }

    async fn apply(&mut self, changes: Vec<Change>) -> Result<Version, ApplyError> {
        let now = self.catalog.load_full();
        let mut attempt = 1;
        let (next, events) = loop {
            match self.next(&now, &changes).await {
                // Another hub gave names meanwhile; ours must not be the same.
                Err(ApplyError::Storage(StorageError::Conflict { .. })) if attempt < ATTEMPTS => {
                    self.names = Names::load(&*self.storage).await.map_err(ApplyError::Storage)?;
                    attempt += 1;
                }
                result => break result?,
            }
        };
        let version = next.version();
        if version != now.version() {
            self.catalog.store(Arc::new(next));
            self.changed.send_replace(version);
            for event in events {
                let _ = self.events.send(event);
            }
        }
        Ok(version)
    }

    /// The next version. Names are stored before anybody sees them.
    async fn next(&mut self, now: &Catalog, changes: &[Change]) -> Result<(Catalog, Vec<Event>), ApplyError> {
        let mut fresh = Fresh::default();
        let mut next = Next::after(now, &mut self.names, &mut fresh);
        let made = changes.iter().cloned().try_for_each(|change| next.make(change));
        let next = match made.map(|()| next.done()) {
            Ok(next) if fresh.is_empty() => return Ok(next),
            Ok(next) => next,
            Err(error) => {
                self.names.take_back(&fresh);
                return Err(error);
            }
        };
        match self.storage.write(self.names.writes(&fresh)).await {
            Ok(()) => {
                self.names.stored();
                Ok(next)
            }
            Err(error) => {
                self.names.take_back(&fresh);
                Err(ApplyError::Storage(error))
            }
        }
    }
}
