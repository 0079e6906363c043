//! Lists, calls and questions.

use dormouse_testing::Fixture;
use serde_json::{Value, json};

use crate::support::Cli;

#[tokio::test]
async fn a_call_prints_its_result_and_leaves_no_process() {
    let cli = Cli::with_server();
    assert_eq!(cli.ok(&["tools", "call", "fix_echo", "text=00713"]).await, "00713\n");
    assert_eq!(cli.ok(&["tools", "call", "add", r#"{"a": 2, "b": 3}"#]).await, "5\n");
    assert_eq!(cli.servers(), []);
}

#[tokio::test]
async fn lists_are_lines_with_tabs_off_a_terminal() {
    let cli = Cli::with_server();
    let tools = cli.ok(&["tools", "list"]).await;
    assert!(tools.lines().any(|line| line == "fix_echo\tfix\tReturns the text it was given."), "{tools}");
    let servers = cli.ok(&["servers", "list"]).await;
    assert!(servers.starts_with("fix\t") && servers.contains("\tlive\t"), "{servers}");
    let found = cli.ok(&["tools", "search", "echo a text", "--limit", "1"]).await;
    assert_eq!(found.split('\t').nth(1), Some("fix_echo"), "{found}");
    assert_eq!(cli.ok(&["servers", "list", "--agent", "ann"]).await, "");
}

#[tokio::test]
async fn tools_of_one_server_are_printed_in_the_form_of_a_library() {
    let cli = Cli::with_server();
    cli.add("other", Fixture::new());
    let listed = cli.ok(&["tools", "list", "--server", "other"]).await;
    assert!(!listed.is_empty() && listed.lines().all(|line| line.starts_with("other_")), "{listed}");
    let formed = cli.ok(&["tools", "list", "--server", "other", "--format", "langchain"]).await;
    let formed: Value = serde_json::from_str(&formed).unwrap();
    let formed = formed.as_array().unwrap();
    assert_eq!(formed.len(), listed.lines().count());
    assert!(formed.iter().all(|tool| tool["args_schema"].is_object()), "{formed:?}");
    assert_eq!(cli.run(&["tools", "list", "--server", "othr"]).await.code, Some(3));
    assert_eq!(cli.run(&["tools", "list", "--format", "xml"]).await.code, Some(2));
    cli.nothing_left().await;
}

#[tokio::test]
async fn json_is_what_the_hub_said() {
    let cli = Cli::with_server();
    // The first contact is behind us then: the call finds its server asleep.
    cli.ok(&["tools", "list"]).await;
    let said: Value =
        serde_json::from_str(&cli.ok(&["--json", "tools", "call", "echo", "text=x"]).await).unwrap();
    assert_eq!((&said["result"], &said["outcome"], &said["woke"]), (&json!("x"), &json!("ok"), &json!(true)));
    let said: Value = serde_json::from_str(&cli.ok(&["--json", "servers", "show", "fix"]).await).unwrap();
    assert_eq!((&said["name"], &said["status"]), (&json!("fix"), &json!("dormant")));
}

#[tokio::test]
async fn every_fault_has_its_exit_code_and_its_words() {
    let cli = Cli::with_server();
    cli.add("dead", Fixture::new().complains(&["no such config: /etc/dead"]).exits_at_start(3));
    for (args, code, said) in [
        (&["tools", "call", "fix_ecko"][..], 3, "did you mean `fix_echo`"),
        (&["servers", "show", "nobody"], 3, "no server is named `nobody`"),
        (&["tools", "call", "add", "a=2", "b=many"], 4, "b"),
        (&["tools", "call", "add", "a"], 2, "`a` is no argument"),
        (&["servers", "attach", "dead"], 5, "no such config: /etc/dead"),
        (&["tools", "call", "fail", "message=too bad"], 6, "too bad"),
        (&["tools", "call", "crash"], 7, "may have run"),
        (&["tools", "call", "pause", "seconds=30", "--timeout", "1"], 7, "may have run"),
        (&["servers", "wait", "fix", "--state", "warning", "--timeout", "0.1"], 10, "after 0.1 s"),
        (&["token", "revoke", "nobody"], 3, "no token is named"),
    ] {
        let ended = cli.run(args).await;
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert!(ended.err.contains(said) && ended.err.contains("error: "), "{args:?}: {ended:?}");
        assert_eq!(ended.out, "", "{args:?}");
    }
    cli.nothing_left().await;
}

#[tokio::test]
async fn a_question_is_answered_on_stdout_and_traced_on_stderr() {
    let cli = Cli::with_server();
    let ended = cli.run(&["ask", "echo", "\"good night\""]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out, "good night\n", "{ended:?}");
    for said in ["candidates", "plan", "call", "result", "sleep"] {
        assert!(ended.err.contains(&format!(" s  {said}")), "{said}: {ended:?}");
    }
    let quiet = cli.run(&["--quiet", "ask", "echo \"good night\""]).await;
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("good night\n", ""));
    let told = cli.ok(&["history", "show"]).await;
    assert_eq!(told.lines().count(), 4, "{told}");
    cli.ok(&["history", "clear"]).await;
    assert_eq!(cli.ok(&["history", "show"]).await, "");
}

#[tokio::test]
async fn a_command_is_added_shown_and_removed() {
    let cli = Cli::new();
    let fixture = Fixture::new();
    let (program, args) = (fixture.program(), fixture.args());
    let mut line = vec!["servers", "add", "new", "--env", "S=s3cret", "--", program.to_str().unwrap()];
    line.extend(args.iter().map(String::as_str));
    let added = cli.ok(&line).await;
    assert!(added.starts_with("new\t"), "{added}");
    let shown = cli.ok(&["servers", "show", "new"]).await;
    assert!(shown.contains("new_echo") && shown.contains("environment\tS\n"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    cli.ok(&["servers", "remove", "new"]).await;
    assert_eq!(cli.ok(&["tools", "list"]).await, "");
}

#[tokio::test]
async fn a_dropped_script_stays_and_the_command_says_so() {
    let cli = Cli::new();
    let source = "from mcp.server import MCPServer\nm = MCPServer('m')\n@m.tool()\ndef hi() -> str:\n    return 'hi'\n";
    cli.space.script("stays", source);
    let ended = cli.run(&["servers", "remove", "stays"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("its script stays"), "{ended:?}");
    assert!(cli.ok(&["servers", "list"]).await.starts_with("stays\tdormant\t"));
    let ended = cli.run(&["servers", "remove", "stays", "--file"]).await;
    assert!(ended.err.contains("removed stays"), "{ended:?}");
    assert_eq!(cli.ok(&["servers", "list"]).await, "");
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_command_without_a_word() {
    let cli = Cli::with_server();
    let mut child = cli.command(&["tools", "call", "bulk", "bytes=1000000"]).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
    cli.nothing_left().await;
}

#[tokio::test]
async fn many_servers_are_added_from_a_text_a_file_and_standard_input() {
    let cli = Cli::new();
    let entry = Fixture::new().entry();
    let some = json!({"mcpServers": {"one": entry, "bad": {"args": []}}}).to_string();
    let ended = cli.run(&["servers", "add", "--entries", &some]).await;
    assert_eq!(ended.code, Some(11), "{ended:?}");
    assert!(ended.out.contains("one\tadded\t") && ended.out.contains("bad\trefused\t"), "{ended:?}");
    let file = cli.space.path().join("more.json");
    std::fs::write(
        &file,
        json!([{"name": "two", "command": entry["command"], "args": entry["args"]}]).to_string(),
    )
    .unwrap();
    let added = cli.ok(&["servers", "add", "--agent", "ann", "--file", file.to_str().unwrap()]).await;
    assert_eq!(added, "two\tadded\t\n");
    let typed = std::fs::File::open(&file).unwrap();
    let mut command = cli.command(&["servers", "add", "--entries", "-"]);
    let output = command.stdin(typed).output().await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "two\tadded\t\n");
    let servers = cli.ok(&["servers", "list"]).await;
    let names: Vec<&str> = servers.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, ["one", "two", "twobyann"], "{servers}");
    let nothing = cli.run(&["servers", "add", "--entries", "[["]).await;
    assert_eq!(nothing.code, Some(4), "{nothing:?}");
}

#[tokio::test]
async fn records_are_listed_since_a_moment_and_conversations_are_forgotten_with_the_rest() {
    let cli = Cli::with_server();
    cli.ok(&["ask", "echo", "\"good night\""]).await;
    assert_eq!(cli.ok(&["tools", "calls", "--since", "2020-01-01T00:00:00Z"]).await.lines().count(), 1);
    assert_eq!(cli.ok(&["tools", "calls", "--since", "2200-01-01T00:00:00Z"]).await, "");
    cli.ok(&["config", "forget"]).await;
    assert_ne!(cli.ok(&["history", "show"]).await, "");
    let ended = cli.run(&["config", "forget", "--conversations"]).await;
    assert!(ended.err.contains("conversations that are forgotten: 1"), "{ended:?}");
    assert_eq!(cli.ok(&["history", "show"]).await, "");
}
