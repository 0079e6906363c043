//! A configuration that several hubs share, with a file beside each of them.
//!
//! The document in the storage is what counts. The file is taken in once, when there is no document
//! yet; from then on it shows what the document says, and what a person changes in it is carried
//! over into the document, entry by entry.
//!
//! # Invariants
//!
//! * What a person wrote is carried over or stands in `….bak`; nothing of it is lost unseen.
//! * A storage that forgot the document, or never had it, gets it from the file.
//! * An entry that nobody changed in this file is never taken back to an older state by it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};
use tracing::warn;

use crate::config_source::{ConfigSource, DocumentSource, SourceError, edit, off_the_runtime};
use crate::mcp_json::{Backup, LoadError, McpFile, SaveError, read_file, replace_if};
use crate::{Storage, StorageError};

/// The shared document of a storage, with a file that shows it.
#[derive(Debug)]
pub struct MirroredSource {
    mirror: Arc<Mirror>,
}

#[derive(Debug)]
struct Mirror {
    document: DocumentSource,
    file: PathBuf,
    /// What the file was when it last agreed with the document: so a hand's change can be told
    /// from an old state, also after a restart.
    base: PathBuf,
    /// One look at both at a time.
    turn: Mutex<()>,
    /// One writes at a time, which takes long; nobody who looks waits for it.
    writing: Mutex<()>,
    /// What this hub wrote last: while it is written, the file may be ahead of its copy.
    written: std::sync::Mutex<Option<String>>,
    /// Whether somebody is about to let the file show the document.
    showing: AtomicBool,
}

impl MirroredSource {
    /// The document of a storage with a file, and a place for a copy that only the hub uses.
    /// Listens to other hubs from now on, and so needs a runtime.
    pub fn new(storage: Arc<dyn Storage>, file: impl Into<PathBuf>, base: impl Into<PathBuf>) -> Self {
        let document = DocumentSource::new(storage);
        let mirror = Mirror {
            document,
            file: file.into(),
            base: base.into(),
            turn: Mutex::default(),
            writing: Mutex::default(),
            written: std::sync::Mutex::default(),
            showing: AtomicBool::default(),
        };
        Self { mirror: Arc::new(mirror) }
    }
}

impl Mirror {
    /// Takes over what a hand wrote, and gives the text. The file shows it soon: writing safely
    /// takes longer than all else, and who reads need not wait for it.
    async fn load(self: &Arc<Self>) -> Result<Option<String>, SourceError> {
        let (shared, is_shown) = {
            let _turn = self.turn.lock().await;
            let Files { shown, base } = self.take_over().await?;
            let mut shared = self.document.load().await?;
            if let (None, Some(text)) = (&shared, &shown) {
                // The storage forgot it, or is another one than the one that the file showed.
                self.carry_over(text, None).await?;
                shared = self.document.load().await?;
            }
            let is_shown = shared.is_none() || (shown == shared && base == shared);
            (shared, is_shown)
        };
        if !is_shown && !self.showing.swap(true, Ordering::AcqRel) {
            let mirror = Arc::clone(self);
            // Ends by itself after one look.
            tokio::spawn(async move {
                mirror.showing.store(false, Ordering::Release);
                mirror.show().await;
            });
        }
        Ok(shared)
    }

    /// Lets the file show the document.
    async fn show(&self) {
        let shown = async {
            let (Files { shown, base }, text) = {
                let _turn = self.turn.lock().await;
                (self.take_over().await?, self.document.load().await?)
            };
            let Some(text) = text else { return Ok(()) };
            let _writing = self.writing.lock().await;
            *self.written() = Some(text.clone());
            let (file, copy) = (self.file.clone(), self.base.clone());
            let write = move || show(&file, shown.as_deref(), &copy, base.as_deref(), &text);
            match off_the_runtime(write).await {
                // A person is faster; the watch brings us here again.
                Ok(()) | Err(SaveError::Changed { .. }) => Ok(()),
                Err(error) => Err(SourceError::Save(error)),
            }
        };
        match shown.await {
            Ok(()) | Err(SourceError::Storage(StorageError::Closed)) => {}
            Err(error) => warn!(%error, "mcp.json does not show the shared configuration"),
        }
    }

    fn written(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.written.lock().expect("nothing panics while it holds the text")
    }

    /// Takes over what a hand wrote; what the files are.
    async fn take_over(&self) -> Result<Files, SourceError> {
        let (file, base) = (self.file.clone(), self.base.clone());
        let read = move || Ok::<_, LoadError>(Files { shown: read_file(&file)?, base: read_file(&base)? });
        let files = off_the_runtime(read).await?;
        if let Some(shown) = &files.shown
            && self.written().as_ref() != Some(shown)
        {
            self.carry_over(shown, files.base.as_deref()).await?;
        }
        Ok(files)
    }

    /// Takes what a person wrote into the file over into the document.
    async fn carry_over(&self, shown: &str, base: Option<&str>) -> Result<(), SourceError> {
        if base == Some(shown) {
            return Ok(());
        }
        let by_hand = McpFile::read(shown)?;
        let shared = self.document.load().await?;
        if shared.as_deref() == Some(shown) {
            return Ok(());
        }
        // Nobody else changed it meanwhile; or nobody has one yet, and the first hub brings its own.
        if shared.is_none() || shared.as_deref() == base {
            match self.document.save(shared.as_deref(), shown).await {
                Err(SourceError::Changed) => {}
                result => return result,
            }
        }
        let Some(base) = base else {
            warn!("mcp.json is not taken in, since other hubs share one already; it is kept as mcp.json.bak");
            return Ok(());
        };
        let base = McpFile::read(base)?;
        edit(&self.document, |document| {
            merge(&base, &by_hand, document);
            Ok::<_, SourceError>(())
        })
        .await
    }
}

/// The texts of both files.
struct Files {
    shown: Option<String>,
    base: Option<String>,
}

/// Makes in a document what was changed between two texts, entry by entry.
fn merge(base: &McpFile, by_hand: &McpFile, document: &mut McpFile) {
    for (key, _) in by_hand.entries() {
        let Some(entry) = by_hand.raw(key) else { continue };
        if base.raw(key).as_ref() != Some(&entry)
            && let Err(error) = document.put_raw(key, &entry)
        {
            warn!(server = %key, %error, "its entry in mcp.json is not taken over");
        }
    }
    let gone: Vec<_> = base.entries().map(|(key, _)| key).filter(|key| !by_hand.contains(key)).collect();
    for key in gone {
        document.remove(key);
    }
}

/// Lets the file show a text, and notes that it does.
fn show(
    file: &Path,
    shown: Option<&str>,
    copy: &Path,
    base: Option<&str>,
    text: &str,
) -> Result<(), SaveError> {
    if shown != Some(text) {
        replace_if(file, shown, text, Backup::Bak)?;
    }
    if base != Some(text) {
        replace_if(copy, base, text, Backup::None)?;
    }
    Ok(())
}

#[async_trait]
impl ConfigSource for MirroredSource {
    async fn load(&self) -> Result<Option<String>, SourceError> {
        self.mirror.load().await
    }

    /// The other hubs have it when this returns, and the file shows it.
    async fn save(&self, before: Option<&str>, text: &str) -> Result<(), SourceError> {
        self.mirror.document.save(before, text).await?;
        self.mirror.show().await;
        Ok(())
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        self.mirror.document.changes()
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.mirror.file)
    }

    fn describe(&self) -> String {
        format!("{}, shown in {}", self.mirror.document.describe(), self.mirror.file.display())
    }
}
