//! What every backend must do. A new backend adds one `backend!` line.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::sync::Arc;

use dormouse_storage::{
    ConversationKey, Embedded, MESSAGES_KEPT, Memory, Storage, StorageError, Table, Write,
};
use dormouse_types::{Message, Role, Scope, Timestamp};
use serde_json::{Value, json};

/// Runs the whole suite on fresh storages. `$make` gives one, with what must live beside it.
macro_rules! backend {
    ($name:ident, $make:expr) => {
        mod $name {
            backend!(@tests $make,
                conversation_comes_back_in_order,
                conversation_keeps_the_newest_messages,
                one_append_of_too_many_keeps_its_newest,
                conversations_do_not_mix,
                cleared_conversation_is_empty_and_starts_again,
                concurrent_appends_lose_nothing,
                records_are_put_replaced_and_deleted,
                tables_do_not_mix,
                later_changes_of_a_batch_win,
                all_is_sorted_by_key,
                any_text_is_a_key_and_any_json_a_value,
                empty_writes_change_nothing,
                closed_storage_stores_and_tells_nothing,
                met_expectation_lets_the_batch_through,
                conflict_stores_nothing_of_its_batch,
                expectation_knows_a_value_in_any_spelling,
                conflicting_writers_do_not_harm_others,
                one_of_many_who_expect_the_same_wins,
                conversations_are_listed_until_they_are_cleared,
                large_batch_is_stored_whole,
                duty_is_ours_while_nobody_else_wants_it,
            );
        }
    };
    (@tests $make:expr, $($test:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $test() {
            let (storage, _beside) = $make.await;
            super::$test(std::sync::Arc::new(storage)).await;
        })*
    };
}

backend!(memory, async { (super::Memory::new(), ()) });
backend!(embedded, super::embedded_in_a_temporary_folder());
#[cfg(feature = "redis")]
backend!(redis, super::redis_of_its_own());

/// The suite on three nodes. One cluster for all of it, since it takes seconds to form.
#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_cluster_does_what_every_backend_does() {
    let cluster = dormouse_testing::RedisCluster::start();
    let mut number = 0;
    let mut next = async || {
        number += 1;
        let settings = dormouse_storage::RedisSettings::new(cluster.url(), format!("space-{number}"));
        Arc::new(dormouse_storage::Redis::open(settings).await.unwrap())
    };
    conversation_keeps_the_newest_messages(next().await).await;
    conversations_do_not_mix(next().await).await;
    cleared_conversation_is_empty_and_starts_again(next().await).await;
    concurrent_appends_lose_nothing(next().await).await;
    records_are_put_replaced_and_deleted(next().await).await;
    tables_do_not_mix(next().await).await;
    later_changes_of_a_batch_win(next().await).await;
    all_is_sorted_by_key(next().await).await;
    any_text_is_a_key_and_any_json_a_value(next().await).await;
    closed_storage_stores_and_tells_nothing(next().await).await;
    met_expectation_lets_the_batch_through(next().await).await;
    conflict_stores_nothing_of_its_batch(next().await).await;
    expectation_knows_a_value_in_any_spelling(next().await).await;
    conflicting_writers_do_not_harm_others(next().await).await;
    one_of_many_who_expect_the_same_wins(next().await).await;
    conversations_are_listed_until_they_are_cleared(next().await).await;
    large_batch_is_stored_whole(next().await).await;
    duty_is_ours_while_nobody_else_wants_it(next().await).await;
}

#[cfg(feature = "redis")]
async fn redis_of_its_own() -> (dormouse_storage::Redis, dormouse_testing::RedisServer) {
    let server = dormouse_testing::RedisServer::start();
    let settings = dormouse_storage::RedisSettings::new(server.url(), "conformance");
    (dormouse_storage::Redis::open(settings).await.unwrap(), server)
}

async fn embedded_in_a_temporary_folder() -> (Embedded, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Embedded::open(&folder.path().join("dormouse.redb")).await.unwrap(), folder)
}

