//! Agents with servers and views of their own.

use dormouse_testing::Fixture;
use serde_json::Value;

use crate::support::Cli;

/// What a command prints as JSON.
async fn json(cli: &Cli, args: &[&str]) -> Value {
    let line = [&["--json"], args].concat();
    serde_json::from_str(&cli.ok(&line).await).unwrap()
}

async fn tools(cli: &Cli, view: &[&str]) -> Vec<String> {
    let listed = cli.ok(&[&["tools", "list"], view].concat()).await;
    listed.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_agent_has_its_own_servers_and_those_that_it_shares() {
    let cli = Cli::with_server();
    let fixture = Fixture::new();
    let (program, args) = (fixture.program(), fixture.args());
    let mut line = vec!["servers", "--agent", "ann", "add", "own", "--", program.to_str().unwrap()];
    line.extend(args.iter().map(String::as_str));
    assert!(cli.ok(&line).await.starts_with("own\t"));

    let servers = json(&cli, &["servers", "list"]).await;
    let mut owners: Vec<_> = servers.as_array().unwrap().iter().map(|s| s["owner"].as_str()).collect();
    owners.sort();
    assert_eq!(owners, [None, Some("ann")], "{servers}");
    assert_eq!(cli.ok(&["servers", "--agent", "bob", "list"]).await, "");
    assert_eq!(tools(&cli, &["--agent", "ann"]).await.iter().filter(|t| t.starts_with("fix_")).count(), 0);

    cli.ok(&["servers", "share", "fix", "ann"]).await;
    assert!(cli.ok(&["agents", "list"]).await.starts_with("ann\t1\t1\t"));
    let call = ["tools", "--agent", "ann", "call", "fix_echo", "text=shared"];
    assert_eq!(cli.ok(&call).await, "shared\n");
    cli.ok(&["servers", "unshare", "fix", "ann"]).await;
    assert_eq!(cli.run(&call).await.code, Some(3));

    let own = json(&cli, &["config", "servers", "--agent", "ann"]).await;
    assert!(own["mcpServers"]["own"].is_object() && own["mcpServers"]["fix"].is_null(), "{own}");
    assert!(cli.ok(&["config", "forget", "--agent", "ann"]).await.starts_with("own\tann"));
    assert_eq!(cli.ok(&["agents", "list"]).await, "");
    assert!(cli.ok(&["servers", "list"]).await.starts_with("fix\t"));
    cli.nothing_left().await;
}

#[tokio::test]
async fn a_tool_shows_in_each_view_as_that_view_says() {
    let cli = Cli::with_server();
    cli.ok(&["servers", "share", "fix", "ann"]).await;
    let ann = ["--agent", "ann"];
    cli.ok(&["tools", "rename", "fix_echo", "say", "--agent", "ann"]).await;
    let said = cli.ok(&["tools", "describe", "say", "Says it again.", "--agent", "ann"]).await;
    assert_eq!(said, "say\tfix\tenabled\tSays it again.\n");
    assert!(cli.ok(&["tools", "disable", "say", "--agent", "ann"]).await.contains("\tdisabled\t"));
    assert!(!tools(&cli, &ann).await.contains(&"say".to_owned()));
    let all = cli.ok(&["tools", "list", "--all", "--agent", "ann"]).await;
    assert!(all.contains("say\tfix\tSays it again.\tdisabled\n"), "{all}");
    assert!(cli.ok(&["tools", "show", "say", "--agent", "ann"]).await.contains("state\tdisabled\n"));
    assert!(cli.ok(&["tools", "stats", "--agent", "ann"]).await.contains("\tdisabled\n"));
    assert_eq!(cli.run(&["tools", "call", "say", "text=x", "--agent", "ann"]).await.code, Some(3));
    assert!(tools(&cli, &[]).await.contains(&"fix_echo".to_owned()));

    // What was said of it before stays.
    let said = cli.ok(&["tools", "enable", "say", "--agent", "ann"]).await;
    assert_eq!(said, "say\tfix\tenabled\tSays it again.\n");
    assert_eq!(cli.ok(&["tools", "call", "say", "text=x", "--agent", "ann"]).await, "x\n");
    cli.ok(&["tools", "rename", "say", "--agent", "ann"]).await;
    assert!(tools(&cli, &ann).await.contains(&"fix_echo".to_owned()));
}

#[tokio::test]
async fn calls_are_told_of_and_counted() {
    let cli = Cli::with_server();
    let (mut hub, _) = cli.serve().await;
    cli.ok(&["tools", "call", "echo", "text=x"]).await;
    cli.run(&["tools", "call", "fail", "message=bad"]).await;
    let failed = cli.ok(&["tools", "calls", "--outcome", "tool_error", "--server", "fix"]).await;
    assert_eq!(failed.lines().count(), 1, "{failed}");
    assert!(failed.contains("\tfix\tfail\ttool_error\t"), "{failed}");
    assert_eq!(cli.ok(&["tools", "calls", "--limit", "1"]).await, failed);
    let stats = cli.ok(&["tools", "stats"]).await;
    assert!(stats.contains("fix_echo\tfix\t1\t0\t") && stats.contains("fix_fail\tfix\t1\t1\t"), "{stats}");
    crate::support::kill("-TERM", &hub).await;
    assert_eq!(crate::support::code(&mut hub).await, Some(0));
}

#[tokio::test]
async fn an_entry_is_changed_in_part_and_as_a_whole() {
    let cli = Cli::with_server();
    let before = json(&cli, &["servers", "entry", "fix"]).await["entry"].clone();
    cli.ok(&["servers", "update", "fix", "--entry", r#"{"env": {"S": "s3cret"}}"#]).await;
    let shown = cli.ok(&["servers", "entry", "fix"]).await;
    assert!(shown.contains("\"S\"") && !shown.contains("s3cret"), "{shown}");
    cli.ok(&["servers", "update", "fix", "--replace", "--entry", &before.to_string()]).await;
    assert!(!cli.ok(&["servers", "entry", "fix"]).await.contains("\"S\""));
    assert_eq!(cli.ok(&["tools", "call", "echo", "text=x"]).await, "x\n");
    let refused = cli.run(&["servers", "update", "nobody", "--entry", "{}"]).await;
    assert_eq!(refused.code, Some(3), "{refused:?}");
}

#[tokio::test]
async fn resources_are_read_and_prompts_are_got() {
    let cli = Cli::with_server();
    let listed = cli.ok(&["resources", "list"]).await;
    assert!(listed.starts_with("fixture://greeting\tfix\t"), "{listed}");
    assert!(!cli.ok(&["resources", "read", "fixture://greeting"]).await.trim().is_empty());
    assert_eq!(cli.run(&["resources", "read", "fixture://nothing"]).await.code, Some(3));
    assert!(cli.ok(&["prompts", "list"]).await.starts_with("greet\tfix\twho\t"));
    let got = cli.ok(&["prompts", "get", "greet", "who=Ann"]).await;
    assert!(got.starts_with("user\t") && got.contains("Ann"), "{got}");
    cli.nothing_left().await;
}
