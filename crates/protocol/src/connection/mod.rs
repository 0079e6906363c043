//! One running server: its process, its wire, and what may be asked of it.
//!
//! # Invariants
//!
//! * While a [`Connection`] is held its process is looked after; when the last handle is dropped,
//!   the process and all that it started are killed.
//! * Every request has a deadline, and whoever stops waiting is reported to the server.
//! * A server's own question goes to a running call only if it is certain whose question it is.

mod call;
mod desk;
mod greet;
mod line;
mod lists;
mod notes;
mod open;
#[cfg(feature = "remote")]
mod open_url;
mod steward;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use dormouse_types::Features;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::launch::{Exit, ExitHandle};
use crate::tail::Tail;
use crate::wire::{Noise, Wire};

pub use self::call::read_result;
#[cfg(feature = "remote")]
pub(crate) use self::greet::discovered;
use self::line::Line;
pub use self::lists::ListFault;
use self::notes::Subscriptions;
pub use self::open::Offers;

/// A handle on one running server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connection {
    inner: Arc<Inner>,
    /// When the process is to be killed at the latest, once it is to end at all. With the last
    /// handle it goes, and the process with it.
    ending: Arc<watch::Sender<Option<Ending>>>,
}

#[derive(Debug)]
struct Inner {
    /// `None` for a server at a URL.
    pid: Option<u32>,
    exit: ExitHandle,
    line: Line,
    wire: Arc<Wire>,
    tail: Arc<Tail>,
    features: RwLock<Arc<Features>>,
    list_faults: Mutex<Arc<[ListFault]>>,
    subscriptions: tokio::sync::Mutex<Subscriptions>,
}

/// A stop under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ending {
    /// When the group is asked by a signal.
    terminate: Instant,
    /// When everything is killed.
    kill: Instant,
}

impl Ending {
    /// Two thirds of the grace for an exit on the end of input, which takes a Python server up
    /// to 0.6 s; the rest for an exit on the signal.
    fn within(grace: Duration) -> Self {
        Self { terminate: after(grace / 3 * 2), kill: after(grace) }
    }
}

/// The moment after so long a time; "for ever" is a very long time, not a panic.
fn after(duration: Duration) -> Instant {
    const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    Instant::now() + duration.min(FOR_EVER)
}

impl Connection {
    /// The process number; `None` for a server at a URL.
    pub fn pid(&self) -> Option<u32> {
        self.inner.pid
    }

    /// What the server offers, as it was last listed.
    pub fn features(&self) -> Arc<Features> {
        Arc::clone(&self.inner.features.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What of the last listing failed, while the rest succeeded. Empty as a rule.
    pub fn list_faults(&self) -> Arc<[ListFault]> {
        Arc::clone(&self.inner.list_faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts the server's announcements that one of its lists has changed.
    pub fn list_changed(&self) -> watch::Receiver<u64> {
        self.inner.wire.list_changed.subscribe()
    }

    /// Waits until the process and everything that it started are gone. Cancel-safe.
    pub async fn closed(&self) -> Exit {
        self.inner.exit.wait().await
    }

    /// How the process ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.inner.exit.seen()
    }

    /// Ends the server: end of input, after two thirds of the grace SIGTERM to its group, after
    /// the whole SIGKILL to everything that it started. Returns when all is gone.
    ///
    /// May be called by many and again: the shortest grace counts. Dropping the future does not
    /// take the stop back.
    pub async fn close(&self, grace: Duration) -> Exit {
        self.begin_close(grace);
        self.closed().await
    }

    /// Begins what [`close`](Self::close) does, without waiting.
    pub fn begin_close(&self, grace: Duration) {
        let asked = Ending::within(grace);
        self.ending.send_if_modified(|ending| match ending {
            Some(earlier) if earlier.kill <= asked.kill => false,
            _ => {
                *ending = Some(asked);
                true
            }
        });
    }

    /// The last lines of the server's standard error, oldest first.
    pub fn stderr_tail(&self) -> Vec<String> {
        self.inner.tail.lines()
    }

    /// What the server wrote on its standard output that was no MCP.
    pub fn noise(&self) -> Noise {
        self.inner.wire.noise.read()
    }
}
