//! MCP servers without an SDK that do as they are told.
//!
//! A script without an SDK is no server to the scan, so that these are used as commands, in
//! `mcp.json` or by a launcher. They start in some 30 ms and need no environment. What a test
//! drops into a folder is in [`crate::scripts`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// A description of a fixture server. Without more it behaves.
///
/// Its tools: `echo(text)`, `add(a, b)`, `pause(seconds)`, `fail(message)`, `count(steps)` with
/// progress and log, `ask(question)` by elicitation, `grow()` with `list_changed`, `crash()`,
/// `pid()`, `environment()`, `cancelled()` (request ids), `bulk(bytes)`. It also has one
/// resource, one template and one prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fixture {
    behaviour: Map<String, Value>,
}

impl Fixture {
    /// A server that behaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a text on the command line of the server and of its children, to find them by.
    #[must_use]
    pub fn mark(self, mark: &str) -> Self {
        self.with("mark", json!(mark))
    }

    /// Gives it a name for itself.
    #[must_use]
    pub fn title(self, title: &str) -> Self {
        self.with("title", json!(title))
    }

    /// Never answers this method.
    #[must_use]
    pub fn hangs_on(self, method: &str) -> Self {
        self.also("hang_on", method)
    }

    /// Exits with code 3 and a line on stderr when this method comes.
    #[must_use]
    pub fn crashes_on(self, method: &str) -> Self {
        self.also("crash_on", method)
    }

    /// Answers this method with a line that is no JSON.
    #[must_use]
    pub fn garbles(self, method: &str) -> Self {
        self.also("garbage_on", method)
    }

    /// Answers this method with a JSON-RPC error.
    #[must_use]
    pub fn refuses(self, method: &str) -> Self {
        self.also("error_on", method)
    }

    /// Exits at once with this code.
    #[must_use]
    pub fn exits_at_start(self, code: u8) -> Self {
        self.with("exit_at_start", json!(code))
    }

    /// Prints these lines to stdout before it listens.
    #[must_use]
    pub fn prints(self, lines: &[&str]) -> Self {
        self.with("stdout_lines", json!(lines))
    }

    /// Prints these lines to stderr before it listens.
    #[must_use]
    pub fn complains(self, lines: &[&str]) -> Self {
        self.with("stderr_lines", json!(lines))
    }

    /// Writes this many bytes of noise to stdout before it listens.
    #[must_use]
    pub fn floods_stdout(self, bytes: u64) -> Self {
        self.with("stdout_flood", json!(bytes))
    }

    /// Writes this many bytes to stderr before it listens.
    #[must_use]
    pub fn floods_stderr(self, bytes: u64) -> Self {
        self.with("stderr_flood", json!(bytes))
    }

    /// Starts slowly.
    #[must_use]
    pub fn starts_after(self, delay: Duration) -> Self {
        self.with("start_delay", json!(delay.as_secs_f64()))
    }

    /// Answers calls slowly.
    #[must_use]
    pub fn answers_after(self, delay: Duration) -> Self {
        self.with("call_delay", json!(delay.as_secs_f64()))
    }

    /// Goes on when it is asked to end, by SIGTERM or by the end of its input.
    #[must_use]
    pub fn will_not_leave(self) -> Self {
        self.with("ignore_sigterm", json!(true)).with("ignore_eof", json!(true))
    }

    /// Starts children that ignore SIGTERM and would live for an hour.
    #[must_use]
    pub fn leaves_children(self, count: usize) -> Self {
        self.with("grandchildren", json!(count))
    }

    /// Its children have sessions of their own, out of reach of its process group.
    #[must_use]
    pub fn in_own_sessions(self) -> Self {
        self.with("own_session", json!(true))
    }

    /// Serves its true list on the first start only, and then another schema for `add`. Which
    /// start it is, it knows from this file.
    #[must_use]
    pub fn lies_after(self, note: &Path) -> Self {
        self.with("lies_after", json!(note))
    }

    /// Writes a line into this file at each start.
    #[must_use]
    pub fn notes_starts(self, file: &Path) -> Self {
        self.with("notes_starts", json!(file))
    }

    /// Has this many tools more, `extra_0` and so on.
    #[must_use]
    pub fn extra_tools(self, count: usize) -> Self {
        self.with("extra_tools", json!(count))
    }

    /// Lists these tools as well, whatever they are.
    #[must_use]
    pub fn raw_tools(self, tools: &[Value]) -> Self {
        self.with("raw_tools", json!(tools))
    }

    /// Lists in pages of this size.
    #[must_use]
    pub fn pages_of(self, size: usize) -> Self {
        self.with("page_size", json!(size))
    }

    /// Has tools only.
    #[must_use]
    pub fn without_resources(self) -> Self {
        self.with("resources", json!(false))
    }

    /// The program that serves it.
    pub fn program(&self) -> PathBuf {
        python().to_owned()
    }

    /// The program's arguments.
    pub fn args(&self) -> Vec<String> {
        // Without `site` a start takes half the time.
        let behaviour = Value::Object(self.behaviour.clone()).to_string();
        ["-I", "-S", concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/server.py")]
            .into_iter()
            .map(str::to_owned)
            .chain([behaviour])
            .collect()
    }

    /// Its entry in `mcp.json`.
    pub fn entry(&self) -> Value {
        json!({"command": self.program(), "args": self.args()})
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.behaviour.insert(key.to_owned(), value);
        self
    }

    fn also(mut self, key: &str, method: &str) -> Self {
        let methods = self.behaviour.entry(key).or_insert_with(|| json!([]));
        methods.as_array_mut().unwrap().push(json!(method));
        self
    }
}

/// The Python that fixtures run on: the real executable, since a shim costs 100 ms at each start.
pub fn python() -> &'static Path {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
        let output = Command::new("python3").args(["-I", "-c", "import sys; print(sys.executable)"]).output();
        let output = output.expect("the tests need python3 on PATH");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    });
    &PYTHON
}
