//! `connect`: the hub in the files of real clients, in homes of their own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use dormouse_testing::Fixture;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::support::{Cli, Ended, PATIENCE, code, kill};

const CLIENTS: [(&str, &str); 5] = [
    ("claude-desktop", ".config/Claude/claude_desktop_config.json"),
    ("claude-code", ".claude.json"),
    ("cursor", ".cursor/mcp.json"),
    ("vscode", ".config/Code/User/mcp.json"),
    ("codex", ".codex/config.toml"),
];

const VS_CODE: &str = r#"// Servers of mine.
{
  "inputs": [
    {"id": "key", "type": "promptString"}, // asked once
  ],
  "servers": {
    /* the web */
    "web": {
      "type": "http",
      "url": "https://h.invalid/mcp", // by day
      "headers": {"Authorization": "Bearer ${input:key}"},
    }, // the last one
  },
}
"#;

const CODEX: &str = r#"# my settings
model = "o9"

[mcp_servers.files] # documents
command = "files"
enabled_tools = ["read"]

# by hand
[profiles.x]
model = "o1"
"#;

/// A person with a home, and a space.
struct Person {
    cli: Cli,
    home: tempfile::TempDir,
}

impl Person {
    fn new() -> Self {
        Self { cli: Cli::new(), home: tempfile::tempdir().unwrap() }
    }

