//! The default storage: one redb file in the space, with nothing to install.
//!
//! One thread owns the database. Others hand it jobs, and it puts all changes that wait into
//! one transaction, so that many writers share one `fsync`. After a failed transaction the
//! engine refuses to go on; the thread then opens the file anew for the next job.
//!
//! # Invariants
//!
//! * A change is answered after it is on the disk.
//! * A file is never overwritten because it could not be read.
//! * Two processes never have one file open.

mod engine;
mod schema;

use std::path::Path;
use std::sync::Mutex;
use std::thread::JoinHandle;

use async_trait::async_trait;
use dormouse_types::Message;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::key::{conversation_key, conversation_of};
use crate::{ConversationKey, MESSAGES_KEPT, Storage, StorageError, Table, Write};
use engine::{Engine, Job, Read, Update};

pub use schema::OpenError;

/// How many jobs may wait; who brings more waits for room.
const JOBS_WAITING: usize = 256;

/// The storage in one file. Dropping it closes it, and waits for the jobs that it took.
#[derive(Debug)]
pub struct Embedded {
    /// `None` only while it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// How many messages of a conversation.
    kept: usize,
}

impl Embedded {
    /// Opens the file, or makes it, with the folder that it is in.
    ///
    /// # Errors
    /// [`OpenError`], which tells a file in use from a broken one, a newer one, and a folder
    /// that cannot be written to.
    pub async fn open(file: &Path) -> Result<Self, OpenError> {
        let (jobs, waiting) = mpsc::channel(JOBS_WAITING);
        let (opened, answer) = oneshot::channel();
        let file = file.to_owned();
        let thread = std::thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || {
                let engine = Engine::open(&file);
                let (engine, result) = match engine {
                    Ok(engine) => (Some(engine), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                // If nobody waits any more, the channel is closed and the thread ends.
                let _ = opened.send(result);
                if let Some(engine) = engine {
                    engine.run(waiting);
                }
            })
            .map_err(OpenError::Thread)?;
        // The thread answers in any case, unless it panics.
        answer.await.unwrap_or(Err(OpenError::Died))?;
        Ok(Self { jobs: Some(jobs), thread: Mutex::new(Some(thread)), kept: MESSAGES_KEPT })
    }

    /// The same, with so many messages of a conversation kept.
    pub fn keeping(mut self, messages: usize) -> Self {
        self.kept = messages;
        self
    }

    async fn update(&self, update: Update) -> Result<(), StorageError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Update(update, reply)).await?;
        answer.await.map_err(|_| StorageError::Closed)?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (reply, answer) = oneshot::channel();
        let read: Read = Box::new(move |transaction| {
            // The reader may have gone meanwhile.
            let _ = reply.send(transaction.and_then(read));
        });
        self.send(Job::Read(read)).await?;
        answer.await.map_err(|_| StorageError::Closed)?
    }

    async fn send(&self, job: Job) -> Result<(), StorageError> {
        let jobs = self.jobs.as_ref().ok_or(StorageError::Closed)?;
        jobs.send(job).await.map_err(|_| StorageError::Closed)
    }
}

impl Drop for Embedded {
    /// Blocks for as long as the last transaction takes, so that who opens the file next finds
    /// it closed.
    fn drop(&mut self) {
        self.jobs = None;
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            // A panic of the thread was reported by itself.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Storage for Embedded {
    async fn append(&self, of: &ConversationKey, messages: &[Message]) -> Result<(), StorageError> {
        if messages.is_empty() {
            return Ok(());
        }
        let text = |message| serde_json::to_string(message).expect("a message is JSON");
        let messages = messages.iter().map(text).collect();
        let key = conversation_key(&of.scope, &of.session);
        self.update(Update::Append { key, messages, kept: self.kept }).await
    }

    async fn history(&self, of: &ConversationKey) -> Result<Vec<Message>, StorageError> {
        let key = conversation_key(&of.scope, &of.session);
        self.read(move |transaction| schema::history(transaction, &key)).await
    }

    async fn clear(&self, of: &ConversationKey) -> Result<(), StorageError> {
        self.update(Update::Clear { key: conversation_key(&of.scope, &of.session) }).await
    }

    async fn get(&self, table: Table, key: &str) -> Result<Option<Value>, StorageError> {
        let key = key.to_owned();
        self.read(move |transaction| schema::get(transaction, table, &key)).await
    }

    async fn all(&self, table: Table) -> Result<Vec<(String, Value)>, StorageError> {
        self.read(move |transaction| schema::all(transaction, table)).await
    }

    async fn write(&self, batch: Vec<Write>) -> Result<(), StorageError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.update(Update::Records(batch)).await
    }

    async fn conversations(&self) -> Result<Vec<ConversationKey>, StorageError> {
        let keys = self.read(schema::conversations).await?;
        Ok(keys.iter().filter_map(|key| conversation_of(key)).collect())
    }

    async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        // Where it cannot be sent or is not answered, it is closed already.
        if self.send(Job::Close(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }
}
