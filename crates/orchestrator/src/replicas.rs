//! Other hubs of the same space: which scripts lie with them, and what happens there.
//!
//! Scripts are not replicated. Each hub stores a record of every script that lies with it; a hub
//! without that script lists the server all the same, as one that it cannot start. A hub that was
//! not seen for days has left for good, and its records with it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_registry::Catalog;
use dormouse_storage::{Storage, StorageError, Table, Write, joined_key};
use dormouse_types::{
    Confidence, Event, FeatureSource, Features, Launch, Origin, Scope, ServerKey, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::error::OpenError;
use crate::instance::random;
use crate::said::stored_key;

/// How often a hub shows that it is still there.
const SHOWN_EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// How long after its last sign a hub has left for good.
const GONE_AFTER: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// How many events are told at once at most.
const TOLD_AT_ONCE: usize = 256;

/// The other hubs, as this one knows them.
#[derive(Debug)]
pub(crate) struct Replicas {
    storage: Arc<dyn Storage>,
    hub: String,
    others: BTreeMap<ServerKey, ScriptOfAnother>,
    /// What is stored of the scripts that lie here.
    shown: HashMap<ServerKey, Record>,
    /// When this hub showed that it is there.
    shown_at: Option<Instant>,
}

/// A script that lies with another hub.
#[derive(Debug, Clone)]
pub(crate) struct ScriptOfAnother {
    pub(crate) content_hash: String,
    /// Whether it was registered there, rather than only dropped.
    pub(crate) registered: bool,
    pub(crate) features: Arc<Features>,
    pub(crate) confidence: Confidence,
}

/// A script as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    hub: String,
    server: ServerKey,
    content_hash: String,
    registered: bool,
    features: Arc<Features>,
    confidence: Confidence,
    source: FeatureSource,
}

/// What a hub tells the others.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    hub: Arc<str>,
    events: Vec<Event>,
}

impl Replicas {
    pub(crate) async fn open(storage: Arc<dyn Storage>, state: &Path) -> Result<Self, OpenError> {
        let mut replicas = Self {
            storage,
            hub: hub_id(state)?,
            others: BTreeMap::new(),
            shown: HashMap::new(),
            shown_at: None,
        };
        let records = replicas.take_up().await?;
        replicas.clean_up(&records).await?;
        Ok(replicas)
    }

    /// The scripts that lie with others.
    pub(crate) fn others(&self) -> &BTreeMap<ServerKey, ScriptOfAnother> {
        &self.others
    }

    /// Reads anew what the others have; gives all records.
    pub(crate) async fn take_up(&mut self) -> Result<Vec<(String, Value)>, StorageError> {
        let records = self.storage.all(Table::Scripts).await?;
        self.others.clear();
        for (key, value) in &records {
            let Ok(record) = serde_json::from_value::<Record>(value.clone()) else { continue };
            if record.hub == self.hub {
                // Also what an earlier life of this hub left: it is compared with what lies here.
                self.shown.entry(record.server.clone()).or_insert(record);
                continue;
            }
            debug!(key, hub = record.hub, "a script lies with another hub");
            // The records are sorted: of several hubs with the script always the same one counts.
            self.others.entry(record.server).or_insert(ScriptOfAnother {
                content_hash: record.content_hash,
                registered: record.registered,
                features: record.features,
                confidence: record.confidence,
            });
        }
        Ok(records)
    }

