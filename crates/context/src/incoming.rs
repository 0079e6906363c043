//! What an import brings, read and sorted by owner; nothing is decided here.

use dormouse_storage::clients;
use dormouse_storage::mcp_json::{Intake, IntakeEntry, Problem, intake};
use dormouse_storage::mcpstore;
use dormouse_types::{AgentId, Scope, ServerKey, ServerName};
use serde_json::{Map, Value, json};

use crate::transfer::{Fate, Import, ImportError, Imported, refused};

/// A server that shall be.
pub(crate) struct Wish {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) key: ServerKey,
    pub(crate) entry: Map<String, Value>,
    pub(crate) notes: Vec<Problem>,
}

/// A server of the store that an agent shall use.
#[derive(Clone)]
pub(crate) struct Share {
    pub(crate) server: ServerName,
    pub(crate) agent: AgentId,
}

/// One thing that an import brings.
pub(crate) enum Arrival {
    Server(Wish),
    /// With the path at which it stood.
    Share(String, Share),
    Refused(Imported),
}

/// All that an import brings for one context.
#[derive(Default)]
pub(crate) struct Incoming {
    /// In their order.
    pub(crate) arrivals: Vec<Arrival>,
    /// What belongs to none of them.
    pub(crate) notes: Vec<Problem>,
}

impl Incoming {
    /// Reads an import for a context.
    pub(crate) fn read(from: Import, into: &Scope) -> Result<Self, ImportError> {
        let mut incoming = Self::default();
        match from {
            Import::Client { client, text } => {
                let taken =
                    clients::read(client, &text).map_err(|source| ImportError::Client { client, source })?;
                incoming.take(into, into, taken);
            }
            Import::Document(document) => incoming.document(into, document)?,
            Import::McpStore { mcp_json, agent_clients, client_services } => {
                let moved = mcpstore::read(mcpstore::Files {
                    mcp_json: mcp_json.as_deref(),
                    agent_clients: agent_clients.as_deref(),
                    client_services: client_services.as_deref(),
                })?;
                incoming.moved(into, moved);
            }
        }
        Ok(incoming)
    }

    /// An `mcp.json` of ours says of each entry whose it is. Each owner's are read by themselves,
    /// since two may have one name.
    fn document(&mut self, into: &Scope, mut document: Value) -> Result<(), ImportError> {
        // A text stays one as long as that tells doubled keys.
        let parsed = document.as_str().and_then(|text| {
            serde_json::from_str::<Value>(text.strip_prefix('\u{feff}').unwrap_or(text)).ok()
        });
        let mut of_agents = parsed.clone().unwrap_or_else(|| document.clone());
        let owned = take_owned(&mut of_agents);
        if !owned.is_empty() {
            document = of_agents;
        }
        for (agent, servers) in owned {
            let path = |name: &str| format!("mcpServers.{name}");
            let owner = match AgentId::try_new(&agent) {
                Ok(owner) => Scope::Agent(owner),
                Err(error) => {
                    let why = |name: &String| refusal(path(name), name, format!("`dormouse.agent`: {error}"));
                    self.arrivals.extend(servers.keys().map(why));
                    continue;
                }
            };
            if *into != Scope::Store && *into != owner {
                let why = |name: &String| refusal(path(name), name, format!("belongs to agent `{agent}`"));
                self.arrivals.extend(servers.keys().map(why));
                continue;
            }
            self.take(into, &owner, intake(&json!({ "mcpServers": servers }))?);
        }
        let rest = document.get("mcpServers").and_then(Value::as_object);
        if rest.is_none_or(|rest| !rest.is_empty()) || document.get("service_names").is_some() {
            self.take(into, into, intake(&document)?);
        }
        Ok(())
    }

    fn take(&mut self, into: &Scope, owner: &Scope, taken: Intake) {
        for entry in taken.entries {
            match entry {
                IntakeEntry::Taken { path, name, entry, notes } => {
                    let title = entry.get("dormouse").and_then(|ours| ours.get("title")?.as_str());
                    let written = title.unwrap_or(name.as_str()).to_owned();
                    let key = ServerKey { scope: owner.clone(), name };
                    self.arrivals.push(Arrival::Server(Wish { path, name: written, key, entry, notes }));
                }
                IntakeEntry::Refused { path, name, problems } => {
                    let reasons: Vec<String> = problems.iter().map(ToString::to_string).collect();
                    self.arrivals.push(refusal(path, &name, reasons.join("; ")));
                }
            }
        }
        for server in taken.names {
            match into {
                Scope::Agent(agent) => {
                    let share = Share { server: server.clone(), agent: agent.clone() };
                    self.arrivals.push(Arrival::Share(server.to_string(), share));
                }
                Scope::Store => {
                    let why = "is only a name, which adds nothing to the store".to_owned();
                    self.arrivals.push(refusal(server.to_string(), server.as_str(), why));
                }
            }
        }
    }

    fn moved(&mut self, into: &Scope, moved: mcpstore::Moved) {
        let is_ours = |owner: &Scope| *into == Scope::Store || owner == into;
        for (key, entry) in moved.servers.into_iter().filter(|(key, _)| is_ours(&key.scope)) {
            let (path, name) = (key.to_string(), key.name.to_string());
            self.arrivals.push(Arrival::Server(Wish { path, name, key, entry, notes: Vec::new() }));
        }
        for (server, agent) in moved.assignments {
            if is_ours(&Scope::Agent(agent.clone())) {
                let path = format!("{server} for agent {agent}");
                self.arrivals.push(Arrival::Share(path, Share { server, agent }));
            }
        }
        for problem in moved.problems {
            match refused(problem) {
                Ok(refused) => self.arrivals.push(Arrival::Refused(refused)),
                Err(note) => self.notes.push(note),
            }
        }
    }
}

fn refusal(path: String, name: &str, reason: String) -> Arrival {
    let (name, fate) = (name.to_owned(), Fate::Refused(reason));
    Arrival::Refused(Imported { path, name, server: None, fate, notes: Vec::new() })
}

/// Takes the entries out of a document that say whose they are, by owner.
fn take_owned(document: &mut Value) -> Vec<(String, Map<String, Value>)> {
    let mut owned: Vec<(String, Map<String, Value>)> = Vec::new();
    let Some(Value::Object(servers)) = document.get_mut("mcpServers") else { return owned };
    let owner = |entry: &Value| Some(entry.get("dormouse")?.get("agent")?.as_str()?.to_owned());
    let mut own = Map::new();
    for (name, entry) in std::mem::take(servers) {
        match owner(&entry) {
            None => drop(own.insert(name, entry)),
            Some(agent) => match owned.iter_mut().find(|(of, _)| *of == agent) {
                Some((_, theirs)) => drop(theirs.insert(name, entry)),
                None => owned.push((agent, [(name, entry)].into_iter().collect())),
            },
        }
    }
    *servers = own;
    owned
}
