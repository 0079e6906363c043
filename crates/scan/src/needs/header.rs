//! The inline metadata of a script (PEP 723).

use std::str::FromStr;

use dormouse_types::PythonNeeds;
use pep508_rs::pep440_rs::Version;
use pep508_rs::{Requirement, VersionOrUrl};
use serde::Deserialize;

/// A header, read.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    requirements: Vec<Requirement>,
    requires_python: Option<String>,
    problem: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Document {
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(rename = "requires-python")]
    requires_python: Option<String>,
}

impl Header {
    pub(crate) fn into_needs(self) -> PythonNeeds {
        let mut requirements: Vec<String> = self.requirements.iter().map(ToString::to_string).collect();
        requirements.sort();
        requirements.dedup();
        PythonNeeds { requirements, requires_python: self.requires_python, problem: self.problem }
    }

    /// Whether it asks for a package, and if so whether one of the versions would do.
    pub(crate) fn admits(&self, package: &str, versions: &[&str]) -> Option<bool> {
        let requirement =
            self.requirements.iter().find(|requirement| requirement.name.to_string() == package)?;
        Some(match &requirement.version_or_url {
            Some(VersionOrUrl::VersionSpecifier(specifiers)) => versions
                .iter()
                .filter_map(|version| Version::from_str(version).ok())
                .any(|version| specifiers.contains(&version)),
            _ => true,
        })
    }
}

/// The header of a script; `None` if it has none, an error in words if it is broken.
pub(crate) fn header(source: &str) -> Option<Result<Header, String>> {
    let text = match block(source)? {
        Ok(text) => text,
        Err(problem) => return Some(Err(problem)),
    };
    let document: Document = match toml::from_str(&text) {
        Ok(document) => document,
        Err(error) => return Some(Err(format!("its PEP 723 header is broken: {}", error.message()))),
    };
    Some(Ok(read(document)))
}

fn read(document: Document) -> Header {
    let mut requirements = Vec::new();
    let mut problem = None;
    for text in document.dependencies {
        match Requirement::from_str(&text) {
            Ok(requirement) => {
                if matches!(requirement.version_or_url, Some(VersionOrUrl::Url(_))) {
                    problem = problem.or_else(|| Some(not_from_index(&text)));
                } else {
                    requirements.push(requirement);
                }
            }
            Err(_) if is_address(&text) => problem = problem.or_else(|| Some(not_from_index(&text))),
            Err(error) => {
                problem = problem.or_else(|| {
                    Some(format!(
                        "its PEP 723 header asks for `{text}`, which is no requirement: {}",
                        error.message
                    ))
                });
            }
        }
    }
    if let Some(python) = &document.requires_python
        && let Err(error) = pep508_rs::pep440_rs::VersionSpecifiers::from_str(python)
    {
        problem = problem.or_else(|| {
            Some(format!(
                "its PEP 723 header has a `requires-python` that is none: {}",
                error.to_string().lines().next().unwrap_or_default()
            ))
        });
    }
    Header { requirements, requires_python: document.requires_python, problem }
}

fn is_address(text: &str) -> bool {
    text.contains("://") || text.starts_with("git+") || text.starts_with(['.', '/'])
}

fn not_from_index(text: &str) -> String {
    format!(
        "its PEP 723 header asks for `{text}`; only packages from the index are installed, no address, path or repository"
    )
}

/// The TOML text of the `script` block.
fn block(source: &str) -> Option<Result<String, String>> {
    if !source.contains("# /// script") {
        return None;
    }
    let lines: Vec<&str> = source.lines().collect();
    let mut found: Option<String> = None;
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim_end() != "# /// script" {
            at += 1;
            continue;
        }
        let comments =
            lines[at + 1..].iter().take_while(|line| **line == "#" || line.starts_with("# ")).count();
        // The last `# ///` of the comment closes it: the text itself may contain one.
        let Some(length) =
            lines[at + 1..at + 1 + comments].iter().rposition(|line| line.trim_end() == "# ///")
        else {
            return Some(Err("its PEP 723 header has no end (`# ///`)".to_owned()));
        };
        if found.is_some() {
            return Some(Err("it has two PEP 723 headers".to_owned()));
        }
        let text: Vec<&str> =
            lines[at + 1..at + 1 + length].iter().map(|line| line.get(2..).unwrap_or_default()).collect();
        found = Some(text.join("\n"));
        at += length + 2;
    }
    found.map(Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(source: &str) -> PythonNeeds {
        header(source).unwrap().unwrap().into_needs()
    }

    #[test]
    fn a_header_gives_requirements_sorted_once() {
        let needs = needs(
            "#!/usr/bin/env python\n# /// script\n# requires-python = \">=3.11\"\n# dependencies = [\n#   \"rich\",\n#   \"mcp<2\",\n#   \"rich\",\n# ]\n# ///\nimport mcp\n",
        );
        assert_eq!(needs.requirements, ["mcp<2", "rich"]);
        assert_eq!(needs.requires_python.as_deref(), Some(">=3.11"));
        assert_eq!(needs.problem, None);
    }

    #[test]
    fn addresses_are_refused_by_name() {
        for requirement in [
            "foo @ https://example.org/foo.whl",
            "git+https://example.org/x",
            "foo @ git+https://example.org/x",
            "./local",
        ] {
            let needs = needs(&format!("# /// script\n# dependencies = [\"{requirement}\"]\n# ///\n"));
            assert!(needs.problem.as_deref().unwrap().contains(requirement), "{requirement}: {needs:?}");
            assert!(needs.requirements.is_empty());
        }
    }

    #[test]
    fn broken_headers_say_what_is_broken() {
        for (source, part) in [
            ("# /// script\n# dependencies = [\n# ///\n", "broken"),
            ("# /// script\n# dependencies = []\n", "no end"),
            ("# /// script\n# ///\n\n# /// script\n# ///\n", "two"),
        ] {
            assert!(header(source).unwrap().unwrap_err().contains(part), "{source}");
        }
        assert!(
            needs("# /// script\n# dependencies = [\"a b c\"]\n# ///\n").problem.unwrap().contains("a b c")
        );
        assert!(header("import mcp\n").is_none());
    }
}
