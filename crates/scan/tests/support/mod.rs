//! Real Python environments and servers for the tests of this crate.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use dormouse_types::Features;
use serde_json::{Value, json};

/// The folder that keeps environments between runs.
fn cache_folder() -> PathBuf {
    match std::env::var_os("DORMOUSE_TEST_CACHE") {
        Some(folder) => folder.into(),
        None => workspace().join("target/test-envs"),
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What an environment holds, by the list that `cargo xtask setup` works from.
fn requirements(name: &str) -> Vec<String> {
    let list = fs::read_to_string(workspace().join("xtask/test-envs.toml")).unwrap();
    let list: toml::Table = list.parse().unwrap();
    let requirements = list[name]["requirements"].as_array().unwrap();
    requirements.iter().map(|requirement| requirement.as_str().unwrap().to_owned()).collect()
}

/// The interpreter of an environment: the one of `cargo xtask setup`, else our own, built by one process at a time.
pub(crate) fn interpreter(name: &str) -> PathBuf {
    let ready = cache_folder().join(name);
    if ready.join("made-from").exists() {
        return ready.join("bin/python");
    }
    let folder = cache_folder().join(format!("scan-{name}"));
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join(".lock")).unwrap();
    lock.lock().unwrap();
    let requirements = requirements(name);
    let python = folder.join("venv/bin/python");
    let marker = folder.join("made-from");
    if fs::read_to_string(&marker).ok() != Some(requirements.join(" ")) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")));
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(&requirements));
        fs::write(&marker, requirements.join(" ")).unwrap();
    }
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A child that is gone when this is.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a script serves when it runs.
pub(crate) fn live(python: &Path, script: &Path) -> Result<Features, String> {
    let errors = tempfile::tempfile().unwrap();
    let mut server = Server(
        Command::new(python)
            .arg(script)
            .env("PYTHONWARNINGS", "ignore")
            .env("FASTMCP_CHECK_FOR_UPDATES", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone().unwrap())
            .spawn()
            .unwrap(),
    );
    let mut input = server.0.stdin.take().unwrap();
    let output = BufReader::new(server.0.stdout.take().unwrap());
    let (lines, answers) = mpsc::sync_channel(4096);
    let reader = std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    let mut ask = |id: u64, method: &str, params: Value| -> Option<Value> {
        if id == 2 {
            // The handshake ends with a notification.
            writeln!(input, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).ok()?;
        }
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        writeln!(input, "{request}").ok()?;
        loop {
            let line = answers.recv_timeout(Duration::from_secs(60)).ok()?;
            let Ok(answer) = serde_json::from_str::<Value>(&line) else { continue };
            if answer["id"] == json!(id) {
                return Some(answer["result"].clone());
            }
        }
    };
    let hello = ask(
        1,
        "initialize",
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}),
    );
    if hello.is_none() {
        return Err(said(errors));
    }
    let mut list = |id: u64, method: &str, member: &str| -> Value {
        ask(id, method, json!({})).and_then(|result| result.get(member).cloned()).unwrap_or_else(|| json!([]))
    };
    let features = json!({
        "tools": list(2, "tools/list", "tools"),
        "resources": list(3, "resources/list", "resources"),
        "resourceTemplates": list(4, "resources/templates/list", "resourceTemplates"),
        "prompts": list(5, "prompts/list", "prompts"),
    });
    drop(server);
    reader.join().unwrap();
    Ok(serde_json::from_value(features).unwrap())
}

fn said(mut errors: File) -> String {
    use std::io::{Read, Seek};
    let mut text = String::new();
    errors.rewind().unwrap();
    let _ = errors.read_to_string(&mut text);
    text
}
