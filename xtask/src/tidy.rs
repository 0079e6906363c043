//! What clippy does not see: manifests, module headers, sizes, links, and traces of one machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::{Metadata, root};

/// From here on a file's header says why it is one thing, with the words [`WHY_LONG`].
const LONG: usize = 800;
const WHY_LONG: &str = "one file because";

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &["target", ".git", ".dormouse", "__pycache__", ".pytest_cache", ".venv", "notes"];

/// Crates whose public items all have documentation.
const DOCUMENTED: &[&str] = &["dormouse-types", "dormouse-context", "dormouse"];

/// Names that say nothing about what a module holds.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "manager", "misc"];

/// Paths of the machines that we write on. In two parts, or this file would name them.
const MACHINES: &[&str] = &[
    concat!("/wo", "rk/main"),
    concat!("/wo", "rk/shared"),
    concat!("/wo", "rk/."),
    concat!("/tmp/", "plan"),
    concat!(".lib", "rary/"),
    concat!("/ro", "ot/."),
    concat!("shared/", "facts"),
    concat!("shared/", "design"),
    concat!("shared/", "style"),
];

/// Everything untidy, as lines for people.
pub(crate) fn violations(metadata: &Metadata) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for package in metadata.own() {
        let manifest = read(&package.manifest_path)?;
        found.extend(of_manifest(&package.name, &manifest)?);
        if DOCUMENTED.contains(&package.name.as_str()) {
            let lib = read(&package.folder().join("src/lib.rs"))?;
            if !lib.contains("#![warn(missing_docs)]") {
                found.push(format!("{}: lib.rs does not say `#![warn(missing_docs)]`", package.name));
            }
        }
    }
    for path in files(root())? {
        // Pictures and fixtures that are no text are nobody's to tidy.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let short = path.strip_prefix(root()).unwrap_or(&path);
        found.extend(of_file(short, &text));
    }
    Ok(found)
}

/// Lints and versions live in the root manifest.
fn of_manifest(package: &str, manifest: &str) -> Result<Vec<String>> {
    let manifest: toml::Table =
        manifest.parse().with_context(|| format!("cannot read {package}'s manifest"))?;
    let inherits = |table: &toml::Table| table.get("workspace").and_then(toml::Value::as_bool) == Some(true);
    let mut found = Vec::new();

    if !manifest.get("lints").and_then(toml::Value::as_table).is_some_and(inherits) {
        found.push(format!("{package}: does not say `[lints] workspace = true`"));
    }
    let keys = manifest.get("package").and_then(toml::Value::as_table);
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        let value = keys.and_then(|keys| keys.get(key)).and_then(toml::Value::as_table);
        if !value.is_some_and(inherits) {
            found.push(format!("{package}: does not say `{key}.workspace = true`"));
        }
    }
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(table) = manifest.get(kind).and_then(toml::Value::as_table) else { continue };
        for (name, value) in table {
            if !value.as_table().is_some_and(inherits) {
                found.push(format!("{package}: {kind}.{name} does not take its version from the workspace"));
            }
        }
    }
    Ok(found)
}

