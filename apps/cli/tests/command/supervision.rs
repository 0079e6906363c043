//! How servers fare and what people want of them, from the command line.

use dormouse_testing::Fixture;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{Cli, PATIENCE, code, kill};

async fn json(cli: &Cli, args: &[&str]) -> Value {
    let line = [&["--json"], args].concat();
    serde_json::from_str(&cli.ok(&line).await).unwrap()
}

#[tokio::test]
async fn a_server_is_checked_stopped_and_connected_again() {
    let cli = Cli::with_server();
    let (mut hub, _) = cli.serve().await;
    assert!(cli.ok(&["servers", "wait", "fix"]).await.starts_with("fix\thealthy"));
    cli.ok(&["servers", "connect", "fix"]).await;
    let checked = cli.ok(&["servers", "check", "fix"]).await;
    assert!(checked.starts_with("fix\tok\t"), "{checked}");

    let gone = cli.ok(&["servers", "disconnect", "fix", "--reason", "lunch"]).await;
    assert_eq!(gone, "fix\tdisconnected\tlunch\n");
    let refused = cli.run(&["tools", "call", "fix_echo", "text=x"]).await;
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.err.contains("servers connect"), "the hint says how it runs again: {refused:?}");
    // Not well, which a script sees by the exit code.
    let checked = cli.run(&["servers", "check"]).await;
    assert_eq!((checked.code, checked.out.as_str()), (Some(5), "fix\tnot ok\tdisconnected\t\tlunch\n"));
    let late = cli.run(&["servers", "wait", "fix", "--change", "--timeout", "0.1"]).await;
    assert_eq!(late.code, Some(10), "{late:?}");
    assert!(cli.ok(&["servers", "connect", "fix"]).await.starts_with("fix\t"));
    assert!(cli.ok(&["servers", "refresh", "fix"]).await.starts_with("fix\t"));
    assert_eq!(cli.run(&["servers", "check", "nobody"]).await.code, Some(3));
    assert_eq!(cli.run(&["servers", "wait", "fix", "--change", "--status", "healthy"]).await.code, Some(2));
    kill("-TERM", &hub).await;
    assert_eq!(code(&mut hub).await, Some(0));
    cli.nothing_left().await;
}

#[tokio::test]
async fn alerts_are_raised_listed_and_cleared() {
    let cli = Cli::with_server();
    let (mut hub, _) = cli.serve().await;
    let raised =
        cli.ok(&["alerts", "raise", "slow", "since noon", "--server", "fix", "--level", "error"]).await;
    assert!(raised.ends_with("\terror\tfix\tslow\tsince noon\n"), "{raised}");
    assert_eq!(cli.ok(&["alerts", "list"]).await, raised);
    assert_eq!(cli.ok(&["alerts", "--agent", "ann", "list"]).await, "");
    assert_eq!(cli.run(&["alerts", "--agent", "ann", "clear"]).await.code, Some(11));
    assert_eq!(cli.run(&["alerts", "raise", ""]).await.code, Some(4));
    assert_eq!(json(&cli, &["alerts", "clear"]).await["cleared"], 1);
    assert_eq!(cli.ok(&["alerts", "list"]).await, "");
    kill("-TERM", &hub).await;
    assert_eq!(code(&mut hub).await, Some(0));
}

#[tokio::test]
async fn events_are_told_from_the_past_into_the_future() {
    let cli = Cli::with_server();
    let (mut hub, _) = cli.serve().await;
    cli.ok(&["alerts", "raise", "first"]).await;
    let recent = cli.ok(&["events"]).await;
    assert!(
        recent.lines().any(|line| line.contains("\talert\t") && line.contains("title=first")),
        "{recent}"
    );
    // Which is the last one, nobody knows: the server's first contact tells events too.
    assert_eq!(json(&cli, &["events", "--limit", "1"]).await.as_array().map(Vec::len), Some(1));
    assert_eq!(cli.run(&["events", "--limit", "0"]).await.code, Some(4));

    let mut follower = cli.command(&["--json", "events", "--follow"]).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next_alert = async || -> Value {
        loop {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if event["data"]["title"].is_string() {
                return event["data"]["title"].clone();
            }
        }
    };
    assert_eq!(next_alert().await, "first");
    cli.ok(&["alerts", "raise", "second"]).await;
    assert_eq!(next_alert().await, "second");
    kill("-TERM", &hub).await;
    assert_eq!(code(&mut hub).await, Some(0));
    assert_eq!(code(&mut follower).await, Some(0), "it ends with the hub");
}

#[tokio::test]
async fn supervision_is_shown_changed_and_kept() {
    let cli = Cli::new();
    let shown = cli.ok(&["config", "supervision"]).await;
    assert!(shown.contains("probe_seconds\t30\t30\t10 to 300\n"), "{shown}");
    cli.ok(&["config", "supervision", "probe_seconds=60", "refresh_hours=0.5"]).await;
    let kept = json(&cli, &["config", "supervision"]).await;
    assert_eq!(kept["settings"]["probe_seconds"], 60, "another hub reads it");
    let refused = cli.run(&["config", "supervision", "probe_seconds=1", "colour=red"]).await;
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.err.contains("from 10 to 300") && refused.err.contains("`colour`"), "{refused:?}");
    assert_eq!(cli.run(&["config", "supervision", "probe_seconds"]).await.code, Some(2));
    let back = cli.ok(&["config", "supervision", "probe_seconds=", "refresh_hours="]).await;
    assert_eq!(back, shown);
}

#[tokio::test]
async fn an_agent_is_shown_in_numbers_and_removed_with_all_that_it_has() {
    let cli = Cli::with_server();
    let (mut hub, _) = cli.serve().await;
    let fixture = Fixture::new();
    let entry = fixture.entry().to_string();
    cli.ok(&["servers", "--agent", "ann", "add", "own", "--entry", &entry]).await;
    cli.ok(&["servers", "share", "fix", "ann"]).await;
    cli.ok(&["tools", "--agent", "ann", "call", "own_echo", "text=x"]).await;
    let shown = cli.ok(&["agents", "show", "ann"]).await;
    assert!(shown.contains("own servers\t1\n") && shown.contains("calls\t1, 0 not ok\n"), "{shown}");
    assert!(shown.contains("\nown\t") && shown.contains("\nfix\t"), "{shown}");
    let stats = cli.ok(&["stats", "--agent", "ann"]).await;
    assert!(stats.contains("own\techo\t1\t1\t0\t") && !stats.contains("ann"), "{stats}");
    assert_eq!(cli.run(&["agents", "show", "nobody"]).await.code, Some(3));

    cli.ok(&["token", "create", "key", "--agent", "ann"]).await;
    let gone = cli.run(&["agents", "remove", "ann"]).await;
    assert_eq!((gone.code, gone.out.as_str()), (Some(0), "own\tann\n"), "{gone:?}");
    assert!(gone.err.contains("1 shared") && gone.err.contains("token still opens it: key"), "{gone:?}");
    assert_eq!(cli.ok(&["agents", "list"]).await, "");
    kill("-TERM", &hub).await;
    assert_eq!(code(&mut hub).await, Some(0));
    cli.nothing_left().await;
}
