//! One immutable version of everything known.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dormouse_types::{AgentId, Event, Launch, Scope, ServerKey, ServerStatus, Timestamp, ToolKey};

use crate::entry::{Change, Entry, ToolRef};
use crate::names::{Fresh, Names, shown_name};
use crate::registry::ApplyError;
use crate::view::{Listed, StatusCell, View};

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
/// Each context has its own view of it: the store sees all servers, an agent its own.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub(crate) version: Version,
    pub(crate) store: Arc<View>,
    pub(crate) agents: BTreeMap<AgentId, Arc<View>>,
}

impl Catalog {
    /// Its number.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The servers that a context sees, sorted by key.
    pub fn servers(&self, scope: &Scope) -> impl Iterator<Item = &Arc<Entry>> {
        self.view(scope).into_iter().flat_map(|view| view.servers.values()).map(|server| &server.entry)
    }

    /// The tools that a context sees: by server, and there in the server's order.
    pub fn tools(&self, scope: &Scope) -> impl Iterator<Item = ToolRef> {
        self.view(scope).into_iter().flat_map(View::tools)
    }

    /// The tools of one server as a context sees them; none if it does not see the server.
    pub fn tools_of(&self, scope: &Scope, server: &ServerKey) -> impl Iterator<Item = ToolRef> {
        let server = self.view(scope).and_then(|view| view.servers.get(server)).cloned();
        server.into_iter().flat_map(|server| {
            (0..server.tools.len()).map(move |place| ToolRef { server: Arc::clone(&server), place })
        })
    }

    /// How many servers a context sees.
    pub fn server_count(&self, scope: &Scope) -> usize {
        self.view(scope).map_or(0, |view| view.servers.len())
    }

    /// How many tools a context sees.
    pub fn tool_count(&self, scope: &Scope) -> usize {
        self.view(scope).map_or(0, |view| view.tool_count)
    }

    /// The agents that have servers.
    pub fn agents(&self) -> impl Iterator<Item = &AgentId> {
        self.agents.keys()
    }

    /// A server by its key.
    pub fn get(&self, server: &ServerKey) -> Option<&Arc<Entry>> {
        self.store.servers.get(server).map(|server| &server.entry)
    }

    /// A tool by its key, as a context sees it.
    pub fn tool(&self, scope: &Scope, key: &ToolKey) -> Option<ToolRef> {
        self.tools_of(scope, &key.server).find(|tool| tool.tool().name == key.tool)
    }

    /// The full name of a tool in a context, if it is known there.
    pub fn full_name(&self, scope: &Scope, key: &ToolKey) -> Option<Arc<str>> {
        let tool = self.tool(scope, key)?;
        Some(Arc::clone(&tool.server.tools[tool.place].full_name))
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

    /// The next version: this one with the changes, what happened, and the names that it gave.
    ///
    /// Without an event nothing changed, and the version is the same.
    pub(crate) fn with(
        &self,
        changes: Vec<Change>,
        names: &mut Names,
        fresh: &mut Fresh,
    ) -> Result<(Self, Vec<Event>), ApplyError> {
        let mut next = self.clone();
        let mut events = Vec::new();
        for change in changes {
            match change {
                Change::Put(entry) => events.extend(next.put(entry, names, fresh)),
                Change::Register(entry) => {
                    next.check_conflict(&entry)?;
                    events.extend(next.put(entry, names, fresh));
                }
                Change::Remove(key) => events.extend(next.remove(key)),
            }
        }
        if !events.is_empty() {
            next.version = Version(self.version.0 + 1);
        }
        Ok((next, events))
    }

    fn put(&mut self, mut entry: Entry, names: &mut Names, fresh: &mut Fresh) -> Option<Event> {
        let mut cell: Option<StatusCell> = None;
        if let Some(old) = self.store.servers.get(&entry.key) {
            if old.entry.says_the_same(&entry) {
                return None;
            }
            if old.entry.features == entry.features {
                // The same value stays the same allocation, so that indexes need not look.
                entry.features = Arc::clone(&old.entry.features);
            }
            entry.registered_at = old.entry.registered_at;
            cell = Some(Arc::clone(&old.status));
        }
        let cell = cell.unwrap_or_else(|| dormant_since(entry.registered_at));
        let (key, entry) = (entry.key.clone(), Arc::new(entry));
        let mut list = |view: &Scope| {
            let shown = shown_name(view, &key);
            let names = |shown: &str, tools: &[&_]| names.of(view, &key, shown, tools, fresh);
            Arc::new(Listed::new(Arc::clone(&entry), shown, Arc::clone(&cell), names))
        };
        Arc::make_mut(&mut self.store).put(list(&Scope::Store));
        if let Scope::Agent(agent) = &key.scope {
            let view = self.agents.entry(agent.clone()).or_default();
            Arc::make_mut(view).put(list(&key.scope));
        }
        Some(Event::ServerChanged { server: key })
    }

    fn remove(&mut self, key: ServerKey) -> Option<Event> {
        if !self.store.servers.contains_key(&key) {
            return None;
        }
        Arc::make_mut(&mut self.store).remove(&key);
        if let Scope::Agent(agent) = &key.scope
            && let Some(view) = self.agents.get_mut(agent)
        {
            Arc::make_mut(view).remove(&key);
            if view.servers.is_empty() {
                self.agents.remove(agent);
            }
        }
        Some(Event::ServerRemoved { server: key })
    }

    fn check_conflict(&self, entry: &Entry) -> Result<(), ApplyError> {
        match self.get(&entry.key) {
            Some(known) if !same_origin(&known.config.launch, &entry.config.launch) => {
                Err(ApplyError::Conflict {
                    server: entry.key.clone(),
                    known: Box::new(known.config.launch.clone()),
                    asked: Box::new(entry.config.launch.clone()),
                })
            }
            _ => Ok(()),
        }
    }
}

/// Whether both start the same thing; what a script needs installed may have changed meanwhile.
fn same_origin(known: &Launch, asked: &Launch) -> bool {
    match (known, asked) {
        (Launch::Script { path: known, .. }, Launch::Script { path: asked, .. }) => known == asked,
        (known, asked) => known == asked,
    }
}

fn dormant_since(since: Timestamp) -> StatusCell {
    Arc::new(ArcSwap::from_pointee(ServerStatus::dormant(since)))
}