fn of_file(path: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut complain = |what: String| found.push(format!("{}: {what}", path.display()));

    for (number, line) in text.lines().enumerate() {
        if let Some(machine) = MACHINES.iter().find(|machine| line.contains(**machine)) {
            complain(format!("line {} names `{machine}`, which only one machine has", number + 1));
        }
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if extension == "rs" {
        let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        if header.is_empty() && !is_test(path) {
            complain("does not open with `//!`".into());
        }
        if text.lines().count() > LONG && !header.contains(WHY_LONG) {
            complain(format!("has more than {LONG} lines, and its header does not say `{WHY_LONG} …`"));
        }
        if let Some(line) = text.lines().find(|line| line.trim_start().starts_with("fn test_")) {
            complain(format!("a test's name is a claim, without `test_`: {}", line.trim()));
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let folder =
            path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(name) = EMPTY_NAMES.iter().find(|name| **name == stem || **name == folder) {
            complain(format!("`{name}` does not say what it holds"));
        }
    }
    if extension == "py" && text.lines().count() > LONG && !text.contains(WHY_LONG) {
        complain(format!("has more than {LONG} lines and does not say `{WHY_LONG} …`"));
    }
    if extension == "md" {
        for link in broken_links(path, text) {
            complain(format!("links to `{link}`, which is not there"));
        }
    }
    found
}

/// Whether a file holds only tests.
fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_stem().is_some_and(|stem| stem == "tests")
}

/// Links of a page to files of this repository that do not exist.
fn broken_links(page: &Path, text: &str) -> Vec<String> {
    let folder = root().join(page.parent().unwrap_or(Path::new("")));
    let mut broken = Vec::new();
    for (start, _) in text.match_indices("](") {
        let rest = &text[start + 2..];
        let Some(end) = rest.find([')', '\n', ' ']) else { continue };
        let link = rest[..end].split('#').next().unwrap_or_default();
        let outside =
            link.is_empty() || link.contains("://") || link.starts_with("mailto:") || link.starts_with('/');
        if !outside && !folder.join(link).exists() {
            broken.push(link.to_owned());
        }
    }
    broken
}

/// Every file that may be ours. Not `git ls-files`: an archive of the sources is checked too.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
            let kind = entry.file_type()?;
            if kind.is_dir() && !skipped {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let violations = violations(&Metadata::members().unwrap()).unwrap();
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }

    fn check(path: &str, text: &str, complaints: &[&str]) {
        let found = of_file(Path::new(path), text);
        assert_eq!(found.len(), complaints.len(), "{found:?}");
        for (found, expected) in found.iter().zip(complaints) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }

    #[test]
    fn a_module_without_a_header_is_untidy_outside_of_tests() {
        check("crates/x/src/a.rs", "//! A.\n\nfn a() {}\n", &[]);
        check("crates/x/src/a.rs", "fn a() {}\n", &["does not open with `//!`"]);
        check("crates/x/tests/a.rs", "fn a() {}\n", &[]);
    }

    #[test]
    fn a_long_file_says_why() {
        let long = "fn a() {}\n".repeat(LONG + 1);
        check("src/a.rs", &format!("//! A.\n{long}"), &["more than 800 lines"]);
        check("src/a.rs", &format!("//! A table, {WHY_LONG} rows belong together.\n{long}"), &[]);
    }

    #[test]
    fn a_file_names_no_machine() {
        check("docs/a.txt", concat!("see /wo", "rk/main/x"), &["which only one machine has"]);
    }

    #[test]
    fn names_say_something() {
        check("crates/x/src/utils.rs", "//! A.\n", &["does not say what it holds"]);
        check("crates/x/src/a.rs", "//! A.\n    fn test_it() {}\n", &["a test's name is a claim"]);
    }

    #[test]
    fn a_link_leads_somewhere() {
        check("xtask/a.md", "[x](../Cargo.toml#lints) [y](https://example.com) [z](#here)", &[]);
        check("xtask/a.md", "[x](../no-such-file.md)", &["no-such-file.md"]);
    }

    #[test]
    fn a_manifest_inherits_lints_and_versions() {
        let tidy = "
            [package]
            name = \"x\"
            version.workspace = true
            edition.workspace = true
            rust-version.workspace = true
            license.workspace = true
            publish.workspace = true
            [lints]
            workspace = true
            [dependencies]
            serde.workspace = true
            tokio = { workspace = true, features = [\"rt\"] }
        ";
        assert!(of_manifest("x", tidy).unwrap().is_empty());
        let untidy = tidy.replace("serde.workspace = true", "serde = \"1\"").replace("[lints]", "[other]");
        let found = of_manifest("x", &untidy).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