    fn home(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn keeps(&self, path: &str, text: impl AsRef<str>) -> PathBuf {
        let path = self.home(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text.as_ref()).unwrap();
        path
    }

    async fn with(&self, variables: &[(&str, &Path)], args: &[&str]) -> Ended {
        let mut command = self.cli.command(args);
        command.env("HOME", self.home.path());
        for folder in ["XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR"] {
            command.env_remove(folder);
        }
        command.envs(variables.iter().copied());
        let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    async fn run(&self, args: &[&str]) -> Ended {
        self.with(&[], args).await
    }

    async fn ok(&self, args: &[&str]) -> Ended {
        let ended = self.run(args).await;
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended
    }

    async fn json(&self, args: &[&str]) -> (i32, Value) {
        let ended = self.run(&[&["--json"], args].concat()).await;
        let said = serde_json::from_str(&ended.out);
        (ended.code.unwrap(), said.unwrap_or_else(|error| panic!("{args:?}: {error}: {ended:?}")))
    }

    fn space(&self) -> String {
        self.cli.space.path().canonicalize().unwrap().to_str().unwrap().to_owned()
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&text(path)).unwrap()
}

/// What a client that reads its file finds under a name.
fn entry(client: &str, text: &str, name: &str) -> Value {
    match client {
        "codex" => {
            let file: toml::Table = text.parse().unwrap();
            serde_json::to_value(&file["mcp_servers"][name]).unwrap()
        }
        "vscode" => serde_json::from_str::<Value>(text).unwrap()["servers"][name].clone(),
        _ => serde_json::from_str::<Value>(text).unwrap()["mcpServers"][name].clone(),
    }
}

/// The members `member` of the objects in a list.
fn all<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[member].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_client_gets_a_program_that_exists_and_the_same_again_changes_nothing() {
    let person = Person::new();
    for (client, path) in CLIENTS {
        let file = person.home(path);
        let planned = person.ok(&["connect", client, "--dry-run"]).await;
        let runs = format!(" mcp --space {}", person.space());
        assert!(planned.out.contains("+") && planned.err.contains(&runs), "{client}: {planned:?}");
        assert!(!file.exists(), "{client}: a dry run wrote something");

        let done = person.ok(&["connect", client]).await;
        assert_eq!(done.out.trim(), file.to_str().unwrap(), "{client}");
        assert!(done.err.contains("next: ") && done.err.contains("--undo"), "{client}: {done:?}");
        let first = text(&file);
        let there = entry(client, &first, "dormouse");
        assert_eq!(there["args"], json!(["mcp", "--space", person.space()]), "{client}");
        let program = Path::new(there["command"].as_str().unwrap());
        assert!(program.is_absolute() && program.is_file(), "{client}: {there}");

        let (code, again) = person.json(&["connect", client]).await;
        assert_eq!((code, &again["changed"], &again["backup"]), (0, &json!(false), &Value::Null), "{client}");
        assert_eq!(text(&file), first, "{client}");

        person.ok(&["connect", client, "--agent", "ada", "--mode", "search"]).await;
        let args = json!(["mcp", "--space", person.space(), "--agent", "ada", "--mode", "search"]);
        assert_eq!(entry(client, &text(&file), "dormouse")["args"], args, "{client}");
        person.ok(&["connect", client, "--undo"]).await;
        assert_eq!(text(&file), first, "{client}: not as it was");
        person.ok(&["connect", client, "--undo"]).await;
        assert!(!file.exists(), "{client}: the file was not there before");
        assert_eq!(person.run(&["connect", client, "--undo"]).await.code, Some(3), "{client}");
    }
}

#[tokio::test]
async fn what_the_entry_starts_is_the_hub() {
    let person = Person::new();
    person.cli.space.add("fix", &Fixture::new());
    // The entry joins this one, and leaves none in the background.
    let (mut serve, _) = person.cli.serve().await;
    person.ok(&["connect", "claude-desktop"]).await;
    let there = entry("claude-desktop", &text(&person.home(CLIENTS[0].1)), "dormouse");
    let mut client = tokio::process::Command::new(there["command"].as_str().unwrap());
    client.args(there["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()));
    // A client starts it with hardly any variables, and anywhere.
    client.env_clear().current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut client = client.spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let greeting = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "fix_echo", "arguments": {"text": "there"}}});
    let talked = async {
        input.write_all(format!("{greeting}\n").as_bytes()).await.unwrap();
        let greeted: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        assert_eq!(greeted["result"]["serverInfo"]["name"], "dormouse", "{greeted}");
        input.write_all(format!("{call}\n").as_bytes()).await.unwrap();
        let answer: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        assert_eq!(answer["result"]["content"][0]["text"], "there", "{answer}");
        drop(input);
        client.wait().await.unwrap()
    };
    let ended = tokio::time::timeout(PATIENCE, talked).await.unwrap();
    assert_eq!(ended.code(), Some(0));
    kill("-TERM", &serve).await;
    assert_eq!(code(&mut serve).await, Some(0));
    person.cli.nothing_left().await;
}

#[tokio::test]
async fn over_http_a_token_is_named_and_stands_in_the_file_only_if_asked_for() {
    let person = Person::new();
    for (client, path) in &CLIENTS[1..] {
        let file = person.home(path);
        let agent = ["connect", client, "--http", "--agent", "ada", "--server", "time", "--token-env", "HUB"];
        let done = person.ok(&agent).await;
        assert!(done.err.contains("dormouse serve"), "{client}: {done:?}");
        let there = entry(client, &text(&file), "dormouse");
        let url = "http://127.0.0.1:18200/agents/ada/mcp?mode=single&server=time";
        assert_eq!(there["url"], url, "{client}");
        let credential = match *client {
            "codex" => there["bearer_token_env_var"].clone(),
            _ => there["headers"]["Authorization"].clone(),
        };
        let expected = match *client {
            "codex" => "HUB",
            "claude-code" => "Bearer ${HUB}",
            _ => "Bearer ${env:HUB}",
        };
        assert_eq!(credential, expected, "{client}");
        let (_, again) = person.json(&agent).await;
        assert_eq!(again["changed"], false, "{client}");

        // What a person wrote beside it stays, unless it is asked for otherwise.
        person.ok(&["connect", client, "--http", "http://localhost:18200/"]).await;
        let there = entry(client, &text(&file), "dormouse");
        assert_eq!(there["url"], "http://localhost:18200/mcp", "{client}");
        assert!(text(&file).contains("HUB"), "{client}: the token's variable is gone");

        let secret =
            ["connect", client, "--http", "https://hub.invalid/tools", "--token", "s3cret", "--dry-run"];
        let shown = person.ok(&secret).await;
        assert!(!shown.out.contains("s3cret") && !shown.err.contains("s3cret"), "{client}: {shown:?}");
        person.ok(&secret[..secret.len() - 1]).await;
        let there = text(&file);
        assert!(there.contains("s3cret") && there.contains("https://hub.invalid/tools/mcp"), "{there}");
        assert!(!there.contains("HUB"), "{client}: {there}");

        // Whose that address is nobody can say any more.
        assert_eq!(person.run(&["connect", client]).await.code, Some(11), "{client}");
        person.ok(&["connect", client, "--force"]).await;
        let there = entry(client, &text(&file), "dormouse");
        assert!(there.get("url").is_none() && there.get("headers").is_none(), "{client}: {there}");
        assert!(!text(&file).contains("s3cret"), "{client}");
    }
    let desktop = person.run(&["connect", "claude-desktop", "--http"]).await;
    assert!(desktop.code == Some(11) && desktop.err.contains("leave --http away"), "{desktop:?}");
    for (wrong, word) in [
        (&["connect", "cursor", "--http", "cursor"][..], "an address such as"),
        (&["connect", "--http", "cursor"], "an address such as"),
        (&["connect", "cursor", "--token-env", "HUB"], "--http"),
        (&["connect", "cursor", "--http", "--token-env", "a-b"], "not the token itself"),
        (&["connect", "cursor", "--mode", "single"], "--server NAME"),
        (&["connect", "cursor", "--mode", "all", "--server", "x"], "single"),
        (&["connect", "cursor", "--mode", "some"], "possible values"),
        (&["connect", "cursor", "--name", "a b"], "--name"),
        (&["connect", "--take-over"], "CLIENT"),
        (&["connect", "cursor", "--http", "http://h/agents/bob/mcp", "--agent", "ada"], "another endpoint"),
        (&["connect", "emacs"], "no client is named"),
    ] {
        let ended = person.run(wrong).await;
        assert!(ended.code == Some(2) && ended.err.contains(word), "{wrong:?}: {ended:?}");
    }
}

#[tokio::test]
async fn comments_and_all_that_is_theirs_stay() {
    let person = Person::new();
    let code = person.keeps(".config/Code/User/mcp.json", VS_CODE);
    person.ok(&["connect", "vscode"]).await;
    let after = text(&code);
    let mut rest = after.as_str();
    for line in VS_CODE.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let at = rest.find(line).unwrap_or_else(|| panic!("`{line}` is gone: {after}"));
        rest = &rest[at + line.len()..];
    }
    person.ok(&["connect", "vscode", "--undo"]).await;
    assert_eq!(text(&code), VS_CODE);

