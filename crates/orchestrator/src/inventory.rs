//! The one task that knows all sources of servers and writes the registry.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_lifecycle::{Event as Step, Phase};
use dormouse_registry::{Catalog, Entry, Registry};
use dormouse_scan::Scanned;
use dormouse_storage::{Storage, StorageError, Table, Write, joined_key};
use dormouse_types::{
    Event, FeatureSource, Launch, Origin, PrepareStep, Scope, ServerKey, ServerName, ServerState,
    ServerStatus, Timestamp, Wanted,
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::configured::Configured;
use crate::error::{AddError, OpenError, RegisterError, RemoveError};
use crate::finding::Finding;
use crate::folders::{Folders, QUIET, Scripts};
use crate::instance::Learned;
use crate::reconcile::{Live, Sources, source_of};
use crate::roster::Roster;
use crate::settings::Settings;

/// How long a first contact waits for the inventory to take up what a server said.
const LEARNING: Duration = Duration::from_secs(5);

/// Something that the inventory is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Take a script of a drop folder under a name.
    Register { key: ServerKey, path: PathBuf, reply: oneshot::Sender<Result<(), RegisterError>> },
    /// Add an entry to `mcp.json`.
    Add { name: ServerName, entry: Value, reply: oneshot::Sender<Result<(), AddError>> },
    /// Remove what was registered or configured; with `file` also the script itself.
    Remove { key: ServerKey, file: bool, reply: oneshot::Sender<Result<(), RemoveError>> },
    /// Look at all sources now, without waiting for the watch.
    Rescan { reply: oneshot::Sender<()> },
}

/// The task's own state.
#[derive(Debug)]
pub(crate) struct Inventory {
    settings: Arc<Settings>,
    storage: Arc<dyn Storage>,
    roster: Arc<Roster>,
    folders: Option<Folders>,
    scripts: Scripts,
    registrations: BTreeMap<ServerKey, PathBuf>,
    configured: Configured,
    live: Live,
    findings: Arc<Mutex<Vec<Finding>>>,
    /// How many first contacts are under way.
    contacts: watch::Sender<usize>,
}

impl Inventory {
    /// Reads all sources once and fills the registry.
    pub(crate) async fn open(
        settings: Arc<Settings>,
        storage: Arc<dyn Storage>,
        roster: Arc<Roster>,
        findings: Arc<Mutex<Vec<Finding>>>,
        contacts: watch::Sender<usize>,
    ) -> Result<Self, OpenError> {
        for folder in settings.drop_folders.iter().chain([&settings.state]) {
            std::fs::create_dir_all(folder)
                .map_err(|source| OpenError::Folder { path: folder.clone(), source })?;
        }
        let registrations = storage
            .all(Table::Registrations)
            .await?
            .into_iter()
            .filter_map(|(_, value)| {
                let key: ServerKey = serde_json::from_value(value.get("server")?.clone()).ok()?;
                Some((key, PathBuf::from(value.get("path")?.as_str()?)))
            })
            .collect();
        let live = storage
            .all(Table::LiveFeatures)
            .await?
            .into_iter()
            .filter_map(|(version, value)| Some((version, Arc::new(serde_json::from_value(value).ok()?))))
            .collect();
        let folders = Folders::open(settings.drop_folders.clone(), &settings.state);
        let mut inventory = Self {
            settings,
            storage,
            roster,
            folders: Some(folders),
            scripts: Scripts::new(),
            registrations,
            configured: Configured::default(),
            live,
            findings,
            contacts,
        };
        inventory.rescan().await;
        Ok(inventory)
    }

