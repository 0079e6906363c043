//! A real `redis-server` for the tests, without root where it is missing.
//!
//! The tests look in `target/test-envs/redis` first, then on `PATH`; where it is in neither place
//! they fail.

use std::path::Path;

use anyhow::{Result, bail};

use crate::debian::{Needed, unpacked_program};
use crate::run::capture;

/// What turns the shared storage on, and its tests: nothing that is built is left unchecked.
pub(crate) const FEATURE: &str = "dormouse-storage/redis";

/// The oldest version that storage works on.
const OLDEST: u32 = 7;

/// Makes sure that there is a `redis-server`.
pub(crate) fn need_redis(target: &Path) -> Result<()> {
    // The program itself is in the tools.
    let needed = Needed { name: "redis", packages: &["redis-server", "redis-tools"], version };
    let version = needed.provide(target)?;
    if major(&version).is_none_or(|major| major < OLDEST) {
        bail!("redis-server {version} is too old: version {OLDEST} or newer is needed");
    }
    Ok(())
}

/// Asks the `redis-server` for its version; `None` if it cannot run.
fn version(folder: &Path) -> Option<String> {
    let said = capture(unpacked_program(folder, "redis-server").ok()?.arg("--version")).ok()?;
    Some(said.split_whitespace().find_map(|word| word.strip_prefix("v="))?.to_owned())
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_a_major_number() {
        assert_eq!(major("7.0.15"), Some(7));
        assert_eq!(major("255.255.255"), Some(255));
        assert_eq!(major("new"), None);
    }
}
