//! The hub: what a program holds.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dormouse_context::Context;
use dormouse_orchestrator::{Finding, SignInsKept, Unasked};
use dormouse_protocol::{EnvironmentError, Environments, Garbage, Keeper};
use dormouse_registry::Registry;
use dormouse_storage::{Storage, Table};
use dormouse_types::{AgentId, Event, InvalidName, Launch, PythonNeeds, Scope};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared as Awaited};
use tokio::sync::broadcast;

use crate::builder::HubBuilder;
use crate::config::Config;
use crate::lock::SpaceLock;
use crate::space::Space;
use crate::token::Tokens;

/// How long calls may go on once the hub is told to end.
const GRACE: Duration = Duration::from_secs(10);

/// A tool hub. Cheap to clone; every clone is the same hub.
#[derive(Debug, Clone)]
pub struct Hub {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    space: Space,
    config: Config,
    store: Context,
    storage: Arc<dyn Storage>,
    tokens: Tokens,
    environments: Arc<Environments>,
    keeper: Option<Arc<Keeper>>,
    ended: AtomicBool,
    /// The one end, for which all wait who ask for it.
    end: OnceLock<Awaited<BoxFuture<'static, ()>>>,
    /// Last, so that it is given back last.
    lock: std::sync::Mutex<Option<SpaceLock>>,
}

impl Shared {
    #[expect(clippy::too_many_arguments, reason = "the parts of a hub, each of its own type")]
    pub(crate) fn new(
        space: Space,
        config: Config,
        store: Context,
        storage: Arc<dyn Storage>,
        tokens: Tokens,
        environments: Arc<Environments>,
        keeper: Option<Arc<Keeper>>,
        lock: SpaceLock,
    ) -> Self {
        let (ended, lock) = (AtomicBool::new(false), std::sync::Mutex::new(Some(lock)));
        let end = OnceLock::new();
        Self { space, config, store, storage, tokens, environments, keeper, ended, end, lock }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// How a hub fares, in numbers.
#[derive(Debug, Clone)]
pub struct Health {
    /// Servers that are known, asleep or not.
    pub servers: usize,
    /// Their tools.
    pub tools: usize,
    /// Servers that have a process.
    pub attached: usize,
    /// Whether what is remembered can be reached.
    pub storage: StorageHealth,
    /// Whether other hubs may share it, as in Redis.
    pub shared: bool,
    /// The model that would be asked now.
    pub model: Option<String>,
}

/// Whether what is remembered can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageHealth {
    /// It answers.
    Ok,
    /// It does not; why.
    Failing(String),
}

/// What a person should know who wonders why something does not work.
#[derive(Debug, Clone)]
pub struct Doctor {
    /// Files and entries that are no servers.
    pub findings: Vec<Finding>,
    /// The interpreter that environments are built on, or why there is none.
    pub python: Result<PathBuf, String>,
    /// What the keeper cannot guarantee on this machine.
    pub weaknesses: Vec<String>,
    /// The model that would be asked now.
    pub model: Option<String>,
    /// What could be done about a missing model.
    pub hint: Option<String>,
    /// Where sign-ins at servers at URLs are kept.
    pub sign_ins: SignInsKept,
}

impl Hub {
    /// Begins to make a hub.
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// The store's view, which sees every server.
    pub fn store(&self) -> Context {
        self.shared.store.clone()
    }

    /// An agent's view, which sees its own servers.
    pub fn agent(&self, agent: AgentId) -> Context {
        self.shared.store.scoped(Scope::Agent(agent))
    }

    /// The store's view, by MCPStore's name for it.
    pub fn for_store(&self) -> Context {
        self.store()
    }

    /// An agent's view, by MCPStore's name for it.
    ///
    /// # Errors
    /// [`InvalidName`] for a text that is no agent's id.
    pub fn for_agent(&self, agent: &str) -> Result<Context, InvalidName> {
        Ok(self.agent(AgentId::try_new(agent)?))
    }

    /// The folder that it works in.
    pub fn space(&self) -> &Space {
        &self.shared.space
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Which servers and tools exist.
    pub fn registry(&self) -> &Registry {
        self.shared.store.registry()
    }

    /// Everything that changes from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.registry().events()
    }

    /// What its servers say that belongs to no call, from now on; whom it may concern stands in each.
    pub fn unasked(&self) -> broadcast::Receiver<Unasked> {
        self.shared.store.orchestrator().unasked()
    }

    /// The tokens that open it.
    pub fn tokens(&self) -> Tokens {
        self.shared.tokens.clone()
    }

    /// What it remembers by, for what is built on a hub and wants to remember too.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.shared.storage
    }

    /// How it fares.
    pub async fn health(&self) -> Health {
        let catalog = self.registry().snapshot();
        let storage = match self.shared.storage.is_reachable() {
            false => StorageHealth::Failing("it cannot be reached".to_owned()),
            true => match self.shared.storage.get(Table::Tokens, "").await {
                Ok(_) => StorageHealth::Ok,
                Err(error) => StorageHealth::Failing(error.to_string()),
            },
        };
        Health {
            servers: catalog.server_count(&Scope::Store),
            tools: catalog.tool_count(&Scope::Store),
            attached: self.shared.store.orchestrator().awake(),
            storage,
            shared: self.shared.storage.is_shared(),
            model: self.shared.store.router().model_name().await,
        }
    }

    /// What a person should know who wonders why something does not work.
    pub async fn doctor(&self) -> Doctor {
        let shared = &self.shared;
        Doctor {
            findings: shared.store.orchestrator().findings(),
            python: shared.environments.base_python().map_err(|error| error.to_string()),
            weaknesses: shared.keeper.as_ref().map(|keeper| keeper.weaknesses()).unwrap_or_default(),
            model: shared.store.router().model_name().await,
            hint: shared.store.router().model_hint().await,
            sign_ins: shared.store.orchestrator().sign_ins_kept().await,
        }
    }

    /// Looks at drop folders and `mcp.json` now, without waiting for word of a change.
    pub async fn rescan(&self) {
        self.shared.store.orchestrator().rescan().await;
    }

    /// Removes Python environments that no script of this space needs and nobody uses.
    ///
    /// # Errors
    /// [`EnvironmentError`]
    pub async fn collect_garbage(&self) -> Result<Garbage, EnvironmentError> {
        let needs: Vec<PythonNeeds> = self
            .registry()
            .snapshot()
            .servers(&Scope::Store)
            .filter_map(|entry| match &entry.config.launch {
                Launch::Script { needs, .. } => Some(needs.clone()),
                Launch::Command { .. } | Launch::Url(_) | Launch::Elsewhere { .. } => None,
            })
            .collect();
        self.shared.environments.collect_garbage(&needs).await
    }

    /// Ends the hub: no new calls, running ones finish, no process is left. Whoever still holds
    /// it gets errors that say so. All who call it wait for the one end, which goes on where
    /// somebody gives the wait up.
    pub async fn shutdown(&self) {
        self.shared.ended.store(true, Ordering::Release);
        // Owned by those who wait; the handle is in the cell, and the task ends by itself.
        let begin = || tokio::spawn(self.clone().end()).map(drop).boxed().shared();
        self.shared.end.get_or_init(begin).clone().await;
    }

    async fn end(self) {
        self.shared.store.orchestrator().shutdown(GRACE).await;
        self.shared.store.flush().await;
        if let Some(keeper) = &self.shared.keeper {
            keeper.shutdown().await;
        }
        self.shared.storage.close().await;
        drop(self.shared.lock.lock().expect("nothing panics while it holds the lock").take());
    }
}
