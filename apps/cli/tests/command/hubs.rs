//! One hub per space: joining it, being it, and leaving nothing behind.

use std::os::unix::net::UnixListener;

use dormouse_testing::Fixture;

use crate::support::{Cli, code, kill};

#[tokio::test]
async fn five_calls_at_once_on_a_fresh_space_all_answer() {
    let cli = Cli::with_server();
    let calls = ["text=0", "text=1", "text=2", "text=3", "text=4"];
    let children: Vec<_> =
        calls.iter().map(|text| cli.command(&["tools", "call", "echo", text]).spawn().unwrap()).collect();
    for (n, child) in children.into_iter().enumerate() {
        let ended = child.wait_with_output().await.unwrap();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert_eq!(String::from_utf8(ended.stdout).unwrap(), format!("{n}\n"));
    }
    cli.nothing_left().await;
    assert!(!cli.space.state_folder().join("hub.sock").exists());
}

#[tokio::test]
async fn a_hub_for_one_command_waits_for_those_who_joined_it() {
    let cli = Cli::with_server();
    let host = cli.command(&["tools", "call", "pause", "seconds=0.3"]).spawn().unwrap();
    cli.socket_there().await;
    let guest = cli.command(&["tools", "call", "pause", "seconds=1.5"]).spawn().unwrap();
    let (host, guest) = (host.wait_with_output().await.unwrap(), guest.wait_with_output().await.unwrap());
    assert_eq!(host.status.code(), Some(0), "{host:?}");
    assert_eq!(guest.status.code(), Some(0), "{guest:?}");
    cli.nothing_left().await;
}

#[tokio::test]
async fn commands_share_the_hub_that_serves() {
    let cli = Cli::with_server();
    cli.space.settings("[timing]\nidle_seconds = 'never'");
    let (mut hub, url) = cli.serve().await;
    let first = cli.ok(&["tools", "call", "pid"]).await;
    assert_eq!(cli.ok(&["tools", "call", "pid"]).await, first);
    let stats = cli.ok(&["stats"]).await;
    assert!(stats.contains("fix\tpid\t2\t2\t0\t"), "{stats}");
    let ended = cli.run(&["--model", "ollama", "--quiet", "tools", "list"]).await;
    assert_eq!(ended.err, "");
    assert!(cli.run(&["--model", "ollama", "tools", "list"]).await.err.contains("--model has no effect"));
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    kill("-TERM", &hub).await;
    assert_eq!(code(&mut hub).await, Some(0));
    assert_eq!(cli.servers(), []);
}

#[tokio::test]
async fn a_killed_hub_and_its_socket_are_no_obstacle() {
    let cli = Cli::with_server();
    let (mut hub, _) = cli.serve().await;
    cli.ok(&["tools", "call", "pid"]).await;
    kill("-KILL", &hub).await;
    assert_eq!(code(&mut hub).await, None);
    assert!(cli.space.state_folder().join("hub.sock").exists());
    assert_eq!(cli.ok(&["tools", "call", "echo", "text=again"]).await, "again\n");
    cli.nothing_left().await;
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let cli = Cli::with_server();
    std::fs::create_dir_all(cli.space.state_folder()).unwrap();
    drop(UnixListener::bind(cli.space.state_folder().join("hub.sock")).unwrap());
    assert_eq!(cli.ok(&["tools", "call", "echo", "text=x"]).await, "x\n");
}

#[tokio::test]
async fn an_interrupted_command_ends_its_servers_and_says_nothing() {
    let cli = Cli::new();
    cli.add("fix", Fixture::new().will_not_leave());
    let child = cli.command(&["tools", "call", "pause", "seconds=60"]).spawn().unwrap();
    let running = async {
        while cli.servers().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, running).await.unwrap();
    kill("-INT", &child).await;
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
    assert_eq!(cli.servers(), []);
}

#[tokio::test]
async fn where_others_could_listen_a_token_is_needed() {
    let cli = Cli::new();
    let ended = cli.run(&["serve", "--host", "0.0.0.0", "--port", "0"]).await;
    assert!(ended.err.starts_with("error: "), "{ended:?}");
    assert_eq!(ended.code, Some(11), "{ended:?}");
    assert!(ended.err.contains("hint: make a token"), "{ended:?}");

    let token = cli.ok(&["token", "create", "ci", "--agent", "ann"]).await;
    assert!(token.starts_with("dormouse_"), "{token}");
    assert_eq!(cli.run(&["token", "create", "ci"]).await.code, Some(11));
    let listed = cli.ok(&["token", "list"]).await;
    assert!(listed.starts_with("ci\tagent ann\t") && !listed.contains(token.trim()), "{listed}");
    cli.ok(&["token", "revoke", "ci"]).await;
    assert_eq!(cli.ok(&["token", "list"]).await, "");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let cli = Cli::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = cli.run(&["serve", "--port", &port]).await;
    assert_eq!(ended.code, Some(11), "{ended:?}");
    assert!(ended.err.contains(&port) && ended.err.contains("hint: name another port"), "{ended:?}");
}
