//! Ends: of servers, of the keeper, of the hub. Nothing may be left.

use std::path::Path;
use std::time::{Duration, Instant};

use dormouse_protocol::{Connection, Direct, Exit, Keeper, KeeperError, LaunchError, Launcher};
use serde_json::json;

use crate::shared::{LONG, text};
use crate::support::{children, keeper, lives, open, python, server, until, written_pids};

const GRACE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_server_that_ignores_everything_is_killed_after_the_grace() {
    let keeper = keeper();
    let connection = open(&keeper, &["--ignore-end"]).await;
    let begun = Instant::now();
    let exit = connection.close(Duration::from_millis(300)).await;
    assert_eq!(exit, Exit::Signal(9));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    keeper.shutdown().await;
}

#[tokio::test]
async fn no_grace_is_a_kill_and_hastens_a_slow_close() {
    let keeper = keeper();
    let connection = open(&keeper, &["--ignore-end"]).await;
    let slow = tokio::spawn({
        let connection = connection.clone();
        async move { connection.close(Duration::from_secs(3600)).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(connection.close(Duration::ZERO).await, Exit::Signal(9));
    assert_eq!(slow.await.unwrap(), Exit::Signal(9));
    keeper.shutdown().await;
}

#[tokio::test]
async fn dropping_the_last_handle_kills() {
    let keeper = keeper();
    let connection = open(&keeper, &["--ignore-end"]).await;
    let pid = connection.pid().unwrap();
    let other = connection.clone();
    drop(connection);
    assert_eq!(text(&other, "echo", json!({ "text": "x" })).await, "x");
    drop(other);
    until("the end of the server", || !lives(pid)).await;
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_daemon_ends_with_its_server_and_not_with_another() {
    let keeper = keeper();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let one = open(&keeper, &["--daemon", file("one").to_str().unwrap()]).await;
    let two = open(&keeper, &["--daemon", file("two").to_str().unwrap()]).await;
    let first = written_pids(&file("one"), 1).await[0];
    let second = written_pids(&file("two"), 1).await[0];
    assert!(lives(first) && lives(second));
    assert_eq!(one.close(GRACE).await, Exit::Code(0));
    assert!(!lives(first), "the daemon of the server that ended");
    assert!(lives(second), "the daemon of the server that lives");
    two.close(GRACE).await;
    assert!(!lives(second));
    assert_eq!(children(keeper.pid().unwrap()), [] as [u32; 0]);
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_daemon_without_a_mark_ends_when_no_server_can_be_its_own_any_more() {
    let keeper = keeper();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let one = open(&keeper, &["--bare-daemon", file.to_str().unwrap()]).await;
    let daemon = written_pids(&file, 1).await[0];
    let two = open(&keeper, &[]).await;
    // The second server is younger than the daemon, so it cannot have made it.
    one.close(GRACE).await;
    assert!(!lives(daemon));
    let args = json!({ "path": file, "keep_mark": false });
    text(&two, "daemon", args).await;
    let daemon = written_pids(&file, 2).await[1];
    let three = open(&keeper, &[]).await;
    three.close(GRACE).await;
    assert!(lives(daemon), "the second server may own it, and lives");
    two.close(GRACE).await;
    assert!(!lives(daemon));
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_crash_takes_the_daemons_along() {
    let keeper = keeper();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let connection = open(&keeper, &["--daemon", file.to_str().unwrap()]).await;
    let daemon = written_pids(&file, 1).await[0];
    kill(connection.pid().unwrap());
    assert_eq!(connection.closed().await, Exit::Signal(9));
    assert!(!lives(daemon));
    keeper.shutdown().await;
}

#[tokio::test]
async fn shutdown_ends_all_and_later_launches_are_refused() {
    let keeper = keeper();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let deaf = open(&keeper, &["--ignore-end", "--daemon", file.to_str().unwrap()]).await;
    let daemon = written_pids(&file, 1).await[0];
    let pid = keeper.pid().unwrap();
    keeper.shutdown().await;
    assert!(!lives(deaf.pid().unwrap()) && !lives(daemon) && !lives(pid));
    assert_eq!(deaf.closed().await, Exit::Lost);
    let error = keeper.launch(&server(&[])).await.unwrap_err();
    assert!(matches!(error, LaunchError::Keeper { source: KeeperError::ShutDown }), "{error}");
}

#[tokio::test]
async fn a_dead_keeper_takes_all_along_and_is_replaced() {
    let keeper = keeper();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let connection = open(&keeper, &["--daemon", file.to_str().unwrap()]).await;
    let daemon = written_pids(&file, 1).await[0];
    let (server, old) = (connection.pid().unwrap(), keeper.pid().unwrap());
    kill(old);
    assert_eq!(connection.closed().await, Exit::Lost);
    until("the end of the server", || !lives(server)).await;
    until("the end of the daemon", || !lives(daemon)).await;
    let next = open(&keeper, &[]).await;
    assert_ne!(keeper.pid(), Some(old));
    assert_eq!(text(&next, "echo", json!({ "text": "again" })).await, "again");
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_python_that_is_none_is_told() {
    let error = Keeper::start(Path::new("/no/such/python")).unwrap_err();
    assert!(matches!(error, KeeperError::Spawn { .. }), "{error}");
    let odd = Keeper::start(Path::new("/bin/false")).unwrap();
    let error = odd.launch(&server(&[])).await.unwrap_err();
    assert!(matches!(error, LaunchError::Keeper { .. }), "{error}");
}

#[tokio::test]
async fn the_keeper_guarantees_all_on_this_machine_and_sleeps_when_nothing_happens() {
    let keeper = keeper();
    let connection = open(&keeper, &[]).await;
    assert_eq!(keeper.weaknesses(), [] as [String; 0]);
    connection.close(GRACE).await;
    let pid = keeper.pid().unwrap();
    // In `poll` without a timeout, after the last of its work.
    until("the keeper's sleep", || {
        std::fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(|call| {
            let fields: Vec<&str> = call.split_whitespace().collect();
            // poll(fds, count, -1) on x86-64; on others only that it sleeps in a call.
            fields.first() != Some(&"running")
                && (!cfg!(target_arch = "x86_64")
                    || (fields[0] == "7" && fields[3].trim_start_matches("0x").ends_with("ffffffff")))
        })
    })
    .await;
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_hundred_launches_leave_no_process_and_no_descriptor() {
    // In a process of its own: other tests of this one open descriptors too.
    let status = itself("ends::the_hundred_launches", Path::new("")).status().await.unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn the_hundred_launches() {
    if std::env::var_os(HUB).is_none() {
        return;
    }
    let keeper = keeper();
    let pid = keeper.pid().unwrap();
    let descriptors = |pid: &str| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let both = || (descriptors("self"), descriptors(&pid.to_string()));
    // Ten at once, so that the numbers before and after mean the same.
    let round = async || {
        let servers = (0..10).map(|number| {
            let keeper = keeper.clone();
            tokio::spawn(async move {
                let connection = open(&keeper, &[]).await;
                text(&connection, "echo", json!({ "text": "x" })).await;
                // Politely, by force, and by forgetting.
                match number % 3 {
                    0 => drop(connection.close(GRACE).await),
                    1 => drop(connection.close(Duration::ZERO).await),
                    _ => {
                        let pid = connection.pid().unwrap();
                        drop(connection);
                        until("the end of the server", || !lives(pid)).await;
                    }
                }
            })
        });
        for server in servers.collect::<Vec<_>>() {
            server.await.unwrap();
        }
        until("the last child's end", || children(pid).is_empty()).await;
    };
    round().await;
    let before = both();
    for _ in 0..9 {
        round().await;
    }
    let settled = Instant::now();
    while both() != before {
        assert!(settled.elapsed() < LONG, "descriptors {before:?} became {:?}", both());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(children(pid), [] as [u32; 0]);
    keeper.shutdown().await;
}

#[tokio::test]
async fn without_a_keeper_a_server_and_its_group_end_too() {
    let polite = Connection::open(&Direct, &server(&[]), LONG).await.unwrap();
    assert_eq!(text(&polite, "echo", json!({ "text": "x" })).await, "x");
    assert_eq!(polite.close(GRACE).await, Exit::Code(0));
    let deaf = Connection::open(&Direct, &server(&["--ignore-end"]), LONG).await.unwrap();
    assert_eq!(deaf.close(Duration::from_millis(100)).await, Exit::Signal(9));
    let forgotten = Connection::open(&Direct, &server(&["--ignore-end"]), LONG).await.unwrap();
    let pid = forgotten.pid().unwrap();
    drop(forgotten);
    until("the end of the server", || !lives(pid)).await;
    let error = Connection::open(&Direct, &server(&["--exit-at-import"]), LONG).await.unwrap_err();
    assert_eq!(error.exit, Some(Exit::Code(1)));
}

/// Tells a test that it is a process of its own, and the folder that it works in.
const HUB: &str = "DORMOUSE_TEST_HUB";

/// This test binary again, to run one test.
fn itself(test: &str, folder: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(HUB, folder)
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn nothing_outlives_a_hub_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (daemons, report) = (folder.path().join("daemons"), folder.path().join("report"));
    let mut hub = itself("ends::the_hub_that_is_killed", folder.path()).spawn().unwrap();
    // The keeper, three servers, three daemons.
    let mut pids = written_pids(&report, 4).await;
    pids.extend(written_pids(&daemons, 3).await);
    assert!(pids.iter().all(|pid| lives(*pid)));
    hub.kill().await.unwrap();
    for pid in pids {
        until("the end of all", || !lives(pid)).await;
    }
}

#[tokio::test]
async fn the_hub_that_is_killed() {
    let Some(folder) = std::env::var_os(HUB) else { return };
    let folder = Path::new(&folder);
    let daemons = folder.join("daemons");
    let keeper = Keeper::start(&python()).unwrap();
    let mut report = format!("{}\n", keeper.pid().unwrap());
    let mut servers = Vec::new();
    for args in [["--daemon"], ["--daemon"], ["--bare-daemon"]] {
        let mut program = server(&args);
        program.args.push(daemons.clone().into());
        program.args.push("--ignore-end".into());
        servers.push(Connection::open(&keeper, &program, LONG).await.unwrap());
    }
    for server in &servers {
        report.push_str(&format!("{}\n", server.pid().unwrap()));
    }
    std::fs::write(folder.join("report"), report).unwrap();
    tokio::time::sleep(LONG).await;
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
