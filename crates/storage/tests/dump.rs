//! What goes out of one storage comes into another one, and nothing else does.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use dormouse_storage::{
    ConversationKey, DumpError, Dumped, Embedded, Memory, Storage, StorageError, Table, Write, dump, load,
    migrate,
};
use dormouse_types::{Message, Role, Scope, Timestamp};
use serde_json::json;

fn message(content: String) -> Message {
    Message { role: Role::Assistant, content, timestamp: Timestamp::from_second(1_700_000_000).unwrap() }
}

fn conversation(agent: Option<&str>, session: &str) -> ConversationKey {
    let scope = agent.map_or(Scope::Store, |agent| Scope::Agent(agent.parse().unwrap()));
    ConversationKey { scope, session: session.parse().unwrap() }
}

async fn fill(storage: &dyn Storage) -> Dumped {
    let mut batch = Vec::new();
    for (number, table) in Table::ALL.into_iter().enumerate() {
        for key in ["", "a\nb", "🐭"] {
            let value = json!({"z": [number, null, 1.5], "a": "line\nbreak \u{0}ü"});
            batch.push(Write::Put { table, key: key.to_owned(), value });
        }
    }
    // More than one batch of them.
    for number in 0..1200 {
        let (table, key) = (Table::Calls, format!("{number}"));
        batch.push(Write::Put { table, key, value: json!(number) });
    }
    let records = batch.len();
    storage.write(batch).await.unwrap();
    for key in [conversation(None, "s"), conversation(Some("a"), "s"), conversation(Some("a"), "1:s ü")] {
        let messages: Vec<_> = (0..60).map(|number| message(format!("{number}\n{}", key.session))).collect();
        storage.append(&key, &messages).await.unwrap();
    }
    Dumped { records, conversations: 3 }
}

async fn text_of(storage: &dyn Storage) -> String {
    let mut text = Vec::new();
    dump(storage, &mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

async fn embedded() -> (Box<dyn Storage>, Box<dyn Send>) {
    let folder = tempfile::tempdir().unwrap();
    (Box::new(Embedded::open(&folder.path().join("dormouse.redb")).await.unwrap()), Box::new(folder))
}

async fn memory() -> (Box<dyn Storage>, Box<dyn Send>) {
    (Box::new(Memory::new()), Box::new(()))
}

#[cfg(feature = "redis")]
async fn redis() -> (Box<dyn Storage>, Box<dyn Send>) {
    let server = dormouse_testing::RedisServer::start();
    let settings = dormouse_storage::RedisSettings::new(server.url(), "dump");
    (Box::new(dormouse_storage::Redis::open(settings).await.unwrap()), Box::new(server))
}

async fn backends() -> Vec<(Box<dyn Storage>, Box<dyn Send>)> {
    vec![
        memory().await,
        embedded().await,
        #[cfg(feature = "redis")]
        redis().await,
    ]
}

#[tokio::test]
async fn every_backend_gives_its_content_to_every_other_one() {
    for (from, _beside) in &backends().await {
        let filled = fill(from.as_ref()).await;
        let text = text_of(from.as_ref()).await;
        assert_eq!(text.lines().count(), 1 + filled.records + filled.conversations);
        for (to, _beside) in &backends().await {
            // What is there stays, and what has the same key is replaced.
            let (table, key) = (Table::Tokens, "own".to_owned());
            to.write(vec![Write::Put { table, key: key.clone(), value: json!(1) }]).await.unwrap();
            to.write(vec![Write::Put { table, key: "🐭".into(), value: json!(1) }]).await.unwrap();
            to.append(&conversation(None, "s"), &[message("other".into())]).await.unwrap();
            for _ in 0..2 {
                assert_eq!(load(to.as_ref(), &mut text.as_bytes()).await.unwrap(), filled);
            }
            assert_eq!(to.get(table, "own").await.unwrap(), Some(json!(1)));
            to.write(vec![Write::Delete { table, key }]).await.unwrap();
            assert_eq!(text_of(to.as_ref()).await, text);
        }
    }
}

#[tokio::test]
async fn migration_there_and_back_changes_nothing() {
    for (to, _beside) in &backends().await {
        let (from, back) = (Memory::new(), Memory::new());
        let filled = fill(&from).await;
        assert_eq!(migrate(&from, to.as_ref()).await.unwrap(), filled);
        assert_eq!(migrate(to.as_ref(), &back).await.unwrap(), filled);
        assert_eq!(text_of(&back).await, text_of(&from).await);
    }
}

#[tokio::test]
async fn empty_storage_is_one_line() {
    let text = text_of(&Memory::new()).await;
    assert_eq!(text, "{\"dormouse\":\"storage\",\"format\":1,\"records\":0,\"conversations\":0}\n");
    assert_eq!(load(&Memory::new(), &mut text.as_bytes()).await.unwrap(), Dumped::default());
}

/// Loads something that is refused, and shows that nothing of it was stored.
async fn check_refused(text: &str, is_expected: impl Fn(&DumpError) -> bool) {
    let storage = Memory::new();
    let error = load(&storage, &mut text.as_bytes()).await.unwrap_err();
    assert!(is_expected(&error), "{error:?}");
    assert_eq!(text_of(&storage).await, text_of(&Memory::new()).await);
}

#[tokio::test]
async fn dump_that_is_not_whole_is_refused_and_nothing_stored() {
    let from = Memory::new();
    fill(&from).await;
    let whole = text_of(&from).await;
    let lines: Vec<_> = whole.lines().collect();

    let cut = lines[..lines.len() - 1].join("\n");
    check_refused(&cut, |error| matches!(error, DumpError::Incomplete { .. })).await;
    let damaged = whole.replacen("\"table\":\"calls\"", "\"table\":7", 1);
    check_refused(&damaged, |error| matches!(error, DumpError::Line { line: 26.., .. })).await;
    let unknown = whole.replacen("\"table\":\"calls\"", "\"table\":\"mice\"", 1);
    check_refused(
        &unknown,
        |error| matches!(error, DumpError::UnknownTable { table, .. } if table == "mice"),
    )
    .await;
    let newer = whole.replacen("\"format\":1", "\"format\":2", 1);
    check_refused(&newer, |error| matches!(error, DumpError::Newer { found: 2, known: 1 })).await;
    let scope = whole.replacen("\"scope\":\"a\"", "\"scope\":\"a/b\"", 1);
    check_refused(&scope, |error| matches!(error, DumpError::Line { .. })).await;
    for text in ["", "{}", "[]", "{\"mcpServers\": {}}", "no JSON"] {
        check_refused(text, |error| matches!(error, DumpError::NoDump)).await;
    }
    check_refused("\u{0}\u{1}", |error| matches!(error, DumpError::NoDump)).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn two_do_not_fill_one_storage_at_once() {
    let server = dormouse_testing::RedisServer::start();
    let open = async || {
        dormouse_storage::Redis::open(dormouse_storage::RedisSettings::new(server.url(), "dump"))
            .await
            .unwrap()
    };
    let (one, other) = (open().await, open().await);
    let from = Memory::new();
    let filled = fill(&from).await;
    one.lead("fill the storage", std::time::Duration::from_secs(60)).await.unwrap().unwrap();
    let error = migrate(&from, &other).await.unwrap_err();
    assert!(matches!(error, DumpError::Storage(StorageError::Fenced { .. })), "{error:?}");
    assert_eq!(text_of(&other).await, text_of(&Memory::new()).await);
    one.close().await;
    assert_eq!(migrate(&from, &other).await.unwrap(), filled);
}
