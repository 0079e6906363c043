//! Many clients at once, and few files that may be open.

use std::process::Stdio;

use dormouse_testing::Process;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::support::{Cli, PATIENCE, code, kill};

/// A hub that stays, started by a shell that has done this before; and its address.
async fn served_after(cli: &Cli, before: &str) -> (Child, String) {
    let wanted = cli.command(&["serve", "--port", "0"]);
    let wanted = wanted.as_std();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{before} && exec \"$0\" \"$@\""));
    shell.arg(wanted.get_program()).args(wanted.get_args());
    for (name, value) in wanted.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = shell.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    (child, line.unwrap().strip_prefix("listening on http://").unwrap().to_owned())
}

/// How many files a process may have open, now and at most.
fn limits(pid: u32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

async fn answer(address: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut said = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut said)).await.unwrap().unwrap();
    said
}

#[tokio::test]
async fn a_crowd_keeps_nobody_from_the_socket_and_no_server_from_starting() {
    let cli = Cli::with_server();
    let (mut hub, address) = served_after(&cli, "ulimit -n 256").await;
    let mut crowd = Vec::new();
    for _ in 0..128 {
        crowd.push(TcpStream::connect(&address).await.unwrap());
    }
    for _ in 0..3 {
        let said = answer(&address).await;
        assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("\"too_many_clients\""), "{said}");
    }
    cli.until("nothing of the first contact runs", || cli.servers().is_empty()).await;
    assert_eq!(cli.ok(&["tools", "call", "echo", "text=still"]).await, "still\n");
    drop(crowd);
    // The seats are free as soon as the hub has seen that their clients are gone.
    let again = async {
        loop {
            use tokio::io::AsyncWriteExt;
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let ask = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            // It may be turned away before it has said anything.
            let _ = stream.write_all(ask.as_bytes()).await;
            let mut said = String::new();
            if stream.read_to_string(&mut said).await.is_ok() && said.starts_with("HTTP/1.1 200 ") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    kill("-TERM", &hub).await;
    assert_eq!(code(&mut hub).await, Some(0));
    cli.nothing_left().await;
}

#[tokio::test]
async fn the_hub_takes_as_many_open_files_as_it_may_and_its_servers_what_was_given() {
    let cli = Cli::with_server();
    cli.space.settings("[timing]\nidle_seconds = 'never'");
    let (mut hub, _) = served_after(&cli, "ulimit -S -n 256 && ulimit -H -n 4096").await;
    let (given, most) = ("256".to_owned(), "4096".to_owned());
    assert_eq!(limits(hub.id().unwrap()), (most.clone(), most.clone()));
    cli.ok(&["tools", "call", "pid"]).await;
    let servers: Vec<Process> = cli.servers();
    assert_eq!(servers.len(), 1, "{servers:?}");
    assert_eq!(limits(servers[0].pid), (given, most));
    kill("-TERM", &hub).await;
    assert_eq!(code(&mut hub).await, Some(0));
    cli.nothing_left().await;
}
