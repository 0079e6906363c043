//! What only a file on a disk can do, and what can go wrong with it.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::path::Path;
use std::process::Command;

use dormouse_storage::{ConversationKey, Embedded, OpenError, Storage, StorageError, Table, Write};
use dormouse_types::{Message, Role, Scope, Timestamp};
use serde_json::json;

/// Tells the copy of this test that it is the child, and where it works.
const CHILD: &str = "DORMOUSE_TEST_FILE";

fn conversation() -> ConversationKey {
    ConversationKey { scope: Scope::Store, session: "s".parse().unwrap() }
}

fn message(content: &str) -> Message {
    Message { role: Role::User, content: content.to_owned(), timestamp: Timestamp::UNIX_EPOCH }
}

fn put(key: &str, value: serde_json::Value) -> Write {
    Write::Put { table: Table::Registrations, key: key.to_owned(), value }
}

/// Runs one test of this file in a process of its own, started by a shell line.
fn in_a_child(test: &str, file: &Path, shell: &str) -> std::process::Output {
    Command::new("sh")
        .args(["-c", shell])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, file)
        .output()
        .unwrap()
}

#[tokio::test]
async fn restart_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made/on/the/way/dormouse.redb");
    for round in 0..3_usize {
        let storage = Embedded::open(&file).await.unwrap();
        assert_eq!(storage.history(&conversation()).await.unwrap().len(), round);
        assert_eq!(storage.all(Table::Registrations).await.unwrap().len(), round);
        storage.append(&conversation(), &[message("hello")]).await.unwrap();
        storage.write(vec![put(&round.to_string(), json!(round))]).await.unwrap();
    }
}

#[tokio::test]
async fn file_in_use_is_said_to_be_locked() {
    if let Some(file) = std::env::var_os(CHILD) {
        let error = Embedded::open(Path::new(&file)).await.unwrap_err();
        println!("error: {error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dormouse.redb");
    let storage = Embedded::open(&file).await.unwrap();
    let here = Embedded::open(&file).await.unwrap_err();
    assert!(matches!(here, OpenError::Locked { .. }), "{here}");
    let child = in_a_child("file_in_use_is_said_to_be_locked", &file, r#"exec "$0" "$@""#);
    let said = String::from_utf8(child.stdout).unwrap();
    assert!(said.contains("is in use by another process"), "{said}");
    // Who had it still has it.
    storage.append(&conversation(), &[message("hello")]).await.unwrap();
    drop(storage);
    Embedded::open(&file).await.unwrap();
}

#[tokio::test]
async fn closed_file_is_free_while_handles_live() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dormouse.redb");
    let old = Embedded::open(&file).await.unwrap();
    old.append(&conversation(), &[message("hello")]).await.unwrap();
    old.close().await;
    let new = Embedded::open(&file).await.unwrap();
    assert_eq!(new.history(&conversation()).await.unwrap(), [message("hello")]);
    drop(old);
}

#[tokio::test]
async fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/dormouse.redb");
    let _storage = Embedded::open(&file).await.unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
}

#[tokio::test]
async fn foreign_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dormouse.redb");
    for content in ["short".to_owned(), "a text that is no database\n".repeat(1000)] {
        std::fs::write(&file, &content).unwrap();
        let error = Embedded::open(&file).await.unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
    }
}

#[tokio::test]
async fn file_whose_making_was_cut_off_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dormouse.redb");
    drop(Embedded::open(&file).await.unwrap());
    // As the engine leaves it when the process ends before the last step, which is the mark.
    let mut cut_off = std::fs::read(&file).unwrap();
    cut_off[..9].fill(0);
    std::fs::write(&file, &cut_off).unwrap();
    for _ in 0..2 {
        drop(Embedded::open(&file).await.unwrap());
    }
    assert_eq!(std::fs::read(folder.path().join("dormouse.redb.unfinished")).unwrap(), cut_off);
}

#[tokio::test]
async fn truncated_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dormouse.redb");
    drop(Embedded::open(&file).await.unwrap());
    let whole = std::fs::read(&file).unwrap();
    let half = &whole[..whole.len() / 2];
    std::fs::write(&file, half).unwrap();
    let error = Embedded::open(&file).await.unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert_eq!(std::fs::read(&file).unwrap().len(), half.len());
}

