//! The five clients, each in its own words and at its own place.

use dormouse_testing::Fixture;
use serde_json::{Value, json};

use crate::{Person, outcomes, read, text};

/// A server for each client's file, in that client's words.
fn written(client: &str) -> (&'static str, String) {
    let entry = Fixture::new().entry();
    let (program, args) = (entry["command"].clone(), entry["args"].clone());
    match client {
        "claude-desktop" => (
            ".config/Claude/claude_desktop_config.json",
            json!({ "theme": "dark", "mcpServers": { "fix": entry } }).to_string(),
        ),
        "claude-code" => {
            (".claude.json", json!({ "numStartups": 7, "mcpServers": { "fix": entry } }).to_string())
        }
        "cursor" => (".cursor/mcp.json", json!({ "mcpServers": { "fix": entry } }).to_string()),
        "vscode" => (
            ".config/Code/User/mcp.json",
            format!(
                "{{ // by hand\n  \"servers\": {{\n    \"fix\": {{\"type\": \"stdio\", \"command\": {program}, \
                 \"args\": {args}}}, // the only one\n  }},\n}}\n"
            ),
        ),
        "codex" => (
            ".codex/config.toml",
            format!("model = \"o9\" # mine\n\n[mcp_servers.fix]\ncommand = {program}\nargs = {args}\n"),
        ),
        other => panic!("{other}"),
    }
}

