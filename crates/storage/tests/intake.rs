//! Servers in every form in which they are handed in.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use dormouse_storage::mcp_json::{Intake, IntakeEntry, IntakeError, McpFile, intake, intake_text};
use dormouse_types::ServerKey;
use serde_json::{Value, json};

/// Each entry as `name=entry`, or `path: reason`; then the names.
fn said(taken: &Intake) -> Vec<String> {
    let entries = taken.entries.iter().map(|entry| match entry {
        IntakeEntry::Taken { name, entry, .. } => format!("{name}={}", Value::Object(entry.clone())),
        IntakeEntry::Refused { problems, .. } => {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        }
    });
    entries.chain(taken.names.iter().map(|name| format!("by name {name}"))).collect()
}

fn check(input: &Value, expected: &[&str]) {
    assert_eq!(said(&intake(input).unwrap()), expected, "{input}");
    // All of it also as a text.
    assert_eq!(said(&intake(&Value::from(input.to_string())).unwrap()), expected, "{input}");
    assert_eq!(said(&intake_text(&serde_json::to_string_pretty(input).unwrap()).unwrap()), expected);
}

#[test]
fn every_form_is_taken() {
    let calc = r#"calc={"command":"x"}"#;
    check(&json!({"name": "calc", "command": "x"}), &[calc]);
    check(&json!({"mcpServers": {"calc": {"command": "x"}}}), &[calc]);
    check(&json!({"MCPSERVERS": {"calc": {"command": "x"}}, "version": 1}), &[calc]);
    check(&json!({"servers": {"calc": {"command": "x"}}, "inputs": []}), &[calc]);
    check(&json!({"calc": {"command": "x"}}), &[calc]);
    check(&json!({"command": {"command": "x"}}), &[r#"command={"command":"x"}"#]);
    check(&json!({"servers": {"command": "x"}}), &[r#"servers={"command":"x"}"#]);
    check(
        &json!([{"name": "calc", "command": "x"}, {"name": "web", "url": "http://h"}]),
        &[calc, r#"web={"url":"http://h"}"#],
    );
    check(&json!(["a", "b", "a"]), &["by name a", "by name b"]);
    check(&json!({"service_names": "a"}), &["by name a"]);
    check(&json!({"mcpServers": {"calc": {"command": "x"}}, "service_names": ["a"]}), &[calc, "by name a"]);
    check(&json!([{"mcpServers": {"calc": {"command": "x"}}}, "a"]), &[calc, "by name a"]);
    check(&json!({"mcpServers": {}}), &[]);
    assert_eq!(said(&intake(&json!("calc")).unwrap()), ["by name calc"]);
    assert_eq!(said(&intake_text("\"calc\"").unwrap()), ["by name calc"]);
}

#[test]
fn credentials_are_folded_into_headers_and_the_rest_is_kept() {
    check(
        &json!({"name": "w", "url": "http://h", "transport": "sse", "token": "${T}", "api_key": "k",
            "headers": {"X": "y"}, "timeout": 30, "keep_alive": true}),
        &[
            r#"w={"url":"http://h","transport":"sse","headers":{"X":"y","Authorization":"Bearer ${T}","X-API-Key":"k"},"timeout":30,"keep_alive":true}"#,
        ],
    );
    check(&json!({"w": {"url": "http://h", "auth": "oauth"}}), &[r#"w={"url":"http://h","auth":"oauth"}"#]);
    check(&json!({"w": {"command": "x", "token": "t"}}), &[r#"w={"command":"x","token":"t"}"#]);
}

#[test]
fn bad_entry_costs_only_itself() {
    check(
        &json!({"mcpServers": {
            "both": {"url": "http://h", "command": "x"}, "neither": {"args": []},
            "args": {"command": "x", "args": "-y"}, "number": 5, "good": {"command": "x"}, "": {"command": "x"}
        }}),
        &[
            "mcpServers.both: has both `command` and `url`; a server is one of them",
            "mcpServers.neither: has neither `command` nor `url`",
            "mcpServers.args.args: expected a list of texts, found a text",
            "mcpServers.number: expected an object, found a number",
            r#"good={"command":"x"}"#,
            "mcpServers.: `` is no valid server name: 1 to 100 of A-Z, a-z, 0-9, `_` and `-`",
        ],
    );
    check(
        &json!([{"command": "x"}, 5, {"name": 5, "command": "x"}, {"name": "n"}, "no name", null]),
        &[
            "[0]: has no `name`",
            "[1]: expected a server or a name, found a number",
            "[2].name: expected a text, found a number",
            "[3]: has neither `command` nor `url`",
            "[4]: `no name` is no valid server name: 1 to 100 of A-Z, a-z, 0-9, `_` and `-`",
            "[5]: expected a server or a name, found null",
        ],
    );
    check(
        &json!({"service_names": ["a", 1]}),
        &["service_names[1]: expected a name, found a number", "by name a"],
    );
}

#[test]
fn names_are_made_fit_with_their_title_or_refused() {
    check(
        &json!({"My Notes!": {"command": "x"}, "../../etc/passwd": {"command": "y"}, "../": {"command": "z"},
            "rubyby1": {"command": "r", "dormouse": {"agent": "1", "name": "ruby", "stateless": true}}}),
        &[
            r#"My-Notes={"command":"x","dormouse":{"title":"My Notes!"}}"#,
            r#"etc-passwd={"command":"y","dormouse":{"title":"../../etc/passwd"}}"#,
            "../: `../` is no valid server name: 1 to 100 of A-Z, a-z, 0-9, `_` and `-`",
            r#"ruby={"command":"r","dormouse":{"stateless":true}}"#,
        ],
    );
    let taken = intake(&json!({"name": "My Notes!", "command": "x"})).unwrap();
    let [IntakeEntry::Taken { name, entry, .. }] = &taken.entries[..] else { panic!("{taken:?}") };
    let mut file = McpFile::empty();
    let server = file.put_raw(&ServerKey::store(name.clone()), entry).unwrap();
    assert_eq!(server.title.as_deref(), Some("My Notes!"));
}

#[test]
fn doubled_names_and_keys_are_told_also_in_texts() {
    check(
        &json!([{"name": "a b", "command": "1"}, {"name": "a-b", "command": "2"}]),
        &[
            r#"a-b={"command":"1","dormouse":{"title":"a b"}}"#,
            "[1]: its name `a-b` is taken by [0] of the same input",
        ],
    );
    let text = r#"{"mcpServers": {"a": {"command": "1"}, "a": {"command": "2"},
        "b": {"command": "1", "env": {"X": "1", "X": "2"}}, "c": {"command": "1", "command": "2"}}}"#;
    assert_eq!(
        said(&intake_text(text).unwrap()),
        [
            r#"a={"command":"1"}"#,
            "mcpServers.a: its name `a` is taken by mcpServers.a of the same input",
            "mcpServers.b.env.X: stands there more than once",
            "mcpServers.c.command: stands there more than once",
        ]
    );
    let name = intake_text(r#"{"name": "a", "command": "1", "name": "b"}"#).unwrap();
    assert_eq!(said(&name), ["the server.name: stands there more than once"]);
    let error = intake_text(r#"{"mcpServers": {}, "mcpservers": {}}"#).unwrap_err();
    assert_eq!(error.to_string(), "mcpservers: stands there more than once");
}

#[test]
fn unusable_inputs_are_errors_as_a_whole() {
    let form = "expected a server, a list of them, an object `mcpServers`, names, or any of it as JSON text";
    for (input, message) in [
        (json!(5), format!("the input: {form}, found a number")),
        (json!(null), format!("the input: {form}, found null")),
        (json!("true"), format!("the input: {form}, found true or false")),
        (json!("{\"a\": "), "line 1, column 5 is no JSON".to_owned()),
        (json!("no name, no JSON"), "line 1, column 2 is no JSON".to_owned()),
        (json!("\"{}\""), format!("the input: {form}, found a text")),
        (json!({}), "the input names no server".to_owned()),
        (json!({"mcpServers": []}), "mcpServers: expected an object, found a list".to_owned()),
        (json!({"service_names": {}}), "service_names: expected a list of names, found an object".to_owned()),
    ] {
        assert_eq!(intake(&input).unwrap_err().to_string(), message);
    }
    let deep = "[".repeat(200);
    assert!(matches!(intake_text(&deep), Err(IntakeError::Syntax { .. })));
}

#[test]
fn ten_megabytes_are_refused_in_any_form() {
    let args: Vec<_> = (0..1000).map(|_| "x".repeat(10_000)).collect();
    let large = json!({"a": {"command": "x", "args": args}});
    for error in [intake(&large).unwrap_err(), intake_text(&large.to_string()).unwrap_err()] {
        assert_eq!(error.to_string(), "the input is larger than 4 MiB");
    }
}

#[test]
fn entries_do_not_show_in_debug() {
    let taken = intake(&json!({"a": {"url": "http://h", "token": "secret"}})).unwrap();
    assert!(!format!("{taken:?}").contains("secret"));
}