fn conversation(scope: &str, session: &str) -> ConversationKey {
    let scope = match scope {
        "" => Scope::Store,
        agent => Scope::Agent(agent.parse().unwrap()),
    };
    ConversationKey { scope, session: session.parse().unwrap() }
}

fn message(number: usize) -> Message {
    Message {
        role: if number.is_multiple_of(2) { Role::User } else { Role::Assistant },
        content: format!("message {number} “ü\n\0”"),
        timestamp: Timestamp::from_second(i64::try_from(number).unwrap()).unwrap(),
    }
}

fn messages(numbers: impl IntoIterator<Item = usize>) -> Vec<Message> {
    numbers.into_iter().map(message).collect()
}

fn put(table: Table, key: &str, value: Value) -> Write {
    Write::Put { table, key: key.to_owned(), value }
}

fn delete(table: Table, key: &str) -> Write {
    Write::Delete { table, key: key.to_owned() }
}

fn expect(table: Table, key: &str, value: Option<Value>) -> Write {
    Write::Expect { table, key: key.to_owned(), value }
}

type Shared = Arc<dyn Storage>;

async fn conversation_comes_back_in_order(storage: Shared) {
    let of = conversation("", "s");
    assert_eq!(storage.history(&of).await.unwrap(), []);
    storage.append(&of, &messages(0..2)).await.unwrap();
    storage.append(&of, &messages(2..3)).await.unwrap();
    assert_eq!(storage.history(&of).await.unwrap(), messages(0..3));
}

async fn conversation_keeps_the_newest_messages(storage: Shared) {
    let of = conversation("", "s");
    for number in 0..MESSAGES_KEPT + 7 {
        storage.append(&of, &[message(number)]).await.unwrap();
    }
    assert_eq!(storage.history(&of).await.unwrap(), messages(7..MESSAGES_KEPT + 7));
}

/// The number is a setting, with any of the backends.
async fn keeps_three(storage: Shared) {
    let of = conversation("", "s");
    for number in 0..5 {
        storage.append(&of, &[message(number)]).await.unwrap();
    }
    assert_eq!(storage.history(&of).await.unwrap(), messages(2..5));
    storage.append(&of, &messages(5..9)).await.unwrap();
    assert_eq!(storage.history(&of).await.unwrap(), messages(6..9));
}

#[tokio::test]
async fn as_many_messages_are_kept_as_a_storage_is_told() {
    keeps_three(Arc::new(Memory::new().keeping(3))).await;
    let (embedded, _folder) = embedded_in_a_temporary_folder().await;
    keeps_three(Arc::new(embedded.keeping(3))).await;
    #[cfg(feature = "redis")]
    {
        let server = dormouse_testing::RedisServer::start();
        let settings = dormouse_storage::RedisSettings {
            messages_kept: 3,
            ..dormouse_storage::RedisSettings::new(server.url(), "space")
        };
        keeps_three(Arc::new(dormouse_storage::Redis::open(settings).await.unwrap())).await;
    }
}

async fn one_append_of_too_many_keeps_its_newest(storage: Shared) {
    let of = conversation("", "s");
    storage.append(&of, &messages(0..3)).await.unwrap();
    storage.append(&of, &messages(3..200)).await.unwrap();
    assert_eq!(storage.history(&of).await.unwrap(), messages(200 - MESSAGES_KEPT..200));
}

async fn conversations_do_not_mix(storage: Shared) {
    // Rendered carelessly, several of these would be one key, or one the beginning of another.
    let keys = [
        ("", "s"),
        ("", "s/1"),
        ("", "s:1"),
        ("", "s 1"),
        ("", "sü"),
        ("a", "s"),
        ("a", "b/s"),
        ("as", "s"),
        ("b", "s"),
        ("", "1:s"),
        ("", "agent"),
        ("a", "agent"),
    ];
    for (number, (scope, session)) in keys.iter().enumerate() {
        storage.append(&conversation(scope, session), &[message(number)]).await.unwrap();
    }
    storage.clear(&conversation("", "s")).await.unwrap();
    for (number, (scope, session)) in keys.iter().enumerate().skip(1) {
        let history = storage.history(&conversation(scope, session)).await.unwrap();
        assert_eq!(history, [message(number)], "{scope} {session}");
    }
}

