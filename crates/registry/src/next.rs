//! Making the next version of a catalog out of changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use dormouse_types::{
    AgentId, Event, Launch, Scope, ServerKey, ServerStatus, Timestamp, ToolKey, ToolName, ToolSettings,
};

use crate::catalog::{Catalog, Version};
use crate::entry::{Change, Entry};
use crate::names::{Fresh, LONGEST, Names, is_allowed, shown_name};
use crate::registry::ApplyError;
use crate::view::{Listed, StatusCell};

/// A catalog in the making.
#[derive(Debug)]
pub(crate) struct Next<'a> {
    catalog: Catalog,
    names: &'a mut Names,
    fresh: &'a mut Fresh,
    events: Vec<Event>,
    is_new: bool,
}

impl<'a> Next<'a> {
    /// Begins with a copy of a catalog. Names that are given on the way go into `fresh`.
    pub(crate) fn after(catalog: &Catalog, names: &'a mut Names, fresh: &'a mut Fresh) -> Self {
        Self { catalog: catalog.clone(), names, fresh, events: Vec::new(), is_new: false }
    }

    /// The next version, and what happened. If nothing changed the version is the same.
    pub(crate) fn done(mut self) -> (Catalog, Vec<Event>) {
        if self.is_new {
            self.catalog.version = Version(self.catalog.version.0 + 1);
        }
        (self.catalog, self.events)
    }

    pub(crate) fn make(&mut self, change: Change) -> Result<(), ApplyError> {
        match change {
            Change::Put(entry) => self.put(entry),
            Change::Register(entry) => {
                self.check_conflict(&entry)?;
                self.put(entry);
            }
            Change::Remove(key) => self.remove(&key),
            Change::Assign { server, agent } => self.assign(server, agent)?,
            Change::Unassign { server, agent } => self.unassign(&server, &agent),
            Change::ToolSettings { scope, tool, settings } => self.set(&scope, &tool, settings)?,
        }
        Ok(())
    }

    fn put(&mut self, mut entry: Entry) {
        let mut cell: Option<StatusCell> = None;
        if let Some(old) = self.catalog.store.servers.get(&entry.key) {
            if old.entry.says_the_same(&entry) {
                return;
            }
            if old.entry.features == entry.features {
                // The same value stays the same allocation, so that indexes need not look.
                entry.features = Arc::clone(&old.entry.features);
            }
            entry.registered_at = old.entry.registered_at;
            cell = Some(Arc::clone(&old.status));
        }
        let cell = cell.unwrap_or_else(|| dormant_since(entry.registered_at));
        let entry = Arc::new(entry);
        let listed = self.listed(&Scope::Store, &entry, &cell);
        Arc::make_mut(&mut self.catalog.store).put(listed);
        self.show_to_agents(&entry.key);
        self.changed(entry.key.clone());
    }

    fn remove(&mut self, key: &ServerKey) {
        if !self.catalog.store.servers.contains_key(key) {
            return;
        }
        let facts = &self.catalog.facts;
        let sees = |agent: &&AgentId| self.catalog.shows(agent, key);
        let agents = facts.assigned_to(key).filter(sees).cloned().collect();
        Arc::make_mut(&mut self.catalog.store).remove(key);
        self.show_to_agents(key);
        self.is_new = true;
        self.events.push(Event::ServerRemoved { server: key.clone(), agents });
    }

    fn assign(&mut self, server: ServerKey, agent: AgentId) -> Result<(), ApplyError> {
        if server.scope != Scope::Store {
            return Err(ApplyError::NotOfStore { server });
        }
        if !self.catalog.facts.is_assigned(&server, &agent) {
            Arc::make_mut(&mut self.catalog.facts).assign(server.clone(), agent.clone());
            self.show(&agent, &server);
            self.changed(server);
        }
        Ok(())
    }

    fn unassign(&mut self, server: &ServerKey, agent: &AgentId) {
        if self.catalog.facts.is_assigned(server, agent) {
            let was_seen =
                self.catalog.store.servers.contains_key(server) && self.catalog.shows(agent, server);
            Arc::make_mut(&mut self.catalog.facts).unassign(server, agent);
            self.show(agent, server);
            self.changed(server.clone());
            if was_seen {
                let (server, agent) = (server.clone(), agent.clone());
                self.events.push(Event::ServerUnassigned { server, agent });
            }
        }
    }

