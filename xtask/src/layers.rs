//! Arrows point down: which of our packages may import which, and where outside crates live.
//!
//! The tables below are the design; `ARCHITECTURE.md` explains them. A new arrow is a commit of
//! its own that changes a table here and argues for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::{Metadata, Package};

/// What each package may import of ours.
const ARROWS: &[(&str, &[&str])] = &[
    ("dormouse-types", &[]),
    ("dormouse-scan", &[TYPES]),
    ("dormouse-lifecycle", &[TYPES]),
    ("dormouse-protocol", &[TYPES]),
    ("dormouse-storage", &[TYPES]),
    ("dormouse-registry", &[TYPES, "dormouse-storage"]),
    ("dormouse-routing", &[TYPES, "dormouse-registry"]),
    (
        "dormouse-orchestrator",
        &[
            TYPES,
            "dormouse-scan",
            "dormouse-lifecycle",
            "dormouse-protocol",
            "dormouse-storage",
            "dormouse-registry",
        ],
    ),
    (
        "dormouse-context",
        &[TYPES, "dormouse-storage", "dormouse-registry", "dormouse-routing", "dormouse-orchestrator"],
    ),
    (
        "dormouse",
        &[
            TYPES,
            "dormouse-scan",
            "dormouse-lifecycle",
            "dormouse-protocol",
            "dormouse-storage",
            "dormouse-registry",
            "dormouse-routing",
            "dormouse-orchestrator",
            "dormouse-context",
        ],
    ),
    ("dormouse-gateway", &[TYPES, "dormouse"]),
    ("dormouse-telemetry", &[TYPES]),
    ("dormouse-http", &[TYPES, "dormouse", "dormouse-gateway", "dormouse-telemetry"]),
    ("dormouse-cli", &[TYPES, "dormouse", "dormouse-gateway", "dormouse-http", "dormouse-telemetry"]),
];

const TYPES: &str = "dormouse-types";

/// These may import anything of ours and from outside; they build nothing that ships.
const FREE: &[&str] = &["dormouse-testing", "dormouse-tests", "xtask"];

/// Who may test with `dormouse-testing`: those above `context`, storage for its real Redis, and
/// protocol for its real servers at URLs. The fixtures import nothing of ours, so that no circle
/// can come of it.
const TESTED_WITH_FIXTURES: &[&str] = &[
    "dormouse-protocol",
    "dormouse-storage",
    "dormouse",
    "dormouse-gateway",
    "dormouse-http",
    "dormouse-cli",
];

/// Where an outside crate may be imported, dev-dependencies excepted.
enum Home {
    /// In these packages only.
    In(&'static [&'static str]),
    /// Everywhere but in these packages.
    NotIn(&'static [&'static str]),
}

/// Crates that read or decide, and never act.
const PURE: Home = Home::NotIn(&["dormouse-types", "dormouse-scan", "dormouse-lifecycle"]);

const HOMES: &[(&str, Home)] = &[
    ("anyhow", Home::In(&["dormouse-cli"])),
    ("axum", Home::In(&["dormouse-http"])),
    ("bm25", Home::In(&["dormouse-routing"])),
    ("clap", Home::In(&["dormouse-cli"])),
    ("clap_complete", Home::In(&["dormouse-cli"])),
    ("comfy-table", Home::In(&["dormouse-cli"])),
    ("fred", Home::In(&["dormouse-storage"])),
    ("futures", PURE),
    ("hyper", Home::In(&["dormouse-http", "dormouse-cli", "dormouse-protocol"])),
    ("indicatif", Home::In(&["dormouse-cli"])),
    ("jsonschema", Home::In(&["dormouse-routing"])),
    ("notify", Home::In(&["dormouse-orchestrator"])),
    ("ollama-rs", Home::In(&["dormouse-routing"])),
    ("opentelemetry", PURE),
    ("opentelemetry-prometheus", Home::In(&["dormouse-telemetry"])),
    ("opentelemetry_sdk", Home::In(&["dormouse-telemetry"])),
    ("prometheus", Home::In(&["dormouse-telemetry"])),
    ("redb", Home::In(&["dormouse-storage"])),
    ("reqwest", Home::In(&["dormouse-protocol", "dormouse-routing"])),
    ("rmcp", Home::In(&["dormouse-protocol"])),
    ("tokio", PURE),
    ("tower-http", Home::In(&["dormouse-http"])),
    ("tracing-subscriber", Home::In(&["dormouse-cli"])),
    ("tree-sitter", Home::In(&["dormouse-scan"])),
    ("tree-sitter-python", Home::In(&["dormouse-scan"])),
    ("utoipa", Home::In(&["dormouse-http"])),
    ("utoipa-axum", Home::In(&["dormouse-http"])),
    ("utoipa-swagger-ui", Home::In(&["dormouse-http"])),
];

