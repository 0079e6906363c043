//! Moves a space over from MCPStore: its `mcp.json`, `agent_clients.json` and
//! `client_services.json`.
//!
//! There an agent's service stands in `mcp.json` under `{name}by{agent}` or
//! `{name}_byagent_{agent}`, and nothing says which names are made so. The side files do: they
//! list each agent's clients, and each client's services.
//!
//! # Invariants
//!
//! * Whose a service is comes from the side files and from `_mcpstore`, never from its name.
//!   A known owner's suffix is taken off only where the files hold the service under both names'
//!   places as MCPStore would have written them.
//! * What cannot be told is a problem with its path, and the rest is moved.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_types::{AgentId, Scope, ServerKey, ServerName};
use serde_json::{Map, Value, json};

use crate::mcp_json::{IntakeEntry, Problem, ProblemKind, intake_maps, kind};

/// The name under which MCPStore lists the store's own clients.
const STORE: &str = "global_agent_store";

/// The texts of MCPStore's files; a missing one is `None`.
#[derive(Clone, Copy, Default)]
pub struct Files<'a> {
    /// `mcp.json`.
    pub mcp_json: Option<&'a str>,
    /// `agent_clients.json`.
    pub agent_clients: Option<&'a str>,
    /// `client_services.json`.
    pub client_services: Option<&'a str>,
}

/// Without the texts, which hold secrets.
impl std::fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mcp_json, agent_clients, client_services } = self;
        let there = [mcp_json.is_some(), agent_clients.is_some(), client_services.is_some()];
        f.debug_tuple("Files").field(&there).finish()
    }
}

/// What is moved over.
#[derive(Clone, PartialEq, Default)]
pub struct Moved {
    /// Servers with their entries, as `mcp.json` takes them.
    pub servers: Vec<(ServerKey, Map<String, Value>)>,
    /// Servers of the store that an agent sees too.
    pub assignments: Vec<(ServerName, AgentId)>,
    /// What was not moved, or not all of it.
    pub problems: Vec<Problem>,
}

/// Without the entries, which hold secrets.
impl std::fmt::Debug for Moved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moved")
            .field("servers", &self.servers.iter().map(|(key, _)| key).collect::<Vec<_>>())
            .field("assignments", &self.assignments)
            .field("problems", &self.problems)
            .finish()
    }
}

/// Why nothing can be moved over.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// A file is no JSON.
    #[error("{file}: line {line}, column {column} is no JSON")]
    Json {
        /// Which.
        file: &'static str,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// It has another shape.
    #[error("{file}: expected an object, found {found}")]
    Shape {
        /// Which.
        file: &'static str,
        /// What stands there.
        found: &'static str,
    },
}

/// Reads MCPStore's files.
///
/// # Errors
/// [`MoveError`] when one of the files as a whole is unusable.
pub fn read(files: Files<'_>) -> Result<Moved, MoveError> {
    let mut mcp_json = object("mcp.json", files.mcp_json)?;
    let agents = object("agent_clients.json", files.agent_clients)?;
    let clients = object("client_services.json", files.client_services)?;
    let configured = match mcp_json.shift_remove("mcpServers") {
        None => Map::new(),
        Some(Value::Object(servers)) => servers,
        Some(other) => return Err(MoveError::Shape { file: "mcp.json", found: kind(&other) }),
    };
    let mut moving = Moving { configured, clients, ..Moving::default() };
    moving.agents(&agents);
    moving.store(&agents);
    moving.rest();
    Ok(moving.moved)
}

#[derive(Default)]
struct Moving {
    /// The servers of `mcp.json`.
    configured: Map<String, Value>,
    clients: Map<String, Value>,
    /// Keys of `mcp.json`, and clients' services, that have an owner already.
    owned: BTreeSet<String>,
    used_clients: BTreeSet<String>,
    taken: BTreeMap<ServerKey, String>,
    moved: Moved,
}

