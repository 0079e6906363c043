//! The one task that knows all sources of servers and writes the registry.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_registry::{ApplyError, Catalog};
use dormouse_storage::{ConfigSource, FromOthers, Storage, StorageError, Table};
use dormouse_types::{AgentId, Scope, ServerKey, ToolKey, ToolSettings};
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::configured::Configured;
use crate::edit::{Edit, EditError, Reset};
use crate::engine::Learned;
use crate::error::{OpenError, RegisterError, RemoveError};
use crate::file_watch::FileWatch;
use crate::finding::Finding;
use crate::folders::{Folders, Scripts, Settling};
use crate::learning::{Unkept, live};
use crate::reconcile::{Live, Sources};
use crate::replicas::Replicas;
use crate::roster::Roster;
use crate::said::{Said, ShareError};
use crate::settings::Settings;
use crate::tuning::take_up_supervision;
use crate::welcome::Contacts;

/// How soon it is tried again to read what other hubs wrote.
const AGAIN: Duration = Duration::from_secs(1);

/// Something that the inventory is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Take a script of a drop folder under a name.
    Register { key: ServerKey, path: PathBuf, reply: oneshot::Sender<Result<(), RegisterError>> },
    /// Change entries of `mcp.json`, each by itself.
    Edit { edits: Vec<Edit>, reply: oneshot::Sender<Vec<Result<(), EditError>>> },
    /// Say anew what is said beside the configuration.
    Say { say: Say, reply: oneshot::Sender<Result<(), ShareError>> },
    /// Show what a context configured.
    Document { scope: Scope, reply: oneshot::Sender<Result<Value, EditError>> },
    /// Show one entry.
    Entry { server: ServerKey, reply: oneshot::Sender<Result<Option<Value>, EditError>> },
    /// Name what is configured or registered, and is no server.
    Unusable { reply: oneshot::Sender<Result<Vec<ServerKey>, EditError>> },
    /// Forget what a context configured and registered.
    Reset { scope: Scope, what: Reset, reply: oneshot::Sender<Result<Vec<ServerKey>, EditError>> },
    /// Remove what was registered or configured; with `file` also the script itself.
    Remove { key: ServerKey, file: bool, reply: oneshot::Sender<Result<(), RemoveError>> },
    /// Look at all sources now, without waiting for the watch.
    Rescan { reply: oneshot::Sender<()> },
}

/// Something that is said beside the configuration.
#[derive(Debug)]
pub(crate) enum Say {
    /// An agent may use a server of the store.
    Assign { server: ServerKey, agent: AgentId },
    /// It may not any more.
    Unassign { server: ServerKey, agent: AgentId },
    /// How a tool shows in a context.
    Tool { scope: Scope, tool: ToolKey, settings: ToolSettings },
}

/// The task's own state.
#[derive(Debug)]
pub(crate) struct Inventory {
    pub(crate) settings: Arc<Settings>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) source: Arc<dyn ConfigSource>,
    pub(crate) roster: Arc<Roster>,
    folders: Option<Folders>,
    /// Tells of changes in files as long as it lives, where that is wished and the system can.
    watch: Option<FileWatch>,
    pub(crate) scripts: Scripts,
    pub(crate) registrations: BTreeMap<ServerKey, PathBuf>,
    configured: Configured,
    pub(crate) said: Said,
    pub(crate) live: Live,
    /// What servers said of themselves and is not kept yet, by version.
    pub(crate) unkept: BTreeMap<String, Unkept>,
    /// The other hubs, where the storage is shared.
    pub(crate) replicas: Option<Replicas>,
    heard: Heard,
    unread: Option<Unread>,
    /// Whether the registry could not be brought up to what is known here.
    is_behind: bool,
    findings: Arc<Mutex<Vec<Finding>>>,
    /// The first contacts under way.
    pub(crate) contacts: watch::Sender<Contacts>,
}

/// Who tells by itself that something changed.
#[derive(Debug, Default)]
struct Heard {
    /// Other hubs on the same storage.
    others: Option<broadcast::Receiver<FromOthers>>,
    /// The source of configuration.
    source: Option<watch::Receiver<u64>>,
}

