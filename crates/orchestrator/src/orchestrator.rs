//! The handle on everything that runs.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_lifecycle::{Phase, Supervision};
#[cfg(feature = "remote")]
use dormouse_protocol::RemoteClient;
use dormouse_protocol::{Connection, Environments, Launcher, Noise};
use dormouse_registry::Registry;
use dormouse_storage::{ConfigSource, Storage};
use dormouse_types::{AgentId, BackChannel, Launch, NoBackChannel, Scope, ServerKey, ToolKey, ToolSettings};
use opentelemetry::metrics::Meter;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::edit::{Edit, EditError, Reset};
use crate::engine::Engine;
use crate::error::{LeaseError, OpenError, RegisterError, RemoveError};
use crate::file_watch::FileWatch;
use crate::finding::Finding;
use crate::inventory::{Inventory, Order, Say};
use crate::lease::Lease;
use crate::measure::Measures;
use crate::own::Transports;
use crate::remotes::Remotes;
use crate::roster::Roster;
use crate::said::ShareError;
use crate::settings::Settings;
use crate::starter::Starter;
use crate::tuning::{Tuning, take_up_supervision};
use crate::welcome::Contacts;
use crate::wishes::Wishes;

/// What an [`Orchestrator`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// The folders and rules of the space.
    pub settings: Settings,
    /// What the hub remembers.
    pub storage: Arc<dyn Storage>,
    /// Where the configured servers stand.
    pub source: Arc<dyn ConfigSource>,
    /// Which servers exist.
    pub registry: Registry,
    /// Where Python environments are made.
    pub environments: Arc<Environments>,
    /// Who starts processes.
    pub launcher: Arc<dyn Launcher>,
    /// How servers at URLs are reached.
    #[cfg(feature = "remote")]
    pub remote: RemoteClient,
    /// How servers at URLs of other schemes are reached.
    pub transports: Transports,
    /// Where measures go.
    pub meter: Meter,
}

/// A cheap handle on everything that runs in a hub.
#[derive(Debug, Clone)]
pub struct Orchestrator {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    roster: Arc<Roster>,
    orders: mpsc::Sender<Order>,
    findings: Arc<Mutex<Vec<Finding>>>,
    contacts: watch::Receiver<Contacts>,
    settings: Arc<Settings>,
}

/// Whoever forgets `shutdown` leaves no task behind: the inventory ends, and with the launcher
/// the processes do.
impl Drop for Shared {
    fn drop(&mut self) {
        self.roster.engine().ending.cancel();
        self.roster.end();
    }
}