impl Moving {
    fn agents(&mut self, agents: &Map<String, Value>) {
        for (agent, clients) in agents.iter().filter(|(agent, _)| *agent != STORE) {
            let path = format!("agent_clients.json: {agent}");
            let id = match AgentId::try_new(agent) {
                Ok(id) => id,
                Err(error) => {
                    self.note(path, ProblemKind::Unusable, error.to_string());
                    continue;
                }
            };
            for (path, services) in self.services_of(&path, clients) {
                for (name, entry) in services {
                    let local = self.local_name(&name, &id);
                    // `mcp.json` is the later truth, where it has the service.
                    let rendered = renderings(&local, &id).into_iter().chain([name.clone()]);
                    let key = rendered
                        .filter(|key| !self.owned.contains(key))
                        .find(|key| self.configured.contains_key(key));
                    let entry = match key {
                        Some(key) => {
                            let entry = self.configured[&key].clone();
                            self.owned.insert(key);
                            entry
                        }
                        None => entry,
                    };
                    self.owned.extend(renderings(&local, &id));
                    self.take(format!("{path}.{name}"), Scope::Agent(id.clone()), &local, &entry);
                }
            }
        }
    }

    /// What an agent calls a service. MCPStore writes the agent's own name or the rendered one
    /// into a client; `mcp.json` always has the rendered one.
    fn local_name(&self, name: &str, agent: &AgentId) -> String {
        let is_local = renderings(name, agent).iter().any(|key| self.configured.contains_key(key));
        let ends = [format!("_byagent_{agent}"), format!("by{agent}")];
        let bare =
            ends.iter().find_map(|end| name.strip_suffix(end.as_str())).filter(|bare| !bare.is_empty());
        match bare {
            // It stands in `mcp.json` as it is: so it is the rendered name.
            Some(bare) if !is_local && self.configured.contains_key(name) => bare.to_owned(),
            _ => name.to_owned(),
        }
    }

    /// The store's own clients. An agent's services are listed there once more.
    fn store(&mut self, agents: &Map<String, Value>) {
        let Some(clients) = agents.get(STORE) else { return };
        let before = self.used_clients.clone();
        let path = format!("agent_clients.json: {STORE}");
        for (path, services) in self.services_of(&path, clients) {
            let is_agents = before.iter().any(|client| path.contains(&format!(": {client}.")));
            for (name, entry) in services {
                // With an entry in `mcp.json`, that one counts.
                if !is_agents && !self.owned.contains(&name) && !self.configured.contains_key(&name) {
                    self.take(format!("{path}.{name}"), Scope::Store, &name, &entry);
                }
            }
        }
    }

