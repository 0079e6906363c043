//! The file on the disk: loaded whole, saved whole, by one writer at a time.

use std::fs::{self, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{LARGEST, McpFile, McpFileError};

/// How many links are followed, as the system does.
const LINKS: usize = 40;

/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It could not be read, or is no UTF-8.
    #[error("`{}` could not be read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is a link that leads round in a circle, or too far.
    #[error("`{}` is a link that leads nowhere but to further links", file.display())]
    Loop {
        /// The file.
        file: PathBuf,
    },
    /// It is larger than anything that a person writes.
    #[error("`{}` is larger than {} MiB", file.display(), limit >> 20)]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// What is read at most, in bytes.
        limit: usize,
    },
    /// It is no `mcp.json`.
    #[error("`{}` is no valid configuration", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: McpFileError,
    },
}

/// Why a file was not saved. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Somebody changed it since it was loaded.
    #[error("`{}` was changed meanwhile; load it again", file.display())]
    Changed {
        /// The file.
        file: PathBuf,
    },
    /// Another writer holds the file, and did not finish.
    #[error("`{}` is being written by somebody else", file.display())]
    Busy {
        /// The file.
        file: PathBuf,
    },
    /// It, or its backup, could not be written.
    #[error("`{}` could not be written", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl McpFile {
    /// Loads a file; a missing one has no servers.
    ///
    /// # Errors
    /// [`LoadError`], also for an empty or half-written file: keep what was known before.
    pub fn load(file: &Path) -> Result<Self, LoadError> {
        let Some(text) = read(file)? else { return Ok(Self::empty()) };
        let mut loaded =
            Self::read(&text).map_err(|source| LoadError::Content { file: file.to_owned(), source })?;
        loaded.on_disk = Some(text);
        Ok(loaded)
    }

    /// Saves the file in one step, with the content before it beside it as `….bak`.
    ///
    /// Without a change nothing is written. Links are followed, the permissions stay. Writers of
    /// one folder wait for each other, so that none of them undoes what another one saved.
    ///
    /// # Errors
    /// [`SaveError`]
    pub fn save(&mut self, file: &Path) -> Result<(), SaveError> {
        if self.on_disk.as_ref() == Some(&self.text) {
            return Ok(());
        }
        replace_if(file, self.on_disk.as_deref(), &self.text, Backup::Bak)?;
        self.on_disk = Some(self.text.clone());
        Ok(())
    }
}

/// Where the content before a change goes.
pub(crate) enum Backup {
    /// Nowhere: it is to be forgotten.
    None,
    /// Beside the file, as `….bak`.
    Bak,
    /// Beside the file, with this added to its name; also an empty one where there was no file.
    Named(String),
}

/// Replaces a file's content in one step if it is what the writer saw; tells the backup.
pub(crate) fn replace_if(
    file: &Path,
    before: Option<&str>,
    text: &str,
    backup: Backup,
) -> Result<Option<PathBuf>, SaveError> {
    let write = |source| SaveError::Write { file: file.to_owned(), source };
    // A link stays a link: what it leads to is replaced.
    let place = resolved(file).map_err(|_| write(io::Error::other("its link leads round in a circle")))?;
    let _lock = lock(file, &place)?;
    let now = match read_up_to(&place, LARGEST_OF_CLIENTS) {
        Ok(now) => now,
        Err(LoadError::Read { source, .. }) => return Err(write(source)),
        Err(_) => return Err(SaveError::Changed { file: file.to_owned() }),
    };
    if now.as_deref() != before {
        return Err(SaveError::Changed { file: file.to_owned() });
    }
    let added = match (&backup, before) {
        (Backup::None, _) | (Backup::Bak, None) => None,
        (Backup::Bak, Some(before)) => Some((".bak", before)),
        (Backup::Named(name), before) => Some((name.as_str(), before.unwrap_or_default())),
    };
    let mut kept = None;
    if let Some((added, before)) = added {
        let mut backup = place.clone().into_os_string();
        backup.push(added);
        let backup = PathBuf::from(backup);
        replace(&backup, before, &place).map_err(write)?;
        kept = Some(backup);
    }
    replace(&place, text, &place).map_err(write)?;
    Ok(kept)
}

/// Holds the right to write into a folder until it is dropped.
#[expect(
    clippy::disallowed_methods,
    reason = "a lock of files tells nobody when it is free, and saving blocks anyway"
)]
fn lock(file: &Path, place: &Path) -> Result<Option<fs::File>, SaveError> {
    // A folder can be locked where it can be opened; so no file for it lies about.
    let Ok(folder) = fs::File::open(folder_of(place)) else { return Ok(None) };
    let begin = Instant::now();
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(Some(folder)),
            Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => return Err(SaveError::Busy { file: file.to_owned() }),
            // Some network folders know no locks; what stands there is compared all the same.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

/// Where a file is once all links are followed, whether or not there is one.
pub(crate) fn resolved(file: &Path) -> Result<PathBuf, LoadError> {
    let mut place = file.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&place) {
            Ok(target) => place = folder_of(&place).join(target),
            Err(_) => return Ok(place),
        }
    }
    Err(LoadError::Loop { file: file.to_owned() })
}

pub(crate) fn read(file: &Path) -> Result<Option<String>, LoadError> {
    read_up_to(file, LARGEST)
}

/// Some clients keep much else beside their servers.
pub(crate) const LARGEST_OF_CLIENTS: usize = 64 << 20;

pub(crate) fn read_up_to(file: &Path, limit: usize) -> Result<Option<String>, LoadError> {
    let failed = |source| LoadError::Read { file: file.to_owned(), source };
    let place = resolved(file)?;
    match fs::metadata(&place) {
        Ok(metadata) if metadata.len() > limit as u64 => {
            Err(LoadError::TooLarge { file: file.to_owned(), limit })
        }
        // A pipe or a device may never end.
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => {
            Err(failed(io::Error::other("it is a pipe or a device")))
        }
        Ok(_) => fs::read_to_string(&place).map(Some).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Puts a text in the place of a file, with the permissions of `like` if that exists; else
/// only for the owner, since such a file often holds secrets.
fn replace(file: &Path, text: &str, like: &Path) -> io::Result<()> {
    let folder = folder_of(file);
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    if let Ok(metadata) = fs::metadata(like) {
        new.as_file().set_permissions(metadata.permissions())?;
    }
    new.as_file().sync_all()?;
    new.persist(file)?;
    // The new name is only as safe as its folder.
    fs::File::open(folder)?.sync_all()
}
