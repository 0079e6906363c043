//! Licences, bans and sources of everything that the lock file names, by the rules of `deny.toml`.
//!
//! cargo-deny does this and more, but building it takes longer than our own whole check, and the
//! copies of it in binary registries are too old for our lock file's licences. So its file is read
//! here, by the same crate for licence expressions. Its advisories need a database from elsewhere:
//! they run where cargo-deny is installed, and are reported, not required.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use crate::workspace::{Metadata, Package, root};

/// The part of `deny.toml` that we hold. Unknown keys of these tables are errors: a rule that nobody
/// reads protects nobody.
#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Licenses {
    allow: Vec<String>,
    /// cargo-deny's own: how sure its reading of licence texts must be.
    #[serde(rename = "confidence-threshold")]
    _confidence_threshold: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    multiple_versions: Level,
    wildcards: Level,
    allow_wildcard_paths: bool,
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: Level,
    unknown_git: Level,
    allow_registry: Vec<String>,
    allow_git: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Allow,
    Warn,
    Deny,
}

/// What was found: errors fail the check, notes are only told.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) errors: Vec<String>,
    pub(crate) notes: Vec<String>,
}

impl Findings {
    fn say(&mut self, level: Level, what: String) {
        match level {
            Level::Allow => {}
            Level::Warn => self.notes.push(what),
            Level::Deny => self.errors.push(what),
        }
    }
}

/// Holds the lock file against `deny.toml`.
pub(crate) fn violations(metadata: &Metadata) -> Result<Findings> {
    let text = fs::read_to_string(root().join("deny.toml")).context("cannot read deny.toml")?;
    check(&text, metadata)
}

fn check(rules: &str, metadata: &Metadata) -> Result<Findings> {
    let rules: Rules = toml::from_str(rules).context("cannot read deny.toml")?;
    let mut findings = Findings::default();
    licenses(&rules.licenses, metadata, &mut findings)?;
    bans(&rules.bans, metadata, &mut findings);
    sources(&rules.sources, metadata, &mut findings);
    Ok(findings)
}

fn licenses(rules: &Licenses, metadata: &Metadata, findings: &mut Findings) -> Result<()> {
    let mut allowed = Vec::new();
    for text in &rules.allow {
        match Licensee::parse(text) {
            Ok(licensee) => allowed.push(licensee),
            Err(error) => bail!("deny.toml allows `{text}`, which is no licence: {error}"),
        }
    }
    let mut used = vec![false; allowed.len()];
    for package in &metadata.packages {
        let named = format!("{} {}", package.name, package.version);
        let Some(licence) = licence(package) else {
            findings.errors.push(format!("{named}: its licence is not known"));
            continue;
        };
        let expression = match Expression::parse_mode(&licence, ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => {
                findings.errors.push(format!("{named}: cannot read its licence `{licence}`: {error}"));
                continue;
            }
        };
        let fits = expression.evaluate(|wanted| {
            let found = allowed.iter().position(|licensee| licensee.satisfies(wanted));
            found.inspect(|place| used[*place] = true).is_some()
        });
        if !fits {
            findings.errors.push(format!("{named}: `{licence}` is not allowed"));
        }
    }
    for (text, _) in rules.allow.iter().zip(used).filter(|(_, used)| !used) {
        findings.notes.push(format!("deny.toml allows `{text}`, which nothing needs"));
    }
    Ok(())
}

/// The licence that a package states, or that its licence file plainly is.
fn licence(package: &Package) -> Option<String> {
    if package.license.is_some() {
        return package.license.clone();
    }
    let file = package.folder().join(package.license_file.as_ref()?);
    is_mit(&fs::read_to_string(file).ok()?).then(|| "MIT".to_owned())
}

/// Whether a text holds the whole MIT licence, whoever holds the copyright.
fn is_mit(text: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let ours = words(include_str!("../../LICENSE-MIT"));
    let start = ours.find("Permission is hereby granted").expect("our own licence has it");
    words(text).contains(&ours[start..])
}

fn bans(rules: &Bans, metadata: &Metadata, findings: &mut Findings) {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &metadata.packages {
        versions.entry(&package.name).or_default().insert(&package.version);
        if let Some(ban) = rules.deny.iter().find(|ban| ban.name == package.name) {
            findings.errors.push(format!("{} {} is banned: {}", package.name, package.version, ban.reason));
        }
    }
    let doubles: Vec<String> = versions
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| format!("{name} {}", versions.into_iter().collect::<Vec<_>>().join("/")))
        .collect();
    if !doubles.is_empty() {
        findings.say(rules.multiple_versions, format!("several versions of: {}", doubles.join(", ")));
    }
    for package in metadata.own() {
        for to in &package.dependencies {
            let wild = to.req == "*" && !(to.path.is_some() && rules.allow_wildcard_paths);
            if wild {
                findings.say(rules.wildcards, format!("{} takes any version of {}", package.name, to.name));
            }
        }
    }
}