    /// Serves orders, changes of files and what servers say, until the hub ends.
    pub(crate) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut learned: mpsc::UnboundedReceiver<Learned>,
        mut changes: watch::Receiver<u64>,
        ending: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = ending.cancelled() => return,
                Some(first) = learned.recv() => {
                    let mut batch = vec![first];
                    while let Ok(next) = learned.try_recv() {
                        batch.push(next);
                    }
                    self.learn(batch).await;
                }
                Some(order) = orders.recv() => self.obey(order).await,
                Ok(()) = changes.changed() => {
                    // An editor writes in several steps; wait until it is quiet.
                    while let Ok(Ok(())) = tokio::time::timeout(QUIET, changes.changed()).await {}
                    self.rescan().await;
                }
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        // Who asked may be gone; what was asked is done all the same.
        match order {
            Order::Register { key, path, reply } => {
                let _ = reply.send(self.register(key, path).await);
            }
            Order::Add { name, entry, reply } => {
                let _ = reply.send(self.add(name, entry).await);
            }
            Order::Remove { key, file, reply } => {
                let _ = reply.send(self.remove(key, file).await);
            }
            Order::Rescan { reply } => {
                self.rescan().await;
                let _ = reply.send(());
            }
        }
    }

    /// Looks at all sources and applies the difference.
    async fn rescan(&mut self) {
        if let Some(mut folders) = self.folders.take() {
            let read = tokio::task::spawn_blocking(move || {
                let scripts = folders.scan();
                (folders, scripts)
            });
            match read.await {
                Ok((folders, scripts)) => {
                    self.folders = Some(folders);
                    self.scripts = scripts;
                }
                Err(error) => {
                    warn!(%error, "the scan of the drop folders broke off; it begins anew");
                    self.folders =
                        Some(Folders::open(self.settings.drop_folders.clone(), &self.settings.state));
                }
            }
        }
        self.configured = Configured::load(&self.settings, &self.configured);
        self.reconcile().await;
    }

    fn sources<'a>(&'a self, catalog: &'a Catalog) -> Sources<'a> {
        Sources {
            catalog,
            settings: &self.settings,
            scripts: &self.scripts,
            registrations: &self.registrations,
            configured: &self.configured,
            live: &self.live,
        }
    }

    async fn reconcile(&self) {
        let registry = &self.roster.engine().registry;
        let catalog = registry.snapshot();
        let mut desired = self.sources(&catalog).desired();
        self.roster.engine().alerts.found(registry, &desired.findings);
        *self.findings.lock().expect("nothing panics while it holds the findings") =
            std::mem::take(&mut desired.findings);
        let changes = desired.difference(&catalog);
        if changes.is_empty() {
            return;
        }
        let about: Vec<ServerKey> = changes.iter().map(|change| change.key().clone()).collect();
        info!(servers = about.len(), "servers changed");
        if let Err(error) = registry.apply(changes).await {
            return warn!(%error, "the servers that changed could not be taken up");
        }
        let catalog = registry.snapshot();
        for key in about {
            let entry = catalog.get(&key).cloned();
            self.roster.changed(&key, entry.as_deref());
            if let Some(entry) = entry {
                self.welcome(&entry);
            }
        }
    }

    /// What is to be done with a server that is new or changed: wake it, contact it, or make its
    /// environment; or say at once why it cannot run.
    fn welcome(&self, entry: &Arc<Entry>) {
        let registry = &self.roster.engine().registry;
        match &entry.config.launch {
            Launch::Script { needs, .. } if needs.problem.is_some() => {
                if self.roster.known(&entry.key).is_none() {
                    registry.set_status(&entry.key, unreachable(needs.problem.clone()));
                }
                return;
            }
            Launch::Script { .. }
                if self.settings.prepare_ahead && entry.config.wanted == Wanted::OnDemand =>
            {
                self.prepare(entry.clone());
            }
            Launch::Elsewhere { .. } => {
                let reason = "its script lies with another hub, and not here".to_owned();
                registry.set_status(&entry.key, unreachable(Some(reason)));
                return;
            }
            Launch::Script { .. } | Launch::Command { .. } | Launch::Url(_) => {}
        }
        let wake = entry.config.wanted == Wanted::Always;
        let contact = entry.source == FeatureSource::Unknown && entry.config.wanted == Wanted::OnDemand;
        if !wake && !contact {
            return;
        }
        let Some(instance) = self.roster.instance(entry) else { return };
        instance.feed(Step::Wake);
        if contact {
            self.contacts.send_modify(|count| *count += 1);
            let contacts = self.contacts.clone();
            let told = first_contact(self.roster.engine().registry.clone(), entry.clone(), instance.phases());
            let ending = self.roster.engine().ending.clone();
            self.roster.engine().tasks.spawn(async move {
                tokio::select! {
                    () = told => {}
                    // Nobody takes up any more what the server says.
                    () = ending.cancelled() => {}
                }
                contacts.send_modify(|count| *count -= 1);
            });
        }
    }

    fn prepare(&self, entry: Arc<Entry>) {
        let Launch::Script { needs, .. } = &entry.config.launch else { return };
        let engine = self.roster.engine().clone();
        if engine.starter.environments().ready_now(needs).is_some() {
            return;
        }
        let roster = self.roster.clone();
        let needs = needs.clone();
        engine.clone().tasks.spawn(async move {
            let report = |step: PrepareStep| {
                engine.registry.emit(Event::Preparing { server: entry.key.clone(), step });
            };
            let result = tokio::select! {
                () = engine.ending.cancelled() => return,
                result = engine.starter.python(&needs, &report) => result,
            };
            if let Err(fault) = result
                && roster.known(&entry.key).is_none()
            {
                warn!(server = %entry.key, fault = %fault.chain(), "its environment could not be made");
                engine.registry.set_status(&entry.key, unreachable(Some(fault.chain())));
            }
        });
    }

    /// Takes what running servers said of themselves as the truth about their versions.
    async fn learn(&mut self, batch: Vec<Learned>) {
        let mut writes = Vec::new();
        for Learned { key, version, features } in batch {
            if self.live.get(&version).is_some_and(|known| **known == *features) {
                continue;
            }
            match serde_json::to_value(&*features) {
                Ok(value) => {
                    writes.push(Write::Put { table: Table::LiveFeatures, key: version.clone(), value });
                }
                Err(error) => warn!(server = %key, %error, "its lists cannot be kept"),
            }
            self.live.insert(version, features);
        }
        if writes.is_empty() {
            return;
        }
        // Kept for the next start; this one goes on without.
        if let Err(error) = self.storage.write(writes).await {
            warn!(%error, "what servers said of themselves could not be kept");
        }
        self.reconcile().await;
    }

    async fn register(&mut self, key: ServerKey, asked: PathBuf) -> Result<(), RegisterError> {
        let Ok(path) = std::fs::canonicalize(self.settings.space.join(&asked)) else {
            return Err(RegisterError::Missing { path: asked });
        };
        let inside = |folder: &PathBuf| {
            std::fs::canonicalize(folder)
                .is_ok_and(|folder| path.parent() == Some(&folder))
                .then(|| folder.join(path.file_name().unwrap_or_default()))
        };
        let Some(path) = self.settings.drop_folders.iter().find_map(inside) else {
            let folders = self.settings.drop_folders.clone();
            return Err(RegisterError::Outside { path: asked, folders });
        };
        self.rescan().await;
        match self.scripts.get(&path).map(|scanned| scanned.as_deref()) {
            Some(Ok(Scanned::Server(_))) => {}
            Some(Ok(Scanned::NoServer { reason })) => {
                return Err(RegisterError::NoServer { path: asked, reason: reason.clone() });
            }
            Some(Err(problem)) => {
                return Err(RegisterError::NoServer { path: asked, reason: problem.clone() });
            }
            None => {
                let reason = "only Python files that lie directly in the folder count".to_owned();
                return Err(RegisterError::NoServer { path: asked, reason });
            }
        }
        if let Some(known) = self.roster.engine().registry.snapshot().get(&key) {
            let same = matches!(&known.config.launch, Launch::Script { path: of, .. } if *of == path);
            if !same {
                let taken_by = source_of(&known.config.launch);
                return Err(RegisterError::Conflict { name: key.name, taken_by });
            }
            if known.config.origin == Origin::Registered {
                return Ok(());
            }
        }
        let value = json!({ "server": key, "path": path });
        let write = Write::Put { table: Table::Registrations, key: stored_key(&key), value };
        self.storage.write(vec![write]).await?;
        self.registrations.insert(key, path);
        self.reconcile().await;
        Ok(())
    }

    async fn add(&mut self, name: ServerName, entry: Value) -> Result<(), AddError> {
        self.rescan().await;
        let key = ServerKey::store(name.clone());
        if let Some(known) = self.roster.engine().registry.snapshot().get(&key)
            && known.config.origin != Origin::Configured
        {
            return Err(AddError::Conflict { name, taken_by: source_of(&known.config.launch) });
        }
        crate::configured::put(&self.settings, &name, &entry)?;
        self.rescan().await;
        Ok(())
    }

    async fn remove(&mut self, key: ServerKey, file: bool) -> Result<(), RemoveError> {
        let registry = &self.roster.engine().registry;
        let Some(entry) = registry.snapshot().get(&key).cloned() else {
            return Err(RemoveError::UnknownServer { server: key });
        };
        match entry.config.origin {
            Origin::Dropped => {}
            Origin::Registered => {
                self.forget(&key).await?;
            }
            Origin::Configured => {
                crate::configured::remove(&self.settings, &key.name)?;
            }
        }
        if let (true, Launch::Script { path, .. }) = (file, &entry.config.launch) {
            std::fs::remove_file(path).map_err(|source| RemoveError::File { path: path.clone(), source })?;
        }
        // A script that stays is dormant again, as in the seed.
        if let Some(instance) = self.roster.known(&key) {
            instance.feed(Step::Detach);
        }
        self.rescan().await;
        Ok(())
    }

    async fn forget(&mut self, key: &ServerKey) -> Result<(), StorageError> {
        let write = Write::Delete { table: Table::Registrations, key: stored_key(key) };
        self.storage.write(vec![write]).await?;
        self.registrations.remove(key);
        Ok(())
    }
}

