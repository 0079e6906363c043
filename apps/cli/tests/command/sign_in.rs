//! Signing in at a server at a URL.

use dormouse_testing::browser::browse;
use dormouse_testing::office::{Habits, Office};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{Cli, PATIENCE, code};

#[tokio::test]
async fn a_person_signs_in_calls_and_signs_out() {
    let (cli, office) = (Cli::new(), Office::open(Habits::default()).await);
    let added = cli.ok(&["servers", "add", "far", "--url", office.url.as_str(), "--oauth"]).await;
    assert!(added.contains("`dormouse servers login far`"), "{added}");
    let refused = cli.run(&["servers", "attach", "far"]).await;
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.err.contains("dormouse servers login far"), "{refused:?}");

    let mut login = cli.command(&["servers", "login", "far"]).spawn().unwrap();
    let mut lines = BufReader::new(login.stdout.take().unwrap()).lines();
    let address = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let page = browse(&address.parse().unwrap()).await.1;
    assert!(page.contains("You can close this window"), "{page}");
    assert_eq!(code(&mut login).await, Some(0));

    // Each command is a hub of its own, and all have the grant.
    assert_eq!(cli.ok(&["tools", "call", "far_echo", "text=in"]).await, "in\n");
    let doctor = cli.run(&["doctor"]).await.out;
    assert!(doctor.contains("sign-ins.json, which only its owner can read"), "{doctor}");
    let entry = cli.ok(&["servers", "entry", "far"]).await;
    assert!(entry.contains("oauth") && !entry.contains("s3cret"), "{entry}");

    let out = cli.run(&["servers", "logout", "far"]).await;
    assert!(out.code == Some(0) && out.err.contains("not signed in at far"), "{out:?}");
    assert_ne!(cli.run(&["tools", "call", "far_echo", "text=in"]).await.code, Some(0));
}

#[tokio::test]
async fn a_person_who_says_no_is_a_failure_of_the_command() {
    let office = Office::open(Habits { denies: true, ..Habits::default() }).await;
    let cli = Cli::new();
    let line = ["servers", "add", "far", "--url", office.url.as_str(), "--oauth", "--agent", "ann"];
    cli.ok(&line).await;
    let mut login = cli.command(&["servers", "login", "far", "--agent", "ann"]).spawn().unwrap();
    let mut lines = BufReader::new(login.stdout.take().unwrap()).lines();
    let address = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    browse(&address.parse().unwrap()).await;
    assert_eq!(code(&mut login).await, Some(5));
    let elsewhere = cli.run(&["servers", "login", "far", "--agent", "bob"]).await;
    assert_eq!(elsewhere.code, Some(3), "{elsewhere:?}");
}
