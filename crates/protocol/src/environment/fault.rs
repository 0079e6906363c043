//! Why an installer failed, read from what it printed.
//!
//! The texts are those of pip 22 to 26 and uv 0.5 to 0.13. A text that nobody knows becomes
//! [`InstallFault::Other`] with the installer's own last words.

use std::fmt;

/// Why a package could not be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstallFault {
    /// The index has no package of that name.
    NoSuchPackage,
    /// The package exists, but in no version that was asked for.
    NoSuchVersion,
    /// The package comes as source only, and its build would run a stranger's code.
    OnlySource,
    /// No wheel of the package fits this Python on this platform.
    NoFittingWheel,
    /// Requirements that exclude each other; which, in the installer's words.
    Conflict(String),
    /// The index could not be reached.
    Network(String),
    /// There is no space left for it.
    DiskFull,
    /// Anything else, in the installer's words.
    Other(String),
}

impl fmt::Display for InstallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchPackage => f.write_str("no package of that name is on the index"),
            Self::NoSuchVersion => f.write_str("no such version is on the index"),
            Self::OnlySource => f.write_str("it comes as source only, and only wheels are installed"),
            Self::NoFittingWheel => f.write_str("no wheel of it fits this Python and platform"),
            Self::Conflict(text) => write!(f, "requirements conflict: {text}"),
            Self::Network(text) => write!(f, "the package index cannot be reached: {text}"),
            Self::DiskFull => f.write_str("no space is left on the disk"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// A fault and the package at fault, if the installer named one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) package: Option<String>,
    pub(super) fault: InstallFault,
}

impl Found {
    fn new(package: Option<&str>, fault: InstallFault) -> Self {
        Self { package: package.map(str::to_owned), fault }
    }
}

/// How a lost network shows in either installer.
const NETWORK: &[&str] = &[
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Read timed out",
    "ReadTimeoutError",
    "ConnectTimeoutError",
    "Connection refused",
    "Connection reset",
    "ProxyError",
    "SSLError",
    "CERTIFICATE_VERIFY_FAILED",
    "Network is unreachable",
    "error sending request",
    "dns error",
    "operation timed out",
];

/// Reads pip's output. `None` in [`Found::package`] with [`InstallFault::NoSuchPackage`] never
/// happens; but pip says "none found" for four different reasons, so that the caller asks again
/// with [`pip_details`].
pub(super) fn read_pip(lines: &[String]) -> Found {
    if lines.iter().any(|line| line.contains("No space left on device")) {
        return Found::new(None, InstallFault::DiskFull);
    }
    if let Some(network) = network_line(lines) {
        let package = lines.iter().find_map(|line| missing_requirement(line)).map(|(package, _)| package);
        return Found::new(package, InstallFault::Network(network));
    }
    if let Some(who) = lines.iter().find_map(|line| {
        between(line, "Cannot install ", " because these package versions have conflicting dependencies")
    }) {
        return Found::new(Some(who), InstallFault::Conflict(pip_causes(lines)));
    }
    if let Some((requirement, versions)) = lines.iter().find_map(|line| missing_requirement(line)) {
        let other_python = lines.iter().any(|line| line.contains("require a different python version"));
        let fault = match versions {
            "none" if other_python => InstallFault::NoFittingWheel,
            "none" => InstallFault::NoSuchPackage,
            _ => InstallFault::NoSuchVersion,
        };
        return Found::new(Some(requirement), fault);
    }
    Found::new(None, InstallFault::Other(last_words(lines, "ERROR: ")))
}

/// Reads the reason of "none found" from a very verbose run of pip for that requirement alone.
pub(super) fn pip_details(lines: &[String]) -> InstallFault {
    let says = |text: &str| lines.iter().any(|line| line.contains(text));
    if let Some(network) = network_line(lines) {
        InstallFault::Network(network)
    } else if says("No sources permitted") && !says("wheel's tags") {
        InstallFault::OnlySource
    } else if says("wheel's tags") || says("Requires-Python") || says("different Python") {
        InstallFault::NoFittingWheel
    } else if let Some(error) =
        lines.iter().find_map(|line| between(line, "Could not fetch URL ", " - skipping"))
        && !error.contains("404")
    {
        InstallFault::Network(error.to_owned())
    } else {
        InstallFault::NoSuchPackage
    }
}