/// Returns once the registry knows what the server offers, or it is clear that it never will.
async fn first_contact(registry: Registry, entry: Arc<Entry>, mut phases: watch::Receiver<Phase>) {
    let Ok(phase) = phases.wait_for(|phase| !matches!(phase, Phase::Starting { .. })).await.map(|p| *p)
    else {
        return;
    };
    if matches!(phase, Phase::Down | Phase::Waiting | Phase::Gone) {
        return;
    }
    let mut version = registry.version();
    let unknown = || {
        let now = registry.snapshot();
        let now = now.get(&entry.key);
        now.is_some_and(|now| now.content_hash == entry.content_hash && now.source == FeatureSource::Unknown)
    };
    let learned = async { while unknown() && version.changed().await.is_ok() {} };
    // The inventory takes it up at once; this only bounds a wait for one that has ended.
    let _ = tokio::time::timeout(LEARNING, learned).await;
}

/// A status for a server that cannot even be tried.
fn unreachable(reason: Option<String>) -> ServerStatus {
    ServerStatus { state: ServerState::Unreachable, reason, ..ServerStatus::dormant(Timestamp::now()) }
}

fn stored_key(key: &ServerKey) -> String {
    match &key.scope {
        Scope::Store => joined_key(["store", key.name.as_str()]),
        Scope::Agent(agent) => joined_key(["agent", agent.as_str(), key.name.as_str()]),
    }
}
