//! One hub per space: the lock file that says so.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Why a space could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process is the hub of this space.
    #[error("another hub serves the space {space}")]
    Held {
        /// The space.
        space: PathBuf,
    },
    /// The lock file cannot be made.
    #[error("cannot write in {folder}")]
    Unwritable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The right to be the hub of a space; the system takes it back when the process ends, however.
#[derive(Debug)]
pub(crate) struct SpaceLock(#[expect(dead_code, reason = "held for its lock")] File);

impl SpaceLock {
    pub(crate) fn take(space: &Path, state: &Path) -> Result<Self, LockError> {
        let unwritable = |source| LockError::Unwritable { folder: state.to_owned(), source };
        std::fs::create_dir_all(state).map_err(unwritable)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(state.join("lock"))
            .map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LockError::Held { space: space.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unwritable(source)),
        }
    }
}
