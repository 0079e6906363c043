//! One immutable version of everything known.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use dormouse_types::{AgentId, Launch, Scope, ServerKey, ServerStatus, ToolKey, ToolSettings};

use crate::entry::{Change, Entry, ToolRef};
use crate::facts::Facts;
use crate::names::{Fresh, Names};
use crate::next::Next;
use crate::registry::ApplyError;
use crate::view::{StatusCell, View};

/// The number of a catalog; a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One immutable version of the servers and tools that the hub knows.
///
/// Each context has its own view of it: the store sees all servers, an agent its own and those
/// that are assigned to it.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub(crate) version: Version,
    pub(crate) store: Arc<View>,
    /// Of each agent that has servers or assignments.
    pub(crate) agents: BTreeMap<AgentId, Arc<View>>,
    pub(crate) facts: Arc<Facts>,
}

impl Catalog {
    /// A catalog that no registry keeps: with names that nobody stores. For who only looks.
    ///
    /// # Errors
    /// [`ApplyError`], but for its `Storage` and `Closed`.
    pub fn of(changes: Vec<Change>) -> Result<Self, ApplyError> {
        let (mut names, mut fresh) = (Names::default(), Fresh::default());
        let mut next = Next::after(&Self::default(), &mut names, &mut fresh);
        changes.into_iter().try_for_each(|change| next.make(change))?;
        Ok(next.done().0)
    }

    /// Its number.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The servers that a context sees, sorted by key.
    pub fn servers(&self, scope: &Scope) -> impl Iterator<Item = &Arc<Entry>> {
        self.view(scope).into_iter().flat_map(|view| view.servers.values()).map(|server| &server.entry)
    }

    /// The tools that a context offers: by server, and there in the server's order.
    pub fn tools(&self, scope: &Scope) -> impl Iterator<Item = ToolRef> {
        self.all_tools(scope).filter(|tool| !tool.settings().disabled)
    }

    /// Like [`tools`](Self::tools), with those that are disabled there.
    pub fn all_tools(&self, scope: &Scope) -> impl Iterator<Item = ToolRef> {
        self.view(scope).into_iter().flat_map(View::tools)
    }

    /// The tools of one server as a context offers them; none if it does not see the server.
    pub fn tools_of(&self, scope: &Scope, server: &ServerKey) -> impl Iterator<Item = ToolRef> + use<> {
        self.all_tools_of(scope, server).filter(|tool| !tool.settings().disabled)
    }

    /// Like [`tools_of`](Self::tools_of), with those that are disabled there.
    pub fn all_tools_of(&self, scope: &Scope, server: &ServerKey) -> impl Iterator<Item = ToolRef> + use<> {
        let server = self.view(scope).and_then(|view| view.servers.get(server)).cloned();
        server.into_iter().flat_map(|server| {
            (0..server.tools.len()).map(move |place| ToolRef { server: Arc::clone(&server), place })
        })
    }

    /// How many servers a context sees.
    pub fn server_count(&self, scope: &Scope) -> usize {
        self.view(scope).map_or(0, |view| view.servers.len())
    }

    /// How many tools a context offers.
    pub fn tool_count(&self, scope: &Scope) -> usize {
        self.view(scope).map_or(0, |view| view.tool_count)
    }

    /// The agents that have servers or assignments.
    pub fn agents(&self) -> impl Iterator<Item = &AgentId> {
        self.agents.keys()
    }

    /// Whether a context sees a server.
    pub fn sees(&self, scope: &Scope, server: &ServerKey) -> bool {
        self.view(scope).is_some_and(|view| view.servers.contains_key(server))
    }

    /// The agents that a server of the store is assigned to, whether or not it is known now.
    pub fn assigned_to(&self, server: &ServerKey) -> impl Iterator<Item = &AgentId> {
        self.facts.assigned_to(server)
    }

    /// Whether an assignment has no effect, since the agent has a server of that name itself.
    pub fn is_hidden(&self, server: &ServerKey, agent: &AgentId) -> bool {
        let own = ServerKey { scope: Scope::Agent(agent.clone()), name: server.name.clone() };
        self.facts.is_assigned(server, agent) && self.store.servers.contains_key(&own)
    }

    /// What contexts say about tools, also about those that are not known now.
    pub fn tool_settings(&self) -> impl Iterator<Item = (&Scope, ToolKey, &Arc<ToolSettings>)> {
        let key = |server: &ServerKey, tool| ToolKey { server: server.clone(), tool };
        self.facts.all_settings().map(move |(scope, server, tool, s)| (scope, key(server, tool.clone()), s))
    }

    /// Whether an agent's view shows a server that is known: its own one, or an assigned one
    /// that no own one hides.
    pub(crate) fn shows(&self, agent: &AgentId, server: &ServerKey) -> bool {
        match &server.scope {
            Scope::Agent(owner) => owner == agent,
            Scope::Store => self.facts.is_assigned(server, agent) && !self.is_hidden(server, agent),
        }
    }

    /// A server by its key.
    pub fn get(&self, server: &ServerKey) -> Option<&Arc<Entry>> {
        self.store.servers.get(server).map(|server| &server.entry)
    }

    /// A tool by its key, as a context sees it, also when it is disabled there.
    pub fn tool(&self, scope: &Scope, key: &ToolKey) -> Option<ToolRef> {
        self.all_tools_of(scope, &key.server).find(|tool| tool.tool().name == key.tool)
    }

    /// The full name of a tool in a context, if it is known there.
    pub fn full_name(&self, scope: &Scope, key: &ToolKey) -> Option<Arc<str>> {
        self.tool(scope, key).map(|tool| tool.full_name().into())
    }

    /// The servers that start from a script, in any context.
    pub fn servers_of_script<'a>(&'a self, script: &'a Path) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.servers(&Scope::Store).filter(move |entry| match &entry.config.launch {
            Launch::Script { path, .. } => path == script,
            Launch::Command { .. } | Launch::Url(_) | Launch::Elsewhere { .. } => false,
        })
    }

    /// How a server fares *now*, which may be later than this version; `None` if it is not known here.
    pub fn status(&self, server: &ServerKey) -> Option<Arc<ServerStatus>> {
        self.cell(server).map(|cell| cell.load_full())
    }

    pub(crate) fn cell(&self, server: &ServerKey) -> Option<&StatusCell> {
        self.store.servers.get(server).map(|server| &server.status)
    }

    pub(crate) fn view(&self, scope: &Scope) -> Option<&View> {
        match scope {
            Scope::Store => Some(&self.store),
            Scope::Agent(agent) => self.agents.get(agent).map(|view| &**view),
        }
    }
}
