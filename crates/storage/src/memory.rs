//! A storage that forgets everything when the hub ends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dormouse_types::Message;
use serde_json::Value;

use crate::{ConversationKey, MESSAGES_KEPT, Storage, StorageError, Table, Write};

/// Everything in memory; for tests and for hubs that shall leave no trace.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    records: BTreeMap<(Table, String), Value>,
    conversations: HashMap<ConversationKey, VecDeque<Message>>,
}

impl Memory {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // No code here panics between two changes, so a poisoned content is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Storage for Memory {
    async fn append(&self, of: &ConversationKey, messages: &[Message]) -> Result<(), StorageError> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut content = self.content();
        let kept = content.conversations.entry(of.clone()).or_default();
        kept.extend(messages.iter().cloned());
        let over = kept.len().saturating_sub(MESSAGES_KEPT);
        kept.drain(..over);
        Ok(())
    }

    async fn history(&self, of: &ConversationKey) -> Result<Vec<Message>, StorageError> {
        let content = self.content();
        Ok(content.conversations.get(of).into_iter().flatten().cloned().collect())
    }

    async fn clear(&self, of: &ConversationKey) -> Result<(), StorageError> {
        self.content().conversations.remove(of);
        Ok(())
    }

    async fn get(&self, table: Table, key: &str) -> Result<Option<Value>, StorageError> {
        Ok(self.content().records.get(&(table, key.to_owned())).cloned())
    }

    async fn all(&self, table: Table) -> Result<Vec<(String, Value)>, StorageError> {
        let content = self.content();
        let of_table =
            content.records.range((table, String::new())..).take_while(|((of, _), _)| *of == table);
        Ok(of_table.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    async fn write(&self, batch: Vec<Write>) -> Result<(), StorageError> {
        let mut content = self.content();
        for change in batch {
            match change {
                Write::Put { table, key, value } => {
                    content.records.insert((table, key), value);
                }
                Write::Delete { table, key } => {
                    content.records.remove(&(table, key));
                }
            }
        }
        Ok(())
    }
}