impl Orchestrator {
    /// Reads all sources of servers, fills the registry and begins to watch. No server is
    /// started but those that should always run, and those that were never contacted.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open(parts: Parts) -> Result<Self, OpenError> {
        #[cfg(feature = "remote")]
        let remotes = Remotes::new(parts.remote, &parts.settings);
        #[cfg(not(feature = "remote"))]
        let remotes = Remotes::new();
        let Parts { settings, storage, source, registry, environments, launcher, transports, meter, .. } =
            parts;
        let settings = Arc::new(settings);
        #[expect(
            clippy::disallowed_methods,
            reason = "one message a start, and the inventory reads all the time"
        )]
        let (learned, learning) = mpsc::unbounded_channel();
        let measures = Measures::new(&meter, &registry);
        let wishes = Wishes::open(storage.clone()).await?;
        let supervision = Supervision {
            start: settings.timing.start,
            stop: settings.timing.stop,
            ..Supervision::default()
        };
        let engine = Arc::new(Engine {
            registry,
            storage: storage.clone(),
            starter: Starter::new(settings.clone(), environments, launcher, remotes, transports),
            shares: Arc::default(),
            tasks: TaskTracker::new(),
            measures,
            learned,
            unasked: broadcast::Sender::new(crate::unasked::WAITING),
            generations: AtomicU64::new(0),
            supervision: watch::Sender::new(supervision),
            tuning: Tuning::default(),
            timing: settings.timing,
            alerts: Arc::default(),
            wishes,
            ending: CancellationToken::new(),
        });
        // A hub that does not open leaves no task behind either.
        let unfinished = engine.ending.clone().drop_guard();
        // Ends with the hub.
        engine.tasks.spawn(engine.alerts.clone().follow(engine.registry.clone(), engine.ending.clone()));
        let roster = Arc::new(Roster::new(engine.clone()));
        // Before anything starts.
        take_up_supervision(&*storage, &roster).await?;
        let findings = Arc::default();
        let (contacted, contacts) = watch::channel(Contacts::default());

        // Watch first, then read: what changes in between is seen twice rather than never.
        let (changed, changes) = watch::channel(0);
        let inventory = Inventory::open(
            settings.clone(),
            storage,
            source.clone(),
            roster.clone(),
            Arc::clone(&findings),
            contacted,
        );
        std::fs::create_dir_all(&settings.space)
            .map_err(|source| OpenError::Folder { path: settings.space.clone(), source })?;
        for folder in &settings.drop_folders {
            std::fs::create_dir_all(folder)
                .map_err(|source| OpenError::Folder { path: folder.clone(), source })?;
        }
        let watch = settings.watch.then(|| FileWatch::open(&settings.drop_folders, source.file(), changed));
        let watch = match watch.transpose() {
            Ok(watch) => watch,
            Err(error) => {
                warn!(%error, "changes of files will not be seen by themselves");
                None
            }
        };
        let inventory = inventory.await?;
        let (orders, ordered) = mpsc::channel(64);
        unfinished.disarm();
        engine.tasks.spawn(inventory.run(ordered, learning, (watch, changes), engine.ending.clone()));
        let shared = Shared { roster, orders, findings, contacts, settings };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The registry that this orchestrator fills.
    pub fn registry(&self) -> &Registry {
        &self.engine().registry
    }

    /// The folders and rules of the space.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn measures(&self) -> &Measures {
        &self.engine().measures
    }

    pub(crate) fn roster(&self) -> &Arc<Roster> {
        &self.shared.roster
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.shared.roster.engine()
    }

    /// A lease on a server, waking it if need be. Dropping the future gives the wait up; the
    /// start goes on for the others.
    ///
    /// # Errors
    /// [`LeaseError`]
    pub async fn lease(&self, server: &ServerKey, back: &Arc<dyn BackChannel>) -> Result<Lease, LeaseError> {
        loop {
            let Some(entry) = self.registry().snapshot().get(server).cloned() else {
                return Err(LeaseError::UnknownServer { server: server.clone() });
            };
            let instance = self.shared.roster.instance(&entry).ok_or(LeaseError::Ending)?;
            if let Some(lease) = instance.lease(back).await? {
                return Ok(lease);
            }
            self.next_version().await?;
        }
    }

    /// A version is leaving; the next one is there, or none, before long.
    pub(crate) async fn next_version(&self) -> Result<(), LeaseError> {
        if self.engine().ending.is_cancelled() {
            return Err(LeaseError::Ending);
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Wakes a server without a call; it sleeps again after its linger. Returns when it is awake,
    /// and what it offers is listed.
    ///
    /// # Errors
    /// [`LeaseError`]
    pub async fn attach(&self, server: &ServerKey) -> Result<(), LeaseError> {
        let back: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
        // Held until the lists are there: without a linger it sleeps right after.
        let _lease = self.lease(server, &back).await?;
        self.listed(server).await;
        Ok(())
    }

    /// Puts a server to sleep: its process ends once the calls that it has now have finished. One
    /// that comes later wakes another. Returns when the process is gone.
    pub async fn detach(&self, server: &ServerKey) {
        for instance in self.shared.roster.detach(server) {
            let has_ended = |phase: &Phase| !matches!(phase, Phase::Draining { .. } | Phase::Stopping { .. });
            // The sender lives as long as the instance, which is held here.
            let _ = instance.phases().wait_for(has_ended).await;
        }
    }

    /// Gives a server a new process. Calls that run finish with the old one, and nobody waits for
    /// them. Returns when the new one is awake, and what it offers is listed.
    ///
    /// # Errors
    /// [`LeaseError`]
    pub async fn restart(&self, server: &ServerKey) -> Result<(), LeaseError> {
        self.shared.roster.detach(server);
        self.attach(server).await
    }

    /// Whether a start of this server touches no network: its environment is there, or it needs none.
    pub fn is_prepared(&self, server: &ServerKey) -> bool {
        self.registry().snapshot().get(server).is_some_and(|entry| match &entry.config.launch {
            Launch::Script { needs, .. } => self.engine().starter.environments().ready_now(needs).is_some(),
            Launch::Command { .. } | Launch::Url(_) => true,
            Launch::Elsewhere { .. } => false,
        })
    }

    /// The process's last lines on stderr, and what it printed on stdout that was no MCP.
    /// `None` while it sleeps.
    pub fn output(&self, server: &ServerKey) -> Option<(Vec<String>, Noise)> {
        let connection: Connection = self.shared.roster.known(server)?.connection()?;
        Some((connection.stderr_tail(), connection.noise()))
    }

    /// Takes a script of a drop folder under a name, and remembers it.
    ///
    /// # Errors
    /// [`RegisterError`]
    pub async fn register(&self, key: ServerKey, path: PathBuf) -> Result<(), RegisterError> {
        self.order(|reply| Order::Register { key, path, reply }).await.unwrap_or(Err(RegisterError::Ending))
    }

    /// Changes entries of `mcp.json`, each by itself, and saves the file once. The results are in
    /// the order of the edits; fewer of them say that the hub is ending.
    pub async fn edit(&self, edits: Vec<Edit>) -> Vec<Result<(), EditError>> {
        self.order(|reply| Order::Edit { edits, reply }).await.unwrap_or_default()
    }

    /// Lets an agent use a server of the store.
    ///
    /// # Errors
    /// [`ShareError`]
    pub async fn assign(&self, server: ServerKey, agent: AgentId) -> Result<(), ShareError> {
        self.say(Say::Assign { server, agent }).await
    }

    /// Takes a server of the store away from an agent.
    ///
    /// # Errors
    /// [`ShareError`]
    pub async fn unassign(&self, server: ServerKey, agent: AgentId) -> Result<(), ShareError> {
        self.say(Say::Unassign { server, agent }).await
    }

    /// Says how a tool shows in a context; empty settings undo what was said.
    ///
    /// # Errors
    /// [`ShareError`]
    pub async fn set_tool(
        &self,
        scope: Scope,
        tool: ToolKey,
        settings: ToolSettings,
    ) -> Result<(), ShareError> {
        self.say(Say::Tool { scope, tool, settings }).await
    }

    async fn say(&self, say: Say) -> Result<(), ShareError> {
        self.order(|reply| Order::Say { say, reply }).await.unwrap_or(Err(ShareError::Ending))
    }

    /// What a context configured, in the form of `mcp.json`, variables not expanded.
    ///
    /// # Errors
    /// [`EditError`]
    pub async fn document(&self, scope: Scope) -> Result<Value, EditError> {
        self.order(|reply| Order::Document { scope, reply }).await.unwrap_or(Err(EditError::Ending))
    }

    /// The entry of a configured server, variables not expanded; `None` if it has none.
    ///
    /// # Errors
    /// [`EditError`]
    pub async fn entry(&self, server: ServerKey) -> Result<Option<Value>, EditError> {
        self.order(|reply| Order::Entry { server, reply }).await.unwrap_or(Err(EditError::Ending))
    }

    /// What is configured or registered and is no server, such as an entry with a mistake, or a
    /// registration whose script is gone.
    ///
    /// # Errors
    /// [`EditError`]
    pub async fn unusable(&self) -> Result<Vec<ServerKey>, EditError> {
        self.order(|reply| Order::Unusable { reply }).await.unwrap_or(Err(EditError::Ending))
    }

    /// Forgets what a context configured and registered, also what is no server. Gives what is gone.
    ///
    /// # Errors
    /// [`EditError`]
    pub async fn reset(&self, scope: Scope, what: Reset) -> Result<Vec<ServerKey>, EditError> {
        self.order(|reply| Order::Reset { scope, what, reply }).await.unwrap_or(Err(EditError::Ending))
    }

    /// Removes a registration or a configured entry, also one that is [unusable](Self::unusable); a
    /// dropped script is only detached, unless its file is to go too. What was said of a server that
    /// is gone goes with it: who shares it, how its tools show, and whether it is to run.
    ///
    /// # Errors
    /// [`RemoveError`]
    pub async fn remove(&self, key: ServerKey, file: bool) -> Result<(), RemoveError> {
        self.order(|reply| Order::Remove { key, file, reply }).await.unwrap_or(Err(RemoveError::Ending))
    }

    /// Looks at all sources now.
    pub async fn rescan(&self) {
        self.order(|reply| Order::Rescan { reply }).await;
    }

    /// `None` once the hub ends.
    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.shared.orders.send(order(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Files and entries that are no servers, with the reason.
    pub fn findings(&self) -> Vec<Finding> {
        self.shared.findings.lock().expect("nothing panics while it holds the findings").clone()
    }

    /// The servers that are being contacted for the first time, as they become more and less.
    pub fn first_contacts(&self) -> watch::Receiver<Contacts> {
        self.shared.contacts.clone()
    }

    /// How many servers have a process, or are about to.
    pub fn awake(&self) -> usize {
        self.shared.roster.awake()
    }

    /// Ends everything: takes no new calls, lets running ones finish for `grace`, then ends every
    /// process. Returns when none is left.
    pub async fn shutdown(&self, grace: Duration) {
        self.engine().ending.cancel();
        let leaving = self.shared.roster.end();
        let all_gone = async {
            for instance in &leaving {
                let _ = instance.phases().wait_for(|phase| *phase == Phase::Gone).await;
            }
        };
        if tokio::time::timeout(grace, all_gone).await.is_err() {
            for instance in &leaving {
                if let Some(connection) = instance.connection() {
                    connection.close(Duration::ZERO).await;
                }
            }
        }
        let tasks = &self.engine().tasks;
        tasks.close();
        tasks.wait().await;
    }
}
