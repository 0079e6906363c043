//! Finding a Python on the machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use pep508_rs::pep440_rs::{Version, VersionSpecifiers};
use serde::{Deserialize, Serialize};

use super::answers::Answers;
use super::error::EnvironmentError;
use super::settings::EnvironmentSettings;

/// The oldest Python that the `mcp` SDK runs on.
const OLDEST: [u64; 2] = [3, 10];

/// Names in the order of preference: what the user calls `python3`, then the newest.
const NAMES: &[&str] =
    &["python3", "python3.15", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];

/// How long an answer that no interpreter fits is believed: a person may be installing one.
const BELIEVE_ABSENCE: Duration = Duration::from_secs(10);

/// One interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Python {
    /// The real executable, not a shim.
    pub(super) executable: PathBuf,
    /// Such as `3.11.7`.
    pub(super) version: String,
    /// Such as `linux-x86_64 cpython-311-x86_64-linux-gnu`: what decides which wheels fit.
    pub(super) platform: String,
    release: [u64; 3],
}

impl Python {
    pub(super) fn of(executable: &Path, release: [u64; 3], platform: &str) -> Self {
        let [major, minor, patch] = release;
        Self {
            executable: executable.to_owned(),
            version: format!("{major}.{minor}.{patch}"),
            platform: platform.to_owned(),
            release,
        }
    }

    /// `3.11` of `3.11.7`.
    pub(super) fn minor(&self) -> String {
        format!("{}.{}", self.release[0], self.release[1])
    }
}

/// The interpreters of the machine, asked once each.
#[derive(Debug, Default)]
pub(super) struct Pythons {
    known: Mutex<BTreeMap<PathBuf, Known>>,
    /// What earlier hubs were told.
    answers: Option<Answers>,
}

#[derive(Debug)]
struct Known {
    python: Option<Python>,
    changed: Option<SystemTime>,
    asked: Instant,
}

impl Pythons {
    /// Interpreters whose answers are kept in a file between hubs.
    pub(super) fn remembered_in(file: PathBuf) -> Self {
        Self { known: Mutex::default(), answers: Some(Answers::in_file(file)) }
    }

    /// Returns the first interpreter that fits `requires-python`. Starts interpreters that it
    /// does not know yet, which takes some 20 ms each.
    pub(super) fn find(
        &self,
        requires: Option<&str>,
        settings: &EnvironmentSettings,
    ) -> Result<Python, EnvironmentError> {
        let range = requires
            .map(|requires| {
                VersionSpecifiers::from_str(requires)
                    .map_err(|_| EnvironmentError::RequiresPython { requires: requires.to_owned() })
            })
            .transpose()?;
        let mut found: Vec<String> = Vec::new();
        for path in candidates(settings) {
            let Some(python) = self.ask(&path, settings) else { continue };
            let fits = range.as_ref().is_none_or(|range| range.contains(&Version::new(python.release)));
            if fits && python.release[..2] >= OLDEST[..] {
                return Ok(python);
            }
            let line = format!("{} ({})", python.version, python.executable.display());
            if !found.contains(&line) {
                found.push(line);
            }
        }
        let oldest = format!("{}.{} or newer", OLDEST[0], OLDEST[1]);
        Err(EnvironmentError::NoPython {
            wanted: requires.map_or(oldest, |requires| format!("`{requires}`")),
            found: if found.is_empty() { "none".to_owned() } else { found.join(", ") },
        })
    }

    /// What an interpreter says of itself, from memory as long as its file did not change.
    fn ask(&self, path: &Path, settings: &EnvironmentSettings) -> Option<Python> {
        let changed = std::fs::metadata(path).and_then(|data| data.modified()).ok();
        let mut known = self.known.lock().expect("nobody panics while asking an interpreter");
        if let Some(entry) = known.get(path)
            && entry.changed == changed
            && (entry.python.as_ref().is_some_and(|python| python.executable.exists())
                || entry.asked.elapsed() < BELIEVE_ABSENCE)
        {
            return entry.python.clone();
        }
        let python = match &self.answers {
            Some(answers) => {
                let seen = seen(settings);
                answers
                    .of(path, &seen)
                    .or_else(|| probe(path, settings).inspect(|python| answers.keep(path, &seen, python)))
            }
            None => probe(path, settings),
        };
        known.insert(path.to_owned(), Known { python: python.clone(), changed, asked: Instant::now() });
        python
    }
}

