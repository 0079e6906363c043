//! A real browser for the tests, without root where it is missing: Debian's headless Chromium.
//!
//! The test looks in `target/test-envs/chromium` first, then on `PATH`; where it is in neither place
//! it fails.

use std::path::Path;

use anyhow::{Context, Result};

use crate::debian::{Needed, libraries};
use crate::run::{capture, program};

/// Makes sure that there is a `chromium-headless-shell`.
pub(crate) fn need_chromium(target: &Path) -> Result<()> {
    let packages = &["chromium-headless-shell", "chromium-common"];
    Needed { name: "chromium", packages, version }.provide(target).map(drop)
}

/// Asks the browser for its version; `None` if it cannot run.
fn version(folder: &Path) -> Option<String> {
    read_version(&ask(folder).ok()?)
}

fn ask(folder: &Path) -> Result<String> {
    // What is in `usr/bin` is a script that names a place of the system.
    let ours = folder.join("usr/lib/chromium/chromium-headless-shell");
    let mut browser = if ours.exists() { program(ours) } else { program("chromium-headless-shell") };
    let libraries = std::env::join_paths(libraries(folder)).context("a path with a colon")?;
    if !libraries.is_empty() {
        browser.env("LD_LIBRARY_PATH", libraries);
    }
    capture(browser.arg("--version"))
}

/// Reads `Chromium 148.0.7778.167 built on …`, or with `Google Chrome for Testing` before it.
fn read_version(said: &str) -> Option<String> {
    let is_number = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
    said.split_whitespace().find(is_number).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_says_its_version() {
        let said = "Chromium 148.0.7778.167 built on Debian GNU/Linux 12 (bookworm)\n";
        assert_eq!(read_version(said).as_deref(), Some("148.0.7778.167"));
        assert_eq!(read_version("Chromium"), None);
    }
}
