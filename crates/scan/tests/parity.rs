//! What the source promises is what the server serves: real servers of each SDK against the scan.
//!
//! Fixtures in `shared` are written once and run with every SDK; `SDK` in their imports stands for
//! the module that this SDK's server class comes from.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use dormouse_scan::{Scanned, Script, drift, scan_file};
use dormouse_types::Confidence;

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "py"))
        .collect();
    files.sort();
    files
}

/// A common fixture in the words of one SDK.
fn spoken(text: &str, sdk: &str) -> String {
    let (module, class) = match sdk {
        "mcp1" => ("mcp.server.fastmcp", "FastMCP"),
        "mcp2" => ("mcp.server.mcpserver", "MCPServer"),
        _ => ("fastmcp", "FastMCP"),
    };
    let mut text =
        text.replace("from SDK import FastMCP", &format!("from {module} import {class} as FastMCP"));
    if let Some(generation) = sdk.strip_prefix("fastmcp") {
        text = format!("# /// script\n# dependencies = [\"fastmcp=={generation}.*\"]\n# ///\n{text}");
    }
    if !text.contains("mcp.run()") {
        text.push_str("\n\nif __name__ == \"__main__\":\n    mcp.run()\n");
    }
    text
}

fn script(path: &Path) -> Script {
    match scan_file(path).unwrap() {
        Scanned::Server(script) => script,
        Scanned::NoServer { reason } => panic!("{}: {reason}", path.display()),
    }
}

/// Compares every fixture of an SDK; the number of tools that were compared.
fn check(sdk: &str) -> usize {
    let python = support::interpreter(sdk);
    let folder = tempfile::tempdir().unwrap();
    let mut scripts = fixtures(sdk);
    for path in fixtures("shared") {
        // fastmcp 2 starts with recursive models and then fails to list anything.
        if sdk == "fastmcp2" && path.ends_with("recursive.py") {
            continue;
        }
        let target = folder.path().join(path.file_name().unwrap());
        fs::write(&target, spoken(&fs::read_to_string(&path).unwrap(), sdk)).unwrap();
        scripts.push(target);
    }
    let mut tools = 0;
    let mut faults = Vec::new();
    for path in scripts {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let promised = script(&path);
        let served = match support::live(&python, &path) {
            Ok(served) => served,
            Err(said) => {
                faults.push(format!("{sdk}/{name} does not start: {said}"));
                continue;
            }
        };
        tools += served.tools.len();
        if let Confidence::Partial(doubts) = &promised.confidence {
            faults.push(format!("{sdk}/{name}: doubts {doubts:?}"));
        }
        for difference in drift(promised.features(), &served) {
            faults.push(format!("{sdk}/{name}: {difference:?}"));
        }
    }
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
    tools
}

#[test]
fn mcp_1_serves_what_its_source_promises() {
    assert!(check("mcp1") >= 60);
}

#[test]
fn mcp_2_serves_what_its_source_promises() {
    assert!(check("mcp2") >= 60);
}

#[test]
fn fastmcp_2_serves_what_its_source_promises() {
    assert!(check("fastmcp2") >= 60);
}

#[test]
fn fastmcp_4_serves_what_its_source_promises() {
    assert!(check("fastmcp4") >= 60);
}

#[test]
fn fastmcp_3_serves_what_its_source_promises() {
    assert!(check("fastmcp3") >= 60);
}
