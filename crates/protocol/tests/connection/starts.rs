//! Starts that succeed oddly, and starts that fail and leave nothing behind.

use std::collections::BTreeMap;
use std::time::Duration;

use dormouse_protocol::{
    Connection, Exit, LaunchError, Launcher, Offers, Phase, Program, StartError, StartFault,
};
use serde_json::{Value, json};

use crate::shared::{LONG, text};
use crate::support::{children, keeper, lives, open, open_error, python, server, until, written_pids};

/// Short, for starts that hang; long enough for a Python to come up on a loaded machine.
const SHORT: Duration = Duration::from_secs(6);

async fn leaves_nothing(args: &[&str], deadline: Duration) -> StartError {
    let keeper = keeper();
    let error = open_error(&keeper, args, deadline).await;
    assert_eq!(children(keeper.pid().unwrap()), [] as [u32; 0], "{error}");
    keeper.shutdown().await;
    error
}

#[tokio::test]
async fn an_error_at_import_is_told_with_its_traceback() {
    let error = leaves_nothing(&["--exit-at-import"], LONG).await;
    assert_eq!((error.phase, error.exit), (Phase::Handshake, Some(Exit::Code(1))));
    assert_eq!(error.last_words(), Some("ModuleNotFoundError: No module named 'nowhere'"));
    assert!(error.stderr[0].starts_with("Traceback"));
    assert_eq!(error.to_string(), "the server ended during its handshake (exit status 1)");
}

#[tokio::test]
async fn a_hang_at_import_costs_the_deadline() {
    let error = leaves_nothing(&["--hang-at-import"], SHORT).await;
    assert!(matches!(error.fault, StartFault::TimedOut { after: SHORT }), "{error}");
    assert_eq!((error.phase, error.exit), (Phase::Handshake, None));
    assert_eq!(error.stderr, ["importing"]);
    assert_eq!(error.to_string(), "the server failed during its handshake");
}