fn sources(rules: &Sources, metadata: &Metadata, findings: &mut Findings) {
    for package in &metadata.packages {
        let Some(source) = &package.source else { continue };
        let (kind, address) = source.split_once('+').unwrap_or(("", source));
        let (level, allowed) = match kind {
            "git" => (rules.unknown_git, &rules.allow_git),
            _ => (rules.unknown_registry, &rules.allow_registry),
        };
        if !allowed.iter().any(|known| known == address) {
            findings.say(level, format!("{} {} comes from {source}", package.name, package.version));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0 WITH LLVM-exception"]
        confidence-threshold = 0.9
        [bans]
        multiple-versions = "warn"
        wildcards = "deny"
        allow-wildcard-paths = true
        deny = [{ crate = "openssl-sys", reason = "not on a fresh machine" }]
        [sources]
        unknown-registry = "deny"
        unknown-git = "deny"
        allow-registry = ["https://github.com/rust-lang/crates.io-index"]
        allow-git = []
    "#;

    fn package(changes: &Value) -> Value {
        let mut package = json!({
            "id": "a", "name": "a", "version": "1.0.0", "license": "MIT", "license_file": null,
            "source": "registry+https://github.com/rust-lang/crates.io-index",
            "manifest_path": "/x/Cargo.toml", "targets": [], "dependencies": [],
        });
        for (key, value) in changes.as_object().unwrap() {
            package[key] = value.clone();
        }
        package
    }

    /// Holds made-up packages against [`RULES`]; expects one error that says each of `errors`.
    fn expect(packages: &[Value], errors: &[&str]) -> Findings {
        let packages: Vec<Value> = packages.iter().map(package).collect();
        let metadata = json!({"packages": packages, "workspace_members": ["ours"], "target_directory": "/t"});
        let findings = check(RULES, &serde_json::from_value(metadata).unwrap()).unwrap();
        assert_eq!(findings.errors.len(), errors.len(), "{:?}", findings.errors);
        for (found, expected) in findings.errors.iter().zip(errors) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
        findings
    }

    #[test]
    fn the_lock_file_keeps_the_rules() {
        let findings = violations(&Metadata::locked().unwrap()).unwrap();
        assert!(findings.errors.is_empty(), "{}", findings.errors.join("\n"));
    }

    #[test]
    fn one_allowed_side_of_a_choice_is_enough() {
        expect(&[json!({"license": "GPL-3.0-only OR MIT"})], &[]);
        expect(&[json!({"license": "MIT/Apache-2.0"})], &[]);
        expect(&[json!({"license": "Apache-2.0 WITH LLVM-exception"})], &[]);
    }

    #[test]
    fn a_licence_that_is_not_allowed_or_not_readable_fails() {
        expect(&[json!({"license": "MIT AND GPL-3.0-only"})], &["is not allowed"]);
        expect(&[json!({"license": "Apache-2.0"})], &["is not allowed"]);
        expect(&[json!({"license": "whatever you like"})], &["cannot read its licence"]);
        expect(&[json!({"license": null})], &["its licence is not known"]);
    }

    #[test]
    fn a_banned_crate_fails_and_a_second_version_is_noted() {
        expect(&[json!({"name": "openssl-sys"})], &["not on a fresh machine"]);
        let findings = expect(&[json!({}), json!({"version": "2.0.0"})], &[]);
        assert!(findings.notes.iter().any(|note| note.contains("a 1.0.0/2.0.0")), "{:?}", findings.notes);
    }

    #[test]
    fn another_source_or_any_version_fails() {
        expect(&[json!({"source": "git+https://example.com/a#1"})], &["comes from git+"]);
        expect(&[json!({"source": "registry+https://example.com/index"})], &["comes from registry+"]);
        let wild = json!({"id": "ours", "source": null, "dependencies": [
            {"name": "b", "req": "*", "source": "registry+x"}, {"name": "c", "req": "*", "source": null, "path": "/c"},
        ]});
        expect(&[wild], &["takes any version of b"]);
    }

    #[test]
    fn a_rule_that_nobody_reads_is_an_error() {
        let rules = RULES.replace("[bans]", "[bans]\nskip = []");
        let metadata = json!({"packages": [], "workspace_members": [], "target_directory": "/t"});
        assert!(check(&rules, &serde_json::from_value(metadata).unwrap()).is_err());
    }
}
