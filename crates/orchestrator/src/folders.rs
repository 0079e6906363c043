//! The drop folders: what lies in them, and word of every change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dormouse_scan::{Cache, Scanned};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;
use tracing::warn;

use dormouse_types::chain;

/// How long a folder must be quiet before it is read: an editor writes in several steps.
/// Far below the 200 ms within which a change shows.
pub(crate) const QUIET: Duration = Duration::from_millis(40);

/// Everything that lies in the drop folders, by path.
pub(crate) type Scripts = BTreeMap<PathBuf, Result<Arc<Scanned>, String>>;

/// The folders with the cache of what was read before.
#[derive(Debug)]
pub(crate) struct Folders {
    folders: Vec<PathBuf>,
    cache: Cache,
    cache_file: PathBuf,
}

impl Folders {
    pub(crate) fn open(folders: Vec<PathBuf>, state: &Path) -> Self {
        let cache_file = state.join("scan-cache");
        Self { folders, cache: Cache::load(&cache_file), cache_file }
    }

    /// Reads what changed. Blocks: it touches every file's metadata.
    pub(crate) fn scan(&mut self) -> Scripts {
        let mut scripts = Scripts::new();
        let mut parsed = 0;
        for folder in &self.folders {
            let report = self.cache.scan(folder);
            parsed += report.parsed;
            scripts.extend(
                report.scripts.into_iter().map(|(path, scanned)| (path, scanned.map_err(|e| chain(&e)))),
            );
        }
        if parsed > 0
            && let Err(error) = self.cache.save(&self.cache_file)
        {
            // The cache only saves time.
            warn!(%error, "what was scanned could not be kept for the next start");
        }
        scripts
    }
}

/// Counts changes in the drop folders and of `mcp.json`, if that is a file, as long as the returned watcher lives.
///
/// # Errors
/// When the system gives no watch, such as at a limit of inotify.
pub(crate) fn watch_files(
    folders: &[PathBuf],
    mcp_json: Option<&Path>,
    changes: watch::Sender<u64>,
) -> Result<RecommendedWatcher, notify::Error> {
    let file = mcp_json.map(Path::to_owned);
    let scripts: Vec<PathBuf> = folders.to_vec();
    let mut watcher = notify::recommended_watcher(move |event: Result<notify::Event, notify::Error>| {
        let told = match event {
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => false,
            Ok(event) => {
                event.paths.is_empty()
                    || event.paths.iter().any(|path| concerns(path, &scripts, file.as_deref()))
            }
            // Events were lost: look at everything.
            Err(_) => true,
        };
        if told {
            changes.send_modify(|count| *count += 1);
        }
    })?;
    for folder in folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    // The folder, not the file: editors replace a file by renaming another one over it.
    if let Some(parent) = mcp_json.and_then(Path::parent) {
        watcher.watch(parent, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

fn concerns(path: &Path, folders: &[PathBuf], mcp_json: Option<&Path>) -> bool {
    Some(path) == mcp_json || folders.iter().any(|folder| path.starts_with(folder))
}