#[tokio::test]
async fn newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dormouse.redb");
    drop(Embedded::open(&file).await.unwrap());
    {
        let database = redb::Database::create(&file).unwrap();
        let transaction = database.begin_write().unwrap();
        let meta = redb::TableDefinition::<&str, u64>::new("meta");
        transaction.open_table(meta).unwrap().insert("format", 99).unwrap();
        transaction.commit().unwrap();
    }
    let error = Embedded::open(&file).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, known: 3, .. }), "{error:?}");
    assert!(error.to_string().contains("a newer Dormouse wrote it"), "{error}");
}

#[tokio::test]
async fn place_that_cannot_be_written_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "").unwrap();
    // Also true for root, whom permissions do not stop.
    for file in [in_the_way.join("dormouse.redb"), "/proc/dormouse.redb".into(), "/dev/full".into()] {
        let error = Embedded::open(&file).await.unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, OpenError::Unwritable { .. }), "{file:?}: {error:?}");
        assert!(message.contains("cannot be opened for writing"), "{message}");
    }
}

#[tokio::test]
async fn full_disk_fails_clearly_and_loses_nothing() {
    if let Some(file) = std::env::var_os(CHILD) {
        let stored = fill(Path::new(&file)).await;
        println!("stored {stored}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dormouse.redb");
    // No file may grow over 4 MiB; the signal for it is ignored, as at a full disk.
    let limited = r#"trap "" XFSZ; ulimit -f 8192; exec "$0" "$@""#;
    let child = in_a_child("full_disk_fails_clearly_and_loses_nothing", &file, limited);
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    let stored = said.split_once("stored ").unwrap().1.split_whitespace().next().unwrap();

    let storage = Embedded::open(&file).await.unwrap();
    let all = storage.all(Table::Registrations).await.unwrap();
    assert_eq!(all.len().to_string(), stored);
    assert_eq!(storage.history(&conversation()).await.unwrap(), [message("before"), message("after")]);
    // With room again, it goes on.
    storage.write(vec![put("more", json!("x".repeat(300_000)))]).await.unwrap();
}

/// Writes until nothing goes in any more, then shows that the rest still works; says what is stored.
async fn fill(file: &Path) -> usize {
    let storage = Embedded::open(file).await.unwrap();
    storage.append(&conversation(), &[message("before")]).await.unwrap();
    let mut stored = 0;
    let error = loop {
        let value = json!("x".repeat(100_000));
        match storage.write(vec![put(&stored.to_string(), value)]).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "the limit does not work");
    };
    assert!(matches!(error, StorageError::Full(_)), "{error:?}");
    let big = "y".repeat(3_000_000);
    let error = storage.append(&conversation(), &[message(&big)]).await.unwrap_err();
    assert!(matches!(error, StorageError::Full(_)), "{error:?}");
    // Reading goes on, and what is small or makes room goes in.
    assert_eq!(storage.history(&conversation()).await.unwrap(), [message("before")]);
    stored -= 1;
    let delete = Write::Delete { table: Table::Registrations, key: stored.to_string() };
    storage.write(vec![delete]).await.unwrap();
    storage.append(&conversation(), &[message("after")]).await.unwrap();
    stored
}

#[tokio::test]
async fn killed_writer_leaves_all_that_was_acknowledged() {
    use std::io::{BufRead, BufReader};
    if let Some(file) = std::env::var_os(CHILD) {
        let storage = Embedded::open(Path::new(&file)).await.unwrap();
        for number in 0.. {
            storage.write(vec![put(&format!("{number:06}"), json!(number))]).await.unwrap();
            println!("acknowledged {number}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dormouse.redb");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_writer_leaves_all_that_was_acknowledged", "--nocapture"])
        .env(CHILD, &file)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines.map(Result::unwrap).filter(|line| line.contains("acknowledged")).take(20).count();
    child.kill().unwrap();
    child.wait().unwrap();
    let storage = Embedded::open(&file).await.unwrap();
    let all = storage.all(Table::Registrations).await.unwrap();
    assert!(all.len() >= told, "{} of {told}", all.len());
    for (number, (_, value)) in all.into_iter().enumerate() {
        assert_eq!(value, json!(number));
    }
}
