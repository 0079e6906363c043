//! Where a space's configuration lives: a file, or a document that several hubs share.
//!
//! # Invariants
//!
//! * A save says what it was made from, and fails when that is no longer what is there: of two
//!   writers the later one makes its edit anew, on the newer text.
//! * What cannot be read is an error, and never an empty configuration.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;

use crate::mcp_json::{Backup, LoadError, McpFile, McpFileError, SaveError, read_file, replace_if};
use crate::{FromOthers, Storage, StorageError, Table, Write};

/// How often an edit is made anew because somebody else was faster.
const ATTEMPTS: usize = 50;

/// Where the text of `mcp.json` is kept.
///
/// ```
/// use dormouse_storage::{ConfigSource, SourceError, async_trait};
///
/// /// A configuration that never changes, such as one that is built into a program.
/// #[derive(Debug)]
/// struct Fixed(&'static str);
///
/// #[async_trait]
/// impl ConfigSource for Fixed {
///     async fn load(&self) -> Result<Option<String>, SourceError> {
///         Ok(Some(self.0.to_owned()))
///     }
///     async fn save(&self, _: Option<&str>, _: &str) -> Result<(), SourceError> {
///         Err(SourceError::ReadOnly)
///     }
///     fn describe(&self) -> String {
///         "a fixed text".to_owned()
///     }
/// }
/// ```
#[async_trait]
pub trait ConfigSource: Send + Sync + fmt::Debug {
    /// The text; `None` when there is none yet.
    ///
    /// # Errors
    /// [`SourceError`]; keep what was known before.
    async fn load(&self) -> Result<Option<String>, SourceError>;

    /// Saves a text that was made from the one before it, as [`load`](Self::load) gave it.
    ///
    /// # Errors
    /// [`SourceError::Changed`] when something else is there meanwhile; then nothing is saved.
    async fn save(&self, before: Option<&str>, text: &str) -> Result<(), SourceError>;

    /// A number that grows with each change that is noticed. `None`: a source that tells nothing;
    /// whoever wants to know watches its [`file`](Self::file), or loads again.
    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// The file behind it, if it is one.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// What it is, for a person.
    fn describe(&self) -> String;
}

/// Why a configuration was not loaded or saved.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The file could not be saved.
    #[error(transparent)]
    Save(SaveError),
    /// Somebody else saved another text meanwhile.
    #[error("the configuration was changed meanwhile")]
    Changed,
    /// The text is no `mcp.json`.
    #[error("the configuration is no mcp.json")]
    Content(#[from] McpFileError),
    /// The storage failed.
    #[error("the stored configuration could not be read or written")]
    Storage(#[source] StorageError),
    /// The stored record is not of our making.
    #[error("the stored configuration is damaged")]
    Damaged,
    /// The source takes no changes.
    #[error("the configuration cannot be changed here")]
    ReadOnly,
}

impl From<SaveError> for SourceError {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Changed { .. } => Self::Changed,
            other => Self::Save(other),
        }
    }
}

/// Loads, changes and saves a configuration; anew on the newer text when somebody else was
/// faster. A change that fails saves nothing.
///
/// # Errors
/// [`SourceError`], or what the change said.
pub async fn edit<T, E: From<SourceError>>(
    source: &dyn ConfigSource,
    mut change: impl FnMut(&mut McpFile) -> Result<T, E> + Send,
) -> Result<T, E> {
    let mut attempt = 1;
    loop {
        let before = source.load().await?;
        let mut file = match &before {
            Some(text) => McpFile::read(text).map_err(SourceError::Content)?,
            None => McpFile::empty(),
        };
        let result = change(&mut file)?;
        let is_same = match &before {
            Some(text) => text == file.text(),
            None => file.text() == McpFile::empty().text(),
        };
        if is_same {
            return Ok(result);
        }
        match source.save(before.as_deref(), file.text()).await {
            Ok(()) => return Ok(result),
            Err(SourceError::Changed) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// A configuration in a file that a person may edit.
#[derive(Debug)]
pub struct FileSource {
    file: PathBuf,
}

impl FileSource {
    /// The configuration in a file, which need not be there yet.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into() }
    }
}

#[async_trait]
impl ConfigSource for FileSource {
    async fn load(&self) -> Result<Option<String>, SourceError> {
        let file = self.file.clone();
        Ok(off_the_runtime(move || read_file(&file)).await?)
    }

    /// Saves in one step, with the text before it beside the file as `….bak`.
    async fn save(&self, before: Option<&str>, text: &str) -> Result<(), SourceError> {
        let (file, before, text) = (self.file.clone(), before.map(str::to_owned), text.to_owned());
        off_the_runtime(move || replace_if(&file, before.as_deref(), &text, Backup::Bak)).await?;
        Ok(())
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.file)
    }

    fn describe(&self) -> String {
        format!("the file {}", self.file.display())
    }
}

/// Runs what waits for a disk.
pub(crate) async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("reading and writing do not panic")
}

