//! Where `mcp.json` lives: files and shared documents, with several writers at once.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use dormouse_storage::mcp_json::{LoadError, McpFile, McpLaunch, McpServer};
use dormouse_storage::{
    ConfigSource, DocumentSource, FileSource, Memory, MirroredSource, SourceError, Storage, Table, Write,
    edit,
};
use dormouse_types::ServerKey;
use serde_json::json;

const WRITERS: usize = 4;
const EDITS: usize = 10;
const CHILD: &str = "DORMOUSE_TEST_WRITER";

fn key(name: &str) -> ServerKey {
    ServerKey::store(name.parse().unwrap())
}

fn server() -> McpServer {
    McpServer::new(McpLaunch::Command { command: "x".into(), args: vec![], cwd: None })
}

async fn add(source: &dyn ConfigSource, name: &str) -> Result<(), SourceError> {
    edit(source, |file| {
        file.put(&key(name), &server());
        Ok::<_, SourceError>(())
    })
    .await
}

async fn add_many(source: &dyn ConfigSource, writer: &str) {
    for number in 0..EDITS {
        add(source, &format!("{writer}-{number}")).await.unwrap();
    }
}

async fn count(source: &dyn ConfigSource) -> usize {
    McpFile::read(&source.load().await.unwrap().unwrap()).unwrap().servers().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_once_lose_no_edit_in_file_or_document() {
    let folder = tempfile::tempdir().unwrap();
    let file: Arc<dyn ConfigSource> = Arc::new(FileSource::new(folder.path().join("mcp.json")));
    let document: Arc<dyn ConfigSource> = Arc::new(DocumentSource::new(Arc::new(Memory::default())));
    for source in [file, document] {
        let writers = (0..WRITERS).map(|writer| {
            let source = source.clone();
            tokio::spawn(async move { add_many(&*source, &format!("w{writer}")).await })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        assert_eq!(count(&*source).await, WRITERS * EDITS, "{}", source.describe());
    }
}

/// What each child of the next test does; nothing when run by itself.
#[tokio::test]
async fn one_of_several_processes_writes() {
    if let Ok(place) = std::env::var(CHILD) {
        let (file, writer) = place.split_once('|').unwrap();
        add_many(&FileSource::new(file), writer).await;
    }
}

#[tokio::test]
async fn processes_at_once_lose_no_edit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcp.json");
    let children = (0..WRITERS).map(|writer| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "one_of_several_processes_writes"])
            .env(CHILD, format!("{}|p{writer}", file.display()))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    });
    for mut child in children.collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(count(&FileSource::new(&file)).await, WRITERS * EDITS);
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "the file and its backup, no locks and no temporary files");
}

#[tokio::test]
async fn half_written_file_is_an_error_and_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcp.json");
    let source = FileSource::new(&file);
    assert_eq!(source.load().await.unwrap(), None);
    for half in ["", "{\"mcpServers\": {"] {
        std::fs::write(&file, half).unwrap();
        assert!(matches!(add(&source, "a").await, Err(SourceError::Content(_))));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), half);
    }
    std::fs::write(&file, " ".repeat(10 << 20)).unwrap();
    let error = add(&source, "a").await.unwrap_err();
    assert!(error.to_string().ends_with("is larger than 4 MiB"), "{error}");
    std::fs::remove_file(&file).unwrap();
    add(&source, "a").await.unwrap();
    let changed = source.save(Some("{}"), "{ }").await.unwrap_err();
    assert!(matches!(changed, SourceError::Changed));
}

#[tokio::test]
async fn links_are_followed_and_a_circle_is_a_clear_error() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink("two", at("one")).unwrap();
    symlink("one", at("two")).unwrap();
    let source = FileSource::new(at("one"));
    let error = source.load().await.unwrap_err();
    assert!(matches!(error, SourceError::Load(LoadError::Loop { .. })), "{error:?}");
    assert!(error.to_string().contains("leads nowhere but to further links"));
    add(&source, "a").await.unwrap_err();
    assert!(at("one").is_symlink() && at("two").is_symlink());
    // A link to what is not there yet: the file comes to be where it leads.
    symlink(Path::new("real"), at("link")).unwrap();
    add(&FileSource::new(at("link")), "a").await.unwrap();
    assert!(at("link").is_symlink() && at("real").is_file());
}

#[tokio::test]
async fn document_has_versions_and_tells_changes() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::default());
    let source = DocumentSource::new(storage.clone());
    let mut changes = source.changes().unwrap();
    assert_eq!((source.load().await.unwrap(), source.version().await.unwrap()), (None, 0));
    add(&source, "a").await.unwrap();
    add(&source, "b").await.unwrap();
    // The same again is no change.
    add(&source, "b").await.unwrap();
    assert_eq!(source.version().await.unwrap(), 2);
    assert!(changes.has_changed().unwrap());
    assert_eq!(*changes.borrow_and_update(), 2);
    let twin = DocumentSource::new(storage.clone());
    assert_eq!(twin.load().await.unwrap(), source.load().await.unwrap());
    assert!(matches!(twin.save(None, "{}").await, Err(SourceError::Changed)));

    for (record, is_damaged) in [(json!({"text": "{"}), true), (json!({"text": "{", "version": 3}), false)] {
        let put = Write::Put { table: Table::Documents, key: "mcp.json".into(), value: record };
        storage.write(vec![put]).await.unwrap();
        let error = add(&source, "c").await.unwrap_err();
        assert_eq!(matches!(error, SourceError::Damaged), is_damaged, "{error:?}");
        assert_eq!(matches!(error, SourceError::Content(_)), !is_damaged, "{error:?}");
    }
}

