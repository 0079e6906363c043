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
