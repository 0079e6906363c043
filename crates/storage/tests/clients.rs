//! Servers from and to the configuration of other clients.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::path::{Path, PathBuf};

use dormouse_storage::clients::{
    ApplyError, Client, ClientError, Named, Places, Platform, UndoError, backup_of, found, only_servers,
    plan, read, undo, without, write,
};
use dormouse_storage::mcp_json::{Intake, IntakeEntry, SaveError};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn entry(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn servers(entries: &[(&str, Value)]) -> Vec<(String, Map<String, Value>)> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), entry(value.clone()))).collect()
}

/// Each server as `name=entry`, with its notes; refused ones by their problems.
fn said(taken: &Intake) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in &taken.entries {
        match entry {
            IntakeEntry::Taken { name, entry, notes, .. } => {
                lines.push(format!("{name}={}", Value::Object(entry.clone())));
                lines.extend(notes.iter().map(ToString::to_string));
            }
            IntakeEntry::Refused { problems, .. } => lines.extend(problems.iter().map(ToString::to_string)),
        }
    }
    lines
}

const VS_CODE: &str = r#"// Servers of this project.
{
  "inputs": [
    {"id": "api-key", "type": "promptString"}, // asked once
  ],
  "servers": {
    /* the web */
    "web": {
      "type": "http",
      "url": "https://h/mcp", // by day
      "headers": {"Authorization": "Bearer ${input:api-key}"},
    }, // the last one
  },
}
"#;

const CODEX: &str = r#"# my settings
model = "o9"

[mcp_servers.files] # documents
command = "npx" # from node
args = ["-y", "files"]
env_vars = ["HOME"]
startup_timeout_sec = 20
tool_timeout_sec = 45.5

[mcp_servers.files.env]
TOKEN = "t" # secret

[mcp_servers.web]
url = "https://h/mcp"
bearer_token_env_var = "WEB_TOKEN"
http_headers = { "X-A" = "b" }
env_http_headers = { "X-B" = "B_VAR" }
enabled = false

[profiles.x]
model = "o1"
"#;

const CLAUDE: &str = r#"{
  "numStartups": 7,
  "mcpServers": {"files": {"command": "npx", "args": ["-y", "files"], "alwaysAllow": ["read"]}},
  "projects": {
    "/home/ann/a": {"mcpServers": {"notes": {"type": "sse", "url": "https://h/sse"}}, "history": []},
    "/home/ann/b": {"mcpServers": {"notes": {"command": "other"}}}
  }
}"#;