const CLIENTS: [&str; 5] = ["claude-desktop", "claude-code", "cursor", "vscode", "codex"];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_every_client_is_imported_and_answers() {
    for client in CLIENTS {
        let person = Person::new();
        let (path, file) = written(client);
        person.keeps(path, &file);
        let (code, planned) = person.json(&["config", "import", client, "--dry-run"]).await;
        assert_eq!((code, outcomes(&planned)), (0, vec!["fix added".to_owned()]), "{client}: {planned:#}");
        assert!(!person.space.root().join("mcp.json").exists(), "{client}: a dry run changed something");

        let (code, done) = person.json(&["config", "import", client]).await;
        assert_eq!((code, outcomes(&done)), (0, vec!["fix added".to_owned()]), "{client}: {done:#}");
        assert_eq!(done["entries"], planned["entries"], "{client}: the dry run said something else");
        assert_eq!(person.ok(&["tools", "call", "fix_echo", "text=there"]).await, "there\n", "{client}");

        let (code, again) = person.json(&["config", "import", client]).await;
        assert_eq!((code, outcomes(&again)), (0, vec!["fix unchanged".to_owned()]), "{client}");
        assert_eq!(text(&person.home(path)), file, "{client}: an import changed their file");
        assert_eq!(person.space.processes(), Vec::<u32>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_leaves_every_other_byte_and_is_taken_back() {
    for client in CLIENTS {
        let person = Person::new();
        let (path, file) = written(client);
        let file = file.replace("\"fix\"", "\"theirs\"").replace(".fix]", ".theirs]");
        let place = person.keeps(path, &file);
        let mut entry = Fixture::new().entry();
        entry["env"] = json!({ "TOKEN": "s3cret", "NAME": "${NAME}" });
        entry["dormouse"] = json!({ "idle_seconds": 60 });
        entry["alwaysAllow"] = json!(["echo"]);
        person.space.write("mcp.json", json!({ "mcpServers": { "ours": entry } }).to_string());

        let planned = person.run(&["config", "export", client, "--dry-run"]).await;
        assert_eq!((planned.code, text(&place)), (0, file.clone()), "{client}: {planned:?}");
        assert!(planned.out.lines().any(|line| line.starts_with('+')), "{client}: {planned:?}");
        for secret in ["s3cret", "dormouse", "idle_seconds"] {
            assert!(!planned.out.contains(secret), "{client}: {secret} is shown: {}", planned.out);
        }

        assert_eq!(
            person.ok(&["config", "export", client]).await.trim(),
            place.to_string_lossy(),
            "{client}"
        );
        let after = text(&place);
        assert!(
            after.contains("s3cret") && after.contains("NAME") && after.contains("alwaysAllow"),
            "{client}"
        );
        assert!(!after.contains("idle_seconds") && !after.contains("dormouse"), "{client}: {after}");
        // All that was there is still there, in its order.
        let mut rest = after.as_str();
        for line in file.lines().map(str::trim).filter(|line| line.len() > 1 && !line.starts_with('{')) {
            let found = rest.find(line).unwrap_or_else(|| panic!("{client}: `{line}` is gone: {after}"));
            rest = &rest[found + line.len()..];
        }

        // What was exported is what is here.
        let (code, back) = person.json(&["config", "import", client, "--dry-run"]).await;
        assert_eq!(
            (code, outcomes(&back)),
            (0, vec!["ours unchanged".into(), "theirs added".into()]),
            "{client}"
        );
        let (code, same) = person.json(&["config", "export", client]).await;
        assert_eq!((code, &same["changed"], &same["backup"]), (0, &json!(false), &Value::Null), "{client}");

        person.ok(&["config", "export", client, "--undo"]).await;
        assert_eq!(text(&place), file, "{client}: not as it was");
        assert_eq!(person.run(&["config", "export", client, "--undo"]).await.code, 3, "{client}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_begin_with_a_mark_of_windows_are_files_as_well() {
    let person = Person::new();
    let entry = Fixture::new().entry();
    person.space.write("mcp.json", format!("\u{feff}{{\"mcpServers\": {{\"ours\": {entry}}}}}"));
    let theirs = format!("\u{feff}{{\"mcpServers\": {{\"theirs\": {entry}}}}}");
    let place = person.keeps(".cursor/mcp.json", &theirs);
    let (code, report) = person.json(&["config", "import", "cursor"]).await;
    assert_eq!((code, outcomes(&report)), (0, vec!["theirs added".to_owned()]));
    person.ok(&["config", "export", "cursor"]).await;
    let after = text(&place);
    assert!(after.starts_with('\u{feff}') && after.contains("ours") && after.contains("theirs"), "{after}");
    person.ok(&["config", "export", "cursor", "--undo"]).await;
    assert_eq!(text(&place), theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_made_the_file_takes_it_away_again() {
    let person = Person::new();
    person.space.fixtures(&[("fix", Fixture::new(), json!({}))]);
    person.ok(&["config", "export", "cursor"]).await;
    let place = person.home(".cursor/mcp.json");
    assert!(read(&place)["mcpServers"]["fix"]["command"].is_string());
    person.ok(&["config", "export", "cursor", "--undo"]).await;
    assert!(!place.exists());
    assert_eq!(place.parent().unwrap().read_dir().unwrap().count(), 0, "something of ours lies about");

    let project = person.home("project");
    std::fs::create_dir(&project).unwrap();
    let project = project.to_str().unwrap();
    person.ok(&["config", "export", "vscode", "--project", project]).await;
    let there = read(&person.home("project/.vscode/mcp.json"));
    assert_eq!(there["servers"]["fix"]["type"], "stdio", "{there:#}");
    assert_eq!(person.run(&["config", "export", "claude-desktop", "--project", project]).await.code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_did_after_an_export_is_not_undone() {
    let person = Person::new();
    person.space.fixtures(&[("fix", Fixture::new(), json!({}))]);
    let place = person.keeps(".cursor/mcp.json", r#"{"mcpServers": {}}"#);
    person.ok(&["config", "export", "cursor"]).await;
    let theirs = text(&place).replacen('{', "{\"new\": 1, ", 1);
    std::fs::write(&place, &theirs).unwrap();
    let refused = person.run(&["config", "export", "cursor", "--undo"]).await;
    assert_eq!((refused.code, text(&place)), (11, theirs), "{refused:?}");
    assert!(refused.err.contains("changed since the export") && refused.err.contains(".bak"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_imports_and_exports_its_own() {
    let person = Person::new();
    person.space.fixtures(&[("stores", Fixture::new(), json!({}))]);
    let (path, file) = written("cursor");
    person.keeps(path, file.replace("\"fix\"", "\"mine\""));
    let (code, report) = person.json(&["config", "import", "cursor", "--agent", "ada"]).await;
    assert_eq!((code, outcomes(&report)), (0, vec!["mine added".to_owned()]));
    assert_eq!(report["entries"][0]["owner"], "ada");
    assert_eq!(person.configured()["mcpServers"]["minebyada"]["dormouse"]["agent"], "ada");
    let call = ["tools", "--agent", "ada", "call", "mine_echo", "text=hers"];
    assert_eq!(person.ok(&call).await, "hers\n");
    assert_eq!(person.ok(&["servers", "--agent", "bob", "list"]).await, "");

    person.ok(&["config", "export", "vscode", "--agent", "ada"]).await;
    let exported = read(&person.home(".config/Code/User/mcp.json"));
    assert_eq!(exported["servers"].as_object().unwrap().keys().collect::<Vec<_>>(), ["mine"]);
    person.ok(&["config", "export", "claude-code"]).await;
    let exported = read(&person.home(".claude.json"));
    assert_eq!(exported["mcpServers"].as_object().unwrap().keys().collect::<Vec<_>>(), ["stores"]);
    let other = person.run(&["config", "export", "claude-code", "stores", "--agent", "ada"]).await;
    assert_eq!(other.code, 3, "an agent exported what it does not see: {other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_stays_until_it_is_to_be_replaced() {
    let person = Person::new();
    let entry = Fixture::new().title("old").entry();
    let mut here = entry.clone();
    here["dormouse"] = json!({ "idle_seconds": 9, "wanted": "on_demand" });
    person.space.write("mcp.json", json!({ "mcpServers": { "fix": here, "same": entry } }).to_string());
    let servers = json!({ "fix": Fixture::new().title("new").entry(), "same": entry, "bad": { "args": [] } });
    person.keeps(".cursor/mcp.json", json!({ "mcpServers": servers }).to_string());
    let before = person.configured();

    let (code, report) = person.json(&["config", "import", "cursor"]).await;
    assert_eq!(
        (code, outcomes(&report)),
        (11, vec!["bad refused".into(), "fix conflict".into(), "same unchanged".into()])
    );
    let refused = report["entries"].as_array().unwrap().iter().find(|entry| entry["name"] == "bad").unwrap();
    assert!(refused["reason"].as_str().unwrap().contains("mcpServers.bad"), "{report:#}");
    assert_eq!(person.configured(), before);

    let (code, report) = person.json(&["config", "import", "cursor", "--replace"]).await;
    assert_eq!(
        (code, outcomes(&report)),
        (11, vec!["bad refused".into(), "fix replaced".into(), "same unchanged".into()])
    );
    let now = &person.configured()["mcpServers"]["fix"];
    assert_eq!(
        now["dormouse"],
        json!({ "idle_seconds": 9, "wanted": "on_demand" }),
        "our settings went with it"
    );
    assert_ne!(now["args"], before["mcpServers"]["fix"]["args"]);
}