/// In the order of preference. Lazy, since a look through the search path is many system calls.
fn candidates(settings: &EnvironmentSettings) -> impl Iterator<Item = PathBuf> {
    let names = if settings.python.is_some() { &[] } else { NAMES };
    settings.python.iter().cloned().chain(names.iter().filter_map(|name| find_program(name, settings)))
}

/// Looks a program up on the search path of the settings.
pub(super) fn find_program(name: &str, settings: &EnvironmentSettings) -> Option<PathBuf> {
    which::which_in(name, Some(&settings.search_path), "/").ok()
}

/// The variables of every program that works on environments.
pub(super) fn variables(settings: &EnvironmentSettings) -> BTreeMap<OsString, OsString> {
    let mut variables = settings.variables.clone();
    variables.insert("PATH".into(), settings.search_path.clone());
    variables
}

#[derive(Deserialize)]
struct Said {
    executable: PathBuf,
    release: [u64; 3],
    platform: String,
}

/// What an answer depends on beside the program, in one word.
fn seen(settings: &EnvironmentSettings) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, value) in variables(settings) {
        for part in [name, value] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_encoded_bytes());
        }
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

const ASK: &str = "import json, sys, sysconfig
print(json.dumps({'executable': sys.executable, 'release': list(sys.version_info[:3]),
 'platform': sysconfig.get_platform() + ' ' + str(sysconfig.get_config_var('SOABI'))}))";

fn probe(path: &Path, settings: &EnvironmentSettings) -> Option<Python> {
    let output = Command::new(path)
        .args(["-I", "-c", ASK])
        // Scripts that look for a version must not find one by the folder that the hub was started in.
        .current_dir("/")
        .env_clear()
        .envs(variables(settings))
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let said: Said = serde_json::from_slice(&output.stdout).ok()?;
    Some(Python::of(&said.executable, said.release, &said.platform))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_nothing_meets_names_what_was_found() {
        let settings = EnvironmentSettings::default();
        let error = Pythons::default().find(Some(">=4"), &settings).unwrap_err().to_string();
        assert!(error.starts_with("no Python here is `>=4`; found 3."), "{error}");
        let nonsense = Pythons::default().find(Some("new"), &settings).unwrap_err().to_string();
        assert_eq!(nonsense, "`requires-python = \"new\"` is no valid range of versions");
    }

    #[test]
    fn an_empty_search_path_has_no_python() {
        let empty = tempfile::tempdir().unwrap();
        let settings =
            EnvironmentSettings { search_path: empty.path().into(), ..EnvironmentSettings::default() };
        let error = Pythons::default().find(None, &settings).unwrap_err().to_string();
        assert_eq!(error, "no Python here is 3.10 or newer; found none");
    }

    #[test]
    fn the_first_python_in_the_range_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for (name, release) in
            [("python3", "3, 9, 2"), ("python3.13", "3, 13, 0"), ("python3.12", "3, 12, 1")]
        {
            let path = folder.path().join(name);
            let says =
                format!(r#"{{"executable": "{}", "release": [{release}], "platform": "x"}}"#, path.display());
            // Written by another process: a file that a sibling thread's child still has open for
            // writing cannot be executed.
            let script = "printf '%s\\n' '#!/bin/sh' \"echo '$SAYS'\" > $0 && chmod +x $0";
            let made = Command::new("sh").args(["-c", script]).arg(&path).env("SAYS", says).status();
            assert!(made.unwrap().success());
        }
        let settings =
            EnvironmentSettings { search_path: folder.path().into(), ..EnvironmentSettings::default() };
        let version = |requires| Pythons::default().find(requires, &settings).map(|python| python.version);
        assert_eq!(version(None).unwrap(), "3.13.0", "3.9 is too old for the SDKs");
        assert_eq!(version(Some(">=3.10,<3.13")).unwrap(), "3.12.1");
        let error = version(Some("==3.11.*")).unwrap_err().to_string();
        assert!(error.contains("3.9.2 (") && error.contains("3.12.1 ("), "{error}");
    }

    #[test]
    fn a_program_that_is_no_python_is_passed_over() {
        let settings =
            EnvironmentSettings { python: Some("/bin/true".into()), ..EnvironmentSettings::default() };
        assert!(Pythons::default().find(None, &settings).is_err());
    }
}