/// Reads uv's output.
pub(super) fn read_uv(lines: &[String]) -> Found {
    // uv wraps its sentences; the pieces belong together.
    let text = lines
        .iter()
        .map(|line| line.trim().trim_start_matches(['╰', '─', '▶', '×', '│', ' ']))
        .collect::<Vec<_>>()
        .join(" ");
    if text.contains("No space left on device") {
        return Found::new(None, InstallFault::DiskFull);
    }
    if let Some(network) = network_line(lines) {
        let package = lines
            .iter()
            .find_map(|line| line.trim().rsplit_once("/simple/"))
            .map(|(_, rest)| rest.trim_matches(['/', '`', ')']));
        return Found::new(package, InstallFault::Network(network));
    }
    if let Some(package) =
        text.split(" was not found in the package registry").next().filter(|before| *before != text)
    {
        return Found::new(package.rsplit(' ').next(), InstallFault::NoSuchPackage);
    }
    if text.contains("no usable wheels") {
        let package = between(&text, "Wheels are required for `", "`")
            .or_else(|| between(&text, "all versions of ", " have"));
        return Found::new(package, InstallFault::OnlySource);
    }
    if text.contains("no wheels with a matching") || text.contains("does not satisfy Python") {
        let package =
            between(&text, "Wheels are available for `", "`").or_else(|| between(&text, "Because ", " "));
        return Found::new(package, InstallFault::NoFittingWheel);
    }
    if let Some(package) = between(&text, "there is no version of ", " ")
        .or_else(|| between(&text, "there are no versions of ", " "))
    {
        return Found::new(Some(package), InstallFault::NoSuchVersion);
    }
    if let Some(cause) =
        between(&text, "No solution found when resolving dependencies", "requirements are unsatisfiable")
    {
        let cause = cause.trim_start_matches([':', ' ']).trim_start_matches("cause: ");
        let cause = cause.trim_end_matches("we can conclude that your ").trim_end_matches([',', ' ']);
        return Found::new(None, InstallFault::Conflict(cause.to_owned()));
    }
    Found::new(None, InstallFault::Other(last_words(lines, "error: ")))
}

/// The step that a line of output announces, in words for a person.
pub(super) fn progress(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(rest) = line.strip_prefix("Downloading ").or_else(|| line.strip_prefix("Using cached ")) {
        // pip: `mcp-2.3.0-py3-none-any.whl (385 kB)`; uv: `pydantic-core (2.1MiB)`.
        let file = rest.rsplit('/').next().unwrap_or(rest).split(' ').next().unwrap_or(rest);
        let what = if file.ends_with(".whl") {
            file.splitn(3, '-').take(2).collect::<Vec<_>>().join(" ").replace('_', "-")
        } else {
            file.to_owned()
        };
        return Some(format!("fetching {what}"));
    }
    if let Some(rest) = line.strip_prefix("Collecting ") {
        return Some(format!("looking for {}", rest.split(' ').next().unwrap_or(rest)));
    }
    if let Some(rest) = line.strip_prefix("Installing collected packages: ") {
        return Some(format!("installing {} packages", rest.split(", ").count()));
    }
    if let Some(rest) = line.strip_prefix("Prepared ") {
        return Some(format!("installing {}", rest.split(" in ").next().unwrap_or(rest)));
    }
    line.strip_prefix("+ ").map(|rest| format!("installing {}", rest.replacen("==", " ", 1)))
}

/// The requirement and the list of versions of pip's "none found".
fn missing_requirement(line: &str) -> Option<(&str, &str)> {
    let rest = line.split("Could not find a version that satisfies the requirement ").nth(1)?;
    let (requirement, versions) = rest.split_once(" (from versions: ")?;
    // A requirement of a requirement says where it is from.
    let requirement = requirement.split(" (from ").next().unwrap_or(requirement);
    Some((requirement, versions.trim_end_matches(')')))
}

/// The first line that tells of a lost network, if the run failed for that.
fn network_line(lines: &[String]) -> Option<String> {
    let sign = lines.iter().find_map(|line| NETWORK.iter().find(|sign| line.contains(**sign)))?;
    Some((*sign).to_owned())
}

fn pip_causes(lines: &[String]) -> String {
    let mut causes: Vec<&str> = Vec::new();
    let listed = lines.iter().skip_while(|line| !line.starts_with("The conflict is caused by:")).skip(1);
    for line in listed.take_while(|line| !line.trim().is_empty()) {
        if !causes.contains(&line.trim()) && causes.len() < 4 {
            causes.push(line.trim());
        }
    }
    causes.join("; ")
}