    let codex = person.keeps(".codex/config.toml", CODEX);
    person.ok(&["connect", "codex"]).await;
    let after = text(&codex);
    assert!(
        after.contains("# my settings") && after.contains("] # documents") && after.contains("# by hand")
    );
    assert_eq!(entry("codex", &after, "dormouse")["args"][0], "mcp");
    // What a person adds to our entry is kept when it changes.
    let added =
        after.replace("[mcp_servers.dormouse]", "[mcp_servers.dormouse] # the hub\nenv = { A = \"b\" }");
    std::fs::write(&codex, &added).unwrap();
    person.ok(&["connect", "codex", "--agent", "ada"]).await;
    let after = text(&codex);
    assert!(
        after.contains("# the hub") && after.contains("A = \"b\"") && after.contains("\"ada\""),
        "{after}"
    );
    let refused = person.run(&["config", "export", "codex", "--undo"]).await;
    assert_eq!(refused.code, Some(0), "an undo is an undo, whoever wrote: {refused:?}");
    assert_eq!(text(&codex), added);
    let changed = person.run(&["connect", "codex", "--undo"]).await;
    assert!(changed.code == Some(11) && changed.err.contains("was changed since the connect"), "{changed:?}");
}

#[tokio::test]
async fn servers_move_into_the_hub_and_what_it_cannot_have_stays() {
    let person = Person::new();
    let fixture = Fixture::new().mark("taken-over").entry();
    let mut other = Fixture::new().title("other").entry();
    other["env"] = json!({"TOKEN": "s3cret"});
    person.cli.space.add("here", &Fixture::new().title("here"));
    let theirs = json!({
        "numStartups": 7,
        "mcpServers": {
            "fix": fixture, "other": other, "here": Fixture::new().title("there").entry(),
            "bad": {"args": []}, "asks": {"command": "x", "args": ["${input:key}"]},
            "hub": {"command": "env", "args": ["dormouse", "mcp"]},
        },
        "projects": {"/p": {"mcpServers": {"mine": fixture}, "history": ["x"]}},
    });
    let before = serde_json::to_string_pretty(&theirs).unwrap();
    let file = person.keeps(".claude.json", &before);

    let (code, planned) = person.json(&["connect", "claude-code", "--take-over", "--dry-run"]).await;
    assert_eq!((code, text(&file)), (11, before.clone()), "{planned:#}");
    assert_eq!(all(&planned["taken_over"], "server_name"), ["fix", "other", "mine"]);
    assert_eq!(all(&planned["left"], "name"), ["asks", "hub", "here", "bad"], "{planned:#}");
    assert!(!planned.to_string().contains("s3cret"), "{planned:#}");
    let minus = |line: &str| planned["diff"].to_string().contains(line);
    assert!(minus("-   \\\"fix\\\": {") && minus("-     \\\"mine\\\": {"), "{planned:#}");
    assert_eq!(person.run(&["servers", "show", "fix"]).await.code, Some(3), "a dry run took something");

    let (code, done) = person.json(&["connect", "claude-code", "--take-over"]).await;
    assert_eq!((code, &done["taken_over"], &done["left"]), (11, &planned["taken_over"], &planned["left"]));
    let after = read(&file);
    let left: Vec<&String> = after["mcpServers"].as_object().unwrap().keys().collect();
    assert_eq!(left, ["here", "bad", "asks", "hub", "dormouse"]);
    assert_eq!((&after["numStartups"], &after["projects"]["/p"]["history"]), (&json!(7), &json!(["x"])));
    assert_eq!(after["projects"]["/p"]["mcpServers"], json!({}));
    assert_eq!(person.ok(&["tools", "call", "fix_echo", "text=there"]).await.out, "there\n");

    let (_, again) = person.json(&["connect", "claude-code", "--take-over"]).await;
    assert_eq!((&again["changed"], &again["taken_over"]), (&json!(false), &json!([])), "{again:#}");

    // What was taken and is gone again is not said to be there.
    person.ok(&["servers", "remove", "other"]).await;
    let (code, undone) = person.json(&["connect", "claude-code", "--undo"]).await;
    assert_eq!((code, &undone["stay_in_hub"]), (0, &json!(["fix", "mine"])), "{undone:#}");
    assert_eq!(text(&file), before);
    person.cli.nothing_left().await;
}

