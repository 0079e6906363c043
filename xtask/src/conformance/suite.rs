//! The suites, how one is run, and what it leaves behind.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::verdict::Findings;
use crate::node::Node;
use crate::run::capture;
use crate::setup::env_python;

/// A release of the suite at a revision of the protocol.
#[derive(Debug)]
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    package: &'static str,
    revision: &'static str,
    /// Whether the revision's own list of requirements says what is run: it has the extensions too.
    by_requirements: bool,
}

pub(crate) static SUITES: &[Suite] = &[
    Suite {
        name: "release-2025-11-25",
        title: "Current release, revision 2025-11-25",
        package: "conformance",
        revision: "2025-11-25",
        by_requirements: false,
    },
    Suite {
        name: "alpha-2025-11-25",
        title: "Newest alpha, revision 2025-11-25",
        package: "conformance-alpha",
        revision: "2025-11-25",
        by_requirements: true,
    },
    Suite {
        name: "alpha-2026-07-28",
        title: "Newest alpha, revision 2026-07-28",
        package: "conformance-alpha",
        revision: "2026-07-28",
        by_requirements: true,
    },
];

/// One check, as the suite writes it.
#[derive(Debug, Deserialize)]
struct Check {
    id: String,
    status: String,
    #[serde(rename = "errorMessage")]
    error: Option<String>,
}

impl Suite {
    /// Runs it, and reads what it left in `out`. That checks fail is no error of this function.
    pub(crate) fn run(
        &self,
        node: &Node,
        target: &Path,
        out: &Path,
        only: Option<&str>,
        arguments: &[&str],
    ) -> Result<Findings> {
        fs::create_dir_all(out)?;
        let log = File::create(out.join("log"))?;
        let packages = target.join("test-envs/conformance/node_modules");
        let mut command = node.program("node")?;
        command.arg(packages.join(self.package).join("dist/index.js")).args(arguments);
        match only {
            Some(scenario) => command.args(["--scenario", scenario, "--spec-version", self.revision]),
            None if self.by_requirements => command.args(["--requirements", self.revision]),
            None => command.args(["--suite", "all", "--spec-version", self.revision]),
        };
        command.arg("--output-dir").arg(out).stdout(log.try_clone()?).stderr(log);
        // For our client: it waits for its turn there.
        command.env("DORMOUSE_CONFORMANCE_TURNS", out);
        command.status().context("cannot start node")?;
        let mut findings = Findings::default();
        read(out, "", &mut findings)?;
        Ok(findings)
    }
}

/// Reads the checks of each scenario: `server-NAME-TIME/checks.json`, for clients without `server-`.
fn read(folder: &Path, above: &str, findings: &mut Findings) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let checks = entry.path().join("checks.json");
        if !checks.exists() {
            // A scenario's name may have a slash.
            read(&entry.path(), &format!("{above}{name}/"), findings)?;
            continue;
        }
        let scenario = format!("{above}{}", without_time(name.strip_prefix("server-").unwrap_or(&name)));
        let text = fs::read_to_string(&checks)?;
        let checks: Vec<Check> =
            serde_json::from_str(&text).with_context(|| format!("cannot read {}", checks.display()))?;
        for check in checks {
            findings.add(&scenario, &check.id, &check.status, check.error.as_deref());
        }
    }
    Ok(())
}

/// The name before `-2026-11-21T19-24-53-986Z`.
fn without_time(name: &str) -> &str {
    let time = "-2026-11-21T19-24-53-986Z".len();
    name.len().checked_sub(time).and_then(|end| name.get(..end)).unwrap_or(name)
}

/// What took part, each with its version.
pub(crate) fn versions(target: &Path) -> Result<Vec<(&'static str, String)>> {
    let packages = target.join("test-envs/conformance/node_modules");
    let of_npm = |name: &str| -> Result<String> {
        let manifest = packages.join(name).join("package.json");
        let text =
            fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        let manifest: Value = serde_json::from_str(&text)?;
        Ok(manifest["version"].as_str().unwrap_or("unknown").to_owned())
    };
    let python = "import importlib.metadata as m; print(m.version('mcp'))";
    let mut ask = crate::run::program(env_python(target, "mcp2"));
    Ok(vec![
        ("`@modelcontextprotocol/conformance`, current release", of_npm("conformance")?),
        ("`@modelcontextprotocol/conformance`, newest alpha", of_npm("conformance-alpha")?),
        ("Python SDK of the fixture server", capture(ask.args(["-c", python]))?.trim().to_owned()),
        ("dormouse", env!("CARGO_PKG_VERSION").to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_named_without_its_time() {
        assert_eq!(without_time("tools-list-2026-11-21T19-24-53-986Z"), "tools-list");
        assert_eq!(without_time("short"), "short");
    }
}
