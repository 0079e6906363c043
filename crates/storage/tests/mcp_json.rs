//! `mcp.json`: what is read, what is refused, and that an edit touches nothing else.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::time::Duration;

use dormouse_storage::mcp_json::{
    LoadError, McpFile, McpFileError, McpServer, ProblemKind, SaveError, Settings,
};
use dormouse_types::{Env, Idle, Launch, Origin, ServerName, Timing, Wanted};
use proptest::prelude::*;
use serde_json::{Value, json};

const FILE: &str = r#"{
    "description": "mine",
    "mcpServers": {
        "files": {
            "command": "npx", "args": ["-y", "files", "${HOME}/docs"],
            "env": {"TOKEN": "${T:-none}", "PORT": 80, "QUIET": true, "GONE": null},
            "cwd": "work",
            "autoApprove": ["read"],
            "dormouse": {"wanted": "always", "idle_seconds": 1.5, "start_timeout_seconds": 5, "later": 1}
        },
        "My Notes!": { "command": "notes", "disabled": true },
        "remote": { "type": "http", "url": "https://example.org/mcp", "headers": {"A": "b"} }
    },
    "inputs": []
}
"#;

fn name(text: &str) -> ServerName {
    text.parse().unwrap()
}

fn names(file: &McpFile) -> Vec<&str> {
    file.servers().keys().map(ServerName::as_str).collect()
}

/// The problems of an entry with these fields, as `path: message`.
fn problems(entry: Value) -> Vec<String> {
    let text = json!({"mcpServers": {"s": entry, "good": {"command": "x"}}}).to_string();
    let file = McpFile::read(&text).unwrap();
    assert_eq!(names(&file), ["good"], "the neighbour is well, the entry is not");
    file.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn entry_is_read_with_our_settings() {
    let file = McpFile::read(FILE).unwrap();
    assert_eq!(names(&file), ["My-Notes", "files"]);
    let files = &file.servers()[&name("files")];
    let env = [("TOKEN", "${T:-none}"), ("PORT", "80"), ("QUIET", "true")];
    let expected = McpServer {
        title: None,
        command: "npx".into(),
        args: vec!["-y".into(), "files".into(), "${HOME}/docs".into()],
        env: Env(env.map(|(name, value)| (name.into(), value.into())).into()),
        cwd: Some("work".into()),
        settings: Settings {
            wanted: Some(Wanted::Always),
            idle: Some(Idle::After(Duration::from_millis(1500))),
            start: Some(Duration::from_secs(5)),
            call: None,
        },
    };
    assert_eq!(files, &expected);
    let config = files.config(Timing::default());
    assert_eq!(config.origin, Origin::Configured);
    assert_eq!(config.timing.call, Timing::default().call);
    assert_eq!(config.timing.start, Duration::from_secs(5));
    assert!(matches!(config.launch, Launch::Command { .. }));

    let notes = &file.servers()[&name("My-Notes")];
    assert_eq!(notes.title.as_deref(), Some("My Notes!"));
    assert_eq!(notes.config(Timing::default()).wanted, Wanted::Stopped);
}

#[test]
fn url_is_kept_and_said_to_be_not_yet_supported() {
    let file = McpFile::read(FILE).unwrap();
    let notes: Vec<_> = file.problems().iter().map(|it| (it.path.as_str(), it.kind)).collect();
    assert_eq!(
        notes,
        [
            ("mcpServers.files.dormouse.later", ProblemKind::Ignored),
            ("mcpServers.remote", ProblemKind::NotYetSupported),
        ]
    );
    assert_eq!(file.problems()[1].server, Some(name("remote")));
    assert!(file.contains(&name("remote")));
}

#[test]
fn vs_code_form_is_read_and_edited_in_place() {
    let mut file = McpFile::read(r#"{"servers": {"a": {"type": "stdio", "command": "x"}}}"#).unwrap();
    assert_eq!(names(&file), ["a"]);
    file.put(&name("b"), &McpServer { command: "y".into(), ..McpServer::default() });
    assert_eq!(file.text(), r#"{"servers": {"a": {"type": "stdio", "command": "x"}, "b": {"command":"y"}}}"#);
}

#[test]
fn every_fault_of_an_entry_is_told_with_its_path() {
    assert_eq!(problems(json!([])), ["mcpServers.s: expected an object, found a list"]);
    assert_eq!(problems(json!({})), ["mcpServers.s: has no `command`"]);
    assert_eq!(
        problems(json!({"command": "x", "url": "y"})),
        ["mcpServers.s: has both `command` and `url`; a server is one of them"]
    );
    assert_eq!(
        problems(json!({
            "command": " ", "args": ["a", 1, {}], "env": {"A": [], "B=": "x"}, "cwd": 1,
            "disabled": "no", "dormouse": {
                "wanted": "sometimes", "idle_seconds": -1, "start_timeout_seconds": 0,
                "call_timeout_seconds": "never"
            }
        })),
        [
            "mcpServers.s.disabled: expected true or false, found a text",
            "mcpServers.s.command: is empty",
            "mcpServers.s.args[1]: expected a text, found a number",
            "mcpServers.s.args[2]: expected a text, found an object",
            "mcpServers.s.env.A: expected a text, found a list",
            "mcpServers.s.env.B=: is no name for a variable",
            "mcpServers.s.cwd: expected a text, found a number",
            "mcpServers.s.dormouse.wanted: expected \"on_demand\", \"always\" or \"stopped\", found a text",
            "mcpServers.s.dormouse.idle_seconds: expected a number of seconds, at most a year, or \"never\", found a number",
            "mcpServers.s.dormouse.start_timeout_seconds: expected a number of seconds greater than 0, found a number",
            "mcpServers.s.dormouse.call_timeout_seconds: expected a number of seconds, at most a year, greater than 0, found a text",
        ]
    );
}

#[test]
fn names_that_cannot_be_or_clash_are_told() {
    let text = r#"{"mcpServers": {"a b": {"command": "1"}, "a-b": {"command": "2"},
        "…": {"command": "3"}, "c": {"command": "4"}, "c": {"command": "5"}}}"#;
    let file = McpFile::read(text).unwrap();
    assert_eq!(names(&file), ["a-b", "c"]);
    assert_eq!(file.servers()[&name("c")].command, "5");
    let told: Vec<_> = file.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "mcpServers.c: stands there more than once; the last one counts",
            "mcpServers.a-b: its name would be `a-b`, which `a b` has already",
            "mcpServers.…: `…` is no valid server name: 1 to 100 of A-Z, a-z, 0-9, `_` and `-`",
        ]
    );
}

