//! The file on the disk: loaded whole, saved whole.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{LARGEST, McpFile, McpFileError};

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
    /// It is larger than anything that a person writes.
    #[error("`{}` is larger than {} MiB", file.display(), LARGEST >> 20)]
    TooLarge {
        /// The file.
        file: PathBuf,
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
    /// Without a change nothing is written. Links are followed, the permissions stay.
    ///
    /// # Errors
    /// [`SaveError`]
    pub fn save(&mut self, file: &Path) -> Result<(), SaveError> {
        if self.on_disk.as_ref() == Some(&self.text) {
            return Ok(());
        }
        let write = |source| SaveError::Write { file: file.to_owned(), source };
        let now = match read(file) {
            Ok(now) => now,
            Err(LoadError::Read { source, .. }) => return Err(write(source)),
            Err(_) => return Err(SaveError::Changed { file: file.to_owned() }),
        };
        if now != self.on_disk {
            return Err(SaveError::Changed { file: file.to_owned() });
        }
        // A link stays a link: what it leads to is replaced.
        let place = if now.is_some() { fs::canonicalize(file).map_err(write)? } else { file.to_owned() };
        if let Some(before) = &now {
            let mut backup = place.clone().into_os_string();
            backup.push(".bak");
            replace(Path::new(&backup), before, &place).map_err(write)?;
        }
        replace(&place, &self.text, &place).map_err(write)?;
        self.on_disk = Some(self.text.clone());
        Ok(())
    }
}

fn read(file: &Path) -> Result<Option<String>, LoadError> {
    let failed = |source| LoadError::Read { file: file.to_owned(), source };
    match fs::metadata(file) {
        Ok(metadata) if metadata.len() > LARGEST as u64 => Err(LoadError::TooLarge { file: file.to_owned() }),
        Ok(_) => fs::read_to_string(file).map(Some).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Puts a text in the place of a file, with the permissions of `like` if that exists; else
/// only for the owner, since such a file often holds secrets.
fn replace(file: &Path, text: &str, like: &Path) -> io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
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
