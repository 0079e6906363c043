//! Sessions on a storage that takes its time.

use async_trait::async_trait;
use dormouse::{ConversationKey, Memory, Message};
use tokio::sync::Semaphore;

use super::*;

/// A storage in memory whose records can be held back.
#[derive(Debug)]
struct Slow {
    memory: Memory,
    /// One permit for each record that is written.
    puts: Semaphore,
    reads: Semaphore,
}

impl Slow {
    fn new() -> Arc<Self> {
        let (puts, reads) = (Semaphore::new(Semaphore::MAX_PERMITS), Semaphore::new(Semaphore::MAX_PERMITS));
        Arc::new(Self { memory: Memory::new(), puts, reads })
    }
}

#[async_trait]
impl Storage for Slow {
    async fn append(&self, of: &ConversationKey, messages: &[Message]) -> Result<(), StorageError> {
        self.memory.append(of, messages).await
    }

    async fn history(&self, of: &ConversationKey) -> Result<Vec<Message>, StorageError> {
        self.memory.history(of).await
    }

    async fn clear(&self, of: &ConversationKey) -> Result<(), StorageError> {
        self.memory.clear(of).await
    }

    /// What is read is what was there when it began.
    async fn get(&self, table: Table, key: &str) -> Result<Option<Value>, StorageError> {
        let read = self.memory.get(table, key).await;
        self.reads.acquire().await.unwrap().forget();
        read
    }

    async fn all(&self, table: Table) -> Result<Vec<(String, Value)>, StorageError> {
        self.memory.all(table).await
    }

    async fn write(&self, batch: Vec<Write>) -> Result<(), StorageError> {
        if batch.iter().any(|write| matches!(write, Write::Put { .. })) {
            self.puts.acquire().await.unwrap().forget();
        }
        self.memory.write(batch).await
    }

    async fn conversations(&self) -> Result<Vec<ConversationKey>, StorageError> {
        self.memory.conversations().await
    }

    async fn close(&self) {
        self.memory.close().await;
    }
}

fn sessions(storage: &Arc<Slow>, most: usize) -> Arc<Sessions> {
    let storage: Arc<dyn Storage> = Arc::clone(storage) as Arc<dyn Storage>;
    Arc::new(Sessions::new(storage, most, Arc::default()))
}

async fn begun(sessions: &Sessions, info: Value) -> Result<Arc<Session>, Fault> {
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
    let Value::Object(params) = params else { panic!() };
    sessions.begin(None, Scope::Store, Mode::All, Digests::default(), &params).await
}

async fn plain(sessions: &Sessions) -> String {
    begun(sessions, json!({ "name": "x" })).await.unwrap().id().to_owned()
}

