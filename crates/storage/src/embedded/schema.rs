//! What stands in the file: tables, their keys and values, and the version of all that.
//!
//! Records: one table per [`Table`], key → JSON. Conversations: (conversation, number) → JSON
//! of one message; numbers grow and are never used twice within a conversation.

use std::error::Error;
use std::io::{self, Read as _, Seek as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dormouse_types::Message;
use redb::{Builder, Database, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde_json::Value;

use super::engine::Update;
use crate::{StorageError, Table, Write};

/// The version of this layout. A file with a greater one is refused, a smaller one is migrated.
///
/// 1: the first five tables. 2: those up to `settings`. 3: all of [`Table`].
const FORMAT: u64 = 3;

/// Enough for every record of a large hub; redb's own default is a GiB.
const CACHE_BYTES: usize = 16 << 20;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const CONVERSATIONS: TableDefinition<(&str, u64), &str> = TableDefinition::new("conversations");

fn records(table: Table) -> TableDefinition<'static, &'static str, &'static str> {
    TableDefinition::new(table.as_str())
}

/// Why a database could not be opened. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error("the database `{}` is in use by another process", file.display())]
    Locked {
        /// The file.
        file: PathBuf,
    },
    /// A newer Dormouse wrote it.
    #[error("the database `{}` has format {found}, and this version knows up to {known}: a newer Dormouse wrote it", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that is known here.
        known: u64,
    },
    /// The file or its folder cannot be made, read or written.
    #[error("the database `{}` cannot be opened for writing", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no database, or a damaged one.
    #[error("`{}` is not a database, or it is damaged; move it away to start with an empty one", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What the engine said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The system gave no thread.
    #[error("the thread of the database could not start")]
    Thread(#[source] io::Error),
    /// The thread ended without an answer; it reported why.
    #[error("the thread of the database died")]
    Died,
}

impl OpenError {
    /// What a job is told when the file cannot be opened again after a failure.
    pub(super) fn into_storage(self) -> StorageError {
        match self {
            Self::Unwritable { source, .. } if is_full(&source) => StorageError::Full(Arc::new(source)),
            other => StorageError::Engine { doing: "be opened again", source: Arc::new(other) },
        }
    }
}

/// What the engine said; one type for its many.
#[derive(Debug)]
pub(super) struct Failure(redb::Error);

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl Failure {
    pub(super) fn reading(self) -> StorageError {
        self.doing("read")
    }

    pub(super) fn writing(self) -> StorageError {
        self.doing("write")
    }

    fn doing(self, doing: &'static str) -> StorageError {
        match self.0 {
            redb::Error::Io(source) if is_full(&source) => StorageError::Full(Arc::new(source)),
            source => StorageError::Engine { doing, source: Arc::new(source) },
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Opens the file, or makes it, and checks its format.
pub(super) fn open(file: &Path) -> Result<Database, OpenError> {
    let unwritable = |source| OpenError::Unwritable { file: file.to_owned(), source };
    let mut handle = open_file(file).map_err(unwritable)?;
    if is_unfinished(&handle).map_err(unwritable)? {
        // Kept, in case that it is damage after all.
        let mut aside = file.as_os_str().to_owned();
        aside.push(".unfinished");
        std::fs::rename(file, aside).map_err(unwritable)?;
        handle = open_file(file).map_err(unwritable)?;
    }
    let database = Builder::new()
        .set_cache_size(CACHE_BYTES)
        .create_file(handle)
        .map_err(|error| open_error(file, error.into()))?;
    let found = prepare(&database).map_err(|Failure(error)| open_error(file, error))?;
    if found > FORMAT {
        return Err(OpenError::Newer { file: file.to_owned(), found, known: FORMAT });
    }
    Ok(database)
}

/// Conversations and hashes of tokens are nobody else's business: only the owner may read.
fn open_file(file: &Path) -> io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        options.mode(0o600);
        if let Some(folder) = folder {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
    }
    #[cfg(not(unix))]
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)?;
    }
    options.open(file)
}

/// Whether the making of a file was cut off, which the engine would take for damage. It writes its
/// mark last: where there is none yet, nothing was stored.
fn is_unfinished(mut handle: &std::fs::File) -> io::Result<bool> {
    // Whoever has the lock may be making it right now; the engine will say so. A device that gives
    // zeros is no file at all.
    if !handle.metadata()?.is_file() || handle.try_lock().is_err() {
        return Ok(false);
    }
    let mut mark = [0; 9];
    let is_unfinished = match handle.read_exact(&mut mark) {
        Ok(()) => mark == [0; 9],
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        Err(error) => return Err(error),
    };
    handle.rewind()?;
    handle.unlock()?;
    Ok(is_unfinished)
}

fn open_error(file: &Path, error: redb::Error) -> OpenError {
    let file = file.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen => OpenError::Locked { file },
        // The engine says so of a file that is none of its own.
        redb::Error::Io(source) if source.kind() != io::ErrorKind::InvalidData => {
            OpenError::Unwritable { file, source }
        }
        source => OpenError::Damaged { file, source: Box::new(source) },
    }
}

/// Gives the format of the file; a new file gets ours and all tables.
fn prepare(database: &Database) -> Result<u64, Failure> {
    let transaction = database.begin_write()?;
    let found = transaction.open_table(META)?.get("format")?.map(|format| format.value());
    match found {
        Some(found) if found >= FORMAT => {
            transaction.abort()?;
            Ok(found)
        }
        // A new file, or one that lacks the tables which came later.
        _ => {
            transaction.open_table(META)?.insert("format", FORMAT)?;
            transaction.open_table(CONVERSATIONS)?;
            for table in Table::ALL {
                transaction.open_table(records(table))?;
            }
            transaction.commit()?;
            Ok(FORMAT)
        }
    }
}

