//! Which requirements may be installed at all.
//!
//! The scan refuses direct references already; this is the second wall, right before the
//! installer's command line.

use std::collections::BTreeSet;
use std::str::FromStr;

use pep508_rs::{Requirement, VerbatimUrl, VersionOrUrl};

use super::error::EnvironmentError;

/// Requirements in one written form, ready for an installer's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requirements {
    /// Normalised, sorted, without doubles. None begins with `-` or holds a path.
    pub(super) specs: Vec<String>,
    /// Whether one of them is an allowed direct reference, whose build may need its source.
    pub(super) direct: bool,
}

/// Checks requirements and brings them into one written form.
pub(super) fn check(
    requirements: &[String],
    allow_direct: &BTreeSet<String>,
) -> Result<Requirements, EnvironmentError> {
    let mut specs = BTreeSet::new();
    let mut direct = false;
    for text in requirements {
        if let Some(source_kind) = bare_source(text) {
            return Err(EnvironmentError::Direct { requirement: text.clone(), source_kind });
        }
        let parsed = Requirement::<VerbatimUrl>::from_str(text).map_err(|error| {
            EnvironmentError::Requirement { requirement: text.clone(), reason: error.message.to_string() }
        })?;
        if let Some(VersionOrUrl::Url(url)) = &parsed.version_or_url {
            if !allow_direct.contains(text) {
                let source_kind = kind_of_url(&url.to_string());
                return Err(EnvironmentError::Direct { requirement: text.clone(), source_kind });
            }
            direct = true;
        }
        specs.insert(parsed.to_string());
    }
    Ok(Requirements { specs: specs.into_iter().collect(), direct })
}

/// What pip would take for a source although it is no PEP 508 requirement.
fn bare_source(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let before_at = text.split('@').next().unwrap_or(text);
    if text.starts_with(['.', '/', '~', '\\']) {
        Some("a path")
    } else if before_at.contains("://") && !text.starts_with('-') {
        Some(kind_of_url(text))
    } else {
        None
    }
}

fn kind_of_url(url: &str) -> &'static str {
    let scheme = url.split(':').next().unwrap_or_default();
    if ["git", "hg", "svn", "bzr"].contains(&scheme.split('+').next().unwrap_or_default()) {
        "a repository"
    } else if scheme == "file" || !url.contains("://") {
        "a path"
    } else {
        "a URL"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(text: &str) -> Result<String, String> {
        check(&[text.to_owned()], &BTreeSet::new())
            .map(|checked| checked.specs.join(" "))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_requirement_has_one_written_form() {
        assert_eq!(check_one("MCP [cli] >= 2 , <3"), Ok("mcp[cli]>=2,<3".into()));
        let many = ["six".to_owned(), "Six".to_owned(), "iniconfig".to_owned()];
        assert_eq!(check(&many, &BTreeSet::new()).unwrap().specs, ["iniconfig", "six"]);
    }

    #[test]
    fn sources_beside_the_index_are_refused_by_kind() {
        for (text, kind) in [
            ("x @ https://example.org/x-1-py3-none-any.whl", "a URL"),
            ("https://example.org/x.whl", "a URL"),
            ("x @ git+https://example.org/x", "a repository"),
            ("git+ssh://git@example.org/x", "a repository"),
            ("x @ file:///tmp/x", "a path"),
            ("./x", "a path"),
            ("/tmp/x", "a path"),
        ] {
            let error = check_one(text).unwrap_err();
            assert!(error.contains(kind), "{text}: {error}");
        }
    }

    #[test]
    fn options_and_lines_are_no_requirements() {
        for text in
            ["--index-url=https://example.org", "-r other.txt", "six\n--pre", "six; rm -rf", "", "a b"]
        {
            let error = check_one(text).unwrap_err();
            assert!(error.contains("no valid requirement"), "{text}: {error}");
        }
    }

    #[test]
    fn a_direct_reference_is_allowed_word_for_word_only() {
        let text = "x @ https://example.org/x-1-py3-none-any.whl".to_owned();
        let allowed = BTreeSet::from([text.clone()]);
        assert!(check(std::slice::from_ref(&text), &allowed).unwrap().direct);
        assert!(check(&[format!("{text}#evil")], &allowed).is_err());
    }
}
