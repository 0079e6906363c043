//! The cache folder: one slot per environment, its marker and its lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::error::EnvironmentError;

/// Written last; without it a folder is no environment.
const MARKER: &str = "dormouse.ready";

/// What was chosen: one `name==version` a line.
pub(super) const LOCK_RECORD: &str = "dormouse.lock";

/// Where environments, their locks and their logs are.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    root: PathBuf,
}

/// One place of the cache: an environment that exists, or is to be made.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// The environment's folder.
    pub(super) folder: PathBuf,
    /// The output of its last build.
    pub(super) log: PathBuf,
    lock: PathBuf,
}

/// Which of the two kinds of slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// For scripts.
    Environment,
    /// The pip that fills them.
    Installer,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Environment, Self::Installer];

    fn folder(self) -> &'static str {
        match self {
            Self::Environment => "environments",
            Self::Installer => "installers",
        }
    }
}

impl Cache {
    pub(super) fn new(root: PathBuf) -> Self {
        // Scripts start with other working directories.
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }

    pub(super) fn slot(&self, kind: Kind, key: &str) -> Slot {
        let name = format!("{}-{key}", kind.folder());
        Slot {
            folder: self.root.join(kind.folder()).join(key),
            log: self.root.join("logs").join(format!("{name}.log")),
            lock: self.root.join("locks").join(name),
        }
    }

    /// The keys of all folders of a kind, finished or not.
    pub(super) fn keys(&self, kind: Kind) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(kind.folder())) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

impl Slot {
    /// The interpreter of the environment.
    pub(super) fn python(&self) -> PathBuf {
        self.folder.join("bin").join("python")
    }

    /// Whether the environment is whole and its interpreter still there: the link dangles when
    /// the base Python was removed.
    pub(super) fn is_ready(&self) -> bool {
        self.folder.join(MARKER).exists() && self.python().exists()
    }

    /// Says that somebody is about to use it.
    pub(super) fn touch(&self) {
        let touched = File::options()
            .write(true)
            .open(self.folder.join(MARKER))
            .and_then(|marker| marker.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            // A cache that is read only still serves; only its garbage collection knows less.
            tracing::debug!(folder = %self.folder.display(), %error, "cannot mark as used");
        }
    }

    /// How long ago somebody asked for it; `None` if it is not finished.
    pub(super) fn unused_for(&self) -> Option<Duration> {
        let used = fs::metadata(self.folder.join(MARKER)).and_then(|data| data.modified()).ok()?;
        Some(used.elapsed().unwrap_or_default())
    }

    /// Declares the folder to be a whole environment.
    pub(super) fn finish(&self, record: &str) -> Result<(), EnvironmentError> {
        let path = self.folder.join(LOCK_RECORD);
        fs::write(&path, record).map_err(EnvironmentError::io("write", &path))?;
        let path = self.folder.join(MARKER);
        File::create(&path).map_err(EnvironmentError::io("write", &path))?;
        Ok(())
    }

    /// Removes the folder. The marker goes first, so that a half removed one is not taken for
    /// whole. Only under the lock.
    pub(super) fn clear(&self) -> Result<(), EnvironmentError> {
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        gone(fs::remove_file(self.folder.join(MARKER)))
            .and_then(|()| gone(fs::remove_dir_all(&self.folder)))
            .map_err(EnvironmentError::io("remove", &self.folder))
    }

    /// Takes the lock if nobody has it. It holds until all copies of the file are closed.
    ///
    /// Lock files are never removed: who waits on a removed one would share it with nobody.
    pub(super) fn try_lock(&self) -> Result<Option<File>, EnvironmentError> {
        let file = create_parent(&self.lock)
            .and_then(|()| {
                OpenOptions::new().create(true).truncate(false).write(true).read(true).open(&self.lock)
            })
            .map_err(EnvironmentError::io("open", &self.lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(EnvironmentError::io("lock", &self.lock)(error)),
        }
    }

    /// Waits for the lock. Safe to drop at any point.
    ///
    /// Asks again and again instead of blocking a thread, which nobody could call back.
    pub(super) async fn lock(&self) -> Result<File, EnvironmentError> {
        loop {
            if let Some(file) = self.try_lock()? {
                return Ok(file);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Opens a new log, over that of an earlier build.
    pub(super) fn open_log(&self) -> Result<File, EnvironmentError> {
        create_parent(&self.log)
            .and_then(|()| File::create(&self.log))
            .map_err(EnvironmentError::io("write", &self.log))
    }
}

fn create_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_marker_is_not_ready_and_clearing_is_repeatable() {
        let root = tempfile::tempdir().unwrap();
        let slot = Cache::new(root.path().into()).slot(Kind::Environment, "k");
        fs::create_dir_all(slot.folder.join("bin")).unwrap();
        fs::write(slot.python(), "").unwrap();
        assert!(!slot.is_ready());
        slot.finish("six==1.17.0\n").unwrap();
        assert!(slot.is_ready());
        fs::remove_file(slot.python()).unwrap();
        assert!(!slot.is_ready(), "the interpreter is gone");
        slot.clear().unwrap();
        slot.clear().unwrap();
        assert!(!slot.folder.exists());
    }

    #[test]
    fn a_copy_of_the_lock_file_keeps_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let slot = Cache::new(root.path().into()).slot(Kind::Environment, "k");
        let lock = slot.try_lock().unwrap().unwrap();
        let copy = lock.try_clone().unwrap();
        drop(lock);
        assert!(slot.try_lock().unwrap().is_none(), "an installer still holds its copy");
        drop(copy);
        assert!(slot.try_lock().unwrap().is_some());
    }
}
