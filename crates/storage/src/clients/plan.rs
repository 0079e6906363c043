//! An export in three steps: planned, applied, and taken back if somebody wants that.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Client, ClientError, DiffLine, Written, codex, diff, exists, json, without, write};
use crate::mcp_json::{
    Backup, LARGEST_OF_CLIENTS, LoadError, Problem, SaveError, read_up_to, replace_if, resolved,
};

/// What an export would do.
#[derive(Clone)]
pub struct Plan {
    client: Client,
    file: PathBuf,
    before: Option<String>,
    after: String,
    problems: Vec<Problem>,
}

/// Plans to put servers into a client's file, which need not exist. Changes nothing.
///
/// # Errors
/// [`ClientError`] when the file cannot be read.
pub fn plan(
    client: Client,
    file: &Path,
    entries: &[(String, Map<String, Value>)],
) -> Result<Plan, ClientError> {
    Plan::of(client, file)?.with(entries)
}

/// What an export did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The changed file.
    pub file: PathBuf,
    /// What [`undo`] takes; `None` when there was nothing to change.
    pub backup: Option<PathBuf>,
}

/// Why a plan was not carried out. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The client's folder could not be made.
    #[error("`{}` could not be made", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file could not be saved, or is not as it was when planned.
    #[error(transparent)]
    Save(#[from] SaveError),
}

impl Plan {
    /// The plan to leave a client's file, which need not exist, as it is.
    ///
    /// # Errors
    /// [`ClientError`] when the file cannot be read.
    pub fn of(client: Client, file: &Path) -> Result<Self, ClientError> {
        let before = read_up_to(file, LARGEST_OF_CLIENTS)?;
        let after = before.clone().unwrap_or_default();
        Ok(Self { client, file: file.to_owned(), before, after, problems: Vec::new() })
    }

    /// Also puts these servers into the file.
    ///
    /// # Errors
    /// [`ClientError`] when the text as a whole is unusable.
    pub fn with(self, entries: &[(String, Map<String, Value>)]) -> Result<Self, ClientError> {
        let existing = (self.before.is_some() || !self.after.is_empty()).then_some(self.after.as_str());
        let Written { text: after, mut problems } = write(self.client, existing, entries)?;
        problems.splice(0..0, self.problems);
        Ok(Self { after, problems, ..self })
    }

    /// Also takes the servers at these paths out of the file; see [`found`](super::found).
    ///
    /// # Errors
    /// [`ClientError`] when the text as a whole is unusable.
    pub fn without(self, paths: &[&str]) -> Result<Self, ClientError> {
        let after = without(self.client, &self.after, paths)?;
        Ok(Self { after, ..self })
    }

    /// The text as it is; `None` when there is no file.
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// The file that would change.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.before.as_deref().unwrap_or_default() == self.after
    }

    /// The whole text as it would be, with the secrets that the entries hold.
    pub fn text(&self) -> &str {
        &self.after
    }

    /// Servers that the client cannot have, and what of the others it does not know.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The client's servers before and after, line by line, with the values of variables and
    /// headers hidden.
    pub fn diff(&self) -> Vec<DiffLine> {
        let shown = |text: &str| match self.client {
            Client::Codex => codex::shown(text),
            _ => json::shown(self.client, text),
        };
        let before = self.before.as_deref().map_or_else(|| Value::Object(Map::new()), shown);
        diff::diff(&before, &shown(&self.after))
    }

    /// Tries whether the file's folder can be written into, for whoever must do something else
    /// first that cannot be taken back.
    ///
    /// # Errors
    /// [`ApplyError`]
    pub fn try_place(&self) -> Result<(), ApplyError> {
        let write = |source| SaveError::Write { file: self.file.clone(), source };
        let place = resolved(&self.file).map_err(|_| write(io::ErrorKind::InvalidInput.into()))?;
        // A folder that is missing is made when the plan is carried out.
        let folder = place.ancestors().skip(1).find(|folder| exists(folder));
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        tempfile::NamedTempFile::new_in(folder).map_err(write)?;
        Ok(())
    }

    /// Carries the plan out in one step, with a backup beside the file.
    ///
    /// # Errors
    /// [`ApplyError`], also when somebody changed the file since it was planned.
    pub fn apply(&self) -> Result<Applied, ApplyError> {
        let file = self.file.clone();
        if self.is_empty() {
            return Ok(Applied { file, backup: None });
        }
        if let (None, Some(folder)) = (&self.before, self.file.parent()) {
            fs::create_dir_all(folder)
                .map_err(|source| ApplyError::Folder { folder: folder.to_owned(), source })?;
        }
        let end = if self.before.is_some() { OLD } else { NEW };
        let added = format!("{MARK}{}{end}", hash(&self.after));
        let backup = replace_if(&self.file, self.before.as_deref(), &self.after, Backup::Named(added))?;
        Ok(Applied { file, backup })
    }
}

