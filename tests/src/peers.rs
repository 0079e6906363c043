//! What others wrote, as `cargo xtask setup` installed it: their servers, and where their clients are.

use std::path::{Path, PathBuf};

use dormouse_testing::{Unpacked, environment};
use serde_json::{Value, json};

/// Node.js and a program that npm installed, as a command and its first argument.
///
/// # Panics
/// Where it is not installed.
pub fn npm(name: &str) -> [String; 2] {
    let node = environment("node").with_file_name("node");
    let program = npm_folder().join("node_modules/.bin").join(name);
    assert!(program.exists(), "this test needs {name} of npm: run `cargo xtask setup`");
    [node, program].map(|path| path.to_string_lossy().into_owned())
}

/// Where the packages of npm are.
pub fn npm_folder() -> PathBuf {
    // Beside the environments of Python.
    environment("node").ancestors().nth(3).expect("NAME/bin/python").join("peers-npm")
}

/// A server of others: how it is configured, and calls that show that it works.
#[derive(Debug, Clone)]
pub struct PeerServer {
    /// The server's name in `mcp.json`.
    pub name: &'static str,
    /// Its entry there.
    pub entry: Value,
    /// Calls that are made in this order each time that it is awake.
    pub calls: Vec<PeerCall>,
}

/// One call, and what its answer says.
#[derive(Debug, Clone)]
pub struct PeerCall {
    /// The tool, as the server calls it.
    pub tool: &'static str,
    /// Its arguments.
    pub arguments: Value,
    /// What the answer's JSON contains.
    pub says: &'static str,
}

fn call(tool: &'static str, arguments: Value, says: &'static str) -> PeerCall {
    PeerCall { tool, arguments, says }
}

fn node(name: &'static str, program: &str, arguments: &[&str], calls: Vec<PeerCall>) -> PeerServer {
    let [command, script] = npm(program);
    let args: Vec<&str> = [script.as_str()].into_iter().chain(arguments.iter().copied()).collect();
    PeerServer { name, entry: json!({ "command": command, "args": args }), calls }
}

fn python(
    name: &'static str,
    environs: &str,
    program: &str,
    arguments: &[&str],
    calls: Vec<PeerCall>,
) -> PeerServer {
    let command = environment(environs).with_file_name(program);
    assert!(command.exists(), "this test needs {program}: run `cargo xtask setup`");
    PeerServer { name, entry: json!({ "command": command, "args": arguments }), calls }
}

/// `@modelcontextprotocol/server-everything`.
pub fn everything() -> PeerServer {
    let calls = vec![
        call("echo", json!({ "message": "squeak" }), "squeak"),
        call("get-sum", json!({ "a": 2, "b": 3 }), "5"),
    ];
    node("everything", "mcp-server-everything", &["stdio"], calls)
}

/// `@modelcontextprotocol/server-filesystem`, on a folder in which it may write.
pub fn filesystem(folder: &Path) -> PeerServer {
    let file = folder.join("note.txt");
    let calls = vec![
        call("write_file", json!({ "path": file, "content": "acorn" }), "Successfully"),
        call("read_text_file", json!({ "path": file }), "acorn"),
    ];
    node("filesystem", "mcp-server-filesystem", &[&folder.to_string_lossy()], calls)
}

/// `@modelcontextprotocol/server-memory`, which keeps its graph in a folder.
pub fn memory(folder: &Path) -> PeerServer {
    let hazel = json!({ "name": "hazel", "entityType": "nut", "observations": ["brown"] });
    let calls = vec![
        call("create_entities", json!({ "entities": [hazel] }), "text"),
        call("open_nodes", json!({ "names": ["hazel"] }), "brown"),
    ];
    let mut server = node("memory", "mcp-server-memory", &[], calls);
    server.entry["env"] = json!({ "MEMORY_FILE_PATH": folder.join("graph.jsonl") });
    server
}