#[tokio::test]
async fn every_client_gives_its_servers_to_an_agent() {
    for (client, path) in CLIENTS {
        let person = Person::new();
        let fixture = Fixture::new().entry();
        let (program, args) = (&fixture["command"], &fixture["args"]);
        let before = match client {
            "codex" => format!("# mine\n\n[mcp_servers.fix]\ncommand = {program}\nargs = {args}\n"),
            "vscode" => format!(
                "{{ // by hand\n  \"servers\": {{\n    \"fix\": {{\"command\": {program}, \"args\": {args}}}, // it\n  }},\n}}\n"
            ),
            _ => json!({"mcpServers": {"fix": fixture}}).to_string(),
        };
        let file = person.keeps(path, &before);
        let done = person.ok(&["connect", client, "--take-over", "--agent", "ada"]).await;
        assert!(done.out.contains("fix\tadded"), "{client}: {done:?}");
        let after = text(&file);
        assert!(!after.contains("\"fix\"") && !after.contains(".fix]"), "{client}: {after}");
        assert!(after.contains("\"ada\""), "{client}: {after}");
        for comment in ["# mine", "// by hand"].into_iter().filter(|comment| before.contains(comment)) {
            assert!(after.contains(comment), "{client}: {after}");
        }
        let call = ["tools", "--agent", "ada", "call", "fix_echo", "text=hers"];
        assert_eq!(person.ok(&call).await.out, "hers\n", "{client}");
        let undone = person.ok(&["connect", client, "--undo", "--agent", "ada"]).await;
        assert_eq!(text(&file), before, "{client}");
        assert!(undone.err.contains("the hub still has what it took over: fix"), "{client}: {undone:?}");
    }
}

