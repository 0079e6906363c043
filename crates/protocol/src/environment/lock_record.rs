//! The record of what a build chose.

use std::fmt::Write;
use std::io;
use std::path::Path;

/// Lists the packages that an environment holds, as `pip freeze` would, from their metadata.
///
/// Reading files is exact for both installers and starts no interpreter inside the environment.
pub(super) fn installed(site_packages: &Path) -> io::Result<Vec<String>> {
    let mut packages = Vec::new();
    for entry in std::fs::read_dir(site_packages)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "dist-info") {
            continue;
        }
        let metadata = std::fs::read(path.join("METADATA"))?;
        let metadata = String::from_utf8_lossy(&metadata);
        let header = |name: &str| {
            let headers = metadata.lines().take_while(|line| !line.is_empty());
            headers
                .filter_map(|line| line.split_once(": "))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.trim())
        };
        if let (Some(name), Some(version)) = (header("Name"), header("Version")) {
            packages.push(format!("{}=={version}", name.to_lowercase().replace(['_', '.'], "-")));
        }
    }
    packages.sort();
    Ok(packages)
}

/// The text of the record.
pub(super) fn record(wanted: &[String], python: &str, installer: &str, packages: &[String]) -> String {
    let mut text = String::from("# What Dormouse installed here.\n");
    let _ = writeln!(text, "# wanted: {}", wanted.join(", "));
    let _ = writeln!(text, "# python: {python}, installer: {installer}");
    for package in packages {
        let _ = writeln!(text, "{package}");
    }
    text
}
