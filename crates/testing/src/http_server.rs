//! Real MCP servers at URLs: of the Python SDKs, over streamable HTTP and HTTP+SSE.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A Python server on a port of loopback. It ends with this value, and may be ended and started
/// again before.
///
/// Its tools: `echo(text)`, `count(to)` with progress, `slow()`, `stopped()`, `grow()` with
/// `list_changed`. It also has one resource and one prompt.
#[derive(Debug)]
pub struct HttpServer {
    env: String,
    arguments: Vec<String>,
    scheme: &'static str,
    path: &'static str,
    port: u16,
    child: Option<Child>,
}

impl HttpServer {
    /// Starts one of an environment that `cargo xtask setup` makes (`mcp1`, `mcp2`, `fastmcp3`,
    /// …), over `streamable` or `sse`.
    ///
    /// # Panics
    /// Without that environment, with the command that makes it.
    pub fn start(env: &str, transport: &str) -> Self {
        Self::with(env, transport, &[])
    }

    /// Starts one with more arguments: `--require "NAME: VALUE"` refuses whoever comes without
    /// that header.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn with(env: &str, transport: &str, more: &[&str]) -> Self {
        let mut arguments = vec![transport.to_owned()];
        if env.starts_with("fastmcp") {
            arguments.push("--fastmcp".to_owned());
        }
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let scheme = if more.contains(&"--cert") { "https" } else { "http" };
        let path = if transport == "sse" { "/sse" } else { "/mcp" };
        let mut server = Self { env: env.to_owned(), arguments, scheme, path, port: 0, child: None };
        server.resume();
        server
    }

    /// Starts it again, at the same address.
    ///
    /// # Panics
    /// When it does not start.
    pub fn resume(&mut self) {
        self.kill();
        let python = environment(&self.env);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/http_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .args(&self.arguments)
            .args(["--port", &self.port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        // Kept first, so that a child that says nothing is ended with this value.
        self.child = Some(child);
        self.port = line.trim().parse().expect("the server says its port");
    }

    /// Ends it, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}{}", self.scheme, self.port, self.path)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The interpreter of an environment for tests.
///
/// # Panics
/// Where it is not there, with the command that makes it.
pub fn environment(name: &str) -> PathBuf {
    let all = match std::env::var_os("DORMOUSE_TEST_CACHE") {
        Some(all) => PathBuf::from(all),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-envs"),
    };
    let python = all.join(name).join("bin/python");
    assert!(python.exists(), "this test needs the environment {name}: run `cargo xtask setup`");
    python
}
