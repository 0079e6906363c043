//! What people said about servers and tools, beside what the servers say themselves.
//!
//! Facts are about keys: they stay when a server goes, and count again when it returns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dormouse_types::{AgentId, Scope, ServerKey, ToolKey, ToolName, ToolSettings};

/// Assignments and settings of one catalog.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// Servers of the store, and the agents that see them, too.
    assigned: BTreeMap<ServerKey, BTreeSet<AgentId>>,
    settings: BTreeMap<Scope, Settings>,
}

/// What one context says about tools.
#[derive(Debug, Clone, Default)]
struct Settings {
    of: BTreeMap<ServerKey, SettingsOf>,
    renamed: BTreeMap<ToolName, ToolKey>,
}

/// What one context says about the tools of one server.
pub(crate) type SettingsOf = BTreeMap<ToolName, Arc<ToolSettings>>;

impl Facts {
    pub(crate) fn assigned_to(&self, server: &ServerKey) -> impl Iterator<Item = &AgentId> {
        self.assigned.get(server).into_iter().flatten()
    }

    pub(crate) fn is_assigned(&self, server: &ServerKey, agent: &AgentId) -> bool {
        self.assigned.get(server).is_some_and(|agents| agents.contains(agent))
    }

    pub(crate) fn has_assignments(&self, agent: &AgentId) -> bool {
        self.assigned.values().any(|agents| agents.contains(agent))
    }

    /// Says whether that is new.
    pub(crate) fn assign(&mut self, server: ServerKey, agent: AgentId) -> bool {
        self.assigned.entry(server).or_default().insert(agent)
    }

    /// Says whether that is new.
    pub(crate) fn unassign(&mut self, server: &ServerKey, agent: &AgentId) -> bool {
        let Some(agents) = self.assigned.get_mut(server) else { return false };
        let was = agents.remove(agent);
        if agents.is_empty() {
            self.assigned.remove(server);
        }
        was
    }

    pub(crate) fn settings_of(&self, view: &Scope, server: &ServerKey) -> Option<&SettingsOf> {
        self.settings.get(view)?.of.get(server)
    }

    pub(crate) fn settings(&self, view: &Scope, tool: &ToolKey) -> Option<&Arc<ToolSettings>> {
        self.settings_of(view, &tool.server)?.get(&tool.tool)
    }

    pub(crate) fn all_settings(
        &self,
    ) -> impl Iterator<Item = (&Scope, &ServerKey, &ToolName, &Arc<ToolSettings>)> {
        let in_view =
            |(view, settings)| of_view(settings).map(move |(server, tool, s)| (view, server, tool, s));
        self.settings.iter().flat_map(in_view)
    }

    /// The tool that a name was chosen for in a context.
    pub(crate) fn renamed(&self, view: &Scope, name: &str) -> Option<&ToolKey> {
        let renamed = &self.settings.get(view)?.renamed;
        // No chosen name is longer than names may be.
        renamed.get(&ToolName::try_new(name).ok()?)
    }

    /// Takes settings in place of older ones; empty ones are forgotten.
    pub(crate) fn set(&mut self, view: &Scope, tool: &ToolKey, new: ToolSettings) {
        let settings = self.settings.entry(view.clone()).or_default();
        settings.renamed.retain(|_, of| of != tool);
        if let Some(name) = &new.name {
            settings.renamed.insert(name.clone(), tool.clone());
        }
        let of = settings.of.entry(tool.server.clone()).or_default();
        if new.is_empty() {
            of.remove(&tool.tool);
        } else {
            of.insert(tool.tool.clone(), Arc::new(new));
        }
        if of.is_empty() {
            settings.of.remove(&tool.server);
        }
        if settings.of.is_empty() {
            self.settings.remove(view);
        }
    }
}

fn of_view(settings: &Settings) -> impl Iterator<Item = (&ServerKey, &ToolName, &Arc<ToolSettings>)> {
    settings
        .of
        .iter()
        .flat_map(|(server, of)| of.iter().map(move |(tool, settings)| (server, tool, settings)))
}