/// Makes all changes in one transaction, but those that expected something else to be there.
pub(super) fn commit(
    database: &Database,
    updates: &[Update],
) -> Result<Vec<Result<(), StorageError>>, Failure> {
    let transaction = database.begin_write()?;
    let mut results = Vec::with_capacity(updates.len());
    for update in updates {
        results.push(match update {
            Update::Append { key, messages, kept } => {
                append(&transaction, key, messages, *kept)?;
                Ok(())
            }
            Update::Clear { key } => {
                clear(&transaction, key)?;
                Ok(())
            }
            Update::Records(batch) => match unexpected(&transaction, batch)? {
                Some(table) => Err(StorageError::Conflict { table: table.as_str() }),
                None => {
                    write(&transaction, batch)?;
                    Ok(())
                }
            },
        });
    }
    transaction.commit()?;
    Ok(results)
}

/// The first record that is not as the batch expects, if there is one.
fn unexpected(transaction: &WriteTransaction, batch: &[Write]) -> Result<Option<Table>, Failure> {
    for change in batch {
        let Write::Expect { table, key, value } = change else { continue };
        let records = transaction.open_table(records(*table))?;
        let found = records.get(key.as_str())?;
        // A damaged record is like nothing that anybody expects.
        let found = found.map(|found| serde_json::from_str::<Value>(found.value()).ok());
        if found != value.as_ref().map(|value| Some(value.clone())) {
            return Ok(Some(*table));
        }
    }
    Ok(None)
}

fn of_conversation(key: &str) -> RangeInclusive<(&str, u64)> {
    (key, 0)..=(key, u64::MAX)
}

fn append(
    transaction: &WriteTransaction,
    key: &str,
    messages: &[String],
    most: usize,
) -> Result<(), Failure> {
    let mut table = transaction.open_table(CONVERSATIONS)?;
    let mut kept = Vec::new();
    for item in table.range(of_conversation(key))? {
        kept.push(item?.0.value().1);
    }
    let first_new = kept.last().map_or(0, |last| last + 1);
    for (number, message) in (first_new..).zip(messages) {
        kept.push(number);
        table.insert((key, number), message.as_str())?;
    }
    let over = kept.len().saturating_sub(most);
    for number in &kept[..over] {
        table.remove((key, *number))?;
    }
    Ok(())
}

fn clear(transaction: &WriteTransaction, key: &str) -> Result<(), Failure> {
    let mut table = transaction.open_table(CONVERSATIONS)?;
    table.retain_in(of_conversation(key), |_, _| false)?;
    Ok(())
}

fn write(transaction: &WriteTransaction, batch: &[Write]) -> Result<(), Failure> {
    for change in batch {
        match change {
            Write::Put { table, key, value } => {
                transaction.open_table(records(*table))?.insert(key.as_str(), value.to_string().as_str())?;
            }
            Write::Delete { table, key } => {
                transaction.open_table(records(*table))?.remove(key.as_str())?;
            }
            // Only one hub at a time has the file.
            Write::Expect { .. } | Write::Led { .. } => {}
        }
    }
    Ok(())
}

pub(super) fn history(transaction: &ReadTransaction, key: &str) -> Result<Vec<Message>, StorageError> {
    let read = || -> Result<Vec<String>, Failure> {
        let table = transaction.open_table(CONVERSATIONS)?;
        let mut texts = Vec::new();
        for item in table.range(of_conversation(key))? {
            texts.push(item?.1.value().to_owned());
        }
        Ok(texts)
    };
    let damaged = |source| StorageError::Damaged { table: "conversations", source: Arc::new(source) };
    let texts = read().map_err(Failure::reading)?;
    texts.iter().map(|text| serde_json::from_str(text).map_err(damaged)).collect()
}

/// The keys of all conversations.
pub(super) fn conversations(transaction: &ReadTransaction) -> Result<Vec<String>, StorageError> {
    let read = || -> Result<Vec<String>, Failure> {
        let table = transaction.open_table(CONVERSATIONS)?;
        let mut keys: Vec<String> = Vec::new();
        for item in table.iter()? {
            let item = item?;
            let (key, _) = item.0.value();
            if keys.last().is_none_or(|last| last != key) {
                keys.push(key.to_owned());
            }
        }
        Ok(keys)
    };
    read().map_err(Failure::reading)
}

pub(super) fn get(
    transaction: &ReadTransaction,
    table: Table,
    key: &str,
) -> Result<Option<Value>, StorageError> {
    let read = || -> Result<Option<String>, Failure> {
        let records = transaction.open_table(records(table))?;
        Ok(records.get(key)?.map(|value| value.value().to_owned()))
    };
    match read().map_err(Failure::reading)? {
        None => Ok(None),
        Some(text) => parse(table, &text).map(Some),
    }
}

pub(super) fn all(transaction: &ReadTransaction, table: Table) -> Result<Vec<(String, Value)>, StorageError> {
    let failed = |error: redb::Error| Failure(error).reading();
    let records = transaction.open_table(records(table)).map_err(|error| failed(error.into()))?;
    let mut all = Vec::new();
    for item in records.iter().map_err(|error| failed(error.into()))? {
        let (key, value) = item.map_err(|error| failed(error.into()))?;
        all.push((key.value().to_owned(), parse(table, value.value())?));
    }
    Ok(all)
}

fn parse(table: Table, text: &str) -> Result<Value, StorageError> {
    serde_json::from_str(text).map_err(|source| StorageError::damaged(table, source))
}