/// What other hubs wrote and could not be read yet.
#[derive(Debug)]
struct Unread {
    tables: Vec<Table>,
    again_at: Instant,
}

impl Inventory {
    /// Reads all sources once and fills the registry.
    pub(crate) async fn open(
        settings: Arc<Settings>,
        storage: Arc<dyn Storage>,
        source: Arc<dyn ConfigSource>,
        roster: Arc<Roster>,
        findings: Arc<Mutex<Vec<Finding>>>,
        contacts: watch::Sender<Contacts>,
    ) -> Result<Self, OpenError> {
        for folder in settings.drop_folders.iter().chain([&settings.state]) {
            std::fs::create_dir_all(folder)
                .map_err(|source| OpenError::Folder { path: folder.clone(), source })?;
        }
        // Listen first, then read: what changes in between is seen twice rather than never.
        let heard = Heard { others: storage.feed(), source: source.changes() };
        roster.engine().wishes.take_up().await?;
        let registrations = registrations(&*storage).await?;
        let said = Said::load(&*storage).await?;
        said.apply(&roster.engine().registry, &Said::default()).await.map_err(OpenError::Said)?;
        let replicas = match storage.is_shared() {
            true => Some(Replicas::open(storage.clone(), &settings.state).await?),
            false => None,
        };
        let folders = Folders::open(settings.drop_folders.clone(), &settings.state);
        let mut inventory = Self {
            settings,
            storage,
            source,
            roster,
            folders: Some(folders),
            watch: None,
            scripts: Scripts::new(),
            registrations,
            configured: Configured::default(),
            said,
            live: Live::default(),
            unkept: BTreeMap::new(),
            replicas,
            heard,
            unread: None,
            is_behind: false,
            findings,
            contacts,
        };
        let (live, ()) = tokio::join!(live(inventory.storage.clone()), inventory.look());
        inventory.live = live?;
        inventory.reconcile().await;
        // Also where nothing changed: the last script may have gone while no hub was here.
        inventory.show_scripts().await;
        inventory.forget_former().await;
        Ok(inventory)
    }

