//! The program `dormouse` in a space, as a process of its own.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::TestSpace;

/// The program, which cargo puts beside the tests; built once where only the tests were.
///
/// # Panics
/// When it cannot be built.
pub fn binary() -> PathBuf {
    let tests = std::env::current_exe().expect("a test has a program");
    let profile = tests.parent().and_then(|deps| deps.parent()).expect("it lies in `deps`");
    let binary = profile.join("dormouse");
    if !binary.exists() {
        let mut build = std::process::Command::new(env!("CARGO"));
        build.args(["build", "--package", "dormouse-cli"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success());
    }
    binary
}

/// A command of the program, without the settings of who runs the tests; killed with its handle.
pub fn dormouse(space: &TestSpace) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DORMOUSE_") {
            command.env_remove(name);
        }
    }
    command
        .env("DORMOUSE_MODEL", "none")
        .env("DORMOUSE_KEYRING", "false")
        .arg("--space")
        .arg(space.root())
        .kill_on_drop(true);
    command
}

/// Serves a space on a free port; the process and the base of its addresses.
///
/// # Panics
/// When it does not say where it listens.
pub async fn serving(space: &TestSpace) -> (Child, String) {
    let mut command = dormouse(space);
    command.args(["serve", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut hub = command.spawn().expect("the program starts");
    let mut line = String::new();
    let stdout = hub.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).await.expect("a line");
    let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
    (hub, address.to_owned())
}
