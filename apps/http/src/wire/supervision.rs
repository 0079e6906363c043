//! Checks, alerts, numbers, and the settings of supervision.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{HubEvent, ms, owner, shown};
use crate::domain::{
    Alert, AlertLevel, Check, OutOfRange, Scope, ServerState, ServerStats, Stats, Supervision, ToolStats,
};

/// How a check of a server went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckItem {
    /// Its name in this context.
    pub server_name: String,
    /// Whether it answered. One that sleeps is not asked, and is well as long as nothing is known
    /// against it.
    pub healthy: bool,
    /// Its state after the check.
    #[schema(value_type = String, example = "healthy")]
    pub status: ServerState,
    /// How long its answer took, to 0.1 ms; `null` when it was not asked, or did not answer.
    pub latency_ms: Option<f64>,
    /// What is wrong, or why it was not asked.
    pub reason: Option<String>,
}

impl CheckItem {
    pub(crate) fn of(server_name: String, check: Check) -> Self {
        let Check { healthy, state, latency, reason } = check;
        Self { server_name, healthy, status: state, latency_ms: latency.map(ms), reason }
    }
}

/// Why a server is to be disconnected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DisconnectBody {
    /// What its status shows, in at most 500 characters.
    pub reason: Option<String>,
}

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertItem {
    /// Its number; a later one is greater.
    pub id: u64,
    /// `info`, `warning` or `error`.
    #[schema(value_type = String, example = "warning")]
    pub level: AlertLevel,
    /// What it is about, in a few words.
    pub title: String,
    /// What happened.
    pub message: String,
    /// The server that it is about, by its name in this context.
    pub server_name: Option<String>,
    /// Whose server it is.
    pub owner: Option<String>,
    /// When it was raised.
    #[schema(format = DateTime)]
    pub at: String,
}

impl AlertItem {
    pub(crate) fn of(scope: &Scope, alert: &Alert) -> Self {
        Self {
            id: alert.id,
            level: alert.level,
            title: alert.title.clone(),
            message: alert.message.clone(),
            server_name: alert.server.as_ref().map(|server| shown(scope, server)),
            owner: alert.server.as_ref().and_then(owner),
            at: alert.at.to_string(),
        }
    }
}

/// An alert to be raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RaiseAlert {
    /// `info`, `warning` or `error`; `warning` where nothing is said.
    #[serde(default = "warning")]
    #[schema(value_type = String, example = "warning")]
    pub level: AlertLevel,
    /// What it is about, in 1 to 200 characters.
    pub title: String,
    /// What happened, in at most 2,000 characters.
    #[serde(default)]
    pub message: String,
    /// The server that it is about. An agent must name one.
    #[serde(default)]
    pub server_name: Option<String>,
}

fn warning() -> AlertLevel {
    AlertLevel::Warning
}

/// Alerts were cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClearedAlerts {
    /// How many there were.
    pub cleared: usize,
}

/// How calls ended since the hub was opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallSums {
    /// How many ended.
    pub calls: u64,
    /// How many of them did not end well.
    pub errors: u64,
    /// How long one took on average, to 0.1 ms; `null` without a call.
    pub mean_ms: Option<f64>,
    /// When the last one ended.
    pub last: Option<String>,
}

impl From<ToolStats> for CallSums {
    fn from(stats: ToolStats) -> Self {
        Self {
            calls: stats.calls,
            errors: stats.errors,
            mean_ms: stats.mean().map(ms),
            last: stats.last.map(|at| at.to_string()),
        }
    }
}

/// A server in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerStatItem {
    /// Its name in this context.
    pub server_name: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// Its state.
    #[schema(value_type = String, example = "healthy")]
    pub status: ServerState,
    /// Why it is in it, where the word does not say it.
    pub reason: Option<String>,
    /// Since when.
    pub since: String,
    /// Failures in a row.
    pub failures: u32,
    /// How many of its tools can be called here.
    pub tools: usize,
    /// How calls of its tools ended.
    #[serde(flatten)]
    pub sums: CallSums,
}

impl From<&ServerStats> for ServerStatItem {
    fn from(server: &ServerStats) -> Self {
        Self {
            server_name: server.name.clone(),
            owner: owner(&server.key),
            status: server.status.state,
            reason: server.status.told(),
            since: server.status.since.to_string(),
            failures: server.status.failures,
            tools: server.tools,
            sums: server.calls.into(),
        }
    }
}

/// A context in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsReport {
    /// When the hub was opened; calls are counted from there.
    pub since: String,
    /// How many servers there are.
    pub servers: usize,
    /// How many servers are in each state, also in those that none is in.
    pub states: BTreeMap<String, usize>,
    /// Agents that have servers; an agent sees itself only.
    pub agents: usize,
    /// Tools that can be called, asleep or not.
    pub tools: usize,
    /// Tools that are left out here.
    pub disabled_tools: usize,
    /// Servers of the hub that are being contacted for the first time; their tools are not known.
    pub connecting: usize,
    /// How calls ended. The store sees the sum over all contexts.
    pub calls: CallSums,
    /// How many alerts there are of each level.
    pub alerts: BTreeMap<String, usize>,
    /// Each server, by name.
    pub by_server: Vec<ServerStatItem>,
}

impl From<Stats> for StatsReport {
    fn from(stats: Stats) -> Self {
        let Stats { since, states, servers, agents, tools, disabled_tools, connecting, calls, alerts } =
            stats;
        let level = |level| match level {
            AlertLevel::Info => "info",
            AlertLevel::Warning => "warning",
            AlertLevel::Error => "error",
        };
        Self {
            since: since.to_string(),
            servers: servers.len(),
            states: states.into_iter().map(|(state, count)| (state.to_string(), count)).collect(),
            agents,
            tools,
            disabled_tools,
            connecting,
            calls: calls.into(),
            alerts: alerts.into_iter().map(|(it, count)| (level(it).to_owned(), count)).collect(),
            by_server: servers.iter().map(ServerStatItem::from).collect(),
        }
    }
}

/// An event that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecentEvent {
    /// Its id; whoever listens with it as `Last-Event-ID` gets what came after.
    pub id: String,
    /// When the hub told of it.
    #[schema(format = DateTime)]
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub event: HubEvent,
}

/// The smallest and the largest value of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingRange {
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

/// The thresholds and paces by which servers are watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SupervisionReport {
    /// Every setting as it is now; the unit is part of the name.
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
    /// What each is where nobody says otherwise.
    #[schema(value_type = Object)]
    pub defaults: Map<String, Value>,
    /// What each may be.
    pub ranges: BTreeMap<String, SettingRange>,
}

impl SupervisionReport {
    pub(crate) fn of(now: &Supervision, defaults: &Supervision) -> Self {
        let members = |supervision: &Supervision| match supervision.to_value() {
            Value::Object(members) => members,
            // Settings are always an object.
            _ => Map::new(),
        };
        let ranges = Supervision::ranges();
        let ranges = ranges.map(|(name, min, max)| (name.to_owned(), SettingRange { min, max }));
        Self { settings: members(now), defaults: members(defaults), ranges: ranges.collect() }
    }
}

/// A setting that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RefusedSetting {
    /// The setting as it was named.
    pub field: String,
    /// What it was to be.
    pub value: Value,
    /// What it may be, in words that follow "it".
    pub range: String,
}

impl From<OutOfRange> for RefusedSetting {
    fn from(OutOfRange { field, value, range }: OutOfRange) -> Self {
        Self { field, value, range }
    }
}