async fn cleared_conversation_is_empty_and_starts_again(storage: Shared) {
    let of = conversation("a", "s");
    storage.clear(&of).await.unwrap();
    storage.append(&of, &messages(0..60)).await.unwrap();
    storage.clear(&of).await.unwrap();
    assert_eq!(storage.history(&of).await.unwrap(), []);
    storage.append(&of, &messages(5..7)).await.unwrap();
    assert_eq!(storage.history(&of).await.unwrap(), messages(5..7));
}

async fn concurrent_appends_lose_nothing(storage: Shared) {
    let of = conversation("", "s");
    let append = |number| {
        let (storage, of) = (Arc::clone(&storage), of.clone());
        // Question and answer are one append; nothing may come between them.
        tokio::spawn(async move { storage.append(&of, &messages([number, number + 1])).await })
    };
    let all: Vec<_> = (0..20).map(|pair| append(pair * 2)).collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    let mut pairs: Vec<_> = storage.history(&of).await.unwrap();
    assert!(pairs.chunks(2).all(|pair| pair[0].role == Role::User && pair[1].role == Role::Assistant));
    pairs.sort_by_key(|message| message.timestamp);
    assert_eq!(pairs, messages(0..40));
}

async fn records_are_put_replaced_and_deleted(storage: Shared) {
    let table = Table::LiveFeatures;
    assert_eq!(storage.get(table, "k").await.unwrap(), None);
    storage.write(vec![put(table, "k", json!(1))]).await.unwrap();
    storage.write(vec![put(table, "k", json!({"a": [2]}))]).await.unwrap();
    assert_eq!(storage.get(table, "k").await.unwrap(), Some(json!({"a": [2]})));
    storage.write(vec![delete(table, "k"), delete(table, "never there")]).await.unwrap();
    assert_eq!(storage.get(table, "k").await.unwrap(), None);
    assert_eq!(storage.all(table).await.unwrap(), []);
}

async fn tables_do_not_mix(storage: Shared) {
    let batch = Table::ALL.map(|table| put(table, "k", json!(table.as_str())));
    storage.write(batch.to_vec()).await.unwrap();
    storage.write(vec![delete(Table::Tokens, "k")]).await.unwrap();
    for table in Table::ALL {
        let expected =
            if table == Table::Tokens { vec![] } else { vec![("k".to_owned(), json!(table.as_str()))] };
        assert_eq!(storage.all(table).await.unwrap(), expected, "{table:?}");
    }
}

async fn later_changes_of_a_batch_win(storage: Shared) {
    let table = Table::Drift;
    let batch = vec![
        put(table, "a", json!(1)),
        delete(table, "a"),
        put(table, "b", json!(1)),
        put(table, "b", json!(2)),
    ];
    storage.write(batch).await.unwrap();
    assert_eq!(storage.all(table).await.unwrap(), [("b".to_owned(), json!(2))]);
}

async fn all_is_sorted_by_key(storage: Shared) {
    let table = Table::ToolNames;
    let keys = ["b", "a", "B", "ü", "aa", "a ", "10", "9"];
    storage.write(keys.map(|key| put(table, key, json!(key))).to_vec()).await.unwrap();
    let found: Vec<_> = storage.all(table).await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, ["10", "9", "B", "a", "a ", "aa", "b", "ü"]);
}

