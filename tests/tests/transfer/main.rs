//! Servers and records that come from elsewhere and go elsewhere: with real files in homes of their
//! own, by the program, over HTTP and in Rust.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod bad;
mod clients;
mod moving;
mod places;
mod verbs;

use std::path::{Path, PathBuf};

use dormouse_tests::{TestSpace, dormouse};
use serde_json::Value;

/// A person with a home and a space.
struct Person {
    space: TestSpace,
    home: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Person {
    fn new() -> Self {
        Self { space: TestSpace::new(), home: tempfile::tempdir().unwrap() }
    }

    /// A file in the home.
    fn home(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    /// Writes a file in the home.
    fn keeps(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn run(&self, args: &[&str]) -> Ended {
        let mut command = dormouse(&self.space);
        command.env("HOME", self.home.path()).args(args);
        for folder in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR"] {
            command.env_remove(folder);
        }
        let output = command.stdin(std::process::Stdio::null()).output().await.unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command that must do what it is asked; what it printed.
    async fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args).await;
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
        ended.out
    }

    /// What a command prints as JSON, however it ended.
    async fn json(&self, args: &[&str]) -> (i32, Value) {
        let ended = self.run(&[&["--json"], args].concat()).await;
        let said = serde_json::from_str(&ended.out);
        (ended.code, said.unwrap_or_else(|error| panic!("{args:?}: {error}: {ended:?}")))
    }

    /// `mcp.json` of the space.
    fn configured(&self) -> Value {
        read(&self.space.root().join("mcp.json"))
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&text(path)).unwrap()
}

/// Each entry of a report as `name outcome`, sorted.
fn outcomes(report: &Value) -> Vec<String> {
    let entries = report["entries"].as_array().unwrap().iter();
    let word = |entry: &Value, member: &str| entry[member].as_str().unwrap_or_default().to_owned();
    let mut outcomes: Vec<String> = entries
        .map(|entry| {
            let name = entry["server_name"].as_str().map_or_else(|| word(entry, "name"), str::to_owned);
            format!("{name} {}", word(entry, "outcome"))
        })
        .collect();
    outcomes.sort();
    outcomes
}