#[tokio::test]
async fn failed_change_saves_nothing() {
    let source = DocumentSource::new(Arc::new(Memory::default()));
    let refused: Result<(), SourceError> = edit(&source, |file| {
        file.put(&key("a"), &server());
        Err(SourceError::ReadOnly)
    })
    .await;
    assert!(matches!(refused, Err(SourceError::ReadOnly)));
    assert_eq!(source.load().await.unwrap(), None);
}

/// A hub's folder on a shared storage.
fn mirrored(storage: &Arc<dyn Storage>, folder: &Path) -> MirroredSource {
    MirroredSource::new(storage.clone(), folder.join("mcp.json"), folder.join("copy"))
}

fn written(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("mcp.json")).unwrap()
}

/// Waits until a folder's file shows what another's does.
async fn shown_alike(one: &Path, other: &Path) {
    let alike = async {
        while written(one) != written(other) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), alike).await.expect("both show one text");
}

async fn names(source: &dyn ConfigSource) -> Vec<String> {
    let file = McpFile::read(&source.load().await.unwrap().unwrap()).unwrap();
    file.entries().map(|(key, _)| key.name.to_string()).collect()
}

#[tokio::test]
async fn the_first_file_is_taken_in_and_the_others_show_it() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::default());
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(one.path().join("mcp.json"), r#"{"mcpServers":{"a":{"command":"x"}},"theirs":1}"#)
        .unwrap();
    std::fs::write(other.path().join("mcp.json"), r#"{"mcpServers":{"lone":{"command":"x"}}}"#).unwrap();
    assert_eq!(names(&mirrored(&storage, one.path())).await, ["a"]);
    assert_eq!(names(&mirrored(&storage, other.path())).await, ["a"]);
    shown_alike(one.path(), other.path()).await;
    assert!(written(other.path()).contains("theirs"));
    let kept = std::fs::read_to_string(other.path().join("mcp.json.bak")).unwrap();
    assert!(kept.contains("lone"));
}

#[tokio::test]
async fn hands_and_hubs_at_once_lose_no_entry() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::default());
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (mirrored(&storage, one.path()), mirrored(&storage, other.path()));
    for name in ["a", "b"] {
        add(&first, name).await.unwrap();
    }
    assert_eq!(names(&second).await, ["a", "b"]);
    // A hand takes one out and puts one in, while another hub adds one.
    let by_hand = written(one.path()).replace("\"a\"", "\"hand\"");
    std::fs::write(one.path().join("mcp.json"), by_hand).unwrap();
    add(&second, "c").await.unwrap();
    // A restart knows as well what was changed by hand.
    let again = mirrored(&storage, one.path());
    assert_eq!(names(&again).await, ["b", "c", "hand"]);
    assert_eq!(names(&second).await, ["b", "c", "hand"]);
    shown_alike(one.path(), other.path()).await;
}

#[tokio::test]
async fn a_half_written_file_is_neither_taken_over_nor_lost() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::default());
    let folder = tempfile::tempdir().unwrap();
    let source = mirrored(&storage, folder.path());
    add(&source, "a").await.unwrap();
    std::fs::write(folder.path().join("mcp.json"), "{\"mcpServers\": {").unwrap();
    assert!(matches!(source.load().await, Err(SourceError::Content(_))));
    assert_eq!(written(folder.path()), "{\"mcpServers\": {");
    std::fs::write(folder.path().join("mcp.json"), "{\"mcpServers\": {}}").unwrap();
    assert_eq!(names(&source).await, [""; 0]);
}

#[tokio::test]
async fn a_storage_that_forgot_the_document_has_it_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let full: Arc<dyn Storage> = Arc::new(Memory::default());
    let source = mirrored(&full, folder.path());
    add(&source, "a").await.unwrap();
    add(&source, "b").await.unwrap();
    let emptied: Arc<dyn Storage> = Arc::new(Memory::default());
    assert_eq!(names(&mirrored(&emptied, folder.path())).await, ["a", "b"]);
    // A hand changed it before the hub looked.
    let by_hand = written(folder.path()).replace("\"a\"", "\"hand\"");
    std::fs::write(folder.path().join("mcp.json"), by_hand).unwrap();
    let emptied: Arc<dyn Storage> = Arc::new(Memory::default());
    assert_eq!(names(&mirrored(&emptied, folder.path())).await, ["b", "hand"]);
}