async fn any_text_is_a_key_and_any_json_a_value(storage: Shared) {
    let table = Table::Registrations;
    let long = "x".repeat(10_000);
    let keys = ["", "\0", "a\nb", "🐭", long.as_str()];
    let value = json!({"z": null, "a": [true, -1, 1.5, "\u{0}ü"], "": {}});
    for key in keys {
        storage.write(vec![put(table, key, value.clone())]).await.unwrap();
        let found = storage.get(table, key).await.unwrap().unwrap();
        // The order of members is kept, too: a schema is shown as its author wrote it.
        assert_eq!(found.to_string(), value.to_string());
    }
    assert_eq!(storage.all(table).await.unwrap().len(), keys.len());
}

async fn empty_writes_change_nothing(storage: Shared) {
    let of = conversation("", "s");
    storage.append(&of, &[]).await.unwrap();
    let result: Result<(), StorageError> = storage.write(vec![]).await;
    result.unwrap();
    assert_eq!(storage.history(&of).await.unwrap(), []);
}

async fn closed_storage_stores_and_tells_nothing(storage: Shared) {
    let of = conversation("", "s");
    let before = Arc::clone(&storage);
    let in_time = tokio::spawn(async move { before.append(&conversation("", "t"), &messages(0..1)).await });
    in_time.await.unwrap().unwrap();
    storage.close().await;
    storage.close().await;
    let closed = |result: Result<(), StorageError>| assert!(matches!(result, Err(StorageError::Closed)));
    closed(storage.append(&of, &messages(0..1)).await);
    closed(storage.history(&of).await.map(drop));
    closed(storage.clear(&of).await);
    closed(storage.get(Table::Drift, "k").await.map(drop));
    closed(storage.all(Table::Drift).await.map(drop));
    closed(storage.write(vec![delete(Table::Drift, "k")]).await);
}

async fn met_expectation_lets_the_batch_through(storage: Shared) {
    let table = Table::Documents;
    storage.write(vec![expect(table, "k", None), put(table, "k", json!(1))]).await.unwrap();
    let batch =
        vec![put(table, "k", json!(2)), expect(table, "k", Some(json!(1))), put(table, "l", json!(3))];
    storage.write(batch).await.unwrap();
    assert_eq!(storage.all(table).await.unwrap(), [("k".to_owned(), json!(2)), ("l".to_owned(), json!(3))]);
    // An expectation alone is a question.
    storage.write(vec![expect(table, "k", Some(json!(2))), expect(table, "m", None)]).await.unwrap();
}

async fn conflict_stores_nothing_of_its_batch(storage: Shared) {
    let (table, other) = (Table::Documents, Table::Settings);
    storage.write(vec![put(table, "k", json!({"a": 1}))]).await.unwrap();
    let expectations = [
        expect(table, "k", None),
        expect(table, "k", Some(json!({"a": 2}))),
        expect(table, "k", Some(json!({"a": 1.0}))),
        expect(table, "missing", Some(Value::Null)),
    ];
    for expectation in expectations {
        let batch = vec![put(other, "x", json!(1)), delete(table, "k"), expectation.clone()];
        let error = storage.write(batch).await.unwrap_err();
        assert!(matches!(error, StorageError::Conflict { table: "documents" }), "{expectation:?}: {error:?}");
    }
    assert_eq!(storage.all(other).await.unwrap(), []);
    assert_eq!(storage.get(table, "k").await.unwrap(), Some(json!({"a": 1})));
}

async fn expectation_knows_a_value_in_any_spelling(storage: Shared) {
    let table = Table::Documents;
    let batch = ["k", "l"].map(|key| put(table, key, json!({"a": [1, {}], "b": null, "ü": "\u{1}"})));
    storage.write(batch.to_vec()).await.unwrap();
    let same = json!({"ü": "\u{1}", "b": null, "a": [1, {}]});
    let batch = vec![
        expect(table, "k", Some(same.clone())),
        expect(table, "l", Some(same)),
        put(table, "k", json!("seen")),
    ];
    storage.write(batch).await.unwrap();
    assert_eq!(storage.get(table, "k").await.unwrap(), Some(json!("seen")));
}

