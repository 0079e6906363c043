//! What all endpoints of one hub share.

use std::sync::{Arc, Weak};

use dormouse::{Context, Hub};
use tokio_util::sync::CancellationToken;

use crate::catalogue::Catalogues;
use crate::changes::Changes;
use crate::endpoint::{Endpoint, NoSuchEndpoint};
use crate::http::{Keep, Talks};
use crate::links::Links;
use crate::mode::Mode;
use crate::parked::Parked;
use crate::session::Sessions;
use crate::tasks::Tasks;
use crate::watch::Watches;

/// The hub as an MCP server. Cheap to clone; one for each hub.
#[derive(Debug, Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    sessions: Sessions,
    catalogues: Catalogues,
    changes: Changes,
    parked: Parked,
    tasks: Tasks,
    links: Links,
    watches: Watches,
    keep: Arc<Keep>,
    talks: Talks,
    ending: CancellationToken,
}

impl Gateway {
    /// The gateway of a hub.
    pub fn new(hub: &Hub) -> Self {
        let changes = Changes::default();
        let most_sessions = usize::try_from(hub.config().mcp.max_sessions).unwrap_or(usize::MAX);
        let shared = Shared {
            sessions: Sessions::new(hub.storage().clone(), most_sessions, changes.nudge()),
            catalogues: Catalogues::default(),
            changes,
            parked: Parked::default(),
            tasks: Tasks::default(),
            links: Links::default(),
            watches: Watches::default(),
            keep: Arc::default(),
            talks: Talks::default(),
            ending: CancellationToken::new(),
        };
        let gateway = Self { shared: Arc::new(shared) };
        crate::replicas::follow(&gateway, &**hub.storage());
        crate::unasked::follow(&gateway, hub);
        gateway
    }

    /// What it shares, without keeping it.
    pub(crate) fn downgrade(&self) -> Weak<Shared> {
        Arc::downgrade(&self.shared)
    }

    /// A context in a mode.
    ///
    /// # Errors
    /// [`NoSuchEndpoint`] when the one server of [`Mode::Single`] is not known in the context.
    pub fn endpoint(&self, context: Context, mode: Mode) -> Result<Endpoint, NoSuchEndpoint> {
        Endpoint::new(self.clone(), context, mode)
    }

    /// Ends every stream and everything that waits for a client; requests under way are not hurt.
    pub fn end(&self) {
        self.shared.ending.cancel();
        self.shared.parked.clear();
        self.shared.watches.clear();
        self.shared.tasks.clear();
    }

    /// Cancelled by [`end`](Self::end).
    pub fn ending(&self) -> &CancellationToken {
        &self.shared.ending
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    pub(crate) fn catalogues(&self) -> &Catalogues {
        &self.shared.catalogues
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.shared.changes
    }

    pub(crate) fn parked(&self) -> &Parked {
        &self.shared.parked
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.shared.tasks
    }

    pub(crate) fn links(&self) -> &Links {
        &self.shared.links
    }

    pub(crate) fn watches(&self) -> &Watches {
        &self.shared.watches
    }

    /// What all streams over HTTP hold.
    pub(crate) fn talks(&self) -> &Talks {
        &self.shared.talks
    }

    pub(crate) fn keep(&self) -> &Arc<Keep> {
        &self.shared.keep
    }
}

impl From<Arc<Shared>> for Gateway {
    fn from(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}