/// Lets everything go on that can.
async fn settled() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_write_under_way_does_not_bring_back_what_was_ended() {
    let storage = Slow::new();
    let sessions = sessions(&storage, 10);
    let session = begun(&sessions, json!({})).await.unwrap();
    let id = session.id().to_owned();
    storage.puts.forget_permits(usize::MAX);
    let writing = tokio::spawn({
        let session = Arc::clone(&session);
        async move { session.set_log_level("error".to_owned()).await }
    });
    settled().await;
    let ending = tokio::spawn({
        let (sessions, id) = (Arc::clone(&sessions), id.clone());
        async move { sessions.end(&id).await.unwrap() }
    });
    settled().await;
    // Another write, which has not begun.
    let late = tokio::spawn({
        let session = Arc::clone(&session);
        async move { session.set_log_level("debug".to_owned()).await }
    });
    settled().await;
    storage.puts.add_permits(10);
    for task in [writing, ending, late] {
        task.await.unwrap();
    }
    assert!(sessions.get(&id).await.unwrap().is_none());
    assert_eq!(storage.memory.all(Table::Sessions).await.unwrap(), []);
    session.set_log_level("info".to_owned()).await;
    assert!(sessions.get(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn who_reads_a_session_while_it_is_ended_does_not_get_it() {
    let storage = Slow::new();
    let id = plain(&sessions(&storage, 10)).await;
    let sessions = sessions(&storage, 10);
    storage.reads.forget_permits(usize::MAX);
    let reading = tokio::spawn({
        let (sessions, id) = (Arc::clone(&sessions), id.clone());
        async move { sessions.get(&id).await.unwrap() }
    });
    settled().await;
    sessions.end(&id).await.unwrap();
    storage.reads.add_permits(10);
    assert!(reading.await.unwrap().is_none());
    assert!(sessions.get(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn the_session_that_was_used_longest_ago_makes_room_and_none_that_is_in_use() {
    let storage = Slow::new();
    let sessions = sessions(&storage, 3);
    let (first, second) = (plain(&sessions).await, plain(&sessions).await);
    let used = begun(&sessions, json!({})).await.unwrap();
    assert!(sessions.get(&first).await.unwrap().is_some());
    assert!(sessions.make_room().await.unwrap());
    let fourth = begun(&sessions, json!({})).await.unwrap();
    for (id, is_there) in [(&first, true), (&second, false), (&used.id, true), (&fourth.id, true)] {
        assert_eq!(sessions.get(id).await.unwrap().is_some(), is_there);
    }
    assert!(sessions.make_room().await.unwrap());
    let fifth = begun(&sessions, json!({})).await.unwrap();
    assert!(sessions.get(&first).await.unwrap().is_none());
    let refused = sessions.make_room().await.unwrap_err();
    assert!(refused.message.contains("mcp.max_sessions"), "{}", refused.message);
    // One that ends makes room, whoever is in use.
    sessions.end(&used.id).await.unwrap();
    assert!(!sessions.make_room().await.unwrap());
    assert!(!fourth.over().is_cancelled() && !fifth.over().is_cancelled() && used.over().is_cancelled());
}

#[tokio::test]
async fn room_is_made_of_what_an_earlier_life_left_too() {
    let storage = Slow::new();
    let before = sessions(&storage, 100);
    for _ in 0..20 {
        plain(&before).await;
    }
    let now = sessions(&storage, 10);
    let kept = begun(&now, json!({})).await.unwrap();
    assert!(now.make_room().await.unwrap());
    plain(&now).await;
    assert_eq!(storage.memory.all(Table::Sessions).await.unwrap().len(), 10);
    assert!(now.get(kept.id()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_one_session_stores_is_bounded() {
    let storage = Slow::new();
    let sessions = sessions(&storage, 10);
    let icon = format!("data:image/png;base64,{}", "A".repeat(1 << 20));
    let info = json!({ "name": "n".repeat(1 << 20), "version": "1", "icons": [{ "src": icon }] });
    let session = begun(&sessions, info).await.unwrap();
    for n in 0..2_000 {
        let uri = format!("file:///{}/{n}", "d".repeat(n / 2));
        if session.may_subscribe(&uri).is_ok() {
            session.subscribe(&uri).await;
        }
    }
    assert!(session.may_subscribe(&session.subscriptions()[0]).is_ok(), "what it watches already");
    let stored = storage.memory.get(Table::Sessions, session.id()).await.unwrap().unwrap();
    assert_eq!(stored["client_info"]["version"], "1");
    let size = stored.to_string().len();
    assert!(size < 300 << 10, "{size}");

    let params =
        json!({ "protocolVersion": "2025-11-25", "capabilities": { "experimental": "x".repeat(1 << 20) } });
    let Value::Object(params) = params else { panic!() };
    let refused = sessions.begin(None, Scope::Store, Mode::All, Digests::default(), &params).await;
    assert!(refused.unwrap_err().message.contains("capabilities"));
}

/// A client that reads when it is let, and what it was told.
#[derive(Debug, Default)]
struct Reader {
    is_there: std::sync::atomic::AtomicBool,
    waiting: Mutex<Vec<(Value, Receipt)>>,
}

impl Outlet for Reader {
    fn send(&self, _message: Value) -> bool {
        true
    }

    fn send_noted(&self, message: Value, receipt: Receipt) {
        if self.is_there.load(Ordering::Relaxed) {
            self.waiting.lock().unwrap().push((message, receipt));
        }
    }
}

impl Reader {
    fn told(&self) -> Vec<String> {
        let waiting = self.waiting.lock().unwrap();
        waiting.iter().map(|(message, _)| message["method"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_client_knows_of_a_change_when_it_was_written_and_not_before() {
    const TOOLS: &str = "notifications/tools/list_changed";
    const PROMPTS: &str = "notifications/prompts/list_changed";
    let storage = Slow::new();
    let sessions = sessions(&storage, 10);
    let session = begun(&sessions, json!({})).await.unwrap();
    let reader = Arc::new(Reader::default());
    session.set_outlet(Some(Arc::clone(&reader) as Arc<dyn Outlet>));
    let now = Digests { tools: "t".to_owned(), prompts: "p".to_owned(), ..Digests::default() };
    let stored = async || {
        settled().await;
        let record = storage.memory.get(Table::Sessions, session.id()).await.unwrap().unwrap();
        serde_json::from_value::<Record>(record).unwrap().seen.unwrap()
    };
    session.tell_lists(&now);
    reader.is_there.store(true, Ordering::Relaxed);
    // Nobody was there, so it is told again; and once only while that is on its way.
    session.tell_lists(&now);
    session.tell_lists(&now);
    assert_eq!(reader.told(), [TOOLS, PROMPTS]);
    assert_eq!(stored().await, Digests::default());
    // One is read, the other gets lost.
    reader.waiting.lock().unwrap().remove(0).1.written();
    reader.waiting.lock().unwrap().clear();
    assert_eq!(stored().await, Digests { tools: "t".to_owned(), ..Digests::default() });
    session.tell_lists(&now);
    assert_eq!(reader.told(), [PROMPTS]);
    // Where it hears now, what is on its way elsewhere is not read.
    let other = Arc::new(Reader::default());
    other.is_there.store(true, Ordering::Relaxed);
    session.set_outlet(Some(Arc::clone(&other) as Arc<dyn Outlet>));
    session.tell_lists(&now);
    assert_eq!(other.told(), [PROMPTS]);
    other.waiting.lock().unwrap().remove(0).1.written();
    assert_eq!(stored().await, now);
    session.tell_lists(&now);
    assert_eq!(other.told(), Vec::<String>::new());
}
