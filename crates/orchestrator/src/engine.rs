//! What all instances of a hub share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use dormouse_lifecycle::Supervision;
use dormouse_registry::Registry;
use dormouse_storage::Storage;
use dormouse_types::{Features, ServerKey, Timing};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::alerts::Alerts;
use crate::duty::Led;
use crate::measure::Measures;
use crate::share::Shares;
use crate::starter::Starter;
use crate::tuning::Tuning;
use crate::unasked::Unasked;
use crate::wishes::Wishes;

/// What all instances of a hub share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) registry: Registry,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) starter: Starter,
    /// The processes that several servers use.
    pub(crate) shares: Arc<Shares>,
    pub(crate) tasks: TaskTracker,
    pub(crate) measures: Measures,
    /// One message a start or change of lists; the inventory reads it all the time.
    pub(crate) learned: mpsc::UnboundedSender<Learned>,
    /// What servers say that belongs to no call.
    pub(crate) unasked: broadcast::Sender<Unasked>,
    pub(crate) generations: AtomicU64,
    /// The thresholds as they are now; instances and monitors follow at once.
    pub(crate) supervision: watch::Sender<Supervision>,
    pub(crate) tuning: Tuning,
    /// Deadlines of servers that say nothing of their own.
    pub(crate) timing: Timing,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) wishes: Wishes,
    /// Ends what only prepares: watches, builds made ahead.
    pub(crate) ending: CancellationToken,
}

/// What a running server said of itself.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(crate) key: ServerKey,
    /// The version that said it.
    pub(crate) version: String,
    pub(crate) features: Arc<Features>,
    /// The duty under which it was asked, where several hubs might have.
    pub(crate) led: Option<Led>,
}
