//! A real `redis-server` for the tests, without root where it is missing.
//!
//! Debian's packages are unpacked in `target/test-envs/redis`, with the libraries that the system
//! lacks. The tests look there first, then on `PATH`; where it is in neither place they fail.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::run::{capture, must_run, program};

/// The program is in the tools; the rest are libraries that a small installation lacks.
const PACKAGES: &[&str] = &["redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1"];

/// What turns the shared storage on, and its tests: nothing that is built is left unchecked.
pub(crate) const FEATURE: &str = "dormouse-storage/redis";

/// The oldest version that storage works on.
const OLDEST: u32 = 7;

/// Makes sure that there is a `redis-server`.
pub(crate) fn need_redis(target: &Path) -> Result<()> {
    let folder = target.join("test-envs/redis");
    if let Some(version) = version(program(folder.join("usr/bin/redis-server")), Some(&folder)) {
        return ready(&version, "unpacked");
    }
    if let Some(version) = version(program("redis-server"), None) {
        return ready(&version, "installed");
    }
    println!("redis: is not installed; unpacking Debian's packages");
    unpack(&folder)
        .context("there is no redis-server; install one of version 7 or newer, then run this again")?;
    match version(program(folder.join("usr/bin/redis-server")), Some(&folder)) {
        Some(version) => ready(&version, "unpacked"),
        None => bail!("the redis-server in {} does not start", folder.display()),
    }
}

fn ready(version: &str, how: &str) -> Result<()> {
    if major(version).is_none_or(|major| major < OLDEST) {
        bail!("redis-server {version} is too old: version {OLDEST} or newer is needed");
    }
    println!("redis: ready ({version}, {how})");
    Ok(())
}

/// Asks a `redis-server` for its version; `None` if it cannot run.
fn version(mut server: std::process::Command, unpacked: Option<&Path>) -> Option<String> {
    if let Some(folder) = unpacked {
        let libraries = fs::read_dir(folder.join("usr/lib")).ok()?;
        let folders = libraries.filter_map(|entry| Some(entry.ok()?.path()));
        server.env("LD_LIBRARY_PATH", std::env::join_paths(folders).ok()?);
    }
    let said = capture(server.arg("--version")).ok()?;
    Some(said.split_whitespace().find_map(|word| word.strip_prefix("v="))?.to_owned())
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

/// Downloads the packages and unpacks them: neither needs root.
fn unpack(folder: &Path) -> Result<()> {
    let packages = folder.join("packages");
    fs::create_dir_all(&packages).with_context(|| format!("cannot make {}", packages.display()))?;
    let download = |options: &[String]| {
        must_run(program("apt-get").args(options).arg("download").args(PACKAGES).current_dir(&packages))
    };
    if download(&[]).is_err() {
        // The machine's own list of packages is missing or old; ours is made beside it, without root.
        println!("redis: asking for a new list of packages");
        let options = own_lists(folder)?;
        must_run(program("apt-get").args(&options).arg("update"))?;
        download(&options)?;
    }
    for entry in fs::read_dir(&packages)? {
        must_run(program("dpkg").arg("-x").arg(entry?.path()).arg(folder))?;
    }
    Ok(())
}

/// Options that let apt keep its lists and caches in a folder of ours.
fn own_lists(folder: &Path) -> Result<Vec<String>> {
    let mut options = Vec::new();
    for (option, name, inside) in
        [("Dir::State::Lists", "apt/lists", "partial"), ("Dir::Cache", "apt/cache", "archives/partial")]
    {
        let place = folder.join(name);
        fs::create_dir_all(place.join(inside)).with_context(|| format!("cannot make {}", place.display()))?;
        options.extend(["-o".to_owned(), format!("{option}={}", place.display())]);
    }
    Ok(options)
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