    fn set(&mut self, view: &Scope, tool: &ToolKey, settings: ToolSettings) -> Result<(), ApplyError> {
        let facts = &self.catalog.facts;
        let same = match facts.settings(view, tool) {
            Some(now) => **now == settings,
            None => settings.is_empty(),
        };
        if same {
            return Ok(());
        }
        if let Some(name) = &settings.name {
            self.check_name(view, tool, name)?;
        }
        Arc::make_mut(&mut self.catalog.facts).set(view, tool, settings);
        match view {
            Scope::Store => {
                if let Some(known) = self.catalog.store.servers.get(&tool.server).cloned() {
                    let listed = self.listed(view, &known.entry, &known.status);
                    Arc::make_mut(&mut self.catalog.store).put(listed);
                }
            }
            Scope::Agent(agent) => self.show(agent, &tool.server),
        }
        self.changed(tool.server.clone());
        Ok(())
    }

    /// A chosen name must be one that clients take, and mean no other tool, present or gone.
    fn check_name(&self, view: &Scope, tool: &ToolKey, name: &ToolName) -> Result<(), ApplyError> {
        let text = name.as_str();
        if text.len() > LONGEST || !is_allowed(text) {
            return Err(ApplyError::NameRule { name: name.clone() });
        }
        let chosen = self.catalog.facts.renamed(view, text).cloned();
        match chosen.or_else(|| self.names.given_to(view, text)) {
            Some(by) if by != *tool => Err(ApplyError::NameTaken { name: name.clone(), by: Box::new(by) }),
            _ => Ok(()),
        }
    }

    /// Something is new about a server; an absent one is nobody's news.
    fn changed(&mut self, server: ServerKey) {
        self.is_new = true;
        if self.catalog.store.servers.contains_key(&server) {
            self.events.push(Event::ServerChanged { server });
        }
    }

    /// Brings the views of all agents whom a server concerns up to what the store knows of it.
    fn show_to_agents(&mut self, key: &ServerKey) {
        match &key.scope {
            Scope::Agent(agent) => {
                self.show(agent, key);
                // The agent's own server hides one of the store that has the same name.
                let hidden = ServerKey::store(key.name.clone());
                if self.catalog.facts.is_assigned(&hidden, agent) {
                    self.show(agent, &hidden);
                }
            }
            Scope::Store => {
                let agents: Vec<AgentId> = self.catalog.facts.assigned_to(key).cloned().collect();
                for agent in agents {
                    self.show(&agent, key);
                }
            }
        }
    }

    /// Brings one agent's view of one server up to date.
    fn show(&mut self, agent: &AgentId, key: &ServerKey) {
        let known = self.catalog.store.servers.get(key).filter(|_| self.catalog.shows(agent, key)).cloned();
        let listed = known.map(|known| {
            let view = Scope::Agent(agent.clone());
            self.listed(&view, &known.entry, &known.status)
        });
        let view = Arc::make_mut(self.catalog.agents.entry(agent.clone()).or_default());
        match listed {
            Some(listed) => view.put(listed),
            None => view.remove(key),
        }
        if view.servers.is_empty() && !self.catalog.facts.has_assignments(agent) {
            self.catalog.agents.remove(agent);
        }
    }

    fn listed(&mut self, view: &Scope, entry: &Arc<Entry>, status: &StatusCell) -> Arc<Listed> {
        let (key, facts) = (&entry.key, &self.catalog.facts);
        let shown = shown_name(view, key);
        let chosen = |name: &str| facts.renamed(view, name).is_some();
        let names =
            |shown: &str, tools: &[&ToolName]| self.names.of(view, key, shown, tools, &chosen, self.fresh);
        let settings = facts.settings_of(view, key);
        Arc::new(Listed::new(Arc::clone(entry), shown, Arc::clone(status), settings, names))
    }

    fn check_conflict(&self, entry: &Entry) -> Result<(), ApplyError> {
        match self.catalog.get(&entry.key) {
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