/// A configuration that hubs on one storage share.
pub struct DocumentSource {
    storage: Arc<dyn Storage>,
    key: String,
    changed: watch::Sender<u64>,
    /// Listens to the other hubs, where there are any.
    listener: Option<AbortHandle>,
}

impl DocumentSource {
    /// The key of the document in every space.
    pub const MCP_JSON: &str = "mcp.json";

    /// The document of a storage. Listens to other hubs from now on, and so needs a runtime.
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        let changed = watch::Sender::new(0);
        let listener = storage.feed().map(|feed| {
            let changed = changed.clone();
            // Ends with the storage, or with this source.
            tokio::spawn(listen(feed, changed)).abort_handle()
        });
        Self { storage, key: Self::MCP_JSON.to_owned(), changed, listener }
    }

    /// The version of the document; 0 when there is none.
    ///
    /// # Errors
    /// [`SourceError`]
    pub async fn version(&self) -> Result<u64, SourceError> {
        Ok(self.document().await?.map_or(0, |document| document.version))
    }

    async fn document(&self) -> Result<Option<Document>, SourceError> {
        let record = self.storage.get(Table::Documents, &self.key).await.map_err(SourceError::Storage)?;
        let Some(record) = record else { return Ok(None) };
        let text = record.get("text").and_then(Value::as_str).ok_or(SourceError::Damaged)?.to_owned();
        let version = record.get("version").and_then(Value::as_u64).ok_or(SourceError::Damaged)?;
        Ok(Some(Document { text, version, record }))
    }
}

struct Document {
    text: String,
    version: u64,
    /// As it is stored.
    record: Value,
}

async fn listen(mut feed: broadcast::Receiver<FromOthers>, changed: watch::Sender<u64>) {
    loop {
        let concerns = match feed.recv().await {
            Ok(FromOthers::Written(tables)) => tables.contains(&Table::Documents),
            Ok(FromOthers::Told(_)) => false,
            Ok(FromOthers::Missed) | Err(broadcast::error::RecvError::Lagged(_)) => true,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        if concerns {
            changed.send_modify(|number| *number += 1);
        }
    }
}

#[async_trait]
impl ConfigSource for DocumentSource {
    async fn load(&self) -> Result<Option<String>, SourceError> {
        Ok(self.document().await?.map(|document| document.text))
    }

    async fn save(&self, before: Option<&str>, text: &str) -> Result<(), SourceError> {
        let now = self.document().await?;
        if now.as_ref().map(|document| document.text.as_str()) != before {
            return Err(SourceError::Changed);
        }
        let version = now.as_ref().map_or(0, |document| document.version) + 1;
        let (table, key) = (Table::Documents, self.key.clone());
        let expected = Write::Expect { table, key: key.clone(), value: now.map(|document| document.record) };
        let put = Write::Put { table, key, value: json!({ "text": text, "version": version }) };
        match self.storage.write(vec![expected, put]).await {
            Ok(()) => {
                self.changed.send_modify(|number| *number += 1);
                Ok(())
            }
            Err(StorageError::Conflict { .. }) => Err(SourceError::Changed),
            Err(error) => Err(SourceError::Storage(error)),
        }
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changed.subscribe())
    }

    fn describe(&self) -> String {
        format!("the document {} of the storage", self.key)
    }
}

impl Drop for DocumentSource {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

impl fmt::Debug for DocumentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentSource").field("key", &self.key).finish_non_exhaustive()
    }
}