/// Words that only some packages may write, outside of tests.
const WORDS: &[(&str, &[&str], &str)] = &[
    (
        "tokio::process",
        &["dormouse-protocol"],
        "children are started by protocol's launcher, so that none is left behind",
    ),
    (
        "std::process::Command",
        &["dormouse-protocol"],
        "children are started by protocol's launcher, so that none is left behind",
    ),
    ("rmcp::model", &["dormouse-protocol"], "MCP content is JSON elsewhere, so that nothing of it is lost"),
];

/// The one file elsewhere that may write such a word, and why.
const EXCEPT: &[(&str, &str)] = &[
    // It starts a hub, which must outlive who started it: no server, and nothing for the launcher.
    ("apps/cli/src/background.rs", "tokio::process"),
];

/// Every arrow and word that the tables do not allow, as lines for people.
pub(crate) fn violations(metadata: &Metadata) -> Result<Vec<String>> {
    let own: Vec<&Package> = metadata.own().collect();
    let mut found = Vec::new();
    for package in &own {
        found.extend(arrows(package));
        found.extend(homes(package));
        if !FREE.contains(&package.name.as_str()) {
            for (path, text) in sources(&package.folder().join("src"))? {
                found.extend(words(&package.name, &path, &text));
            }
        }
    }
    Ok(found)
}

/// Edges between our packages that the table does not have.
fn arrows(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    if FREE.contains(&name) {
        return Vec::new();
    }
    let table: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let Some(may_import) = table.get(name) else {
        return vec![format!("{name} is not in the table of layers")];
    };
    let allowed = |to: &str, dev: bool| {
        may_import.contains(&to) || (dev && to == "dormouse-testing" && TESTED_WITH_FIXTURES.contains(&name))
    };
    let ours = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
    ours.filter(|to| !allowed(&to.name, to.is_dev()))
        .map(|to| {
            let kind = to.kind.as_deref().map(|kind| format!(" ({kind})")).unwrap_or_default();
            format!("{name} -> {}{kind}: the table of layers has no such arrow", to.name)
        })
        .collect()
}

/// Outside crates that are not at home here.
fn homes(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    if FREE.contains(&name) {
        return Vec::new();
    }
    let table: BTreeMap<_, _> = HOMES.iter().map(|(outside, home)| (*outside, home)).collect();
    let outside = package.dependencies.iter().filter(|to| to.path.is_none() && !to.is_dev());
    outside
        .filter_map(|to| match table.get(to.name.as_str())? {
            Home::In(homes) if !homes.contains(&name) => {
                Some(format!("{name} -> {}: it lives in {}", to.name, homes.join(", ")))
            }
            Home::NotIn(pure) if pure.contains(&name) => {
                Some(format!("{name} -> {}: this crate does no I/O and has no tasks", to.name))
            }
            Home::In(_) | Home::NotIn(_) => None,
        })
        .collect()
}

/// Words in a source that another package keeps for itself.
fn words(package: &str, path: &Path, text: &str) -> Vec<String> {
    let shipped = text.find("#[cfg(test)]").map_or(text, |tests| &text[..tests]);
    let mut found = Vec::new();
    for (number, line) in shipped.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (word, homes, reason) in WORDS {
            let excepted = EXCEPT.iter().any(|(file, own)| own == word && path.ends_with(file));
            if line.contains(word) && !homes.contains(&package) && !excepted {
                found.push(format!("{}:{}: `{word}`: {reason}", path.display(), number + 1));
            }
        }
    }
    found
}

