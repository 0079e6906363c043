//! `mcp.json`: what is read, what is refused, and that an edit touches nothing else.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::time::Duration;

use dormouse_storage::mcp_json::{
    LoadError, McpFile, McpFileError, McpLaunch, McpServer, ProblemKind, SaveError, Settings,
};
use dormouse_types::{
    Auth, Env, Idle, Launch, Limits, Origin, Remote, RemoteTransport, Scope, ServerKey, Timing, Wanted,
};
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

fn name(text: &str) -> ServerKey {
    ServerKey::store(text.parse().unwrap())
}

fn names(file: &McpFile) -> Vec<&str> {
    file.servers().keys().map(|key| key.name.as_str()).collect()
}

fn command(command: &str) -> McpServer {
    McpServer::new(McpLaunch::Command { command: command.into(), args: vec![], cwd: None })
}

fn command_of(server: &McpServer) -> &str {
    match &server.launch {
        McpLaunch::Command { command, .. } => command,
        McpLaunch::Url(_) => "a URL",
    }
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
    assert_eq!(names(&file), ["My-Notes", "files", "remote"]);
    let files = &file.servers()[&name("files")];
    let env = [("TOKEN", "${T:-none}"), ("PORT", "80"), ("QUIET", "true")];
    let expected = McpServer {
        title: None,
        launch: McpLaunch::Command {
            command: "npx".into(),
            args: vec!["-y".into(), "files".into(), "${HOME}/docs".into()],
            cwd: Some("work".into()),
        },
        env: Env(env.map(|(name, value)| (name.into(), value.into())).into()),
        settings: Settings {
            wanted: Some(Wanted::Always),
            idle: Some(Idle::After(Duration::from_millis(1500))),
            start: Some(Duration::from_secs(5)),
            call: None,
            limits: Limits::default(),
            stateless: None,
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
fn url_is_a_server_and_what_does_nothing_is_told() {
    let file = McpFile::read(FILE).unwrap();
    let notes: Vec<_> = file.problems().iter().map(|it| (it.path.as_str(), it.kind)).collect();
    assert_eq!(notes, [("mcpServers.files.dormouse.later", ProblemKind::Ignored)]);
    let config = file.servers()[&name("remote")].config(Timing::default());
    assert_eq!(config.wanted, Wanted::Always);
    let Launch::Url(Remote { url, headers, .. }) = config.launch else { panic!("{config:?}") };
    assert_eq!(url, "https://example.org/mcp");
    assert_eq!(headers.0, [("A".to_owned(), "b".to_owned())].into());
}

#[test]
fn vs_code_form_is_read_and_edited_in_place() {
    let mut file = McpFile::read(r#"{"servers": {"a": {"type": "stdio", "command": "x"}}}"#).unwrap();
    assert_eq!(names(&file), ["a"]);
    file.put(&name("b"), &command("y"));
    assert_eq!(file.text(), r#"{"servers": {"a": {"type": "stdio", "command": "x"}, "b": {"command":"y"}}}"#);
}

#[test]
fn every_fault_of_an_entry_is_told_with_its_path() {
    assert_eq!(problems(json!([])), ["mcpServers.s: expected an object, found a list"]);
    assert_eq!(problems(json!({})), ["mcpServers.s: has neither `command` nor `url`"]);
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
            "mcpServers.s.dormouse.wanted: expected \"on_demand\", \"always\" or \"stopped\", found a text",
            "mcpServers.s.dormouse.idle_seconds: expected a number of seconds, at most a year, or \"never\", found a number",
            "mcpServers.s.dormouse.start_timeout_seconds: expected a number of seconds greater than 0, found a number",
            "mcpServers.s.dormouse.call_timeout_seconds: expected a number of seconds, at most a year, greater than 0, found a text",
            "mcpServers.s.command: is empty",
            "mcpServers.s.args[1]: expected a text, found a number",
            "mcpServers.s.args[2]: expected a text, found an object",
            "mcpServers.s.env.A: expected a text, found a list",
            "mcpServers.s.env.B=: is no name for a variable",
            "mcpServers.s.cwd: expected a text, found a number",
        ]
    );
}

#[test]
fn names_that_cannot_be_or_clash_are_told() {
    let text = r#"{"mcpServers": {"a b": {"command": "1"}, "a-b": {"command": "2"},
        "…": {"command": "3"}, "c": {"command": "4"}, "c": {"command": "5"}}}"#;
    let file = McpFile::read(text).unwrap();
    assert_eq!(names(&file), ["a-b", "c"]);
    assert_eq!(command_of(&file.servers()[&name("c")]), "5");
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
    assert_eq!(after.to_string(), before.to_string());
}

#[test]
fn edits_touch_only_their_entry() {
    let mut file = McpFile::read(FILE).unwrap();
    let server = McpServer {
        settings: Settings { idle: Some(Idle::Never), ..Settings::default() },
        ..McpServer::new(McpLaunch::Command { command: "echo".into(), args: vec!["a".into()], cwd: None })
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
    for bad in [json!({"command": 1}), json!({"url": "ftp://example.org"})] {
        file.put_raw(&name("a"), bad.as_object().unwrap()).unwrap_err();
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
    assert_eq!(faults.to_string(), "b: is too large for the file");
}

#[test]
fn file_with_mark_tabs_and_windows_lines_stays_so() {
    let text = "\u{feff}{\r\n\t\"mcpServers\": {\r\n\t\t\"a\": {\"command\": \"x\"}\r\n\t}\r\n}\r\n";
    let mut file = McpFile::read(text).unwrap();
    file.put(&name("b"), &command("y"));
    let added = "\"x\"},\r\n\t\t\"b\": {\r\n\t\t\t\"command\": \"y\"\r\n\t\t}\r\n";
    assert_eq!(file.text(), text.replace("\"x\"}\r\n", added));
}

#[test]
fn first_server_goes_into_a_file_without_any() {
    for text in ["{}", "{ }\n", "{\"mcpServers\":{}}", "{\n  \"version\": 1\n}\n", "{\"a\":1}"] {
        let mut file = McpFile::read(text).unwrap();
        file.put(&name("b"), &command("y"));
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
    ours.put(&name("b"), &command("y"));
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

fn of_agent(agent: &str, name: &str) -> ServerKey {
    ServerKey { scope: Scope::Agent(agent.parse().unwrap()), name: name.parse().unwrap() }
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn agents_server_stands_under_a_rendered_key_and_is_never_found_by_it() {
    let mut file = McpFile::empty();
    let (ours, twin) = (of_agent("a1", "calc"), name("calcbya1"));
    file.put_raw(&ours, &object(json!({"command": "a"}))).unwrap();
    file.put_raw(&twin, &object(json!({"command": "b"}))).unwrap();
    // Two agents and names that render alike.
    file.put_raw(&of_agent("y", "xbyz"), &object(json!({"command": "c"}))).unwrap();
    file.put_raw(&of_agent("zbyy", "x"), &object(json!({"command": "d"}))).unwrap();
    let written: Value = serde_json::from_str(file.text()).unwrap();
    assert_eq!(
        written["mcpServers"],
        json!({
            "calcbya1": {"command": "a", "dormouse": {"agent": "a1", "name": "calc"}},
            "calcbya1-2": {"command": "b", "dormouse": {"name": "calcbya1"}},
            "xbyzbyy": {"command": "c", "dormouse": {"agent": "y", "name": "xbyz"}},
            "xbyzbyy-2": {"command": "d", "dormouse": {"agent": "zbyy", "name": "x"}},
        })
    );
    for (key, command) in [(&ours, "a"), (&twin, "b"), (&of_agent("zbyy", "x"), "d")] {
        assert_eq!(command_of(&file.servers()[key]), command);
        assert_eq!(file.servers()[key].title, None);
        assert_eq!(file.raw(key).unwrap(), object(json!({"command": command})));
    }
    assert!(!file.contains(&name("calc")) && !file.contains(&of_agent("a1", "calcbya1")));
    assert!(file.remove(&ours));
    assert_eq!(command_of(&file.servers()[&twin]), "b");
}

#[test]
fn entry_cannot_say_that_it_is_somebody_elses() {
    let mut file = McpFile::empty();
    let key = of_agent("a1", "calc");
    let stolen = json!({"command": "x", "dormouse": {"agent": "a2", "name": "other", "stateless": true}});
    let server = file.put_raw(&key, &object(stolen)).unwrap();
    assert_eq!(server.settings.stateless, Some(true));
    for patch in [
        json!({"dormouse": {"agent": null, "name": null}}),
        json!({"dormouse": {"agent": "a2", "concurrency": 2}}),
        json!({"dormouse": null, "args": ["a"]}),
    ] {
        file.patch_raw(&key, &object(patch)).unwrap();
        assert_eq!(file.servers().keys().collect::<Vec<_>>(), [&key]);
    }
    assert_eq!(file.raw(&key).unwrap(), object(json!({"command": "x", "args": ["a"]})));
    file.patch_raw(&key, &object(json!({"dormouse": 1}))).unwrap_err();
    let unknown = file.patch_raw(&name("calc"), &object(json!({}))).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no entry for `calc`");
}

#[test]
fn entry_whose_owner_cannot_be_told_is_nobodys() {
    for (ours, message) in [
        (json!({"agent": 5}), "mcpServers.x.dormouse.agent: expected a text, found a number"),
        (
            json!({"agent": "../a"}),
            "mcpServers.x.dormouse.agent: `../a` is no valid agent id: 1 to 100 of A-Z, a-z, 0-9, `_` and `-`",
        ),
        (
            json!({"agent": "a", "name": "a b"}),
            "mcpServers.x.dormouse.name: `a b` is no valid server name: 1 to 100 of A-Z, a-z, 0-9, `_` and `-`",
        ),
    ] {
        let text = json!({"mcpServers": {"x": {"command": "x", "dormouse": ours}}}).to_string();
        let mut file = McpFile::read(&text).unwrap();
        assert_eq!(file.problems()[0].to_string(), message);
        assert!(file.servers().is_empty() && !file.contains(&name("x")));
        // It keeps its place.
        file.put(&name("x"), &command("y"));
        assert_eq!(file.entries().collect::<Vec<_>>(), [(&name("x"), "x-2")]);
    }
}

#[test]
fn patch_keeps_every_byte_that_it_does_not_name() {
    let mut file = McpFile::read(FILE).unwrap();
    let patch = json!({
        "args": ["-y", "notes"], "env": {"PORT": null, "QUIET": false}, "cwd": null,
        "dormouse": {"wanted": "on_demand"}
    });
    file.patch_raw(&name("files"), &object(patch)).unwrap();
    let expected = FILE
        .replace(
            r#"["-y", "files", "${HOME}/docs"]"#,
            "[\n                \"-y\",\n                \"notes\"\n            ]",
        )
        .replace(r#""PORT": 80, "QUIET": true"#, r#""QUIET": false"#)
        .replace("            \"cwd\": \"work\",\n", "")
        .replace(r#""wanted": "always""#, r#""wanted": "on_demand""#);
    assert_eq!(file.text(), expected);
    // From a command to a URL, in one patch.
    let server = file
        .patch_raw(&name("files"), &object(json!({"command": null, "args": null, "url": "http://h/mcp"})))
        .unwrap();
    assert!(matches!(server.launch, McpLaunch::Url(_)));
    let both = file.patch_raw(&name("files"), &object(json!({"command": "x"}))).unwrap_err();
    assert!(both.to_string().contains("has both"), "{both}");
}

/// How a URL entry with these fields is reached.
fn remote(entry: Value) -> Remote {
    let text = json!({"mcpServers": {"s": entry}}).to_string();
    let file = McpFile::read(&text).unwrap();
    match file.servers().get(&name("s")).map(|server| server.launch.clone()) {
        Some(McpLaunch::Url(remote)) => remote,
        other => panic!("{other:?}: {:?}", file.problems()),
    }
}

#[test]
fn transport_is_inferred_from_the_path_and_named_in_any_spelling() {
    use RemoteTransport::{Sse, StreamableHttp};
    for (url, named, expected) in [
        ("https://h/mcp", None, StreamableHttp),
        ("https://h/sse", None, Sse),
        ("https://h/v1/sse/?x=1", None, Sse),
        ("https://sse.example.org/mcp?next=/sse", None, StreamableHttp),
        ("${BASE}/sse", None, Sse),
        ("HTTPS://h", None, StreamableHttp),
        ("https://h/sse", Some("streamable-http"), StreamableHttp),
        ("https://h/mcp", Some("sse"), Sse),
        ("https://h/sse", Some("streamableHttp"), StreamableHttp),
        ("https://h/sse", Some("streamable_http"), StreamableHttp),
        ("https://h/sse", Some("http"), StreamableHttp),
    ] {
        for (url_field, field) in [("url", "type"), ("serverUrl", "transport")] {
            let mut entry = json!({url_field: url});
            if let Some(named) = named {
                entry[field] = json!(named);
            }
            assert_eq!(remote(entry).transport, expected, "{url} {named:?}");
        }
    }
}

#[test]
fn credentials_become_headers_and_sign_in_is_read() {
    let header = |entry: Value| {
        let headers = remote(entry).headers.0;
        headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("|")
    };
    let url = "https://h/mcp";
    assert_eq!(header(json!({"url": url, "token": "${T}"})), "Authorization: Bearer ${T}");
    assert_eq!(header(json!({"url": url, "auth": "Basic abc"})), "Authorization: Basic abc");
    assert_eq!(
        header(json!({"url": url, "api_key": "k", "headers": {"N": 1, "G": null}})),
        "N: 1|X-API-Key: k"
    );
    let both = json!({"url": url, "token": "t", "headers": {"authorization": "Bearer first"}});
    assert_eq!(header(both), "authorization: Bearer first");

    let auth = |entry: Value| remote(entry).auth;
    let person = |scopes: &[&str]| Auth::AuthorizationCode {
        client_id: None,
        client_secret: None,
        scopes: scopes.iter().map(|it| (*it).to_owned()).collect(),
    };
    assert_eq!(auth(json!({"url": url})), Auth::Headers);
    assert_eq!(auth(json!({"url": url, "auth": "oauth"})), person(&[]));
    assert_eq!(auth(json!({"url": url, "dormouse": {"oauth": {"scopes": "a b"}}})), person(&["a", "b"]));
    let machine =
        json!({"flow": "client_credentials", "client_id": "i", "client_secret": "${S}", "scopes": ["a"]});
    assert_eq!(
        auth(json!({"url": url, "dormouse": {"oauth": machine}})),
        Auth::ClientCredentials {
            client_id: "i".into(),
            client_secret: "${S}".into(),
            scopes: vec!["a".into()]
        }
    );
    let ca = remote(json!({"url": url, "dormouse": {"ca_file": "ca.pem"}})).ca_file;
    assert_eq!(ca, Some("ca.pem".into()));
}

#[test]
fn a_transport_of_a_program_is_named_by_type_and_scheme() {
    let own = remote(json!({"type": "mem", "url": "mem://clock/1", "headers": {"a": "${B}"}}));
    assert_eq!((own.url.as_str(), own.transport), ("mem://clock/1", RemoteTransport::Own));
    assert_eq!(own.headers.0["a"], "${B}");
    let refused = |entry: Value| assert!(!problems(entry.clone()).is_empty(), "{entry}");
    refused(json!({"url": "mem://clock"}));
    refused(json!({"type": "men", "url": "mem://clock"}));
    refused(json!({"type": "mem", "url": "mem://"}));
    refused(json!({"type": "mem", "url": "mem://a b"}));
    refused(json!({"type": "sse", "url": "sse://clock"}));
    refused(json!({"type": "https", "url": "https://"}));

    // Written back it keeps both.
    let mut file = McpFile::empty();
    let entry = json!({"type": "mem", "url": "mem://clock"});
    file.put_raw(&name("s"), entry.as_object().unwrap()).unwrap();
    let mut server = file.servers()[&name("s")].clone();
    if let McpLaunch::Url(remote) = &mut server.launch {
        remote.url = "mem://other".to_owned();
    }
    file.put(&name("s"), &server);
    assert_eq!(Value::Object(file.raw(&name("s")).unwrap()), json!({"type": "mem", "url": "mem://other"}));
}

#[test]
fn faults_of_a_url_entry_are_told_without_its_secrets() {
    let faults = problems(json!({
        "url": "ftp://user:secret@h", "type": "carrier-pigeon",
        "headers": {"A b": "secret", "C": "secret\nD: e", "E": ["secret"]},
        "token": {"is": "secret"},
        "dormouse": {"oauth": {"flow": "client_credentials"}, "concurrency": 0, "queue": -1, "ca_file": 1}
    }));
    assert_eq!(
        faults,
        [
            "mcpServers.s.dormouse.oauth: needs `client_id` and `client_secret` for this flow",
            "mcpServers.s.dormouse.concurrency: expected a whole number from 1, found a number",
            "mcpServers.s.dormouse.queue: expected a whole number from 0, found a number",
            "mcpServers.s.dormouse.ca_file: expected a text, found a number",
            "mcpServers.s.url: is no URL of http or https",
            "mcpServers.s.type: expected \"streamable-http\", \"http\" or \"sse\", found a text",
            "mcpServers.s.headers.A b: is no name for a header",
            "mcpServers.s.headers.C: holds a control character, which no header may",
            "mcpServers.s.headers.E: expected a text, found a list",
            "mcpServers.s.token: expected a text, found an object",
        ]
    );
    for url in ["", "h/mcp", "http://", "https:///mcp", "http://h /mcp", "http://:80"] {
        assert_eq!(problems(json!({"url": url})), ["mcpServers.s.url: is no URL of http or https"], "{url}");
    }
    let stdio = problems(json!({"url": "http://h", "type": "stdio"}));
    assert!(stdio[0].contains("goes with `command`"), "{stdio:?}");
}

#[test]
fn what_does_nothing_beside_a_url_or_a_command_is_told() {
    let told = |entry: Value| {
        let text = json!({"mcpServers": {"s": entry}}).to_string();
        let file = McpFile::read(&text).unwrap();
        assert_eq!(names(&file), ["s"]);
        let paths = file.problems().iter().map(|it| it.path.trim_start_matches("mcpServers.s.").to_owned());
        paths.collect::<Vec<_>>()
    };
    let url = "http://h/mcp";
    assert_eq!(told(json!({"url": url, "args": [], "env": {"A": "b"}, "cwd": "x"})), ["env", "cwd"]);
    assert_eq!(told(json!({"url": url, "auth": {"CLIENT_ID": "x"}, "unknown": 1})), ["auth"]);
    assert_eq!(
        told(json!({"command": "x", "type": "http", "dormouse": {"ca_file": "x"}})),
        ["dormouse.ca_file", "type"]
    );
    assert_eq!(told(json!({"command": "x", "type": "stdio", "working_dir": "y"})), [""; 0]);
}

#[test]
fn timeout_of_the_ecosystem_is_seconds_or_nothing() {
    for (timeout, seconds) in [
        (json!(1), Some(1.0)),
        (json!(2.5), Some(2.5)),
        (json!(300), Some(300.0)),
        (json!(0), None),
        (json!(301), None),
        (json!(60000), None),
        (json!("30"), None),
        (json!(-1), None),
    ] {
        let text = json!({"mcpServers": {"s": {"command": "x", "timeout": timeout}}}).to_string();
        let file = McpFile::read(&text).unwrap();
        let call = file.servers()[&name("s")].settings.call;
        assert_eq!(call, seconds.map(Duration::from_secs_f64), "{timeout}");
        assert_eq!(file.problems().len(), usize::from(seconds.is_none()), "{timeout}");
    }
    let ours = r#"{"mcpServers":{"s":{"command":"x","timeout":9,"dormouse":{"call_timeout_seconds":400}}}}"#;
    let mut file = McpFile::read(ours).unwrap();
    assert_eq!(file.servers()[&name("s")].settings.call, Some(Duration::from_secs(400)));
    let mut server = file.servers()[&name("s")].clone();
    server.settings.call = None;
    file.put(&name("s"), &server);
    assert_eq!(file.raw(&name("s")).unwrap(), object(json!({"command": "x"})));
}

#[test]
fn limits_and_a_server_at_a_url_are_written_as_they_are_read() {
    let text = r#"{"mcpServers": {"s": {"url": "http://h/sse", "type": "http", "token": "t", "x": 1}}}"#;
    let mut file = McpFile::read(text).unwrap();
    let mut server = file.servers()[&name("s")].clone();
    file.put(&name("s"), &server);
    assert_eq!(file.raw(&name("s")), McpFile::read(text).unwrap().raw(&name("s")));
    server.settings.limits = Limits { concurrency: std::num::NonZeroU32::new(4), queue: Some(0) };
    server.settings.stateless = Some(true);
    let McpLaunch::Url(remote) = &mut server.launch else { panic!() };
    remote.transport = RemoteTransport::Sse;
    remote.ca_file = Some("ca.pem".into());
    remote.auth = Auth::AuthorizationCode {
        client_id: Some("i".into()),
        client_secret: Some("s".into()),
        scopes: vec![],
    };
    file.put(&name("s"), &server);
    assert_eq!(file.servers()[&name("s")], server);
    assert_eq!(
        Value::Object(file.raw(&name("s")).unwrap()),
        json!({"url": "http://h/sse", "type": "sse", "x": 1, "headers": {"Authorization": "Bearer t"}, "dormouse": {
            "concurrency": 4, "queue": 0, "stateless": true, "ca_file": "ca.pem",
            "oauth": {"flow": "authorization_code", "client_id": "i", "client_secret": "s"}
        }})
    );
    let config = server.config(Timing::default());
    assert_eq!((config.limits, config.stateless), (server.settings.limits, true));
    file.put(&name("s"), &command("x"));
    assert_eq!(Value::Object(file.raw(&name("s")).unwrap())["command"], json!("x"));
    assert_eq!(command_of(&file.servers()[&name("s")]), "x");
}

/// What RFC 7396 says in its own few lines.
fn merged(target: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = target.as_object().cloned().unwrap_or_default();
    for (key, value) in patch {
        if value.is_null() {
            target.shift_remove(key);
        } else {
            let now = target.get(key).cloned().unwrap_or_default();
            target.insert(key.clone(), merged(&now, value));
        }
    }
    Value::Object(target)
}

proptest! {
    #[test]
    fn patch_is_a_merge_patch_and_touches_nothing_else(
        entry in prop::collection::vec(("[a-c\"{}]{0,2}", arb_json()), 0..4),
        patch in prop::collection::vec(("[a-c\"{}]{0,2}", arb_json()), 0..4),
        pretty in any::<bool>(),
    ) {
        let mut entry: serde_json::Map<_, _> = entry.into_iter().collect();
        entry.insert("command".into(), json!("x"));
        let patch = Value::Object(patch.into_iter().collect());
        let root = json!({"b": [1], "mcpServers": {"o": {"x": 1}, "s": entry.clone(), "t": {"command": "y"}}, "z": {}});
        let text = if pretty { serde_json::to_string_pretty(&root).unwrap() } else { root.to_string() };
        let mut file = McpFile::read(&text).unwrap();
        file.patch_raw(&name("s"), patch.as_object().unwrap()).unwrap();
        let after: Value = serde_json::from_str(file.text()).unwrap();
        let mut expected = root;
        expected["mcpServers"]["s"] = merged(&Value::Object(entry), &patch);
        prop_assert_eq!(after.to_string(), expected.to_string());
        let place = |text: &str| {
            let start = text.find("\"s\":").unwrap();
            let end = text.rfind("\"t\":").unwrap();
            (text[..start].to_owned(), text[end..].to_owned())
        };
        prop_assert_eq!(place(file.text()), place(&text));
    }

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
        file.put(&new, &command("\"{}\\"));
        prop_assert_eq!(command_of(&file.servers()[&new]), "\"{}\\");
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