async fn conflicting_writers_do_not_harm_others(storage: Shared) {
    let table = Table::Settings;
    storage.write(vec![put(table, "taken", json!(true))]).await.unwrap();
    // At once, so that a backend that groups changes has all of them in one group.
    let write = |number: usize| {
        let storage = Arc::clone(&storage);
        tokio::spawn(async move {
            let mut batch = vec![put(table, &number.to_string(), json!(number))];
            if number.is_multiple_of(3) {
                batch.push(expect(table, "taken", None));
            }
            (number, storage.write(batch).await)
        })
    };
    let all: Vec<_> = (0..30).map(write).collect();
    for one in all {
        let (number, result) = one.await.unwrap();
        assert_eq!(result.is_err(), number.is_multiple_of(3), "{number}: {result:?}");
        let found = storage.get(table, &number.to_string()).await.unwrap();
        assert_eq!(found.is_none(), number.is_multiple_of(3), "{number}");
    }
}

async fn one_of_many_who_expect_the_same_wins(storage: Shared) {
    let table = Table::Documents;
    storage.write(vec![put(table, "n", json!(0))]).await.unwrap();
    let add = || {
        let storage = Arc::clone(&storage);
        tokio::spawn(async move {
            let mut tries = 0;
            loop {
                tries += 1;
                let before = storage.get(table, "n").await.unwrap().unwrap();
                let after = json!(before.as_u64().unwrap() + 1);
                match storage.write(vec![expect(table, "n", Some(before)), put(table, "n", after)]).await {
                    Ok(()) => return tries,
                    Err(StorageError::Conflict { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    };
    let all: Vec<_> = (0..10).map(|_| add()).collect();
    for one in all {
        assert!(one.await.unwrap() <= 10);
    }
    assert_eq!(storage.get(table, "n").await.unwrap(), Some(json!(10)));
}

async fn conversations_are_listed_until_they_are_cleared(storage: Shared) {
    assert_eq!(storage.conversations().await.unwrap(), []);
    let keys = [
        conversation("", "s"),
        conversation("a", "s"),
        conversation("a", "1:s 🐭"),
        conversation("", "agent"),
    ];
    for key in &keys {
        storage.append(key, &messages(0..2)).await.unwrap();
        storage.append(key, &messages(2..3)).await.unwrap();
    }
    storage.append(&conversation("nobody", "s"), &[]).await.unwrap();
    storage.clear(&keys[0]).await.unwrap();
    let mut found = storage.conversations().await.unwrap();
    found.sort_by_key(|key| keys.iter().position(|known| known == key));
    assert_eq!(found, keys[1..]);
}

async fn large_batch_is_stored_whole(storage: Shared) {
    let table = Table::ToolNames;
    let batch: Vec<_> =
        (0..10_000).map(|number| put(table, &format!("{number:05}"), json!(number))).collect();
    storage.write(batch).await.unwrap();
    let all = storage.all(table).await.unwrap();
    assert_eq!(all.len(), 10_000);
    assert_eq!(all[4711], ("04711".to_owned(), json!(4711)));
}

async fn duty_is_ours_while_nobody_else_wants_it(storage: Shared) {
    let lease = std::time::Duration::from_secs(60);
    let first = storage.lead("probe", lease).await.unwrap().unwrap();
    let again = storage.lead("probe", lease).await.unwrap().unwrap();
    assert_eq!(first, again, "renewing keeps the fence");
    let led = Write::Led { duty: "probe".to_owned(), fence: again };
    storage.write(vec![led, put(Table::Settings, "led", json!(1))]).await.unwrap();
    assert_eq!(storage.get(Table::Settings, "led").await.unwrap(), Some(json!(1)));
    assert!(storage.lead("migrate", lease).await.unwrap().is_some());
    storage.tell(&json!({"nobody": "listens"})).await.unwrap();
    assert!(storage.is_reachable());
}
