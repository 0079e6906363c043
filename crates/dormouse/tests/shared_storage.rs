//! What a hub makes of what others leave, write and tell on the same storage, also while it fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dormouse::{
    Config, ConversationKey, Features, FromOthers, Hub, Memory, Message, Storage, StorageError, Table, Write,
};
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// A storage that hubs share, and that cannot be read for a while.
#[derive(Debug)]
struct Shared {
    memory: Memory,
    others: broadcast::Sender<FromOthers>,
    fails: AtomicBool,
    failed: AtomicUsize,
}

impl Shared {
    fn new() -> Arc<Self> {
        let others = broadcast::channel(16).0;
        let (fails, failed) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Self { memory: Memory::default(), others, fails, failed })
    }

    fn reads(&self) -> Result<(), StorageError> {
        if !self.fails.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.failed.fetch_add(1, Ordering::SeqCst);
        Err(StorageError::Unreachable { reason: "it is slow today".to_owned() })
    }
}

#[async_trait]
impl Storage for Shared {
    async fn append(&self, of: &ConversationKey, messages: &[Message]) -> Result<(), StorageError> {
        self.memory.append(of, messages).await
    }
    async fn history(&self, of: &ConversationKey) -> Result<Vec<Message>, StorageError> {
        self.memory.history(of).await
    }
    async fn clear(&self, of: &ConversationKey) -> Result<(), StorageError> {
        self.memory.clear(of).await
    }
    async fn get(&self, table: Table, key: &str) -> Result<Option<Value>, StorageError> {
        self.reads()?;
        self.memory.get(table, key).await
    }
    async fn all(&self, table: Table) -> Result<Vec<(String, Value)>, StorageError> {
        self.reads()?;
        self.memory.all(table).await
    }
    async fn write(&self, batch: Vec<Write>) -> Result<(), StorageError> {
        self.memory.write(batch).await
    }
    async fn conversations(&self) -> Result<Vec<ConversationKey>, StorageError> {
        self.memory.conversations().await
    }
    fn is_shared(&self) -> bool {
        true
    }
    fn feed(&self) -> Option<broadcast::Receiver<FromOthers>> {
        Some(self.others.subscribe())
    }
    async fn close(&self) {}
}

async fn opened(space: &Path, storage: &Arc<Shared>) -> Hub {
    let config = Config { model: "none".to_owned(), ..Config::default() };
    Hub::builder().space(space).config(config).storage(storage.clone()).open().await.unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let held = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), held).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

#[tokio::test]
async fn what_could_not_be_read_of_others_is_read_again() {
    let (space, storage) = (tempfile::tempdir().unwrap(), Shared::new());
    let hub = opened(space.path(), &storage).await;
    let made = hub.tokens().create("ci", dormouse::Scope::Store).await.unwrap();

    storage.fails.store(true, Ordering::SeqCst);
    let (key, value) = ("supervision".to_owned(), json!({ "probe_seconds": 60 }));
    storage
        .memory
        .write(vec![
            Write::Delete { table: Table::Tokens, key: "ci".to_owned() },
            Write::Put { table: Table::Settings, key, value },
        ])
        .await
        .unwrap();
    storage.others.send(FromOthers::Written(vec![Table::Tokens, Table::Settings])).unwrap();
    // The inventory and the tokens.
    until("both reads failed", || storage.failed.load(Ordering::SeqCst) >= 2).await;
    storage.fails.store(false, Ordering::SeqCst);
    until("a revoked token opens nothing", || hub.tokens().verify(&made.secret).is_none()).await;
    until("the settings hold", || hub.store().supervision().probe == Duration::from_secs(60)).await;
    hub.shutdown().await;
}

#[tokio::test]
async fn a_hub_takes_back_its_scripts_that_went_while_it_was_away() {
    let (space, storage) = (tempfile::tempdir().unwrap(), Shared::new());
    let script = space.path().join("servers").join("calc.py");
    std::fs::create_dir(script.parent().unwrap()).unwrap();
    let text = "from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('calc')\n\
                @mcp.tool()\ndef add(a: int) -> int:\n    return a\nmcp.run()\n";
    std::fs::write(&script, text).unwrap();
    let promised = async || {
        let records = storage.memory.all(Table::Scripts).await.unwrap();
        records.iter().filter(|(_, record)| record.get("server").is_some()).count()
    };
    opened(space.path(), &storage).await.shutdown().await;
    assert_eq!(promised().await, 1);
    std::fs::remove_file(&script).unwrap();
    opened(space.path(), &storage).await.shutdown().await;
    assert_eq!(promised().await, 0);
}

#[tokio::test]
async fn versions_that_no_server_has_are_forgotten_once_they_are_many() {
    let (space, storage) = (tempfile::tempdir().unwrap(), Shared::new());
    let value = serde_json::to_value(Features::default()).unwrap();
    let put = |number: usize| Write::Put {
        table: Table::LiveFeatures,
        key: number.to_string(),
        value: value.clone(),
    };
    storage.memory.write((0..900).map(put).collect()).await.unwrap();
    opened(space.path(), &storage).await.shutdown().await;
    assert_eq!(storage.memory.all(Table::LiveFeatures).await.unwrap().len(), 900);
    storage.memory.write((900..1_100).map(put).collect()).await.unwrap();
    opened(space.path(), &storage).await.shutdown().await;
    assert_eq!(storage.memory.all(Table::LiveFeatures).await.unwrap(), []);
}

#[tokio::test]
async fn a_new_server_of_a_removed_ones_name_is_another_one() {
    let (space, storage) = (tempfile::tempdir().unwrap(), Shared::new());
    let hub = opened(space.path(), &storage).await;
    let (store, agent) = (hub.store(), hub.for_agent("a").unwrap());
    let name = "calc".parse().unwrap();
    let entry = || json!({ "command": "/nowhere/to/be/found" });
    store.add("calc".parse().unwrap(), entry()).await.unwrap();
    store.assign(&name, &"a".parse().unwrap()).await.unwrap();
    store.disconnect(&name, Some("out of order".to_owned())).await.unwrap();
    assert_eq!(agent.servers().len(), 1);
    store.remove(&name, false).await.unwrap();
    let added = store.add("calc".parse().unwrap(), entry()).await.unwrap();
    assert_ne!(added.status.reason.as_deref(), Some("out of order"));
    assert_eq!(agent.servers().len(), 0);
    for table in [Table::Assignments, Table::Settings] {
        assert_eq!(storage.memory.all(table).await.unwrap(), []);
    }
    hub.shutdown().await;
}

#[tokio::test]
async fn a_script_whose_file_is_gone_already_can_be_removed_with_it() {
    let space = tempfile::tempdir().unwrap();
    let script = space.path().join("servers").join("calc.py");
    std::fs::create_dir(script.parent().unwrap()).unwrap();
    let text = "from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('calc')\nmcp.run()\n";
    std::fs::write(&script, text).unwrap();
    let config = Config { model: "none".to_owned(), storage: "memory".to_owned(), ..Config::default() };
    let hub = Hub::builder().space(space.path()).config(config).watch(false).open().await.unwrap();
    let name = "calc".parse().unwrap();
    hub.store().server(&name).unwrap();
    std::fs::remove_file(&script).unwrap();
    hub.store().remove(&name, true).await.unwrap();
    assert!(hub.store().server(&name).is_err());
    hub.shutdown().await;
}