/// Without the texts, which hold secrets.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, file, problems, .. } = self;
        let shown = (client, file, problems);
        f.debug_tuple("Plan").field(&shown).finish()
    }
}

/// What is added to a file's name for its backup: this, the hash of the file after the export, and an end.
const MARK: &str = ".dormouse-";
/// The end where there was a file before.
const OLD: &str = ".bak";
/// The end where there was none.
const NEW: &str = ".new";

/// Why an export was not taken back. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// The path is no backup of an export.
    #[error("`{}` is no backup of an export", backup.display())]
    NoBackup {
        /// The path.
        backup: PathBuf,
    },
    /// The file was changed after the export, so taking the export back would lose that.
    #[error("`{}` was changed since; its content before is in `{}`", file.display(), backup.display())]
    ChangedSince {
        /// The file.
        file: PathBuf,
        /// Its content before the export.
        backup: PathBuf,
    },
    /// The file or the backup could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The file could not be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The file or its backup could not be removed.
    #[error("`{}` could not be removed", file.display())]
    Remove {
        /// Which.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Takes an export back; tells the file that is as it was before.
///
/// # Errors
/// [`UndoError`], also when the file was changed since.
pub fn undo(backup: &Path) -> Result<PathBuf, UndoError> {
    let no_backup = || UndoError::NoBackup { backup: backup.to_owned() };
    let name = backup.file_name().and_then(|name| name.to_str()).ok_or_else(no_backup)?;
    let (name, is_new) = match (name.strip_suffix(OLD), name.strip_suffix(NEW)) {
        (Some(name), _) => (name, false),
        (None, Some(name)) => (name, true),
        (None, None) => return Err(no_backup()),
    };
    let (name, expected) = name.rsplit_once(MARK).ok_or_else(no_backup)?;
    let file = backup.with_file_name(name);
    let before = read_up_to(backup, LARGEST_OF_CLIENTS)?.ok_or_else(no_backup)?;
    let now = read_up_to(&file, LARGEST_OF_CLIENTS)?;
    let changed = || UndoError::ChangedSince { file: file.clone(), backup: backup.to_owned() };
    let now = now.filter(|now| hash(now) == expected).ok_or_else(changed)?;
    let remove = |file: &Path| {
        fs::remove_file(file).map_err(|source| UndoError::Remove { file: file.to_owned(), source })
    };
    if is_new {
        remove(&file)?;
    } else {
        replace_if(&file, Some(&now), &before, Backup::None)?;
    }
    remove(backup)?;
    Ok(file)
}

/// The backup of the export that made a file what it is now, if that was one.
pub fn backup_of(file: &Path) -> Option<PathBuf> {
    let place = resolved(file).ok()?;
    let now = read_up_to(&place, LARGEST_OF_CLIENTS).ok()??;
    let backup = |end: &str| {
        let mut name = place.clone().into_os_string();
        name.push(format!("{MARK}{}{end}", hash(&now)));
        PathBuf::from(name)
    };
    [backup(OLD), backup(NEW)].into_iter().find(|backup| exists(backup))
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}
