//! Removing environments that nobody needs.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cache::{Cache, Kind, Slot};
use super::error::EnvironmentError;

/// What a garbage collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Garbage {
    /// Environments removed, half-made ones included.
    pub removed: usize,
    /// Bytes that their removal freed.
    pub bytes: u64,
    /// Environments that were not asked to be kept, but are in use.
    pub in_use: usize,
}

/// Removes what is not kept and not in use.
pub(super) fn collect(
    cache: &Cache,
    kept: &[(Kind, String)],
    spare: Duration,
) -> Result<Garbage, EnvironmentError> {
    let mut garbage = Garbage::default();
    let programs = programs_running();
    for kind in Kind::ALL {
        let keys = cache.keys(kind).map_err(EnvironmentError::io("read", cache.slot(kind, "").folder))?;
        for key in keys {
            if kept.iter().any(|(kept_kind, kept_key)| *kept_kind == kind && *kept_key == key) {
                continue;
            }
            let slot = cache.slot(kind, &key);
            let recent = slot.unused_for().is_some_and(|unused| unused < spare);
            // The lock is held while it is built, and by us until it is gone.
            let lock = slot.try_lock()?;
            if lock.is_none() || recent || runs(&slot, &programs) {
                garbage.in_use += 1;
                continue;
            }
            garbage.bytes += size(&slot.folder).unwrap_or(0);
            slot.clear()?;
            let _ = fs::remove_file(&slot.log);
            garbage.removed += 1;
        }
    }
    Ok(garbage)
}

/// The programs of all processes that this user may look at, by the name they were started with:
/// the executable itself is the base Python's.
///
/// Where there is no `/proc` none is found, and only locks and recent use protect.
fn programs_running() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter_map(|line| {
            let first = line.split(|byte| *byte == 0).next()?;
            Some(PathBuf::from(String::from_utf8_lossy(first).into_owned()))
        })
        .collect()
}

fn runs(slot: &Slot, programs: &[PathBuf]) -> bool {
    programs.iter().any(|program| program.starts_with(&slot.folder))
}

/// The bytes that removing a folder frees: files with other names elsewhere (uv links them from
/// its own cache) free nothing.
fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        if data.is_dir() {
            bytes += size(&entry.path())?;
        } else if data.nlink() == 1 {
            bytes += data.len();
        }
    }
    Ok(bytes)
}