#[tokio::test]
async fn a_server_deaf_to_everything_is_killed_at_the_deadline() {
    let error = leaves_nothing(&["--deaf"], SHORT).await;
    assert!(matches!(error.fault, StartFault::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn garbage_is_recorded_with_the_failure() {
    let error = leaves_nothing(&["--garbage"], SHORT).await;
    assert!(matches!(error.fault, StartFault::TimedOut { .. }), "{error}");
    assert_eq!(error.noise.lines, 1000);
    assert!(error.noise.last[0].starts_with("garbage"));
}

#[tokio::test]
async fn a_closed_output_is_an_end() {
    let error = leaves_nothing(&["--close-output"], LONG).await;
    assert!(matches!(error.fault, StartFault::Ended), "{error}");
    assert_eq!(error.exit, None);
}

#[tokio::test]
async fn a_refused_or_odd_handshake_is_told() {
    let error = leaves_nothing(&["--refuse-handshake"], LONG).await;
    let StartFault::Answer { answer } = &error.fault else { panic!("{error}") };
    assert_eq!(answer, "error -32000: not today");
    let error = leaves_nothing(&["--odd-handshake"], LONG).await;
    assert!(matches!(error.fault, StartFault::Answer { .. }), "{error}");
}

#[tokio::test]
async fn an_end_after_the_handshake_is_an_end_in_the_listing() {
    let error = leaves_nothing(&["--exit-after-handshake"], LONG).await;
    assert_eq!(error.exit, Some(Exit::Code(7)));
}

#[tokio::test]
async fn a_hang_in_the_listing_costs_the_deadline() {
    let error = leaves_nothing(&["--hang-in-list"], SHORT).await;
    assert_eq!(error.phase, Phase::Listing);
    assert!(matches!(error.fault, StartFault::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn a_failed_start_takes_its_daemons_along() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let error = leaves_nothing(&["--daemon", file.to_str().unwrap(), "--hang-in-list"], SHORT).await;
    assert!(matches!(error.fault, StartFault::TimedOut { .. }), "{error}");
    let daemon = written_pids(&file, 1).await[0];
    assert!(!lives(daemon));
}

#[tokio::test]
async fn dropping_a_start_ends_what_it_began() {
    let keeper = keeper();
    let pid = keeper.pid().unwrap();
    let program = server(&["--hang-at-import"]);
    {
        let start = Connection::open(&keeper, &program, LONG);
        tokio::pin!(start);
        tokio::select! {
            _ = &mut start => panic!("it hangs"),
            () = until("the process", || !children(pid).is_empty()) => {}
        }
    }
    until("the end of the process", || children(pid).is_empty()).await;
    keeper.shutdown().await;
}

#[tokio::test]
async fn one_broken_list_does_not_lose_the_others() {
    let keeper = keeper();
    let connection = open(&keeper, &["--no-prompts-list"]).await;
    assert_eq!(connection.features().tools.len(), 2);
    let faults = connection.list_faults();
    assert_eq!((faults.len(), faults[0].method), (1, "prompts/list"));
    keeper.shutdown().await;
}

#[tokio::test]
async fn pages_are_followed_to_their_end_and_no_further() {
    let keeper = keeper();
    assert_eq!(open(&keeper, &["--pages", "30"]).await.features().tools.len(), 30);
    let greedy = open(&keeper, &["--greedy-pages"]).await;
    assert!(greedy.list_faults()[0].reason.contains("came twice"));
    keeper.shutdown().await;
}

#[tokio::test]
async fn odd_tools_cost_only_themselves() {
    let keeper = keeper();
    let connection = open(&keeper, &["--odd-tools"]).await;
    let features = connection.features();
    let names: Vec<&str> = features.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["good", "bare"]);
    assert_eq!(features.tools[1].input_schema, json!({ "type": "object" }));
    assert_eq!(connection.list_faults().len(), 3);
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_flood_before_the_handshake_does_not_block_the_start() {
    let keeper = keeper();
    let connection = open(&keeper, &["--flood", "20000000"]).await;
    assert_eq!(connection.stderr_tail().len(), 50);
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_child_gets_its_environment_and_nothing_else() {
    let keeper = keeper();
    let mut program = server(&[]);
    program.env = BTreeMap::from([("ONLY".into(), "this = that".into())]);
    let connection = Connection::open(&keeper, &program, LONG).await.unwrap();
    let env: Value = serde_json::from_str(&text(&connection, "env", json!({})).await).unwrap();
    let mut names: Vec<&String> = env.as_object().unwrap().keys().collect();
    names.retain(|name| !["LC_CTYPE", "DORMOUSE_KEEPER_MARK"].contains(&name.as_str()));
    assert_eq!(names, ["ONLY"]);
    assert_eq!(env["ONLY"], "this = that");
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_child_starts_clean() {
    let keeper = keeper();
    let mut program = server(&["an argument with spaces", "", "ü\n"]);
    let folder = tempfile::tempdir().unwrap();
    program.cwd = folder.path().canonicalize().unwrap();
    let connection = Connection::open(&keeper, &program, LONG).await.unwrap();
    let state: Value = serde_json::from_str(&text(&connection, "state", json!({})).await).unwrap();
    assert_eq!(state["argv"], json!(["an argument with spaces", "", "ü\n"]));
    assert_eq!(state["cwd"], program.cwd.to_str().unwrap());
    assert_eq!(state["pid"], connection.pid().unwrap());
    assert_eq!((&state["sid"], &state["pgid"]), (&state["pid"], &state["pid"]));
    // The three pipes, and the one on which it lists its descriptors.
    assert_eq!(state["fds"].as_array().unwrap().len(), 4, "{state}");
    // Blocked: none. Ignored: SIGPIPE (13) and SIGXFSZ (25), by Python itself; 32 and 33 belong
    // to the C library, and what our own parent did to them nobody can undo.
    let masks =
        |at: usize| u64::from_str_radix(state["signals"][at].as_str().unwrap(), 16).unwrap() & !(0b11 << 31);
    assert_eq!((masks(0), masks(1)), (0, 0x0100_1000));
    keeper.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_launched_says_why() {
    let keeper = keeper();
    let launch = async |change: &dyn Fn(&mut Program)| {
        let mut program = server(&[]);
        change(&mut program);
        keeper.launch(&program).await.unwrap_err()
    };
    let error = launch(&|program| program.program = "no-such-program".into()).await;
    assert!(matches!(error, LaunchError::NotFound { .. }), "{error}");
    let error = launch(&|program| program.cwd = "/no/such/folder".into()).await;
    assert!(matches!(error, LaunchError::Directory { .. }), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd");
    std::fs::write(&file, "\x7fELF nonsense").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&file, mode).unwrap();
    let error = launch(&|program| program.program = file.clone().into()).await;
    assert!(matches!(error, LaunchError::Exec { .. }), "{error}");
    let error = launch(&|program| program.args.push("x".repeat(3 << 20).into())).await;
    assert!(matches!(error, LaunchError::TooLarge { .. }), "{error}");
    // One argument over the kernel's own limit, yet within the keeper's.
    let error = launch(&|program| program.args.push("x".repeat(140 << 10).into())).await;
    assert!(matches!(error, LaunchError::Exec { .. }), "{error}");
    let error = launch(&|program| program.args.push("a\0b".into())).await;
    assert!(matches!(error, LaunchError::Unpassable { .. }), "{error}");
    // And the keeper goes on.
    assert_eq!(open(&keeper, &[]).await.features().tools.len(), 2);
    keeper.shutdown().await;
}

#[tokio::test]
async fn a_relative_program_is_found_from_the_working_directory() {
    let keeper = keeper();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(python(), folder.path().join("py")).unwrap();
    let mut program = server(&[]);
    program.program = "./py".into();
    program.cwd = folder.path().to_owned();
    Connection::open(&keeper, &program, LONG).await.unwrap();
    keeper.shutdown().await;
}

#[tokio::test]
async fn offers_are_made_only_on_request() {
    let keeper = keeper();
    let offers = Offers { elicitation: true, sampling: true, roots: true };
    Connection::open_with(&keeper, &server(&[]), LONG, offers).await.unwrap();
    keeper.shutdown().await;
}