#[test]
fn half_written_file_is_an_error_at_every_length() {
    let whole = FILE.trim_end();
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let error = McpFile::read(&whole[..end]).unwrap_err();
        assert!(matches!(error, McpFileError::Syntax { .. }), "{end}: {error:?}");
    }
    let error = McpFile::read("{\"mcpServers\": {\n  \"a\": nonsense}}").unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 9 is no JSON");
}

#[test]
fn other_shapes_are_errors_with_their_place() {
    for (text, message) in [
        ("[]", "the file: expected an object, found a list"),
        (r#"{"mcpServers": []}"#, "mcpServers: expected an object, found a list"),
        (r#"{"mcpServers": null}"#, "mcpServers: expected an object, found null"),
    ] {
        assert_eq!(McpFile::read(text).unwrap_err().to_string(), message);
    }
    let file = McpFile::read(r#"{"a": {"command": "x"}}"#).unwrap();
    assert_eq!(file.problems()[0].to_string(), "the file: there is no `mcpServers`, so there are no servers");
    assert!(McpFile::read("{}").unwrap().problems().is_empty());
}

#[test]
fn putting_back_what_was_read_changes_nothing_but_layout_of_that_entry() {
    let mut file = McpFile::read(FILE).unwrap();
    let files = file.servers()[&name("files")].clone();
    let notes = file.servers()[&name("My-Notes")].clone();
    file.put(&name("files"), &files);
    file.put(&name("My-Notes"), &notes);
    let (before, after): (Value, Value) =
        (serde_json::from_str(FILE).unwrap(), serde_json::from_str(file.text()).unwrap());
    let mut expected = before;
    // Numbers and switches in `env` are texts now, and the variable that shall not be is gone.
    expected["mcpServers"]["files"]["env"] = json!({"PORT": "80", "QUIET": "true", "TOKEN": "${T:-none}"});
    assert_eq!(after.to_string(), expected.to_string());
}

#[test]
fn edits_touch_only_their_entry() {
    let mut file = McpFile::read(FILE).unwrap();
    let server = McpServer {
        command: "echo".into(),
        args: vec!["a".into()],
        settings: Settings { idle: Some(Idle::Never), ..Settings::default() },
        ..McpServer::default()
    };
    file.put(&name("echo"), &server);
    assert_eq!(file.servers()[&name("echo")], server);
    let added = r#",
        "echo": {
            "command": "echo",
            "args": [
                "a"
            ],
            "dormouse": {
                "idle_seconds": "never"
            }
        }
    },
    "inputs""#;
    assert_eq!(file.text(), FILE.replace("\n    },\n    \"inputs\"", added));
    assert!(file.remove(&name("echo")));
    assert_eq!(file.text(), FILE);
    assert!(!file.remove(&name("echo")));

    assert!(file.remove(&name("remote")));
    assert!(file.remove(&name("My-Notes")));
    assert!(file.remove(&name("files")));
    let (head, rest) = FILE.split_once("{\n        \"files\"").unwrap();
    let tail = rest.split_once("},\n    \"inputs\"").unwrap().1;
    assert_eq!(file.text(), format!("{head}{{}},\n    \"inputs\"{tail}"));
}

#[test]
fn stopping_and_starting_an_entry_keeps_its_unknown_fields() {
    let text = r#"{"mcpServers":{"s":{"command":"x","disabled":true,"timeout":9,"dormouse":{"x":1}}}}"#;
    let mut file = McpFile::read(text).unwrap();
    let mut server = file.servers()[&name("s")].clone();
    assert_eq!(server.settings.wanted, Some(Wanted::Stopped));
    server.settings.wanted = None;
    file.put(&name("s"), &server);
    let on: Value = serde_json::from_str(file.text()).unwrap();
    assert_eq!(
        on["mcpServers"]["s"],
        json!({"command": "x", "disabled": false, "timeout": 9, "dormouse": {"x": 1}})
    );
    server.settings.wanted = Some(Wanted::Stopped);
    file.put(&name("s"), &server);
    assert_eq!(file.servers()[&name("s")].settings.wanted, Some(Wanted::Stopped));
}

#[test]
fn raw_entry_is_taken_whole_or_refused_with_its_faults() {
    let mut file = McpFile::empty();
    let good = json!({"command": "x", "alwaysAllow": ["y"]});
    file.put_raw(&name("a"), good.as_object().unwrap()).unwrap();
    let before = file.clone();
    for bad in [json!({"command": 1}), json!({"url": "https://example.org"})] {
        let faults = file.put_raw(&name("a"), bad.as_object().unwrap()).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert_eq!(file, before);
    }
    let deep = (0..120).fold(json!(1), |inner, _| json!([inner]));
    for depth in [deep.clone(), json!({"a": {"b": {"c": {"d": {"e": {"f": deep}}}}}})] {
        let entry = json!({"command": "x", "deep": depth});
        // Either is fine, as long as the file can still be read.
        let _ = file.put_raw(&name("deep"), entry.as_object().unwrap());
        McpFile::read(file.text()).unwrap();
    }
    let large = json!({"command": "x".repeat(5 << 20)});
    let faults = file.put_raw(&name("b"), large.as_object().unwrap()).unwrap_err();
    assert_eq!(faults[0].to_string(), "b: is too large for the file");
}

#[test]
fn file_with_mark_tabs_and_windows_lines_stays_so() {
    let text = "\u{feff}{\r\n\t\"mcpServers\": {\r\n\t\t\"a\": {\"command\": \"x\"}\r\n\t}\r\n}\r\n";
    let mut file = McpFile::read(text).unwrap();
    file.put(&name("b"), &McpServer { command: "y".into(), ..McpServer::default() });
    let added = "\"x\"},\r\n\t\t\"b\": {\r\n\t\t\t\"command\": \"y\"\r\n\t\t}\r\n";
    assert_eq!(file.text(), text.replace("\"x\"}\r\n", added));
}

#[test]
fn first_server_goes_into_a_file_without_any() {
    for text in ["{}", "{ }\n", "{\"mcpServers\":{}}", "{\n  \"version\": 1\n}\n", "{\"a\":1}"] {
        let mut file = McpFile::read(text).unwrap();
        file.put(&name("b"), &McpServer { command: "y".into(), ..McpServer::default() });
        assert_eq!(names(&file), ["b"], "{text}");
        assert!(file.remove(&name("b")));
        assert_eq!(names(&file), [""; 0], "{text}");
    }
}

#[test]
fn saving_is_atomic_keeps_a_backup_and_the_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (real, file) = (folder.path().join("real.json"), folder.path().join("mcp.json"));
    std::fs::write(&real, FILE).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&real, &file).unwrap();
    let count = || std::fs::read_dir(folder.path()).unwrap().count();

    let mut loaded = McpFile::load(&file).unwrap();
    loaded.save(&file).unwrap();
    assert_eq!(count(), 2, "nothing changed, so nothing was written");

    loaded.remove(&name("remote"));
    loaded.save(&file).unwrap();
    assert!(file.is_symlink());
    assert_eq!(std::fs::read_to_string(&real).unwrap(), loaded.text());
    let backup = folder.path().join("real.json.bak");
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), FILE);
    for path in [&real, &backup] {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }
    assert_eq!(count(), 3, "no temporary file is left");
    // A second change goes on from there.
    loaded.remove(&name("files"));
    loaded.save(&file).unwrap();
    assert_eq!(McpFile::load(&file).unwrap().text(), loaded.text());
}

