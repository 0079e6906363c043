//! How the hub fares.

use std::path::Path;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Doctor, Finding, Garbage, Health, ServerInfo, ServerState, StorageHealth};

/// How the hub fares, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthReport {
    /// `ok`, or `degraded` when what is remembered cannot be reached.
    #[schema(example = "ok")]
    pub status: String,
    /// Servers of this context, asleep or not.
    pub servers: usize,
    /// Their tools.
    pub tools: usize,
    /// `ok`, or `error` when the Redis that hubs share cannot be reached; `unused` without one.
    #[schema(example = "unused")]
    pub redis: String,
    /// Servers that have a process, in all contexts.
    pub attached: usize,
    /// Servers that are being contacted for the first time; their tools are not known yet.
    pub connecting: usize,
    /// `ok`, or `error` when what is remembered cannot be reached.
    pub storage: String,
    /// The model that would be asked now.
    pub model: Option<String>,
    /// The hub's version.
    pub version: String,
    /// Whether it runs in the background, for as long as it has clients.
    #[serde(default)]
    pub background: bool,
}

impl HealthReport {
    /// `servers` and `tools` are those of the context that is asked.
    pub(crate) fn of(
        health: Health,
        servers: usize,
        tools: usize,
        connecting: usize,
        background: bool,
    ) -> Self {
        // Why it fails may name paths; that stays in the log and with `doctor`.
        let (status, storage) = match health.storage {
            StorageHealth::Ok => ("ok", "ok"),
            StorageHealth::Failing(_) => ("degraded", "error"),
        };
        Self {
            status: status.to_owned(),
            servers,
            tools,
            redis: if health.shared { storage } else { "unused" }.to_owned(),
            attached: health.attached,
            connecting,
            storage: storage.to_owned(),
            model: health.model,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            background,
        }
    }
}

/// A file or entry that somebody may have meant as a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingItem {
    /// The file.
    pub path: String,
    /// What is wrong with it, or why it is left aside.
    pub problem: String,
}

impl From<Finding> for FindingItem {
    fn from(finding: Finding) -> Self {
        Self { path: finding.path.display().to_string(), problem: finding.problem }
    }
}

/// A server that is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnwellServer {
    /// Its name in the store.
    pub name: String,
    /// Its state.
    #[schema(value_type = String, example = "unreachable")]
    pub status: ServerState,
    /// Why.
    pub reason: Option<String>,
}

impl UnwellServer {
    fn of(server: &ServerInfo) -> Option<Self> {
        let status = &server.status;
        match status.state {
            ServerState::Warning | ServerState::Reconnecting | ServerState::Unreachable => {
                Some(Self { name: server.name.clone(), status: status.state, reason: status.told() })
            }
            ServerState::Dormant
            | ServerState::Initializing
            | ServerState::Healthy
            | ServerState::Disconnecting
            | ServerState::Disconnected => None,
        }
    }
}

/// What a cleaning of environments removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cleaned {
    /// Environments removed, half-made ones included.
    pub removed: usize,
    /// Bytes that this freed.
    pub bytes: u64,
    /// Environments that no script of this space needs, but somebody uses.
    pub in_use: usize,
}

impl From<Garbage> for Cleaned {
    fn from(garbage: Garbage) -> Self {
        let Garbage { removed, bytes, in_use } = garbage;
        Self { removed, bytes, in_use }
    }
}

/// What a person should know who wonders why something does not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DoctorReport {
    /// The folder that the hub works in.
    #[serde(default)]
    pub space: String,
    /// Files and entries that are no servers.
    pub findings: Vec<FindingItem>,
    /// Servers that are not well.
    pub servers: Vec<UnwellServer>,
    /// The interpreter that environments are built on.
    pub python: Option<String>,
    /// Why there is none.
    pub python_problem: Option<String>,
    /// What the keeper of processes cannot guarantee on this machine.
    pub weaknesses: Vec<String>,
    /// The model that would be asked now.
    pub model: Option<String>,
    /// What could be done about a missing one.
    pub hint: Option<String>,
    /// `ok`, or why what is remembered cannot be reached.
    pub storage: String,
    /// Where sign-ins at servers at URLs are kept.
    #[serde(default)]
    pub sign_ins: String,
    /// Whether the hub runs in the background, for as long as it has clients.
    #[serde(default)]
    pub background: bool,
}

impl DoctorReport {
    pub(crate) fn of(
        space: &Path,
        doctor: Doctor,
        health: Health,
        servers: &[ServerInfo],
        background: bool,
    ) -> Self {
        let Doctor { findings, python, weaknesses, model, hint, sign_ins } = doctor;
        let (python, python_problem) = match python {
            Ok(path) => (Some(path.display().to_string()), None),
            Err(problem) => (None, Some(problem)),
        };
        let storage = match health.storage {
            StorageHealth::Ok => "ok".to_owned(),
            StorageHealth::Failing(why) => why,
        };
        Self {
            space: space.display().to_string(),
            findings: findings.into_iter().map(FindingItem::from).collect(),
            servers: servers.iter().filter_map(UnwellServer::of).collect(),
            python,
            python_problem,
            weaknesses,
            model,
            hint,
            storage,
            sign_ins: super::kept(sign_ins),
            background,
        }
    }
}
