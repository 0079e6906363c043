//! Settings, and what is wrong with them.

use serde_json::Value;

use crate::support::{Cli, code, kill};

#[tokio::test]
async fn wrong_settings_are_named_and_nothing_starts() {
    let cli = Cli::with_server();
    cli.space.settings("modell = 'none'");
    for args in [&["tools", "list"][..], &["config", "show"], &["serve"]] {
        let ended = cli.run(args).await;
        assert_eq!(ended.code, Some(9), "{args:?}: {ended:?}");
        assert!(ended.err.contains("dormouse.toml") && ended.err.contains("modell"), "{args:?}: {ended:?}");
    }
    let ended = cli.run(&["config", "validate"]).await;
    assert_eq!(ended.code, Some(9), "{ended:?}");
    assert!(ended.out.contains("modell"), "{ended:?}");
}

#[tokio::test]
async fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let cli = Cli::new();
    cli.space.settings("model = 'ollama'\n[http]\nport = 7");
    let shown = cli.ok(&["--json", "config", "show"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    // The tests run with `DORMOUSE_MODEL=none`.
    assert_eq!((shown["model"].as_str(), shown["http"]["port"].as_u64()), (Some("none"), Some(7)));
    let shown = cli.ok(&["--json", "--model", "openai:x", "config", "show"]).await;
    assert!(shown.contains(r#""model":"openai:x""#), "{shown}");
    let unknown = cli.run(&["--storage", "floppy", "tools", "list"]).await;
    assert_eq!(unknown.code, Some(9), "{unknown:?}");
    assert!(unknown.err.contains("`floppy` is no storage"), "{unknown:?}");
}

#[tokio::test]
async fn doctor_names_the_file_that_is_no_server() {
    let cli = Cli::new();
    cli.space.script("broken", "def (:\n");
    cli.space.write("mcp.json", "{\"mcpServers\": {\"x\": {\"command\": 7}}}");
    let ended = cli.run(&["doctor"]).await;
    assert!(ended.out.contains("broken.py\tleft aside\t"), "{ended:?}");
    assert!(ended.out.contains("mcp.json"), "{ended:?}");
    let ended = cli.run(&["config", "validate"]).await;
    assert_eq!(ended.code, Some(9), "{ended:?}");
    assert!(ended.out.contains("mcpServers.x.command"), "{ended:?}");
}

#[tokio::test]
async fn an_agent_is_told_what_is_wrong_with_its_entries_by_the_hub_or_the_file() {
    let cli = Cli::new();
    let entries =
        r#"{"mcpServers": {"x": {"command": 7}, "y": {"command": 8, "dormouse": {"agent": "ann"}}}}"#;
    cli.space.write("mcp.json", entries);
    let told = async |args: &[&str]| {
        let ended = cli.run(&[&["--json", "config", "validate"], args].concat()).await;
        let found: Value = serde_json::from_str(&ended.out).unwrap();
        let of = |it: &Value| {
            let place = it["place"].as_str().unwrap();
            assert!(place.contains("mcp.json: mcpServers."), "{place}");
            it["server_name"].as_str().unwrap().to_owned()
        };
        let names: Vec<String> = found.as_array().unwrap().iter().map(of).collect();
        (ended.code, names)
    };
    let all = (Some(9), vec!["x".to_owned(), "ybyann".to_owned()]);
    let hers = (Some(9), vec!["y".to_owned()]);
    assert_eq!((told(&[]).await, told(&["--agent", "ann"]).await), (all.clone(), hers.clone()));
    let (mut hub, _) = cli.serve().await;
    assert_eq!((told(&[]).await, told(&["--agent", "ann"]).await), (all, hers));
    assert_eq!(told(&["--agent", "bob"]).await, (Some(0), vec![]));
    kill("-TERM", &hub).await;
    assert_eq!(code(&mut hub).await, Some(0));
}

#[tokio::test]
async fn a_folder_becomes_a_space_once() {
    let cli = Cli::new();
    let folder = cli.space.path().join("new");
    let folder = folder.to_str().unwrap();
    let init = ["--space", folder, "config", "init"];
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dormouse"));
    let ended = command.args(init).output().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert!(std::path::Path::new(folder).join("servers").is_dir());
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dormouse"));
    let ended = command.args(init).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(11), "{ended:?}");
}

#[tokio::test]
async fn reset_keeps_what_was_there() {
    let cli = Cli::new();
    cli.space.settings("modell = 'none'");
    cli.ok(&["config", "reset"]).await;
    cli.ok(&["config", "validate"]).await;
    let kept = std::fs::read_to_string(cli.space.path().join("dormouse.toml.bak")).unwrap();
    assert_eq!(kept, "modell = 'none'");
}

#[tokio::test]
async fn a_mistyped_space_is_not_made() {
    let cli = Cli::new();
    let folder = cli.space.path().join("mistyped");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dormouse"));
    let ended = command.arg("--space").arg(&folder).args(["tools", "list"]).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(9), "{ended:?}");
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_folder_that_is_no_folder_is_an_error_of_the_space() {
    let cli = Cli::new();
    let file = cli.space.write("file", "");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dormouse"));
    let ended = command.arg("--space").arg(file).args(["tools", "list"]).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(9), "{ended:?}");
}
