//! Taking a space over: while one process is about to be its hub, no other begins to be.
//!
//! Between the end of one hub and the beginning of the next, whoever comes first takes the space's
//! lock. A claim keeps those away who would be content with any hub. The system takes it back
//! when the process ends, however.

use std::fs::{File, TryLockError};

use dormouse::Space;

/// The word of a process that it will be the hub.
#[derive(Debug)]
pub(crate) struct Claim(#[expect(dead_code, reason = "held for its lock")] File);

impl Claim {
    /// Claims the space; `None` if somebody else has.
    pub(crate) fn make(space: &Space) -> Option<Self> {
        let file = File::options().create(true).truncate(false).write(true).open(path(space)).ok()?;
        file.try_lock().ok()?;
        Some(Self(file))
    }

    /// Whether somebody has claimed the space.
    pub(crate) fn exists(space: &Space) -> bool {
        let Ok(file) = File::open(path(space)) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

fn path(space: &Space) -> std::path::PathBuf {
    space.state().join("claim")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_lasts_as_long_as_it_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let space = Space::at(folder.path()).unwrap();
        assert!(!Claim::exists(&space));
        std::fs::create_dir_all(space.state()).unwrap();
        let claim = Claim::make(&space).unwrap();
        assert!(Claim::exists(&space) && Claim::make(&space).is_none());
        drop(claim);
        assert!(!Claim::exists(&space));
    }
}
