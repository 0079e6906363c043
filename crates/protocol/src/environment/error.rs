//! Why there is no environment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::fault::InstallFault;

/// Why a script has no environment. Each names what a person can change.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EnvironmentError {
    /// The scan already found why the needs cannot be met.
    #[error("{problem}")]
    Needs {
        /// In words for a person.
        problem: String,
    },
    /// A requirement that is not one (PEP 508).
    #[error("`{requirement}` is no valid requirement: {reason}")]
    Requirement {
        /// As the script has it.
        requirement: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A requirement that would install from somewhere else than the package index.
    #[error(
        "`{requirement}` names {source_kind}; that is only installed if the configuration allows it for this script"
    )]
    Direct {
        /// As the script has it.
        requirement: String,
        /// "a URL", "a repository", "a path".
        source_kind: &'static str,
    },
    /// A `requires-python` that is no range of versions.
    #[error("`requires-python = \"{requires}\"` is no valid range of versions")]
    RequiresPython {
        /// As the script has it.
        requires: String,
    },
    /// No interpreter on this machine fits.
    #[error("no Python here is {wanted}; found {found}")]
    NoPython {
        /// The range that was asked for.
        wanted: String,
        /// What was looked at, or "none".
        found: String,
    },
    /// The interpreter can make no environment.
    #[error(
        "Python {version} has neither `pip` nor `ensurepip`; on Debian and Ubuntu install the package `{package}`"
    )]
    NoPip {
        /// The interpreter's version.
        version: String,
        /// The Debian package that brings it.
        package: String,
    },
    /// A package could not be installed.
    #[error("cannot install {package}: {fault} (log: {})", log.display())]
    Install {
        /// The package or requirement at fault, as far as the installer says.
        package: String,
        /// The reason.
        fault: InstallFault,
        /// The installer's full output.
        log: PathBuf,
    },
    /// The build took too long and was stopped.
    #[error("the environment was not ready after {} s (log: {})", after.as_secs(), log.display())]
    Deadline {
        /// The deadline that passed.
        after: Duration,
        /// The installer's output so far.
        log: PathBuf,
    },
    /// The build ended without a result, because the hub is shutting down.
    #[error("the build of the environment was broken off")]
    BrokenOff,
    /// A file or program of the cache could not be used.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Arc<std::io::Error>,
    },
}

impl EnvironmentError {
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source: Arc::new(source) }
    }
}
