//! The thread that owns the database: takes jobs, groups changes, recovers.

use std::path::{Path, PathBuf};

use redb::{Database, ReadTransaction, ReadableDatabase};
use tokio::sync::{mpsc, oneshot};

use super::schema::{self, Failure, OpenError};
use crate::{StorageError, Write};

/// How many changes share one transaction at most.
const GROUP: usize = 128;

/// One change that is made whole or not at all.
#[derive(Debug)]
pub(super) enum Update {
    Append { key: String, messages: Vec<String>, kept: usize },
    Clear { key: String },
    Records(Vec<Write>),
}

pub(super) type Read = Box<dyn FnOnce(Result<&ReadTransaction, StorageError>) + Send>;
type Reply = oneshot::Sender<Result<(), StorageError>>;

pub(super) enum Job {
    Read(Read),
    Update(Update, Reply),
    /// Ends the thread, after the jobs before it; answered when the file is free.
    Close(oneshot::Sender<()>),
}

pub(super) struct Engine {
    file: PathBuf,
    /// `None` after a failure, until the next job opens it anew.
    database: Option<Database>,
}

impl Engine {
    pub(super) fn open(file: &Path) -> Result<Self, OpenError> {
        let database = schema::open(file)?;
        Ok(Self { file: file.to_owned(), database: Some(database) })
    }

    /// Works until it is closed, or the last sender is gone.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut closing = None;
        while closing.is_none()
            && let Some(first) = jobs.blocking_recv()
        {
            let mut group = Vec::new();
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    // Whoever was told of a change had its answer before it sent this, so a
                    // read may overtake the changes that wait here.
                    Job::Read(read) => self.read(read),
                    Job::Update(update, reply) => group.push((update, reply)),
                    Job::Close(reply) => closing = Some(reply),
                }
                let more = closing.is_none() && group.len() < GROUP;
                next = if more { jobs.try_recv().ok() } else { None };
            }
            if !group.is_empty() {
                self.update(group);
            }
        }
        drop(self.database.take());
        if let Some(reply) = closing {
            let _ = reply.send(());
        }
    }

    fn read(&mut self, read: Read) {
        let transaction = self
            .database()
            .and_then(|database| database.begin_read().map_err(|error| Failure::from(error).reading()));
        match transaction {
            Ok(transaction) => read(Ok(&transaction)),
            Err(error) => {
                self.database = None;
                read(Err(error));
            }
        }
    }

    fn update(&mut self, group: Vec<(Update, Reply)>) {
        let (updates, replies): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let result =
            self.database().and_then(|database| schema::commit(database, &updates).map_err(Failure::writing));
        let results = match result {
            Ok(results) => results,
            Err(error) => vec![Err(error); replies.len()],
        };
        if let Some(Err(error)) =
            results.iter().find(|result| matches!(result, Err(error) if !is_conflict(error)))
        {
            tracing::warn!(file = %self.file.display(), error = error as &dyn std::error::Error, "a change was not stored");
            // The engine may refuse everything after a failure; opening repairs the file.
            self.database = None;
        }
        for (reply, result) in replies.into_iter().zip(results) {
            // The caller may have gone meanwhile.
            let _ = reply.send(result);
        }
    }

    fn database(&mut self) -> Result<&Database, StorageError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => schema::open(&self.file).map_err(OpenError::into_storage)?,
        };
        Ok(self.database.insert(database))
    }
}

/// A conflict is an answer, not a failure of the engine.
fn is_conflict(error: &StorageError) -> bool {
    matches!(error, StorageError::Conflict { .. })
}
