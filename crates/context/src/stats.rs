//! A context in numbers.

use std::collections::HashMap;
use std::sync::Arc;

use dormouse_types::{AlertLevel, ServerKey, ServerState, ServerStatus, Timestamp};

use crate::context::Context;
use crate::record::ToolStats;

/// A context in numbers.
#[derive(Debug, Clone)]
pub struct Stats {
    /// When the hub was opened; calls are counted from there.
    pub since: Timestamp,
    /// Every state with how many servers are in it, also those that none is in.
    pub states: Vec<(ServerState, usize)>,
    /// Every server, by name.
    pub servers: Vec<ServerStats>,
    /// Agents that have servers; an agent sees itself only.
    pub agents: usize,
    /// Tools that can be called here, asleep or not.
    pub tools: usize,
    /// Tools that are left out here.
    pub disabled_tools: usize,
    /// Servers of the hub that are being contacted for the first time; their tools are not known.
    pub connecting: usize,
    /// How calls of this context ended; the store sees the sum over all contexts.
    pub calls: ToolStats,
    /// Alerts that this context sees, by level, with every level.
    pub alerts: Vec<(AlertLevel, usize)>,
}

/// A server in numbers.
#[derive(Debug, Clone)]
pub struct ServerStats {
    /// Its name in this context.
    pub name: String,
    /// Which server.
    pub key: ServerKey,
    /// How it fares.
    pub status: Arc<ServerStatus>,
    /// How many of its tools can be called here.
    pub tools: usize,
    /// How calls of its tools ended.
    pub calls: ToolStats,
}

impl Context {
    /// This context in numbers. Answers from memory.
    pub fn stats(&self) -> Stats {
        let mut by_server: HashMap<ServerKey, ToolStats> = HashMap::new();
        let mut calls = ToolStats::default();
        for (tool, stats) in self.tool_stats() {
            by_server.entry(tool.server).or_default().add(&stats);
            // Also of servers that are gone.
            calls.add(&stats);
        }
        let servers: Vec<ServerStats> = self
            .servers()
            .into_iter()
            .map(|server| ServerStats {
                calls: by_server.get(&server.entry.key).copied().unwrap_or_default(),
                key: server.entry.key.clone(),
                name: server.name,
                status: server.status,
                tools: server.tools.len(),
            })
            .collect();
        let states = ServerState::ALL.map(|state| {
            let count = servers.iter().filter(|server| server.status.state == state).count();
            (state, count)
        });
        let raised = self.alerts();
        let levels = [AlertLevel::Error, AlertLevel::Warning, AlertLevel::Info];
        let alerts = levels.map(|level| (level, raised.iter().filter(|alert| alert.level == level).count()));
        let all_tools = self.all_tools().len();
        let tools = self.registry().snapshot().tool_count(self.scope());
        Stats {
            since: self.opened(),
            states: states.to_vec(),
            servers,
            agents: self.agents().len(),
            tools,
            disabled_tools: all_tools.saturating_sub(tools),
            connecting: self.connecting(),
            calls,
            alerts: alerts.to_vec(),
        }
    }
}