/// `@modelcontextprotocol/server-sequential-thinking`.
pub fn sequential_thinking() -> PeerServer {
    let thought =
        json!({ "thought": "sleep", "nextThoughtNeeded": false, "thoughtNumber": 1, "totalThoughts": 1 });
    let calls = vec![call("sequentialthinking", thought, "thoughtHistoryLength")];
    node("thinking", "mcp-server-sequential-thinking", &[], calls)
}

/// `mcp-server-time`.
pub fn time() -> PeerServer {
    let noon = json!({ "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo" });
    let calls = vec![call("convert_time", noon, "21:00")];
    python("time", "peers", "mcp-server-time", &["--local-timezone", "UTC"], calls)
}

/// `mcp-server-git`, on a folder that is a repository.
pub fn git(repository: &Path) -> PeerServer {
    let calls = vec![call("git_status", json!({ "repo_path": repository }), "No commits yet")];
    python("git", "peers", "mcp-server-git", &["--repository", &repository.to_string_lossy()], calls)
}

/// `office-word-mcp-server`, which prints to stdout what is no MCP.
pub fn word(folder: &Path) -> PeerServer {
    let file = folder.join("burrow.docx");
    let calls = vec![
        call("create_document", json!({ "filename": file, "title": "Burrow" }), "created"),
        call("add_paragraph", json!({ "filename": file, "text": "Moss and leaves" }), "added"),
        call("get_document_text", json!({ "filename": file }), "Moss and leaves"),
    ];
    let mut server = python("word", "peers", "word_mcp_server", &[], calls);
    // What it printed is shown as long as it is awake.
    server.entry["dormouse"] = json!({ "idle_seconds": "never" });
    server
}

/// `excel-mcp-server`.
pub fn excel(folder: &Path) -> PeerServer {
    let file = folder.join("nuts.xlsx");
    let rows = json!({ "path": file, "sheet": "Sheet1", "at": "A1", "rows": [[2], [3], ["=SUM(A1:A2)"]] });
    let calls = vec![
        call("create_workbook", json!({ "path": file, "overwrite": true }), "nuts.xlsx"),
        call("write_range", rows, "A1"),
        call("read_range", json!({ "path": file, "sheet": "Sheet1", "range": "A3" }), "[[5]]"),
    ];
    python("excel", "peers", "excel-mcp-server", &["stdio"], calls)
}

/// `math-mcp`, which imports half of scientific Python before it answers.
pub fn math() -> PeerServer {
    let calls = vec![call("basic_arithmetic", json!({ "operation": "add", "numbers": [2, 3] }), "5.0")];
    let mut server = python("math", "peers-math", "math-mcp", &[], calls);
    server.entry["dormouse"] = json!({ "start_timeout_seconds": 180 });
    server
}

/// `@playwright/mcp` with Debian's headless Chromium, which looks at a page.
pub fn playwright(folder: &Path, page: &str) -> PeerServer {
    let chromium = Unpacked::named("chromium");
    let browser = chromium
        .file("usr/lib/chromium/chromium-headless-shell")
        .unwrap_or_else(|| chromium.program("chromium-headless-shell"));
    let calls = vec![
        call("browser_navigate", json!({ "url": page }), "Winter"),
        call("browser_snapshot", json!({}), "asleep"),
    ];
    let (folder, browser) = (folder.to_string_lossy(), browser.to_string_lossy());
    let arguments = ["--headless", "--no-sandbox", "--isolated", "--executable-path", &browser];
    let arguments: Vec<&str> = arguments.into_iter().chain(["--output-dir", &folder]).collect();
    let mut server = node("playwright", "playwright-mcp", &arguments, calls);
    // A page is open as long as the server is awake.
    server.entry["dormouse"] = json!({ "idle_seconds": "never" });
    let libraries = std::env::join_paths(chromium.libraries()).expect("paths without a colon");
    if !libraries.is_empty() {
        server.entry["env"] = json!({ "LD_LIBRARY_PATH": libraries.to_string_lossy() });
    }
    server
}