#[test]
fn every_clients_servers_are_read() {
    assert_eq!(
        said(&read(Client::VsCode, VS_CODE).unwrap()),
        [
            r#"web={"type":"http","url":"https://h/mcp","headers":{"Authorization":"Bearer ${API_KEY}"}}"#,
            "servers.web: the client asks for what must be in the environment here: API_KEY",
        ]
    );
    assert_eq!(
        said(&read(Client::Codex, CODEX).unwrap()),
        [
            r#"files={"command":"npx","args":["-y","files"],"env":{"TOKEN":"t","HOME":"${HOME}"},"dormouse":{"start_timeout_seconds":20,"call_timeout_seconds":45.5}}"#,
            r#"web={"url":"https://h/mcp","headers":{"X-A":"b","X-B":"${B_VAR}","Authorization":"Bearer ${WEB_TOKEN}"},"disabled":true}"#,
        ]
    );
    assert_eq!(
        said(&read(Client::ClaudeCode, CLAUDE).unwrap()),
        [
            r#"files={"command":"npx","args":["-y","files"],"alwaysAllow":["read"]}"#,
            r#"notes={"type":"sse","url":"https://h/sse"}"#,
            "projects./home/ann/b.mcpServers.notes: its name `notes` is taken by projects./home/ann/a.mcpServers.notes of the same input",
        ]
    );
    for client in [Client::ClaudeDesktop, Client::Cursor] {
        let one = r#"{"mcpServers": {"a b": {"command": "x"}, "bad": {"command": 1}}}"#;
        let lines = said(&read(client, one).unwrap());
        assert_eq!(lines[0], r#"a-b={"command":"x","dormouse":{"title":"a b"}}"#);
        assert_eq!(lines[1], "mcpServers.bad.command: expected a text, found a number");
        assert!(read(client, "{}").unwrap().entries.is_empty());
    }
}

#[test]
fn servers_alone_read_as_the_whole_file() {
    let files = [(Client::VsCode, VS_CODE), (Client::Codex, CODEX), (Client::ClaudeCode, CLAUDE)];
    for (client, text) in files {
        let alone = only_servers(client, text).unwrap();
        assert_eq!(said(&read(client, &alone).unwrap()), said(&read(client, text).unwrap()), "{client}");
        for other in ["numStartups", "history", "profiles", "inputs", "o9"] {
            assert!(!alone.contains(other), "{client}: {alone}");
        }
        assert!(only_servers(client, "{[").is_err(), "{client}");
    }
}

#[test]
fn unreadable_files_are_errors_without_their_content() {
    let json = read(Client::Cursor, "{\"mcpServers\": {\"secret").unwrap_err();
    assert!(matches!(json, ClientError::Json { line: 1, .. }));
    let toml = read(Client::Codex, "a = 1\nsecret = \"x").unwrap_err();
    assert_eq!(toml.to_string(), "line 2 is no TOML");
    for (client, text) in [(Client::VsCode, r#"{"servers": []}"#), (Client::Codex, "mcp_servers = [1]")] {
        let error = read(client, text).unwrap_err();
        assert!(matches!(error, ClientError::Shape { .. }), "{error:?}");
        write(client, Some(text), &servers(&[("a", json!({"command": "x"}))])).unwrap_err();
    }
}

#[test]
fn each_client_gets_its_own_words_and_nothing_of_ours() {
    let command = json!({"command": "x", "args": ["a"], "env": {"T": "${T}", "U": "${U:-d}"},
        "working_dir": "w", "timeout": 9, "dormouse": {"wanted": "always"}, "_mcpstore": {}});
    let url =
        json!({"serverUrl": "https://h/sse", "token": "${W}", "auth": "oauth", "dormouse": {"ca_file": "f"}});
    let http =
        json!({"url": "https://h/mcp", "transport": "streamable-http", "headers": {"K": "${K}", "L": "l"}});
    let entries = servers(&[("c", command), ("s", url), ("h", http)]);
    let of = |client: Client| {
        let written = write(client, None, &entries).unwrap();
        assert!(
            !written.text.contains("dormouse") && !written.text.contains("_mcpstore"),
            "{}",
            written.text
        );
        (written.text, written.problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let servers_of = |client: Client, key: &str| {
        let (text, problems) = of(client);
        let document: Value = serde_json::from_str(&text).unwrap();
        (document[key].clone(), problems)
    };
    assert_eq!(
        servers_of(Client::ClaudeDesktop, "mcpServers"),
        (
            json!({"c": {"command": "x", "args": ["a"], "env": {"T": "${T}", "U": "${U:-d}"}, "timeout": 9, "cwd": "w"}}),
            vec![
                "c: `${…}` stays as it is: the client puts no variables in".to_owned(),
                "s: is at a URL; Claude Desktop's file holds programs only".to_owned(),
                "h: is at a URL; Claude Desktop's file holds programs only".to_owned(),
            ]
        )
    );
    assert_eq!(
        servers_of(Client::ClaudeCode, "mcpServers"),
        (
            json!({
                "c": {"command": "x", "args": ["a"], "env": {"T": "${T}", "U": "${U:-d}"}, "cwd": "w"},
                "s": {"headers": {"Authorization": "Bearer ${W}"}, "url": "https://h/sse", "type": "sse"},
                "h": {"url": "https://h/mcp", "headers": {"K": "${K}", "L": "l"}, "type": "http"}
            }),
            vec!["c: its `timeout` is left out: the client counts otherwise".to_owned()]
        )
    );
    let (vs_code, problems) = servers_of(Client::VsCode, "servers");
    assert_eq!(vs_code["c"]["type"], "stdio");
    assert_eq!(vs_code["c"]["env"], json!({"T": "${env:T}", "U": "${env:U}"}));
    assert_eq!(problems, ["c: a variable's default is left out: the client knows none"]);
    let (cursor, _) = servers_of(Client::Cursor, "mcpServers");
    assert_eq!(cursor["h"], json!({"url": "https://h/mcp", "headers": {"K": "${env:K}", "L": "l"}}));
    let (codex, problems) = of(Client::Codex);
    let stays = "c: `${…}` stays as it is: the client puts no variables in";
    assert_eq!(problems, [stays, "s: speaks SSE, which Codex does not"]);
    let back = said(&read(Client::Codex, &codex).unwrap());
    assert_eq!(
        back,
        [
            r#"c={"command":"x","args":["a"],"cwd":"w","env":{"U":"${U:-d}","T":"${T}"},"dormouse":{"call_timeout_seconds":9}}"#,
            r#"h={"url":"https://h/mcp","headers":{"L":"l","K":"${K}"}}"#,
        ]
    );
}

#[test]
fn comments_fields_and_layout_stay() {
    let web = json!({"url": "https://h/mcp2", "headers": {"Authorization": "Bearer ${input:api-key}"}});
    let written =
        write(Client::VsCode, Some(VS_CODE), &servers(&[("web", web), ("c", json!({"command": "x"}))]));
    let expected = VS_CODE.replace("https://h/mcp", "https://h/mcp2").replace(
        "// the last one\n",
        "// the last one\n    \"c\": {\n      \"command\": \"x\",\n      \"type\": \"stdio\"\n    }\n",
    );
    let text = written.unwrap().text;
    assert_eq!(text, expected);
    assert_eq!(read(Client::VsCode, &text).unwrap().entries.len(), 2);

    let claude = write(Client::ClaudeCode, Some(CLAUDE), &servers(&[("files", json!({"command": "npx"}))]));
    let expected = CLAUDE.replace(r#""args": ["-y", "files"], "#, "");
    assert_eq!(claude.unwrap().text, expected, "what the client knows of its own stays");

    let files = json!({"command": "npx", "args": ["-y", "new"], "env": {"TOKEN": "t", "HOME": "${HOME}"}});
    let codex =
        write(Client::Codex, Some(CODEX), &servers(&[("files", files), ("n", json!({"command": "n"}))]));
    let codex = codex.unwrap().text;
    let new = "enabled = false\n\n[mcp_servers.n]\ncommand = \"n\"\n";
    assert_eq!(codex, CODEX.replace(r#""files"]"#, r#""new"]"#).replace("enabled = false\n", new));
    let again = write(Client::Codex, Some(&codex), &servers(&[("n", json!({"command": "n"}))]));
    assert_eq!(again.unwrap().text, codex, "the same again changes nothing");
}

#[test]
fn servers_are_taken_out_and_all_else_stays() {
    let paths = |client, text| -> Vec<String> {
        found(client, text).unwrap().into_iter().map(|found| found.path).collect()
    };
    assert_eq!(paths(Client::VsCode, VS_CODE), ["servers.web"]);
    assert_eq!(paths(Client::Codex, CODEX), ["mcp_servers.files", "mcp_servers.web"]);
    assert_eq!(
        paths(Client::ClaudeCode, CLAUDE),
        [
            "mcpServers.files",
            "projects./home/ann/a.mcpServers.notes",
            "projects./home/ann/b.mcpServers.notes"
        ]
    );
    let start = VS_CODE.find("    \"web\"").unwrap();
    let end = VS_CODE.find("// the last one\n").unwrap() + "// the last one\n".len();
    let expected = [&VS_CODE[..start], &VS_CODE[end..]].concat();
    assert_eq!(without(Client::VsCode, VS_CODE, &["servers.web"]).unwrap(), expected);

    let start = CODEX.find("[mcp_servers.files]").unwrap();
    let end = CODEX.find("\n[mcp_servers.web]").unwrap();
    let expected = [&CODEX[..start], &CODEX[end + 1..]].concat();
    assert_eq!(without(Client::Codex, CODEX, &["mcp_servers.files"]).unwrap().trim(), expected.trim());
    let none = without(Client::Codex, CODEX, &["mcp_servers.files", "mcp_servers.web"]).unwrap();
    assert_eq!(none, "# my settings\nmodel = \"o9\"\n\n[profiles.x]\nmodel = \"o1\"\n");
    for (text, expected) in [
        (
            "# mine\n\n# the files\n[mcp_servers.files]\ncommand = \"x\" # y\n\n# next\n[a]\n",
            "# mine\n\n# next\n[a]\n",
        ),
        ("# mine\n\n[mcp_servers.files]\ncommand = \"x\"\n\n# end\n", "# mine\n\n# end\n"),
        ("mcp_servers = { files = { command = \"x\" } } # one\n", "mcp_servers = {} # one\n"),
        ("[mcp_servers]\nfiles.command = \"x\"\nb.command = \"y\"\n", "[mcp_servers]\nb.command = \"y\"\n"),
    ] {
        assert_eq!(without(Client::Codex, text, &["mcp_servers.files"]).unwrap(), expected);
    }

    let path = "projects./home/ann/a.mcpServers.notes";
    let expected = CLAUDE.replace(r#""notes": {"type": "sse", "url": "https://h/sse"}"#, "");
    assert_eq!(without(Client::ClaudeCode, CLAUDE, &[path]).unwrap(), expected);
    let doubled = r#"{"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}, "a": {"command": "z"}}}"#;
    let expected = r#"{"mcpServers": {"b": {"command": "y"}}}"#;
    assert_eq!(without(Client::Cursor, doubled, &["mcpServers.a", "mcpServers.c"]).unwrap(), expected);
    without(Client::Cursor, "{[", &["mcpServers.a"]).unwrap_err();
}

#[test]
fn plan_shows_applies_and_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mcp.json");
    let before = r#"{"mcpServers": {"a": {"command": "x", "env": {"T": "old-secret"}}}, "other": "kept"}"#;
    std::fs::write(&file, before).unwrap();
    let new = servers(&[
        ("a", json!({"command": "x", "args": ["--key", "a-secret"], "env": {"T": "new-secret"}})),
        ("b", json!({"url": "https://me:secret@h/mcp?key=secret", "headers": {"K": "secret", "V": "${V}"}})),
    ]);
    let planned = plan(Client::Cursor, &file, &new).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before, "a plan changes nothing");
    let lines: Vec<_> = planned.diff().iter().map(ToString::to_string).collect();
    let shown = lines.join("\n");
    assert!(!shown.contains("secret") && !format!("{planned:?}").contains("secret"), "{shown}");
    for line in [
        r#"-       "T": "…""#,
        r#"+       "T": "… (changed)""#,
        r#"+   "b": {"#,
        r#"+     "url": "https://…@h/mcp?key=…","#,
        r#"+       "V": "${env:V}""#,
        r#"      "command": "x","#,
    ] {
        assert!(lines.iter().any(|it| it == line), "{line} in\n{shown}");
    }
    assert_eq!(backup_of(&file), None);
    let applied = planned.apply().unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), planned.text());
    let backup = applied.backup.unwrap();
    assert_eq!(backup_of(&file), Some(backup.clone()));
    assert!(plan(Client::Cursor, &file, &new).unwrap().is_empty(), "the same again is nothing");
    assert_eq!(plan(Client::Cursor, &file, &new).unwrap().apply().unwrap().backup, None);
    // A plan of before is too late.
    let late = planned.apply().unwrap_err();
    assert!(matches!(late, ApplyError::Save(SaveError::Changed { .. })), "{late:?}");

    let ours = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, ours.replace("kept", "by hand")).unwrap();
    let refused = undo(&backup).unwrap_err();
    assert!(matches!(refused, UndoError::ChangedSince { .. }), "{refused:?}");
    assert!(std::fs::read_to_string(&file).unwrap().contains("by hand"));
    std::fs::write(&file, ours).unwrap();
    assert_eq!(undo(&backup).unwrap(), file);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no backup is left");
    assert!(matches!(undo(&file), Err(UndoError::NoBackup { .. })));
}

#[test]
fn file_that_did_not_exist_is_made_and_removed_again() {
    let folder = tempfile::tempdir().unwrap();
    let new = servers(&[("a", json!({"command": "x"}))]);
    for client in Client::ALL {
        let home = folder.path().join(client.as_str());
        let places = Places { home, project: None, platform: Platform::Linux, named: Named::default() };
        let file = client.files(&places).remove(0);
        let applied = plan(client, &file, &new).unwrap().apply().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(said(&read(client, &text).unwrap()).len(), 1, "{text}");
        let backup = applied.backup.unwrap();
        assert_eq!(backup_of(&file), Some(backup.clone()));
        undo(&backup).unwrap();
        assert!(!file.exists() && !backup.exists());
    }
}

#[test]
fn files_lie_where_each_platform_has_them() {
    let files = |client: Client, platform, project: Option<&str>| {
        let (home, project) = (PathBuf::from("/h"), project.map(PathBuf::from));
        client.files(&Places { home, project, platform, named: Named::default() })
    };
    let one = |client, platform| files(client, platform, None).remove(0);
    let is = |file: PathBuf, expected: &str| assert_eq!(file, Path::new(expected));
    is(one(Client::ClaudeDesktop, Platform::Linux), "/h/.config/Claude/claude_desktop_config.json");
    is(
        one(Client::ClaudeDesktop, Platform::Mac),
        "/h/Library/Application Support/Claude/claude_desktop_config.json",
    );
    is(one(Client::ClaudeDesktop, Platform::Windows), "/h/AppData/Roaming/Claude/claude_desktop_config.json");
    is(one(Client::ClaudeCode, Platform::Mac), "/h/.claude.json");
    is(one(Client::VsCode, Platform::Linux), "/h/.config/Code/User/mcp.json");
    is(one(Client::Codex, Platform::Windows), "/h/.codex/config.toml");
    let of_project = files(Client::Cursor, Platform::Linux, Some("/p"));
    assert_eq!(of_project, [Path::new("/p/.cursor/mcp.json"), Path::new("/h/.cursor/mcp.json")]);
    let named = Named::by(|name| match name {
        "XDG_CONFIG_HOME" => Some("/c".into()),
        "CODEX_HOME" => Some("/x".into()),
        "CLAUDE_CONFIG_DIR" => Some("/cc".into()),
        _ => None,
    });
    let named_file = |client: Client, platform| {
        let places = Places { home: PathBuf::from("/h"), project: None, platform, named: named.clone() };
        client.files(&places).remove(0)
    };
    is(named_file(Client::ClaudeDesktop, Platform::Linux), "/c/Claude/claude_desktop_config.json");
    is(named_file(Client::VsCode, Platform::Linux), "/c/Code/User/mcp.json");
    is(named_file(Client::VsCode, Platform::Mac), "/h/Library/Application Support/Code/User/mcp.json");
    is(named_file(Client::Codex, Platform::Mac), "/x/config.toml");
    is(named_file(Client::ClaudeCode, Platform::Linux), "/cc/.claude.json");
    is(named_file(Client::Cursor, Platform::Linux), "/h/.cursor/mcp.json");
    let none = Named::by(|name| Some(if name == "XDG_CONFIG_HOME" { "relative" } else { "" }.into()));
    assert!(none.config_home.is_none() && none.codex.is_none() && none.claude.is_none());
    assert_eq!("vscode".parse(), Ok(Client::VsCode));
    assert!("emacs".parse::<Client>().is_err());
}

proptest! {
    #[test]
    fn export_touches_nothing_but_its_server(
        others in prop::collection::vec(("[a-c]{1,2}", "[a-z\\\\\"{},/*#= ü]{0,8}"), 0..4),
        comments in prop::collection::vec("[a-z {}\",]{0,8}", 3),
        trailing in any::<bool>(),
    ) {
        let mut text = format!("{{ //{}\n  \"x\": 1, /*{}*/\n  \"mcpServers\": {{", comments[0], comments[1]);
        let mut lines: Vec<_> = others.iter()
            .map(|(key, value)| format!("\n    \"{key}\": {{\"command\": {}}}", Value::from(value.as_str())))
            .collect();
        lines.dedup_by_key(|line| line.split(':').next().unwrap().to_owned());
        text += &lines.join(",");
        if trailing && !lines.is_empty() { text += ","; }
        text += &format!("\n  }} //{}\n}}\n", comments[2]);
        let new = servers(&[("new", json!({"command": "n"}))]);
        let written = write(Client::VsCode, Some(&text.replace("mcpServers", "servers")), &new).unwrap().text;
        for kept in lines.iter().chain(&comments) {
            prop_assert!(written.contains(kept.as_str()), "{} in\n{}", kept, written);
        }
        let again = write(Client::VsCode, Some(&written), &new).unwrap().text;
        prop_assert_eq!(&again, &written);
        // Any of them goes alone.
        let left = without(Client::VsCode, &written, &["servers.new", "servers.a"]).unwrap();
        let names: Vec<String> = found(Client::VsCode, &left).unwrap().into_iter().map(|it| it.name).collect();
        prop_assert!(names.iter().all(|name| name != "new" && name != "a"), "{}", left);
        for kept in lines.iter().filter(|line| !line.contains("\"a\"")).chain(&comments) {
            prop_assert!(left.contains(kept.as_str()), "{} in\n{}", kept, left);
        }
    }
}