/// Every Rust file below a folder, with its text.
fn sources(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                found.push((path, text));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_workspace_keeps_its_layers() {
        let violations = violations(&Metadata::members().unwrap()).unwrap();
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }

    #[test]
    fn the_table_has_no_arrow_up_and_no_stranger() {
        for (place, (name, imports)) in ARROWS.iter().enumerate() {
            for import in *imports {
                let below = ARROWS[..place].iter().any(|(lower, _)| lower == import)
                    // Telemetry stands beside the layers: only frontends import it.
                    || *import == "dormouse-telemetry";
                assert!(below, "{name} -> {import} does not point down");
            }
        }
    }

    /// Checks a made-up package: `dependencies` are (name, kind, ours).
    fn check(name: &str, dependencies: &[(&str, Option<&str>, bool)], expected: &[&str]) {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|(name, kind, ours)| {
                json!({"name": name, "req": "*", "source": null, "kind": kind, "path": ours.then_some("/x")})
            })
            .collect();
        let package: Package = serde_json::from_value(json!({
            "id": name, "name": name, "version": "0.1.0", "license": null, "license_file": null,
            "source": null, "manifest_path": "/x/Cargo.toml", "targets": [], "dependencies": dependencies,
        }))
        .unwrap();
        let mut found = arrows(&package);
        found.extend(homes(&package));
        assert_eq!(found, expected);
    }

    #[test]
    fn an_arrow_of_the_table_is_allowed() {
        check("dormouse-registry", &[(TYPES, None, true), ("dormouse-storage", None, true)], &[]);
    }

    #[test]
    fn an_arrow_up_or_sideways_fails() {
        let expected = ["dormouse-routing -> dormouse-protocol: the table of layers has no such arrow"];
        check("dormouse-routing", &[("dormouse-protocol", None, true)], &expected);
        let expected = ["dormouse-types -> dormouse (dev): the table of layers has no such arrow"];
        check("dormouse-types", &[("dormouse", Some("dev"), true)], &expected);
    }

    #[test]
    fn a_package_that_the_table_does_not_know_fails() {
        check("dormouse-utils", &[], &["dormouse-utils is not in the table of layers"]);
    }

    #[test]
    fn fixtures_are_for_tests_above_context_only() {
        check("dormouse-http", &[("dormouse-testing", Some("dev"), true)], &[]);
        let arrow = "dormouse-http -> dormouse-testing: the table of layers has no such arrow";
        check("dormouse-http", &[("dormouse-testing", None, true)], &[arrow]);
        let arrow = "dormouse-scan -> dormouse-testing (dev): the table of layers has no such arrow";
        check("dormouse-scan", &[("dormouse-testing", Some("dev"), true)], &[arrow]);
    }

    #[test]
    fn an_outside_crate_away_from_home_fails_unless_for_tests() {
        check("dormouse-http", &[("axum", None, false)], &[]);
        check("dormouse-context", &[("axum", Some("dev"), false)], &[]);
        check(
            "dormouse-context",
            &[("axum", None, false)],
            &["dormouse-context -> axum: it lives in dormouse-http"],
        );
    }

    #[test]
    fn a_pure_crate_gets_no_runtime() {
        let expected = ["dormouse-lifecycle -> tokio: this crate does no I/O and has no tasks"];
        check("dormouse-lifecycle", &[("tokio", None, false)], &expected);
        check("dormouse-lifecycle", &[("tokio", Some("dev"), false)], &[]);
    }

    #[test]
    fn a_child_started_outside_of_protocol_fails_unless_in_a_test() {
        let file = Path::new("a.rs");
        let text = "fn f() {\n    tokio::process::Command::new(\"x\");\n}\n";
        assert_eq!(words("dormouse-routing", file, text).len(), 1);
        assert!(words("dormouse-protocol", file, text).is_empty());
        let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{ {text} }}");
        assert!(words("dormouse-routing", file, &tested).is_empty());
        assert!(words("dormouse-routing", file, "// never tokio::process here").is_empty());
    }
}