    /// Serves orders, changes of files and what servers say, until the hub ends.
    pub(crate) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut learned: mpsc::UnboundedReceiver<Learned>,
        (watch, mut changes): (Option<FileWatch>, watch::Receiver<u64>),
        ending: CancellationToken,
    ) {
        self.watch = watch;
        let Heard { mut others, mut source } = std::mem::take(&mut self.heard);
        let mut settling = Settling::default();
        if let Some(replicas) = &self.replicas {
            let engine = self.roster.engine();
            let telling = replicas.tell(engine.registry.events(), ending.clone());
            engine.tasks.spawn(telling);
            self.ask_for_alerts().await;
        }
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
                news = heard(&mut others) => self.follow(news).await,
                () = changed(&mut source) => {
                    self.reread().await;
                    if self.configured.is_unread {
                        self.read_again(vec![Table::Documents]);
                    }
                }
                () = due_again(self.unread.as_ref()) => self.follow(FromOthers::Written(Vec::new())).await,
                () = due(self.replicas.as_ref()) => self.show_scripts().await,
                Ok(()) = changes.changed() => settling.disturb(),
                () = settling.settled() => {
                    settling = Settling::default();
                    self.follow_links().await;
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
            Order::Edit { edits, reply } => {
                let _ = reply.send(self.edit(edits).await);
            }
            Order::Say { say, reply } => {
                let _ = reply.send(self.say(say).await);
            }
            Order::Document { scope, reply } => {
                let _ = reply.send(crate::configured::document(&*self.source, &scope).await);
            }
            Order::Entry { server, reply } => {
                let _ = reply.send(crate::configured::entry(&*self.source, &server).await);
            }
            Order::Unusable { reply } => {
                let _ = reply.send(self.unusable().await);
            }
            Order::Reset { scope, what, reply } => {
                let _ = reply.send(self.reset(&scope, what).await);
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
    pub(crate) async fn rescan(&mut self) {
        self.look().await;
        self.reconcile().await;
    }

    /// Watches where links lead now. Before anything is read: what changes in between is seen twice.
    async fn follow_links(&mut self) {
        let Some(mut watch) = self.watch.take() else { return };
        let followed = tokio::task::spawn_blocking(move || {
            watch.follow();
            watch
        });
        match followed.await {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => warn!(%error, "changes of files are not seen by themselves any more"),
        }
    }

    /// Reads the drop folders and what is configured.
    async fn look(&mut self) {
        let folders = self.folders.take();
        let read = tokio::task::spawn_blocking(move || {
            let mut folders = folders?;
            let scripts = folders.scan();
            Some((folders, scripts))
        });
        let configured = Configured::load(&*self.source, self.settings.timing, &self.configured);
        let (read, configured) = tokio::join!(read, configured);
        self.configured = configured;
        match read {
            Ok(Some((folders, scripts))) => {
                self.folders = Some(folders);
                self.scripts = scripts;
            }
            Ok(None) => {}
            Err(error) => {
                warn!(%error, "the scan of the drop folders broke off; it begins anew");
                self.folders = Some(Folders::open(self.settings.drop_folders.clone(), &self.settings.state));
            }
        }
    }

    /// Reads what is configured and applies the difference.
    pub(crate) async fn reread(&mut self) {
        self.configured = Configured::load(&*self.source, self.settings.timing, &self.configured).await;
        self.reconcile().await;
    }

    /// Takes up what other hubs on the same storage wrote and told.
    async fn follow(&mut self, news: FromOthers) {
        let mut written = match news {
            FromOthers::Told(told) => return self.hear(told).await,
            FromOthers::Written(tables) => tables,
            FromOthers::Missed => {
                // Not all of it may have been stored while the storage was away.
                self.show_scripts().await;
                self.configured =
                    Configured::load(&*self.source, self.settings.timing, &self.configured).await;
                self.ask_for_alerts().await;
                Table::ALL.to_vec()
            }
        };
        let unread = self.unread.take();
        let known = unread.is_some();
        written.extend(unread.into_iter().flat_map(|unread| unread.tables));
        if let Err(error) = self.take_up(&written).await {
            if known {
                debug!(%error, "what other hubs changed can still not be read");
            } else {
                warn!(%error, "what other hubs changed cannot be read; it is tried again");
            }
            self.read_again(written);
        }
    }

    /// Reads tables soon that could not be read now.
    pub(crate) fn read_again(&mut self, mut tables: Vec<Table>) {
        tables.extend(self.unread.take().into_iter().flat_map(|unread| unread.tables));
        tables.sort();
        tables.dedup();
        self.unread = Some(Unread { tables, again_at: Instant::now() + AGAIN });
    }

    async fn take_up(&mut self, written: &[Table]) -> Result<(), StorageError> {
        if written.contains(&Table::Registrations) {
            self.registrations = registrations(&*self.storage).await?;
        }
        if written.contains(&Table::LiveFeatures) {
            self.read_live().await?;
        }
        if written.contains(&Table::Assignments) || written.contains(&Table::ToolSettings) {
            let said = Said::load(&*self.storage).await?;
            match said.apply(&self.roster.engine().registry, &self.said).await {
                Ok(()) => self.said = said,
                // The new names of tools; it is tried again.
                Err(ApplyError::Storage(error)) => return Err(error),
                Err(error) => warn!(%error, "what another hub said of tools cannot be taken up"),
            }
        }
        if written.contains(&Table::Settings) {
            take_up_supervision(&*self.storage, &self.roster).await?;
            for (server, wish) in self.roster.engine().wishes.take_up().await? {
                let entry = self.roster.engine().registry.snapshot().get(&server).cloned();
                // Also where it was never needed here: its status shows that it is stopped.
                if let Some(instance) = entry.and_then(|entry| self.roster.instance(&entry)) {
                    instance.wish(wish);
                }
            }
        }
        if written.contains(&Table::Scripts)
            && let Some(replicas) = &mut self.replicas
        {
            replicas.take_up().await?;
        }
        const OURS: [Table; 3] = [Table::Registrations, Table::LiveFeatures, Table::Scripts];
        // What is configured is told of by its own source; this is left where that could not be read.
        let configured = written.contains(&Table::Documents) && self.configured.is_unread;
        if configured {
            self.configured = Configured::load(&*self.source, self.settings.timing, &self.configured).await;
        }
        if configured || self.is_behind || written.iter().any(|table| OURS.contains(table)) {
            self.reconcile().await;
        }
        if self.configured.is_unread {
            self.read_again(vec![Table::Documents]);
        }
        Ok(())
    }

    /// Lets the other hubs know which scripts lie here.
    async fn show_scripts(&mut self) {
        let Some(replicas) = &mut self.replicas else { return };
        let catalog = self.roster.engine().registry.snapshot();
        if let Err(error) = replicas.show(&catalog).await {
            warn!(%error, "other hubs are not told which scripts lie here");
        }
    }

    fn sources<'a>(&'a self, catalog: &'a Catalog) -> Sources<'a> {
        Sources {
            catalog,
            settings: &self.settings,
            scripts: &self.scripts,
            registrations: &self.registrations,
            configured: &self.configured,
            live: &self.live,
            others: self.replicas.as_ref().map(Replicas::others),
        }
    }

    pub(crate) async fn reconcile(&mut self) {
        let registry = &self.roster.engine().registry;
        let catalog = registry.snapshot();
        let mut desired = self.sources(&catalog).desired();
        let findings = std::mem::take(&mut desired.findings);
        self.roster.engine().alerts.found(registry, &findings);
        *self.findings.lock().expect("nothing panics while it holds the findings") = findings;
        let changes = desired.difference(&catalog);
        if changes.is_empty() {
            return;
        }
        let about: Vec<ServerKey> = changes.iter().map(|change| change.key().clone()).collect();
        info!(servers = about.len(), "servers changed");
        // From here on, and not only when they are welcomed: nobody is to see them without tools
        // and believe that they have none.
        self.contacts.send_modify(|contacts| about.iter().for_each(|key| contacts.begin(key)));
        let applied = registry.apply(changes).await;
        self.is_behind = applied.is_err();
        if let Err(error) = applied {
            self.contacts.send_modify(|contacts| about.iter().for_each(|key| contacts.end(key)));
            warn!(%error, "the servers that changed could not be taken up");
            if self.storage.is_shared() {
                self.read_again(Vec::new());
            }
            return;
        }
        let registry = &self.roster.engine().registry;
        let catalog = registry.snapshot();
        for key in &about {
            let entry = catalog.get(key).cloned();
            self.roster.changed(key, entry.as_deref());
            if let Some(entry) = entry {
                self.welcome(&entry);
            }
        }
        self.contacts.send_modify(|contacts| about.iter().for_each(|key| contacts.end(key)));
        self.show_scripts().await;
    }
}

async fn registrations(storage: &dyn Storage) -> Result<BTreeMap<ServerKey, PathBuf>, StorageError> {
    let stored = storage.all(Table::Registrations).await?.into_iter();
    let read = stored.filter_map(|(_, value)| {
        let key: ServerKey = serde_json::from_value(value.get("server")?.clone()).ok()?;
        Some((key, PathBuf::from(value.get("path")?.as_str()?)))
    });
    Ok(read.collect())
}

/// The next word from other hubs; never, where there are none.
async fn heard(others: &mut Option<broadcast::Receiver<FromOthers>>) -> FromOthers {
    let Some(receiver) = others else { return std::future::pending().await };
    match receiver.recv().await {
        Ok(news) => news,
        Err(broadcast::error::RecvError::Lagged(_)) => FromOthers::Missed,
        Err(broadcast::error::RecvError::Closed) => {
            *others = None;
            std::future::pending().await
        }
    }
}

/// The next change that a source of configuration tells of by itself; never, where it tells none.
async fn changed(source: &mut Option<watch::Receiver<u64>>) {
    let Some(changes) = source else { return std::future::pending().await };
    if changes.changed().await.is_err() {
        *source = None;
        std::future::pending().await
    }
}

/// When it is to be tried again to read what other hubs wrote; never, where nothing is left.
async fn due_again(unread: Option<&Unread>) {
    match unread {
        Some(unread) => tokio::time::sleep_until(unread.again_at).await,
        None => std::future::pending().await,
    }
}

/// When the other hubs should hear again that this one is there; never, where there are none.
async fn due(replicas: Option<&Replicas>) {
    match replicas {
        Some(replicas) => replicas.due().await,
        None => std::future::pending().await,
    }
}
