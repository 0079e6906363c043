//! The drop folders: what lies in them, and word of every change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dormouse_scan::{Cache, Scanned};
use notify::event::{CreateKind, ModifyKind, RemoveKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use dormouse_types::chain;

/// How long a folder must be quiet before it is read: an editor writes in several steps.
/// Far below the 200 ms within which a change shows.
const QUIET: Duration = Duration::from_millis(40);

/// After how long it is read although it is not quiet: some files are written all the time.
const PATIENCE: Duration = Duration::from_millis(500);

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

/// Changes that were seen and not read yet. Waiting for quiet keeps nobody from anything else.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    /// When they are read, and when at the latest.
    due: Option<(Instant, Instant)>,
}

impl Settling {
    /// Something changed just now.
    pub(crate) fn disturb(&mut self) {
        let now = Instant::now();
        let latest = self.due.map_or(now + PATIENCE, |(_, latest)| latest);
        self.due = Some((latest.min(now + QUIET), latest));
    }

    /// Waits until what changed is to be read; for ever, where nothing did. Cancel safe.
    pub(crate) async fn settled(&self) {
        match self.due {
            Some((due, _)) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
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
            Ok(event) => {
                let concerns = |path: &PathBuf| concerns(event.kind, path, &scripts, file.as_deref());
                let is_read = matches!(event.kind, EventKind::Access(_));
                !is_read && (event.paths.is_empty() || event.paths.iter().any(concerns))
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

fn concerns(kind: EventKind, path: &Path, folders: &[PathBuf], mcp_json: Option<&Path>) -> bool {
    Some(path) == mcp_json
        || folders
            .iter()
            .any(|folder| path == folder || (path.parent() == Some(folder) && is_code(kind, path)))
}

/// Whether a change in a drop folder may be one of Python's: a script, or a package beside it.
/// What servers write there for themselves, such as a log or a database, is nobody's concern.
fn is_code(kind: EventKind, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".py") {
        return true;
    }
    let may_be_folder = match kind {
        EventKind::Create(of) => of != CreateKind::File,
        EventKind::Remove(of) => of != RemoveKind::File,
        EventKind::Modify(how) => !matches!(how, ModifyKind::Data(_) | ModifyKind::Metadata(_)),
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Other => true,
    };
    may_be_folder && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, MetadataKind, RenameMode};

    use super::*;

    #[test]
    fn only_what_python_may_read_concerns_a_drop_folder() {
        let folder = PathBuf::from("/space/servers");
        let folders = [folder.clone()];
        let mcp_json = Path::new("/space/mcp.json");
        let concerns = |kind, path: &Path| concerns(kind, path, &folders, Some(mcp_json));
        let created = EventKind::Create(CreateKind::File);
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let touched = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let deleted = EventKind::Remove(RemoveKind::File);
        for kind in [created, written, touched, renamed, deleted] {
            assert!(concerns(kind, &folder.join("app.py")), "{kind:?}");
            assert!(concerns(kind, mcp_json), "{kind:?}");
            assert!(concerns(kind, &folder), "{kind:?}");
            for other in ["app.log", "app.log.1", "notes.db", "notes.db-journal", ".app.py.swp"] {
                assert!(!concerns(kind, &folder.join(other)), "{kind:?} {other}");
            }
            assert!(!concerns(kind, Path::new("/space/mcp.json.bak")), "{kind:?}");
        }
        let package = folder.join("shapes");
        assert!(concerns(EventKind::Create(CreateKind::Folder), &package));
        assert!(concerns(EventKind::Remove(RemoveKind::Folder), &package));
        assert!(concerns(renamed, &package));
        assert!(!concerns(written, &package), "a file without an ending");
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_for_ever_is_read_all_the_same() {
        let mut settling = Settling::default();
        let began = Instant::now();
        settling.disturb();
        settling.settled().await;
        assert_eq!(began.elapsed(), QUIET);

        let mut settling = Settling::default();
        let began = Instant::now();
        settling.disturb();
        while tokio::time::timeout(QUIET / 4, settling.settled()).await.is_err() {
            assert!(began.elapsed() <= PATIENCE, "it waits for a quiet that never comes");
            settling.disturb();
        }
        assert!(began.elapsed() > QUIET * 4, "it was never quiet");
    }
}
