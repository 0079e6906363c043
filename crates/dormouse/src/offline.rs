//! What a space remembers, while no hub serves it: filled from a dump, or copied elsewhere.
//!
//! # Invariants
//!
//! * While somebody holds an [`IdleSpace`], no hub of this machine opens the space; and while a hub
//!   has it open, here or on the same Redis, nobody gets one.

use std::sync::Arc;

use dormouse_storage::{DumpError, Dumped, Storage, StorageError, dump, load, migrate};
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::builder::{OpenError, open_storage};
use crate::config::Config;
use crate::hub::Hub;
use crate::lock::SpaceLock;
use crate::space::Space;

/// A space that no hub serves, with what it remembers.
#[derive(Debug)]
pub struct IdleSpace {
    space: Space,
    config: Config,
    storage: Arc<dyn Storage>,
    /// Last, so that it is given back last.
    _lock: SpaceLock,
}

/// Why what a space remembers cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum IdleError {
    /// The space cannot be opened; [`OpenError::Lock`] also where a hub serves it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Hubs elsewhere use the same storage.
    #[error("{} on the same storage", serving(*count))]
    InUse {
        /// How many.
        count: usize,
    },
    /// Nobody knows whether hubs elsewhere use the storage.
    #[error("it cannot be told who else uses the storage")]
    Others(#[from] StorageError),
}

/// Why what a space remembers was not copied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// It would be copied onto itself.
    #[error("what the space remembers is kept there already")]
    SamePlace,
    /// There is nothing to copy from, or nothing would be kept: what is in memory goes with its hub.
    #[error("`memory` keeps nothing")]
    Memory,
    /// The other storage cannot be had.
    #[error("the other storage cannot be used")]
    Target(#[source] IdleError),
    /// The copy was not made, or only a part of it; doing it again completes it.
    #[error(transparent)]
    Dump(#[from] DumpError),
}

impl IdleSpace {
    /// Keeps hubs out of a space, and opens what it remembers.
    ///
    /// # Errors
    /// [`IdleError`], also where a hub serves the space.
    pub async fn open(space: Space, config: Config) -> Result<Self, IdleError> {
        let lock = SpaceLock::take(space.root(), &space.state()).map_err(OpenError::from)?;
        let storage = unused(&config, &space).await?;
        Ok(Self { space, config, storage, _lock: lock })
    }

    /// Stores everything that a dump holds, over what is there under the same keys.
    ///
    /// # Errors
    /// [`DumpError`]; nothing is stored, unless it is [`DumpError::Storage`].
    pub async fn load(&self, from: &mut (dyn AsyncBufRead + Unpin + Send)) -> Result<Dumped, DumpError> {
        load(&*self.storage, from).await
    }

    /// Copies everything into another storage, named as in [`Config::storage`], over what is there
    /// under the same keys. The space's settings stay as they are.
    ///
    /// # Errors
    /// [`MigrateError`]
    pub async fn migrate(&self, to: &str) -> Result<Dumped, MigrateError> {
        if to == self.config.storage {
            return Err(MigrateError::SamePlace);
        }
        if [to, &self.config.storage].contains(&"memory") {
            return Err(MigrateError::Memory);
        }
        let config = Config { storage: to.to_owned(), ..self.config.clone() };
        let target = unused(&config, &self.space).await.map_err(MigrateError::Target)?;
        let copied = migrate(&*self.storage, &*target).await;
        target.close().await;
        Ok(copied?)
    }

    /// Lets hubs in again.
    pub async fn close(self) {
        self.storage.close().await;
    }
}

/// Opens a storage that no other hub has open.
async fn unused(config: &Config, space: &Space) -> Result<Arc<dyn Storage>, IdleError> {
    let storage = open_storage(config, space).await?;
    let count = match storage.others().await {
        Ok(0) => return Ok(storage),
        others => others,
    };
    storage.close().await;
    Err(IdleError::InUse { count: count? })
}

fn serving(count: usize) -> String {
    match count {
        1 => "another hub serves a space".to_owned(),
        count => format!("{count} other hubs serve a space"),
    }
}

impl Hub {
    /// Writes everything that this hub remembers, as lines of JSON.
    ///
    /// # Errors
    /// [`DumpError`]
    pub async fn export_storage(
        &self,
        to: &mut (dyn AsyncWrite + Unpin + Send),
    ) -> Result<Dumped, DumpError> {
        dump(&**self.storage(), to).await
    }
}