fn last_words(lines: &[String], mark: &str) -> String {
    let marked = lines.iter().rev().find_map(|line| line.trim().strip_prefix(mark));
    let last = marked.or_else(|| lines.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty()));
    last.unwrap_or("the installer said nothing").chars().take(300).collect()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest[..rest.find(after)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn pip_says_which_versions_are_missing() {
        let found = read_pip(&lines(
            "ERROR: Could not find a version that satisfies the requirement six==99 (from versions: 1.5.0, 1.17.0)\nERROR: No matching distribution found for six==99",
        ));
        assert_eq!(found, Found::new(Some("six==99"), InstallFault::NoSuchVersion));
        let deep = read_pip(&lines(
            "ERROR: Could not find a version that satisfies the requirement gone>=2 (from other) (from versions: none)",
        ));
        assert_eq!(deep, Found::new(Some("gone>=2"), InstallFault::NoSuchPackage));
    }

    #[test]
    fn pip_names_both_sides_of_a_conflict_once() {
        let found = read_pip(&lines(
            "ERROR: Cannot install anyio==4.0.0 and mcp==2.3.0 because these package versions have conflicting dependencies.\n\nThe conflict is caused by:\n    The user requested anyio==4.0.0\n    mcp 2.3.0 depends on anyio>=4.9\n    The user requested anyio==4.0.0\n\nTo fix this",
        ));
        assert_eq!(found.package.as_deref(), Some("anyio==4.0.0 and mcp==2.3.0"));
        assert_eq!(
            found.fault,
            InstallFault::Conflict("The user requested anyio==4.0.0; mcp 2.3.0 depends on anyio>=4.9".into())
        );
    }

    #[test]
    fn pip_without_network_is_not_a_missing_package() {
        let found = read_pip(&lines(
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...: Failed to establish a new connection: [Errno 111] Connection refused')': /simple/httpx/\nERROR: Could not find a version that satisfies the requirement httpx (from versions: none)",
        ));
        assert_eq!(
            found,
            Found::new(Some("httpx"), InstallFault::Network("Failed to establish a new connection".into()))
        );
    }

    #[test]
    fn verbose_pip_tells_source_wheel_and_absence_apart() {
        let source = "Skipping link: No sources permitted for docopt: https://x/docopt-0.6.2.tar.gz";
        assert_eq!(pip_details(&lines(source)), InstallFault::OnlySource);
        let wheel = "Skipping link: none of the wheel's tags (py2-none-win32) are compatible (run pip debug --verbose to show compatible tags): https://x/y.whl";
        assert_eq!(pip_details(&lines(wheel)), InstallFault::NoFittingWheel);
        let absent = "Could not fetch URL https://pypi.org/simple/x/: 404 Client Error: Not Found for url: https://pypi.org/simple/x/ - skipping";
        assert_eq!(pip_details(&lines(absent)), InstallFault::NoSuchPackage);
    }

    #[test]
    fn uv_is_read_in_its_own_words() {
        for (text, package, fault) in [
            (
                "error: No solution found when resolving dependencies\n  cause: Because nosuch was not found in the package registry and you require nosuch, we can conclude that your requirements are unsatisfiable.",
                Some("nosuch"),
                InstallFault::NoSuchPackage,
            ),
            (
                "  × No solution found when resolving dependencies:\n  ╰─▶ Because nosuch was not found in the package registry\n      and you require nosuch",
                Some("nosuch"),
                InstallFault::NoSuchPackage,
            ),
            (
                "error: No solution found when resolving dependencies\n  cause: Because all versions of docopt have no usable wheels and you require docopt, we can conclude that your requirements are unsatisfiable.\n\nhint: Wheels are required for `docopt` because building from source is disabled",
                Some("docopt"),
                InstallFault::OnlySource,
            ),
            (
                "  cause: Because there is no version of six==99 and you require six==99, we can conclude",
                Some("six==99"),
                InstallFault::NoSuchVersion,
            ),
            (
                "  cause: Because python-magic-bin==0.4.14 has no wheels with a matching platform tag (e.g., `x`)\nhint: Wheels are available for `python-magic-bin` (v0.4.14)",
                Some("python-magic-bin"),
                InstallFault::NoFittingWheel,
            ),
            (
                "error: Request failed after 3 retries in 8.9s\n  cause: Failed to fetch: http://127.0.0.1:9/simple/httpx/\n  cause: error sending request for url",
                Some("httpx"),
                InstallFault::Network("error sending request".into()),
            ),
            (
                "error: No solution found when resolving dependencies\n  cause: Because you require mcp>=2 and mcp<2, we can conclude that your requirements are unsatisfiable.",
                None,
                InstallFault::Conflict("Because you require mcp>=2 and mcp<2".into()),
            ),
        ] {
            assert_eq!(read_uv(&lines(text)), Found::new(package, fault), "{text}");
        }
    }

    #[test]
    fn progress_names_packages_of_both_installers() {
        assert_eq!(
            progress("  Downloading typing_extensions-4.16.0-py3-none-any.whl (43 kB)").as_deref(),
            Some("fetching typing-extensions 4.16.0")
        );
        assert_eq!(progress("Installing collected packages: a, b").as_deref(), Some("installing 2 packages"));
        assert_eq!(progress(" + mcp==2.3.0").as_deref(), Some("installing mcp 2.3.0"));
        assert_eq!(progress("Prepared 28 packages in 150ms").as_deref(), Some("installing 28 packages"));
        assert_eq!(progress("[notice] A new release of pip"), None);
    }
}