#[test]
fn change_by_another_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcp.json");
    let mut ours = McpFile::load(&file).unwrap();
    ours.put(&name("b"), &McpServer { command: "y".into(), ..McpServer::default() });
    std::fs::write(&file, FILE).unwrap();
    let error = ours.save(&file).unwrap_err();
    assert!(matches!(error, SaveError::Changed { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), FILE);
    std::fs::remove_file(&file).unwrap();
    ours.save(&file).unwrap();
    assert_eq!(McpFile::load(&file).unwrap().servers(), ours.servers());
}

#[test]
fn unreadable_files_are_errors_and_a_missing_one_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcp.json");
    assert!(McpFile::load(&file).unwrap().servers().is_empty());
    for (content, is_content) in [(&b"\xff\xfe{"[..], false), (b"", true), (b"{\"mcpServers\"", true)] {
        std::fs::write(&file, content).unwrap();
        let error = McpFile::load(&file).unwrap_err();
        assert_eq!(matches!(error, LoadError::Content { .. }), is_content, "{error:?}");
    }
    std::fs::write(&file, vec![b' '; 5 << 20]).unwrap();
    assert!(matches!(McpFile::load(&file), Err(LoadError::TooLarge { .. })));
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(matches!(McpFile::load(&file), Err(LoadError::Read { .. })));
}

