//! The cache file: one line of JSON for the version, then one for each script.
//!
//! Lines are independent, so that a restart reads them on all cores; that is what makes ten
//! thousand known scripts ready at once.

use std::path::PathBuf;

use dormouse_types::{Confidence, Doubt, Features, PythonNeeds};
use serde::{Deserialize, Serialize};

use crate::folder::{Entry, Stamp};
use crate::scan::{ScanError, Scanned, Script};
use crate::sdk::Sdk;

/// Changes whenever a scan would find something else in an unchanged file, or the format does.
pub(crate) const VERSION: &str = concat!("dormouse-scan 1 ", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    path: PathBuf,
    stamp: Stamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    watched: Vec<(PathBuf, Stamp)>,
    outcome: Outcome,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Server(Box<Server>),
    NoServer(String),
    Error(ScanError),
}

#[derive(Debug, Serialize, Deserialize)]
struct Server {
    features: Features,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    doubts: Vec<Doubt>,
    requirements: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requires_python: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    sdk: Sdk,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    local_modules: Vec<PathBuf>,
    content_hash: String,
}

impl Record {
    pub(crate) fn of(path: &std::path::Path, entry: &Entry) -> Self {
        let outcome = match &entry.result {
            Err(error) => Outcome::Error(error.clone()),
            Ok(scanned) => match &**scanned {
                Scanned::NoServer { reason } => Outcome::NoServer(reason.clone()),
                Scanned::Server(script) => Outcome::Server(Box::new(Server::of(script))),
            },
        };
        Self { path: path.to_owned(), stamp: entry.stamp, watched: entry.watched.clone(), outcome }
    }

    pub(crate) fn into_entry(self) -> (PathBuf, Entry) {
        let result = match self.outcome {
            Outcome::Error(error) => Err(error),
            Outcome::NoServer(reason) => Ok(Scanned::NoServer { reason }.into()),
            Outcome::Server(server) => Ok(Scanned::Server(server.into_script()).into()),
        };
        (self.path, Entry { stamp: self.stamp, watched: self.watched, result })
    }
}

impl Server {
    fn of(script: &Script) -> Self {
        let doubts = match &script.confidence {
            Confidence::Full => Vec::new(),
            Confidence::Partial(doubts) => doubts.clone(),
        };
        Self {
            features: script.features.clone(),
            doubts,
            requirements: script.needs.requirements.clone(),
            requires_python: script.needs.requires_python.clone(),
            problem: script.needs.problem.clone(),
            sdk: script.sdk,
            local_modules: script.local_modules.clone(),
            content_hash: script.content_hash.clone(),
        }
    }

    fn into_script(self) -> Script {
        Script {
            features: self.features,
            confidence: if self.doubts.is_empty() {
                Confidence::Full
            } else {
                Confidence::Partial(self.doubts)
            },
            needs: PythonNeeds {
                requirements: self.requirements,
                requires_python: self.requires_python,
                problem: self.problem,
            },
            sdk: self.sdk,
            local_modules: self.local_modules,
            content_hash: self.content_hash,
        }
    }
}
