//! The context itself: a cheap handle on the hub, with a scope.

use std::sync::Arc;

use dormouse_orchestrator::Orchestrator;
use dormouse_registry::{Registry, ToolRef};
use dormouse_routing::{Ability, Candidate, Router, SearchIndex};
use dormouse_storage::{Storage, StorageError};
use dormouse_types::{Scope, ServerKey, Timestamp};

use crate::measure::Measures;
use crate::record::Records;

/// Whether the best candidates of a query are woken while the model still writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wake {
    /// The best candidate, as soon as the search is done.
    #[default]
    Ahead,
    /// Only what the plan calls.
    Planned,
}

/// What a context is made of.
#[derive(Debug)]
pub struct Parts {
    /// Which servers exist.
    pub registry: Registry,
    /// What the hub remembers.
    pub storage: Arc<dyn Storage>,
    /// What runs.
    pub orchestrator: Orchestrator,
    /// Query → plan, results → answer.
    pub router: Router,
    /// Where queries are measured.
    pub measures: Measures,
    /// Whether to wake ahead.
    pub wake: Wake,
}

#[derive(Debug)]
struct Shared {
    parts: Parts,
    index: SearchIndex,
    records: Arc<Records>,
    /// When the hub was opened.
    opened: Timestamp,
}

/// One view of the hub: the store's, which sees all, or an agent's, which sees its own.
/// Cheap to clone; every clone is the same view.
#[derive(Debug, Clone)]
pub struct Context {
    shared: Arc<Shared>,
    scope: Scope,
}

impl Context {
    /// The store's view.
    ///
    /// # Errors
    /// [`StorageError`] when what earlier lives recorded cannot be read.
    pub async fn open(parts: Parts) -> Result<Self, StorageError> {
        let records = Arc::new(Records::open(parts.storage.clone()).await?);
        let shared = Shared { parts, index: SearchIndex::new(), records, opened: Timestamp::now() };
        Ok(Self { shared: Arc::new(shared), scope: Scope::Store })
    }

    /// The same hub in another scope.
    pub fn scoped(&self, scope: Scope) -> Self {
        Self { shared: self.shared.clone(), scope }
    }

    /// Whose view it is.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Every tool of this context, asleep or not, by full name. Answers from memory.
    pub fn tools(&self) -> Vec<ToolRef> {
        self.registry().snapshot().tools(&self.scope).collect()
    }

    /// The tools that fit a question in plain words, best first.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Candidate> {
        self.shared.index.sync(&self.registry().snapshot());
        self.shared.index.search(query, &self.scope, limit)
    }

    /// Some of what the hub can do here, for an answer that no tool gives.
    pub(crate) fn abilities(&self) -> Vec<Ability> {
        const SHOWN: usize = 8;
        self.shared.index.sync(&self.registry().snapshot());
        self.shared.index.abilities(&self.scope, SHOWN)
    }

    /// What runs.
    pub fn orchestrator(&self) -> &Orchestrator {
        &self.shared.parts.orchestrator
    }

    /// Which servers exist, and the stream of events.
    pub fn registry(&self) -> &Registry {
        &self.shared.parts.registry
    }

    /// What chooses tools and arguments.
    pub fn router(&self) -> &Router {
        &self.shared.parts.router
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        &*self.shared.parts.storage
    }

    pub(crate) fn opened(&self) -> Timestamp {
        self.shared.opened
    }

    pub(crate) fn records(&self) -> &Arc<Records> {
        &self.shared.records
    }

    /// The name under which this context shows a server.
    pub fn shown(&self, server: &ServerKey) -> String {
        match &self.scope {
            Scope::Store => server.store_name(),
            Scope::Agent(_) => server.name.to_string(),
        }
    }

    pub(crate) fn measures(&self) -> &Measures {
        &self.shared.parts.measures
    }

    pub(crate) fn wake(&self) -> Wake {
        self.shared.parts.wake
    }
}
