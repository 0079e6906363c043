//! Runs the binary in a space of its own.

use std::process::Stdio;
use std::time::Duration;

use dormouse_testing::{Fixture, Process, Space, none_left, processes_with_mark};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Longer than anything here takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A space with the binary in it.
pub(crate) struct Cli {
    pub(crate) space: Space,
    mark: String,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Cli {
    /// A space without servers.
    pub(crate) fn new() -> Self {
        let space = Space::new();
        let mark = space.path().file_name().unwrap().to_string_lossy().into_owned();
        Self { space, mark }
    }

    /// A space with one server named `fix` that behaves.
    pub(crate) fn with_server() -> Self {
        let cli = Self::new();
        cli.add("fix", Fixture::new());
        cli
    }

    /// Adds a server whose processes can be found.
    pub(crate) fn add(&self, name: &str, fixture: Fixture) {
        self.space.add(name, &fixture.mark(&self.mark));
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dormouse"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DORMOUSE_") {
                command.env_remove(name);
            }
        }
        // No model of this machine may plan, and no setting of its user may speak.
        command
            .env("DORMOUSE_MODEL", "none")
            // Nothing is left in the keyring of whoever runs the tests.
            .env("DORMOUSE_KEYRING", "false")
            .env("XDG_DATA_HOME", self.space.path().join("home"))
            .arg("--space")
            .arg(self.space.path())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Ended {
        let output = tokio::time::timeout(PATIENCE, self.command(args).output()).await.unwrap().unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command that must do what it is asked; returns what it printed.
    pub(crate) async fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args).await;
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended.out
    }

    /// Starts a hub that stays; returns it and its address.
    pub(crate) async fn serve(&self) -> (Child, String) {
        let mut child = self.command(&["serve", "--port", "0"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        let url = line.unwrap().strip_prefix("listening on ").unwrap().to_owned();
        (child, url)
    }

    /// Waits until a hub of this space listens on its socket.
    pub(crate) async fn socket_there(&self) {
        let socket = self.space.state_folder().join("hub.sock");
        let there = async {
            while !socket.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, there).await.unwrap();
    }

    /// The processes of this space's servers.
    pub(crate) fn servers(&self) -> Vec<Process> {
        processes_with_mark(&self.mark).into_iter().filter(|p| p.command.contains("server.py")).collect()
    }

    /// Waits until no process of a server is left.
    pub(crate) async fn nothing_left(&self) {
        none_left(PATIENCE, || self.servers()).await;
    }
}

/// Sends a signal, as a shell does.
pub(crate) async fn kill(signal: &str, child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(
        Command::new("sh").args(["-c", "kill \"$0\" \"$1\"", signal, &pid]).status().await.unwrap().success()
    );
}

/// Waits for the end of a child whose output nobody wants.
pub(crate) async fn code(child: &mut Child) -> Option<i32> {
    tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap().code()
}
