//! What the suite is run against: the fixture server, and a hub with it as its server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Way;
use crate::run::{cargo, must_run, program};
use crate::setup::env_python;
use crate::workspace::root;

const FIXTURE: &str = "tests/conformance/fixture/server.py";

/// Our own programs that take part.
pub(crate) struct Programs {
    pub(crate) hub: PathBuf,
    pub(crate) client: PathBuf,
}

/// Builds them.
pub(crate) fn build(target: &Path) -> Result<Programs> {
    let client = "conformance_client";
    // Together: each by itself would be built with other features, and much of it twice.
    let mut build = cargo();
    build.args(["build", "--package", "dormouse-cli", "--package", "dormouse-tests"]);
    must_run(build.args(["--bin", "dormouse", "--example", client]))?;
    let debug = target.join("debug");
    Ok(Programs { hub: debug.join("dormouse"), client: debug.join("examples").join(client) })
}

/// A process that ends with us.
struct Running(Child);

impl Running {
    /// Starts it; gives the first line that it prints.
    fn start(command: &mut Command) -> Result<(Self, String)> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let output = child.stdout.take().expect("its output is a pipe");
        let mut line = String::new();
        let running = Self(child);
        BufReader::new(output).read_line(&mut line)?;
        Ok((running, line.trim().to_owned()))
    }

    /// Asks it to end, and waits until it has.
    fn end(mut self) -> Result<()> {
        must_run(program("kill").arg(self.0.id().to_string()))?;
        let status = self.0.wait()?;
        if !status.success() {
            bail!("it ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The fixture server over HTTP.
pub(crate) struct Fixture {
    pub(crate) url: String,
    _running: Running,
}

impl Fixture {
    pub(crate) fn start(target: &Path) -> Result<Self> {
        let mut command = program(env_python(target, "mcp2"));
        let (running, url) = Running::start(command.args([FIXTURE, "http"]))?;
        if !url.starts_with("http://") {
            bail!("the fixture server did not start: {url:?}");
        }
        Ok(Self { url, _running: running })
    }
}

/// A hub that has the fixture server as its only one, at its URL or as a program, and shows it alone.
pub(crate) struct Hub {
    pub(crate) url: String,
    running: Running,
}

impl Hub {
    pub(crate) fn start(programs: &Programs, target: &Path, way: Way, fixture: &str) -> Result<Self> {
        let space = target.join("conformance").join(way.name()).join("space");
        fs::create_dir_all(&space)?;
        let entry = match way {
            Way::Stdio | Way::Stdio2026 => {
                let python = env_python(target, "mcp2");
                json!({ "command": python, "args": [root().join(FIXTURE), way.name()] })
            }
            _ => json!({ "url": fixture }),
        };
        fs::write(space.join("mcp.json"), json!({ "mcpServers": { "fixture": entry } }).to_string())?;
        // The suite does not keep a query in every request, so `?mode=` would not do.
        fs::write(space.join("dormouse.toml"), "[mcp]\nmode = \"single\"\nserver = \"fixture\"\n")?;
        let log = fs::File::create(space.join("log"))?;
        let mut command = program(&programs.hub);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DORMOUSE_") {
                command.env_remove(name);
            }
        }
        command.env("DORMOUSE_MODEL", "none").env("DORMOUSE_KEYRING", "false").stderr(log);
        let (running, line) =
            Running::start(command.arg("--space").arg(&space).args(["serve", "--port", "0"]))?;
        let Some(base) = line.strip_prefix("listening on ") else {
            bail!("the hub did not start: {line:?}");
        };
        Ok(Self { url: format!("{base}/mcp"), running })
    }

    pub(crate) fn end(self) -> Result<()> {
        self.running.end().context("the hub did not end well")
    }
}
