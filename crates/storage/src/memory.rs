//! A storage that forgets everything when the hub ends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dormouse_types::Message;
use serde_json::Value;

use crate::{ConversationKey, MESSAGES_KEPT, Storage, StorageError, Table, Write};

/// Everything in memory; for tests and for hubs that shall leave no trace.
#[derive(Debug)]
pub struct Memory {
    content: Mutex<Option<Content>>,
    /// How many messages of a conversation.
    kept: usize,
}

#[derive(Debug, Default)]
struct Content {
    records: BTreeMap<(Table, String), Value>,
    conversations: HashMap<ConversationKey, VecDeque<Message>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty storage.
    pub fn new() -> Self {
        Self { content: Mutex::new(Some(Content::default())), kept: MESSAGES_KEPT }
    }

    /// The same, with so many messages of a conversation kept.
    pub fn keeping(self, messages: usize) -> Self {
        Self { kept: messages, ..self }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Content) -> T) -> Result<T, StorageError> {
        self.lock().as_mut().map(work).ok_or(StorageError::Closed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Content>> {
        // No code here panics between two changes, so a poisoned content is whole.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Storage for Memory {
    async fn append(&self, of: &ConversationKey, messages: &[Message]) -> Result<(), StorageError> {
        let most = self.kept;
        self.with(|content| {
            if messages.is_empty() {
                return;
            }
            let kept = content.conversations.entry(of.clone()).or_default();
            kept.extend(messages.iter().cloned());
            let over = kept.len().saturating_sub(most);
            kept.drain(..over);
        })
    }

    async fn history(&self, of: &ConversationKey) -> Result<Vec<Message>, StorageError> {
        self.with(|content| content.conversations.get(of).into_iter().flatten().cloned().collect())
    }

    async fn clear(&self, of: &ConversationKey) -> Result<(), StorageError> {
        self.with(|content| drop(content.conversations.remove(of)))
    }

    async fn get(&self, table: Table, key: &str) -> Result<Option<Value>, StorageError> {
        self.with(|content| content.records.get(&(table, key.to_owned())).cloned())
    }

    async fn all(&self, table: Table) -> Result<Vec<(String, Value)>, StorageError> {
        self.with(|content| {
            let from_table = content.records.range((table, String::new())..);
            let of_table = from_table.take_while(|((of, _), _)| *of == table);
            of_table.map(|((_, key), value)| (key.clone(), value.clone())).collect()
        })
    }

    async fn write(&self, batch: Vec<Write>) -> Result<(), StorageError> {
        self.with(|content| {
            for change in &batch {
                if let Write::Expect { table, key, value } = change
                    && content.records.get(&(*table, key.clone())) != value.as_ref()
                {
                    return Err(StorageError::Conflict { table: table.as_str() });
                }
            }
            for change in batch {
                match change {
                    Write::Put { table, key, value } => {
                        content.records.insert((table, key), value);
                    }
                    Write::Delete { table, key } => {
                        content.records.remove(&(table, key));
                    }
                    // There are no others.
                    Write::Expect { .. } | Write::Led { .. } => {}
                }
            }
            Ok(())
        })?
    }

    async fn conversations(&self) -> Result<Vec<ConversationKey>, StorageError> {
        self.with(|content| content.conversations.keys().cloned().collect())
    }

    async fn close(&self) {
        self.lock().take();
    }
}
