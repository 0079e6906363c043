//! The drop folders: what lies in them, and when they are quiet enough to be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dormouse_scan::{Cache, Scanned};
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

#[cfg(test)]
mod tests {
    use super::*;

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
