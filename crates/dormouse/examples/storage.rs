//! A storage of one's own: here one that counts what is written, around the one in memory.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use dormouse::{
    ConversationKey, Memory, Message, NoListener, QueryRequest, SessionId, Storage, StorageError, Table,
    Write,
};
use serde_json::Value;
use support::{Done, builder, space};

#[derive(Debug, Default)]
struct Counting {
    inner: Memory,
    messages: AtomicUsize,
    writes: AtomicUsize,
}

#[async_trait]
impl Storage for Counting {
    async fn append(&self, of: &ConversationKey, messages: &[Message]) -> Result<(), StorageError> {
        self.messages.fetch_add(messages.len(), Ordering::Relaxed);
        self.inner.append(of, messages).await
    }

    async fn history(&self, of: &ConversationKey) -> Result<Vec<Message>, StorageError> {
        self.inner.history(of).await
    }

    async fn clear(&self, of: &ConversationKey) -> Result<(), StorageError> {
        self.inner.clear(of).await
    }

    async fn get(&self, table: Table, key: &str) -> Result<Option<Value>, StorageError> {
        self.inner.get(table, key).await
    }

    async fn all(&self, table: Table) -> Result<Vec<(String, Value)>, StorageError> {
        self.inner.all(table).await
    }

    async fn write(&self, batch: Vec<Write>) -> Result<(), StorageError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.inner.write(batch).await
    }

    async fn conversations(&self) -> Result<Vec<ConversationKey>, StorageError> {
        self.inner.conversations().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[tokio::main]
async fn main() -> Done {
    let folder = space()?;
    let storage = Arc::new(Counting::default());
    let hub = builder(&folder).storage(storage.clone()).open().await?;
    let session = SessionId::try_new("example")?;
    let question = QueryRequest { query: "good morning".to_owned(), session: session.clone() };
    hub.store().query(question, Arc::new(NoListener)).await?;
    assert_eq!(hub.store().history(&session).await?.len(), 2);
    assert_eq!(storage.messages.load(Ordering::Relaxed), 2);
    hub.shutdown().await;
    assert!(storage.writes.load(Ordering::Relaxed) > 0);
    Ok(())
}