    /// Stores which scripts lie here, as far as that changed, and that this hub is there.
    pub(crate) async fn show(&mut self, catalog: &Catalog) -> Result<(), StorageError> {
        let table = Table::Scripts;
        let here: HashMap<ServerKey, Record> = catalog
            .servers(&Scope::Store)
            .filter(|entry| matches!(entry.config.launch, Launch::Script { .. }))
            .map(|entry| {
                let record = Record {
                    hub: self.hub.clone(),
                    server: entry.key.clone(),
                    content_hash: entry.content_hash.clone(),
                    registered: entry.config.origin == Origin::Registered,
                    features: entry.features.clone(),
                    confidence: entry.confidence.clone(),
                    source: entry.source,
                };
                (entry.key.clone(), record)
            })
            .collect();
        let mut writes = Vec::new();
        for gone in self.shown.keys().filter(|server| !here.contains_key(*server)) {
            writes.push(Write::Delete { table, key: self.key(gone) });
        }
        for (server, record) in &here {
            if self.shown.get(server).is_none_or(|shown| !shown.says_the_same(record)) {
                let value = serde_json::to_value(record).expect("a record is JSON");
                writes.push(Write::Put { table, key: self.key(server), value });
            }
        }
        if self.shown_at.is_none_or(|at| at.elapsed() >= SHOWN_EVERY) {
            // When the storage is away, the next look comes soon enough.
            self.shown_at = Some(Instant::now());
            let value = json!({ "here": self.hub, "at": Timestamp::now() });
            writes.push(Write::Put { table, key: joined_key(["hub", &self.hub]), value });
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.storage.write(writes).await?;
        self.shown = here;
        Ok(())
    }

    /// When [`show`](Self::show) is due though nothing changed.
    pub(crate) async fn due(&self) {
        tokio::time::sleep_until(self.shown_at.unwrap_or_else(Instant::now) + SHOWN_EVERY).await;
    }

    /// Forgets a script that lies with others only, until one of them shows it anew.
    pub(crate) async fn forget(&mut self, server: &ServerKey) -> Result<(), StorageError> {
        let of_it = |(key, value): (String, Value)| {
            let record: Record = serde_json::from_value(value).ok()?;
            (record.server == *server).then_some(Write::Delete { table: Table::Scripts, key })
        };
        let writes = self.storage.all(Table::Scripts).await?.into_iter().filter_map(of_it).collect();
        self.storage.write(writes).await?;
        self.others.remove(server);
        Ok(())
    }

    /// Takes away what hubs left that are gone for good.
    async fn clean_up(&mut self, records: &[(String, Value)]) -> Result<(), StorageError> {
        let long_ago = Timestamp::now() - GONE_AFTER;
        let is_gone = |value: &Value| {
            let at = value.get("at").and_then(|at| serde_json::from_value::<Timestamp>(at.clone()).ok());
            at.is_some_and(|at| at < long_ago)
        };
        let gone: Vec<&str> = records
            .iter()
            .filter(|(_, value)| is_gone(value))
            .filter_map(|(_, value)| value.get("here")?.as_str())
            .filter(|hub| *hub != self.hub)
            .collect();
        let of_gone = |value: &Value| {
            let hub = value.get("hub").or_else(|| value.get("here")).and_then(Value::as_str);
            hub.is_some_and(|hub| gone.contains(&hub))
        };
        let left = records.iter().filter(|(_, value)| of_gone(value));
        let writes: Vec<Write> =
            left.map(|(key, _)| Write::Delete { table: Table::Scripts, key: key.clone() }).collect();
        if !writes.is_empty() {
            self.storage.write(writes).await?;
            self.take_up().await?;
        }
        Ok(())
    }

    fn key(&self, server: &ServerKey) -> String {
        joined_key(["script", &self.hub, &stored_key(server)])
    }

    /// Tells the other hubs what happens here, until the hub ends. Who lags behind, or finds the
    /// storage away, leaves events out: they are news, and the state is in the records.
    pub(crate) fn tell(
        &self,
        mut events: broadcast::Receiver<Event>,
        ending: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (storage, hub) = (self.storage.clone(), Arc::<str>::from(self.hub.as_str()));
        async move {
            loop {
                let first = tokio::select! {
                    () = ending.cancelled() => return,
                    first = events.recv() => first,
                };
                let mut batch = match first {
                    Ok(event) => vec![event],
                    Err(RecvError::Lagged(_)) => Vec::new(),
                    Err(RecvError::Closed) => return,
                };
                while batch.len() < TOLD_AT_ONCE
                    && let Ok(event) = events.try_recv()
                {
                    batch.push(event);
                }
                batch.retain(is_news);
                if batch.is_empty() {
                    continue;
                }
                let told = serde_json::to_value(Told { hub: hub.clone(), events: batch });
                if let Err(error) = storage.tell(&told.expect("events are JSON")).await {
                    debug!(%error, "other hubs are not told what happens here");
                }
            }
        }
    }
}

impl Record {
    /// Whether both would be stored alike. Features belong to the hash and to who told of them.
    fn says_the_same(&self, other: &Self) -> bool {
        self.content_hash == other.content_hash
            && self.registered == other.registered
            && self.source == other.source
            && self.confidence == other.confidence
    }
}

/// Whether an event is news for another hub. Changes of servers each hub finds out by itself.
fn is_news(event: &Event) -> bool {
    !matches!(
        event,
        Event::ServerChanged { .. }
            | Event::ServerRemoved { .. }
            | Event::ServerUnassigned { .. }
            | Event::Elsewhere { .. }
    )
}

/// What another hub told.
pub(crate) fn heard_events(told: Value) -> Vec<Event> {
    // Others tell one another other things by the same way.
    if told.get("events").is_none() {
        return Vec::new();
    }
    match serde_json::from_value::<Told>(told) {
        Ok(Told { hub, events }) => {
            let elsewhere = |event| Event::Elsewhere { hub: hub.clone(), event: Arc::new(event) };
            events.into_iter().map(elsewhere).collect()
        }
        Err(error) => {
            warn!(%error, "what another hub tells is not understood");
            Vec::new()
        }
    }
}

/// The id of the hub in this folder, made once and kept.
fn hub_id(state: &Path) -> Result<String, OpenError> {
    let path = state.join("hub-id");
    let failed = |source| OpenError::Folder { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let id = format!("{:08x}{:08x}", random(), random());
    std::fs::write(&path, &id).map_err(failed)?;
    Ok(id)
}
