//! What running servers say of themselves: taken up at once, and kept for the next start.
//!
//! # Invariants
//!
//! * What could not be kept still counts here, and is tried again where the storage is shared.
//! * Where several hubs listen to one version of a server, the one with the duty has the word: what
//!   it stored is not undone by one that lost the duty meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use dormouse_storage::{Storage, StorageError, Table, Write};
use dormouse_types::{Features, Scope};
use serde_json::Value;
use tracing::{debug, warn};

use crate::duty::Led;
use crate::engine::Learned;
use crate::inventory::Inventory;
use crate::reconcile::Live;

const TABLE: Table = Table::LiveFeatures;

/// How many versions are remembered that no server has now: a script may be as it was again.
const FORMER: usize = 1_000;

/// What is not kept yet.
#[derive(Debug)]
pub(crate) struct Unkept {
    value: Value,
    features: Arc<Features>,
    led: Option<Led>,
}

impl Inventory {
    /// Takes what running servers said of themselves as the truth about their versions.
    pub(crate) async fn learn(&mut self, batch: Vec<Learned>) {
        for Learned { key, version, features, led } in batch {
            if self.live.get(&version).is_some_and(|known| **known == *features) {
                continue;
            }
            match serde_json::to_value(&*features) {
                Ok(value) => {
                    let unkept = Unkept { value, features: features.clone(), led };
                    self.unkept.insert(version.clone(), unkept);
                }
                Err(error) => warn!(server = %key, %error, "its lists cannot be kept"),
            }
            self.live.insert(version, features);
        }
        if self.unkept.is_empty() {
            return;
        }
        if let Err(error) = self.keep().await {
            warn!(%error, "what servers said of themselves could not be kept");
            if self.storage.is_shared() {
                self.read_again(vec![TABLE]);
            } else {
                self.unkept.clear();
            }
        }
        self.reconcile().await;
        self.forget_former().await;
    }

    /// Reads what is kept, with what is not kept yet over it.
    pub(crate) async fn read_live(&mut self) -> Result<(), StorageError> {
        self.keep().await?;
        self.live = live(self.storage.clone()).await?;
        Ok(())
    }

    /// Keeps what is not kept yet.
    async fn keep(&mut self) -> Result<(), StorageError> {
        if self.unkept.is_empty() {
            return Ok(());
        }
        let put = |(version, unkept): (&String, &Unkept)| {
            let value = unkept.value.clone();
            let put = Write::Put { table: TABLE, key: version.clone(), value };
            unkept.led.iter().map(Led::write).chain([put]).collect::<Vec<_>>()
        };
        match self.storage.write(self.unkept.iter().flat_map(put).collect()).await {
            Ok(()) => self.unkept.clear(),
            Err(StorageError::Fenced { .. }) => {
                while let Some((version, unkept)) = self.unkept.first_key_value() {
                    let (version, batch) = (version.clone(), put((version, unkept)));
                    match self.storage.write(batch).await {
                        Ok(()) => {}
                        Err(StorageError::Fenced { .. }) => self.give_way(&version).await?,
                        Err(error) => return Err(error),
                    }
                    self.unkept.remove(&version);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The duty went to another hub meanwhile: what that one stored counts, if it did.
    async fn give_way(&mut self, version: &str) -> Result<(), StorageError> {
        let Some(unkept) = self.unkept.get(version) else { return Ok(()) };
        let key = version.to_owned();
        let batch = vec![
            Write::Expect { table: TABLE, key: key.clone(), value: None },
            Write::Put { table: TABLE, key, value: unkept.value.clone() },
        ];
        match self.storage.write(batch).await {
            Err(StorageError::Conflict { .. }) => {
                debug!(version, "another hub had the word on what it offers");
                if let Some(value) = self.storage.get(TABLE, version).await?
                    && let Ok(features) = serde_json::from_value(value)
                {
                    self.live.insert(version.to_owned(), Arc::new(features));
                }
                Ok(())
            }
            kept => {
                self.live.insert(version.to_owned(), unkept.features.clone());
                kept
            }
        }
    }

    /// Every change of a script or an entry is a version of its own: forgets what no server has
    /// any more, once that is much. It is learnt anew if it comes back.
    pub(crate) async fn forget_former(&mut self) {
        let catalog = self.roster.engine().registry.snapshot();
        if self.live.len() <= catalog.server_count(&Scope::Store) + FORMER {
            return;
        }
        let current: BTreeSet<&str> =
            catalog.servers(&Scope::Store).map(|entry| entry.content_hash.as_str()).collect();
        let former = self.live.keys().filter(|version| !current.contains(version.as_str()));
        let forget = |key: &String| Write::Delete { table: TABLE, key: key.clone() };
        let writes: Vec<Write> = former.map(forget).collect();
        if let Err(error) = self.storage.write(writes).await {
            return warn!(%error, "what earlier versions of servers offered could not be forgotten");
        }
        self.live.retain(|version, _| current.contains(version.as_str()));
    }
}

pub(crate) async fn live(storage: Arc<dyn Storage>) -> Result<Live, StorageError> {
    let stored = storage.all(TABLE).await?;
    let read = move || {
        let read = |(version, value)| Some((version, Arc::new(serde_json::from_value(value).ok()?)));
        stored.into_iter().filter_map(read).collect()
    };
    // Thousands of schemas keep a thread busy for a while.
    Ok(tokio::task::spawn_blocking(read).await.expect("reading JSON does not panic"))
}