#[test]
fn variables_do_not_show_in_debug() {
    let file = McpFile::read(r#"{"mcpServers":{"s":{"command":"x","env":{"A":"secret"}}}}"#).unwrap();
    let shown = format!("{:?}", file.servers());
    assert!(shown.contains("\"A\"") && !shown.contains("secret"), "{shown}");
    let whole = format!("{file:?}");
    assert!(!whole.contains("secret"), "{whole}");
}

fn arb_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a\"\\\\{}\\[\\],: \nü]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-c\"{},ü]{0,3}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn edits_leave_any_neighbour_as_it_is(
        others in prop::collection::vec(("[a-c\"{}, ü]{0,4}", arb_json()), 0..4),
        rest in prop::collection::vec(("[x-z]{1,3}", arb_json()), 0..3),
        pretty in any::<bool>(),
    ) {
        let servers: serde_json::Map<_, _> = others.into_iter().collect();
        let mut root: serde_json::Map<_, _> = rest.into_iter().collect();
        root.insert("mcpServers".into(), Value::Object(servers));
        let root = Value::Object(root);
        let text = if pretty { serde_json::to_string_pretty(&root).unwrap() } else { root.to_string() };
        let mut file = McpFile::read(&text).unwrap();
        let new = name("new");
        file.put(&new, &McpServer { command: "\"{}\\".into(), ..McpServer::default() });
        prop_assert_eq!(&file.servers()[&new].command, "\"{}\\");
        let mut expected = root.clone();
        expected["mcpServers"]["new"] = json!({"command": "\"{}\\"});
        let after: Value = serde_json::from_str(file.text()).unwrap();
        prop_assert_eq!(after.to_string(), expected.to_string());
        prop_assert!(file.remove(&new));
        if root["mcpServers"] == json!({}) {
            prop_assert_eq!(serde_json::from_str::<Value>(file.text()).unwrap(), root);
        } else {
            prop_assert_eq!(file.text(), text);
        }
    }
}