    /// What `mcp.json` has beside: the store's, unless `_mcpstore` says otherwise.
    fn rest(&mut self) {
        for (name, entry) in self.configured.clone() {
            if self.owned.contains(&name) {
                continue;
            }
            let path = format!("mcp.json: mcpServers.{name}");
            let scopes = entry.get("_mcpstore").and_then(|theirs| theirs.get("scopes"));
            let agents = match scopes.and_then(|scopes| scopes.get("agents")) {
                Some(Value::Object(agents)) => {
                    agents.iter().filter(|(_, is)| **is != json!(false)).map(|(id, _)| id.clone()).collect()
                }
                Some(Value::Array(agents)) => {
                    agents.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                _ => Vec::new(),
            };
            let of_store = scopes.and_then(|scopes| scopes.get("store"));
            let is_stores =
                of_store.map_or(agents.is_empty(), |it| !matches!(it, Value::Bool(false) | Value::Null));
            let is_nobodys = !is_stores && agents.is_empty();
            let stores = is_stores.then(|| self.take(path.clone(), Scope::Store, &name, &entry)).flatten();
            for agent in agents {
                match (AgentId::try_new(&agent), &stores) {
                    (Ok(agent), Some(name)) => self.moved.assignments.push((name.clone(), agent)),
                    (Ok(_), None) if is_stores => {}
                    (Ok(agent), None) => {
                        self.take(path.clone(), Scope::Agent(agent), &name, &entry);
                    }
                    (Err(error), _) => {
                        let at = format!("{path}._mcpstore.scopes.agents");
                        self.note(at, ProblemKind::Unusable, error.to_string());
                    }
                }
            }
            if is_nobodys {
                let message = "is in the scope of nobody, and is not moved".to_owned();
                self.note(format!("{path}._mcpstore.scopes"), ProblemKind::Ignored, message);
            }
        }
    }

    /// The services of listed clients, each list with its path.
    fn services_of(&mut self, path: &str, clients: &Value) -> Vec<(String, Map<String, Value>)> {
        let Value::Array(ids) = clients else {
            let message = format!("expected a list of clients, found {}", kind(clients));
            self.note(path.to_owned(), ProblemKind::Unusable, message);
            return Vec::new();
        };
        let mut lists = Vec::new();
        for id in ids {
            let Some(id) = id.as_str() else {
                let message = format!("expected the id of a client, found {}", kind(id));
                self.note(path.to_owned(), ProblemKind::Unusable, message);
                continue;
            };
            let at = format!("client_services.json: {id}.mcpServers");
            match self.clients.get(id).map(|client| client.get("mcpServers")) {
                Some(Some(Value::Object(services))) => {
                    lists.push((at, services.clone()));
                    self.used_clients.insert(id.to_owned());
                }
                Some(other) => {
                    let found = other.map_or("nothing", kind);
                    self.note(at, ProblemKind::Unusable, format!("expected an object, found {found}"));
                }
                None => {
                    let message =
                        format!("names the client `{id}`, which client_services.json does not have");
                    self.note(path.to_owned(), ProblemKind::Ignored, message);
                }
            }
        }
        lists
    }

    /// Moves one server, if it is one; tells its name.
    fn take(&mut self, path: String, scope: Scope, name: &str, entry: &Value) -> Option<ServerName> {
        let servers = [(name.to_owned(), self.without_theirs(&path, entry))].into_iter().collect();
        let entry = intake_maps([(String::new(), &servers)]).entries.pop()?;
        match entry {
            IntakeEntry::Taken { name, entry, notes, .. } => {
                self.moved.problems.extend(notes.into_iter().map(|note| at(&path, note)));
                let key = ServerKey { scope, name: name.clone() };
                if let Some(first) = self.taken.get(&key) {
                    let same =
                        self.moved.servers.iter().any(|(other, moved)| *other == key && *moved == entry);
                    if !same {
                        let message =
                            format!("`{key}` was moved from {first} already, and is another one here");
                        self.note(path, ProblemKind::Unusable, message);
                    }
                    return Some(name);
                }
                self.taken.insert(key.clone(), path);
                self.moved.servers.push((key, entry));
                Some(name)
            }
            IntakeEntry::Refused { problems, .. } => {
                self.moved.problems.extend(problems.into_iter().map(|problem| at(&path, problem)));
                None
            }
        }
    }

    /// An entry with `_mcpstore` in our words, as far as there are any.
    fn without_theirs(&mut self, path: &str, entry: &Value) -> Value {
        let mut entry = entry.clone();
        let Some(fields) = entry.as_object_mut() else { return entry };
        let Some(theirs) = fields.shift_remove("_mcpstore") else { return entry };
        let policy =
            theirs.get("lifecycle").and_then(|life| life.get("startup_policy")).and_then(Value::as_str);
        let wanted = match policy {
            None => return entry,
            Some("always" | "eager" | "auto" | "automatic") => "always",
            Some("lazy" | "on_demand" | "on-demand") => "on_demand",
            Some("manual" | "never" | "disabled") => "stopped",
            Some(_) => {
                let message = "is no policy that this version knows".to_owned();
                self.note(
                    format!("{path}._mcpstore.lifecycle.startup_policy"),
                    ProblemKind::Ignored,
                    message,
                );
                return entry;
            }
        };
        fields.entry("dormouse").or_insert_with(|| json!({ "wanted": wanted }));
        entry
    }

    fn note(&mut self, path: String, kind: ProblemKind, message: String) {
        self.moved.problems.push(Problem { path, server: None, kind, message });
    }
}

/// The names under which MCPStore's versions show an agent's service to the store.
fn renderings(name: &str, agent: &AgentId) -> [String; 2] {
    [format!("{name}_byagent_{agent}"), format!("{name}by{agent}")]
}

/// A problem of an entry that was read by itself, at its place in the file.
fn at(path: &str, problem: Problem) -> Problem {
    let field = problem.path.split_once('.').map(|(_, field)| format!(".{field}")).unwrap_or_default();
    Problem { path: format!("{path}{field}"), ..problem }
}

fn object(file: &'static str, text: Option<&str>) -> Result<Map<String, Value>, MoveError> {
    let Some(text) = text else { return Ok(Map::new()) };
    match serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(MoveError::Shape { file, found: kind(&other) }),
        Err(source) => Err(MoveError::Json { file, line: source.line(), column: source.column(), source }),
    }
}
