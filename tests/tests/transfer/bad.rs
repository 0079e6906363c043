//! Files that are none, and files that nobody should have made.

use std::os::unix::fs::PermissionsExt;

use dormouse_testing::Fixture;
use serde_json::json;

use crate::{Person, outcomes};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_is_told_and_changes_nothing() {
    let person = Person::new();
    person.space.fixtures(&[("fix", Fixture::new(), json!({}))]);
    let before = person.configured();
    let secret = "s3cret-9";
    person.keeps("cut.json", format!(r#"{{"mcpServers": {{"a": {{"env": {{"T": "{secret}"#));
    person.keeps("list.json", "[1]");
    person.keeps("text.toml", format!("[mcp_servers\ntoken = '{secret}'"));
    person.keeps("kind.toml", "mcp_servers = 7");
    person.keeps("bytes.json", [0xff, 0xfe, 0x00]);
    std::fs::create_dir(person.home("folder.json")).unwrap();
    std::os::unix::fs::symlink("round.json", person.home("round.json")).unwrap();
    for (client, file, code) in [
        ("cursor", "cut.json", 4),
        ("cursor", "list.json", 4),
        ("codex", "text.toml", 4),
        ("codex", "kind.toml", 4),
        ("cursor", "bytes.json", 4),
        ("cursor", "folder.json", 4),
        ("cursor", "round.json", 4),
        ("cursor", "nothing.json", 3),
    ] {
        let path = person.home(file);
        let path = path.to_str().unwrap();
        let imported = person.run(&["config", "import", client, "--file", path]).await;
        assert_eq!(imported.code, code, "{file}: {imported:?}");
        assert!(imported.err.contains(file), "{file}: {imported:?}");
        assert!(!imported.err.contains(secret), "{file}: {imported:?}");
        if file != "nothing.json" {
            let exported = person.run(&["config", "export", client, "--file", path]).await;
            assert_eq!(exported.code, 4, "{file}: {exported:?}");
            assert!(!exported.err.contains(secret), "{file}: {exported:?}");
        }
    }
    let zero = person.run(&["config", "import", "cursor", "--file", "/dev/zero"]).await;
    assert!(zero.code == 4 && zero.err.contains("64 MiB"), "{zero:?}");
    let zero = person.run(&["config", "export", "cursor", "--file", "/dev/zero"]).await;
    assert!(zero.code == 4 && zero.err.contains("device"), "{zero:?}");
    assert_eq!(person.configured(), before);
    let nobodys = person.run(&["config", "import", "cursor"]).await;
    assert!(nobodys.code == 3 && nobodys.err.contains(".cursor/mcp.json"), "{nobodys:?}");
    assert_eq!(person.run(&["config", "import", "emacs"]).await.code, 2);
    assert_eq!(person.run(&["config", "import", "mcp.json"]).await.code, 2);
    assert_eq!(person.run(&["config", "import", "mcpstore"]).await.code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_file_is_left_as_it_is() {
    let person = Person::new();
    person.space.fixtures(&[("fix", Fixture::new(), json!({}))]);
    let file = person.keeps(".cursor/mcp.json", "{}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything.
    if std::fs::read(&file).is_err() {
        assert_eq!(person.run(&["config", "import", "cursor"]).await.code, 4);
        assert_eq!(person.run(&["config", "export", "cursor"]).await.code, 4);
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    person.ok(&["config", "export", "cursor"]).await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_megabytes_beside_the_servers_do_not_matter_and_as_many_servers_do() {
    let person = Person::new();
    let history = "h".repeat(10 << 20);
    let entry = Fixture::new().entry();
    person.keeps(".claude.json", json!({ "history": history, "mcpServers": { "fix": entry } }).to_string());
    let (code, report) = person.json(&["config", "import", "claude-code"]).await;
    assert_eq!((code, outcomes(&report)), (0, vec!["fix added".to_owned()]));

    let servers = json!({ "fat": { "command": "x", "args": ["a".repeat(10 << 20)] } });
    let fat = person.keeps("fat.json", json!({ "mcpServers": servers }).to_string());
    for client in ["cursor", "mcp.json"] {
        let ended = person.run(&["config", "import", client, "--file", fat.to_str().unwrap()]).await;
        assert_eq!(ended.code, 4, "{client}: {}", ended.err);
        assert!(ended.err.len() < 1000, "{client}: the error quotes the file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doubled_and_impossible_names_cost_only_themselves() {
    let person = Person::new();
    let entry = Fixture::new().entry();
    let file = format!(
        r#"{{"mcpServers": {{"a b": {entry}, "a-b": {{"command": "x"}}, "../../etc": {entry}, "": {entry},
            "both": {{"command": "x", "url": "http://127.0.0.1:1"}}, "fine": {entry}}}}}"#
    );
    person.keeps(".cursor/mcp.json", &file);
    let (code, report) = person.json(&["config", "import", "cursor"]).await;
    assert_eq!(code, 11, "{report:#}");
    let outcomes = outcomes(&report);
    assert!(outcomes.contains(&"fine added".to_owned()), "{report:#}");
    assert!(outcomes.contains(&"both refused".to_owned()), "{report:#}");
    assert_eq!(outcomes.iter().filter(|line| line.starts_with("a-b")).count(), 2, "{report:#}");
    assert_eq!(outcomes.iter().filter(|line| *line == "a-b refused").count(), 1, "{report:#}");

    person
        .keeps(".cursor/mcp.json", format!(r#"{{"mcpServers": {{"d": {{"command": "y"}}, "d": {entry}}}}}"#));
    let (code, report) = person.json(&["config", "import", "cursor"]).await;
    let note = report["entries"][0]["notes"][0].as_str().unwrap();
    assert!(code == 0 && note.contains("more than once"), "{report:#}");

    let doubled = format!(r#"{{"mcpServers": {{"twice": {entry}, "twice": {{"command": "y"}}}}}}"#);
    let file = person.keeps("doubled.json", doubled);
    let (code, report) =
        person.json(&["config", "import", "mcp.json", "--file", file.to_str().unwrap()]).await;
    assert_eq!((code, report["entries"].as_array().unwrap().len()), (11, 2), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_not_whole_changes_nothing() {
    let person = Person::new();
    for (name, text, words) in [
        ("empty", "", "no dump"),
        ("other", "{\"mcpServers\": {}}\n", "no dump"),
        ("newer", "{\"dormouse\":\"storage\",\"format\":99}\n", "newer Dormouse"),
        ("cut", "{\"dormouse\":\"storage\",\"format\":1,\"records\":2,\"conversations\":0}\n", "has 0"),
        ("odd", "{\"dormouse\":\"storage\",\"format\":1,\"records\":1}\n{\"table\":7}\n", "line 2"),
    ] {
        let file = person.keeps(name, text);
        let ended = person.run(&["storage", "import", file.to_str().unwrap()]).await;
        assert!(ended.code == 4 && ended.err.contains(words), "{name}: {ended:?}");
    }
    let folder = person.home("folder");
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(person.run(&["storage", "import", folder.to_str().unwrap()]).await.code, 4);
    assert_eq!(person.run(&["storage", "import", "/nowhere/at/all"]).await.code, 3);
    assert_eq!(person.run(&["--storage", "memory", "storage", "import", "/dev/null"]).await.code, 11);
    assert_eq!(person.run(&["storage", "migrate", "--to", "sqlite"]).await.code, 9);
    assert_eq!(person.run(&["storage", "migrate", "--to", "redis://127.0.0.1:1"]).await.code, 9);
}