#[tokio::test]
async fn the_hub_is_taken_out_also_where_the_client_wrote_since() {
    let person = Person::new();
    let before = "{\n  \"numStartups\": 7,\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x\"}\n  }\n}\n";
    let file = person.keeps(".claude.json", before);
    person.ok(&["connect", "claude-code"]).await;
    std::fs::write(&file, text(&file).replace('7', "8")).unwrap();
    let undo = person.run(&["connect", "claude-code", "--undo"]).await;
    assert!(undo.code == Some(11) && undo.err.contains("--remove"), "{undo:?}");
    let planned = person.ok(&["connect", "claude-code", "--remove", "--dry-run"]).await;
    assert!(planned.out.contains("-   \"dormouse\": {"), "{planned:?}");
    person.ok(&["connect", "claude-code", "--remove"]).await;
    assert_eq!(text(&file), before.replace('7', "8"));
    let (code, again) = person.json(&["connect", "claude-code", "--remove"]).await;
    assert_eq!((code, &again["changed"]), (0, &json!(false)));
    person.keeps(".cursor/mcp.json", r#"{"mcpServers": {"dormouse": {"command": "theirs"}}}"#);
    assert_eq!(person.run(&["connect", "cursor", "--remove"]).await.code, Some(11));
}

#[tokio::test]
async fn somebody_elses_entry_is_not_replaced() {
    let person = Person::new();
    for (client, path) in CLIENTS {
        let before = match client {
            "codex" => "[mcp_servers.dormouse]\ncommand = \"theirs\"\n".to_owned(),
            "vscode" => r#"{"servers": {"dormouse": {"command": "theirs"}}}"#.to_owned(),
            _ => r#"{"mcpServers": {"dormouse": {"command": "theirs"}}}"#.to_owned(),
        };
        let file = person.keeps(path, &before);
        let refused = person.run(&["connect", client]).await;
        assert_eq!((refused.code, text(&file)), (Some(11), before.clone()), "{client}: {refused:?}");
        assert!(refused.err.contains("--name") && refused.err.contains("--force"), "{client}: {refused:?}");
        person.ok(&["connect", client, "--name", "hub"]).await;
        assert_eq!(entry(client, &text(&file), "dormouse")["command"], "theirs", "{client}");
        assert_eq!(entry(client, &text(&file), "hub")["args"][0], "mcp", "{client}");
        let forced = person.ok(&["connect", client, "--force"]).await;
        assert!(forced.err.contains("`hub` leads to this hub too"), "{client}: {forced:?}");
        assert_eq!(entry(client, &text(&file), "dormouse")["args"][0], "mcp", "{client}");
    }
    // It is another's server, so it can be taken over as well.
    let theirs = json!({"mcpServers": {"dormouse": Fixture::new().entry()}}).to_string();
    let file = person.keeps(".cursor/mcp.json", theirs);
    person.ok(&["connect", "cursor", "--take-over"]).await;
    assert_eq!(read(&file)["mcpServers"]["dormouse"]["args"][0], "mcp");
    person.ok(&["servers", "show", "dormouse"]).await;
    // The hub of another space is ours, and changes places.
    let file = person.keeps(
        ".cursor/mcp.json",
        r#"{"mcpServers": {"dormouse": {"command": "dormouse", "args": ["mcp", "--space", "/elsewhere"]}}}"#,
    );
    person.ok(&["connect", "cursor"]).await;
    assert_eq!(read(&file)["mcpServers"]["dormouse"]["args"][2], person.space());
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_and_nothing_is_taken() {
    let person = Person::new();
    let secret = "s3cret-9";
    person.keeps("cut.json", format!(r#"{{"mcpServers": {{"a": {{"env": {{"T": "{secret}"#));
    person.keeps("broken.json", format!("{{ // mine\n  \"servers\": {{\"a\": {secret}}}\n}}"));
    person.keeps("list.json", "[1]");
    person.keeps("kind.json", r#"{"mcpServers": 7}"#);
    person.keeps("broken.toml", format!("# mine\n[mcp_servers\ntoken = '{secret}'"));
    person.keeps("plain", "");
    std::fs::create_dir(person.home("folder.json")).unwrap();
    std::os::unix::fs::symlink("round.json", person.home("round.json")).unwrap();
    for (client, file) in [
        ("cursor", "cut.json"),
        ("vscode", "broken.json"),
        ("cursor", "list.json"),
        ("cursor", "kind.json"),
        ("codex", "broken.toml"),
        ("cursor", "folder.json"),
        ("cursor", "round.json"),
    ] {
        let path = person.home(file);
        for more in [&[][..], &["--take-over"], &["--dry-run"]] {
            let args = [&["connect", client, "--file", path.to_str().unwrap()], more].concat();
            let ended = person.run(&args).await;
            assert_eq!(ended.code, Some(4), "{args:?}: {ended:?}");
            assert!(ended.err.contains(file) && !ended.err.contains(secret), "{args:?}: {ended:?}");
        }
    }
    // Its folder is a file: nothing can be written there, also by root.
    let nowhere = person.home("plain/mcp.json");
    let ended = person.run(&["connect", "cursor", "--file", nowhere.to_str().unwrap()]).await;
    assert!(matches!(ended.code, Some(1 | 4)) && ended.err.contains("plain"), "{ended:?}");

    // Nobody makes folders there, also not root.
    let ended = person.run(&["connect", "cursor", "--file", "/proc/dormouse/mcp.json"]).await;
    assert!(ended.code == Some(1) && ended.err.contains("/proc/dormouse"), "{ended:?}");
    let servers = json!({"mcpServers": {"fix": Fixture::new().entry()}}).to_string();
    let empty = person.keeps("empty.json", "  \n");
    person.ok(&["connect", "cursor", "--file", empty.to_str().unwrap()]).await;
    assert_eq!(read(&empty)["mcpServers"]["dormouse"]["args"][0], "mcp");
    let mark = person.keeps("mark.json", format!("\u{feff}{servers}"));
    person.ok(&["connect", "cursor", "--file", mark.to_str().unwrap()]).await;
    assert!(text(&mark).starts_with('\u{feff}') && text(&mark).contains("\"fix\""));
}

#[tokio::test]
async fn the_list_says_where_each_client_is_and_who_knows_the_hub() {
    let person = Person::new();
    person.keeps(".cursor/mcp.json", r#"{"mcpServers": {"a": {"command": "x"}}}"#);
    person.keeps(".config/Claude/claude_desktop_config.json", "{");
    person.ok(&["connect", "codex", "--agent", "ada"]).await;
    let (code, list) = person.json(&["connect"]).await;
    assert_eq!((code, all(&list, "client")), (0, CLIENTS.map(|(client, _)| client).to_vec()));
    for (place, (_, path)) in CLIENTS.into_iter().enumerate() {
        assert_eq!(list[place]["file"].as_str().unwrap(), person.home(path).to_str().unwrap());
    }
    let of = |member: &str| list.as_array().unwrap().iter().map(|it| it[member].clone()).collect::<Vec<_>>();
    assert_eq!(of("exists"), [true, false, true, false, true]);
    assert_eq!(of("connected"), [false, false, false, false, true]);
    assert_eq!((&list[2]["servers"], &list[4]["entries"][0]["agent"]), (&json!(1), &json!("ada")));
    let ended = person.ok(&["connect"]).await;
    let words: Vec<&str> = ended.out.lines().map(|line| line.rsplit('\t').next().unwrap()).collect();
    let expected =
        ["unreadable", "no file", "not connected", "no file", "connected by `dormouse` as agent ada"];
    assert_eq!(words, expected);
    assert!(ended.err.contains("claude_desktop_config.json"), "{ended:?}");

    let project = person.home("project");
    std::fs::create_dir(&project).unwrap();
    let project = project.to_str().unwrap();
    person.ok(&["connect", "vscode", "--project", project]).await;
    assert!(person.home("project/.vscode/mcp.json").is_file());
    let (_, list) = person.json(&["connect", "--project", project]).await;
    assert_eq!(all(&list, "client"), ["claude-code", "cursor", "vscode", "codex"]);
    assert_eq!(list[2]["connected"], true);
}

#[tokio::test]
async fn folders_that_a_person_named_are_where_the_files_are() {
    let person = Person::new();
    let (config, codex, claude) = (person.home("c"), person.home("x"), person.home("cc"));
    let variables: [(&str, &Path); 3] =
        [("XDG_CONFIG_HOME", &config), ("CODEX_HOME", &codex), ("CLAUDE_CONFIG_DIR", &claude)];
    for (client, path) in [
        ("claude-desktop", "c/Claude/claude_desktop_config.json"),
        ("claude-code", "cc/.claude.json"),
        ("vscode", "c/Code/User/mcp.json"),
        ("codex", "x/config.toml"),
    ] {
        let ended = person.with(&variables, &["connect", client]).await;
        assert_eq!(ended.code, Some(0), "{client}: {ended:?}");
        assert!(person.home(path).is_file(), "{client}");
    }
    let exported = person.with(&variables, &["config", "import", "codex", "--dry-run"]).await;
    assert_eq!(exported.code, Some(0), "import reads there too: {exported:?}");
}
