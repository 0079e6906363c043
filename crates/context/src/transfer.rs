//! Import and export: servers from other clients, from documents, from MCPStore, and to others.
//!
//! # Invariants
//!
//! * An import counts entry by entry, and says of each what became of it. [`Context::plan_import`]
//!   decides as [`Context::import`] does, and changes nothing.
//! * An entry that is there already is replaced only where that was asked for, and keeps what only
//!   Dormouse knows about it.
//! * A script of a drop folder is never replaced by an entry.
//! * An agent imports into and exports what is its own.
//! * Nothing of ours (`dormouse`) leaves with an export; variables stay as they are written.

use std::fmt;
use std::path::Path;

use dormouse_orchestrator::{Edit, EditError, EditKind};
use dormouse_registry::{Catalog, NoSuchServer};
use dormouse_storage::clients::{self, Client, ClientError};
use dormouse_storage::mcp_json::{IntakeError, McpFile, McpFileError, Problem, ProblemKind};
use dormouse_storage::mcpstore::MoveError;
use dormouse_types::{Origin, Scope, ServerKey, ServerName, chain};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::incoming::{Arrival, Incoming, Share, Wish};

/// Where servers come from: texts, since nothing here reads files.
#[derive(Clone)]
pub enum Import {
    /// The configuration of another client.
    Client {
        /// Whose.
        client: Client,
        /// Its text.
        text: String,
    },
    /// An `mcp.json`, or servers in any other form that
    /// [`intake`](dormouse_storage::mcp_json::intake) reads. Entries of an `mcp.json` that say
    /// whose they are (`dormouse.agent`) stay that agent's.
    Document(Value),
    /// MCPStore's files; a missing one is `None`. Its agents get their own servers.
    McpStore {
        /// `mcp.json`.
        mcp_json: Option<String>,
        /// `agent_clients.json`.
        agent_clients: Option<String>,
        /// `client_services.json`.
        client_services: Option<String>,
    },
}

/// Without the texts, which hold secrets.
impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { client, .. } => write!(f, "Client({client})"),
            Self::Document(_) => f.write_str("Document"),
            Self::McpStore { .. } => f.write_str("McpStore"),
        }
    }
}

/// What an import does with an entry whose name has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// It leaves the one that is there, and reports the other.
    #[default]
    Keep,
    /// It replaces the one that is there.
    Replace,
}

/// What an import did, or would do: each entry by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Every entry, in its order.
    pub entries: Vec<Imported>,
    /// What belongs to no entry, and was not taken.
    pub notes: Vec<Problem>,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Where it stood, such as `mcpServers.calc`.
    pub path: String,
    /// Its name as it was written; empty when it has none.
    pub name: String,
    /// The server that it is here; `None` when it is none.
    pub server: Option<ServerKey>,
    /// What became of it.
    pub fate: Fate,
    /// What of it does nothing here.
    pub notes: Vec<String>,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is a server now.
    Added,
    /// It stands in place of the one that was there.
    Replaced,
    /// It was there already.
    Unchanged,
    /// The agent uses this server of the store now.
    Shared,
    /// Something else has its name, which stays as it is; why.
    Conflict(String),
    /// It is no server; why.
    Refused(String),
}

impl Fate {
    /// Its word, for programs and lists.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
            Self::Shared => "shared",
            Self::Conflict(_) => "conflict",
            Self::Refused(_) => "refused",
        }
    }

    /// Why the entry was not taken; `None` for one that was.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Conflict(reason) | Self::Refused(reason) => Some(reason),
            Self::Added | Self::Replaced | Self::Unchanged | Self::Shared => None,
        }
    }
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The client's configuration cannot be read.
    #[error("this is no configuration of {client}")]
    Client {
        /// Whose it should be.
        client: Client,
        /// What is wrong with it.
        #[source]
        source: ClientError,
    },
    /// The document cannot be read.
    #[error("this holds no servers")]
    Document(#[from] IntakeError),
    /// MCPStore's files cannot be read.
    #[error("this is nothing of MCPStore's")]
    McpStore(#[from] MoveError),
    /// What is configured here cannot be read.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// No server has that name here.
    #[error(transparent)]
    UnknownServer(#[from] NoSuchServer),
    /// What is configured here cannot be read.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// Servers of a context, for others.
#[derive(Clone, PartialEq)]
pub struct Export {
    /// Each server's name and entry, without what is only ours. Values that are written openly in
    /// `mcp.json` are in them.
    pub servers: Vec<(String, Map<String, Value>)>,
    /// Those that others cannot have.
    pub left_out: Vec<LeftOut>,
}

/// A server that is not exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name in this context.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Without the entries, which hold secrets.
impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.servers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Export").field("servers", &names).field("left_out", &self.left_out).finish()
    }
}

impl Export {
    /// The servers in the form that most clients share.
    pub fn document(&self) -> Value {
        let servers: Map<String, Value> =
            self.servers.iter().map(|(name, entry)| (name.clone(), Value::Object(entry.clone()))).collect();
        json!({ "mcpServers": servers })
    }

    /// Plans to put the servers into a client's file; see [`clients::plan`].
    ///
    /// # Errors
    /// [`ClientError`] when the file cannot be read.
    pub fn plan(&self, client: Client, file: &Path) -> Result<clients::Plan, ClientError> {
        clients::plan(client, file, &self.servers)
    }
}

impl Context {
    /// Says what [`import`](Self::import) would do.
    ///
    /// # Errors
    /// [`ImportError`]
    pub async fn plan_import(
        &self,
        from: Import,
        on_conflict: OnConflict,
    ) -> Result<ImportReport, ImportError> {
        Ok(self.decide(from, on_conflict).await?.report)
    }

    /// Takes servers from elsewhere into this context: entries of `mcp.json`, each by itself.
    ///
    /// The store takes what MCPStore's files and an `mcp.json` say of agents; an agent takes what is
    /// nobody's or its own.
    ///
    /// # Errors
    /// [`ImportError`]; then nothing was changed.
    pub async fn import(&self, from: Import, on_conflict: OnConflict) -> Result<ImportReport, ImportError> {
        let Decided { mut report, edits, shares } = self.decide(from, on_conflict).await?;
        let (places, edits): (Vec<usize>, Vec<Edit>) = edits.into_iter().unzip();
        let mut results = self.orchestrator().edit(edits).await.into_iter();
        for place in places {
            if let Err(error) = results.next().unwrap_or(Err(EditError::Ending)) {
                report.entries[place].fate = match error {
                    EditError::Conflict { .. } => Fate::Conflict(error.to_string()),
                    error => Fate::Refused(chain(&error)),
                };
            }
        }
        for (place, Share { server, agent }) in shares {
            if let Err(error) = self.orchestrator().assign(ServerKey::store(server), agent).await {
                report.entries[place].fate = Fate::Refused(chain(&error));
            }
        }
        Ok(report)
    }

    async fn decide(&self, from: Import, on_conflict: OnConflict) -> Result<Decided, ImportError> {
        let client = match &from {
            Import::Client { client, .. } => Some(*client),
            Import::Document(_) | Import::McpStore { .. } => None,
        };
        let Incoming { arrivals, notes } = Incoming::read(from, self.scope())?;
        let mut deciding = Deciding {
            file: self.configured().await?,
            catalog: self.registry().snapshot(),
            client,
            on_conflict,
            decided: Decided::default(),
        };
        for arrival in arrivals {
            match arrival {
                Arrival::Server(wish) => deciding.server(wish),
                Arrival::Share(path, share) => deciding.share(path, share),
                Arrival::Refused(refused) => deciding.decided.report.entries.push(refused),
            }
        }
        let mut decided = deciding.decided;
        decided.report.notes = notes;
        Ok(decided)
    }

    /// What `mcp.json` says now.
    pub(crate) async fn configured(&self) -> Result<McpFile, EditError> {
        let document = self.orchestrator().document(Scope::Store).await?;
        let unusable = |error: McpFileError| EditError::File(chain(&error));
        McpFile::read(&document.to_string()).map_err(unusable)
    }

    /// This context's own servers, for others: those of these names, or all without any.
    ///
    /// # Errors
    /// [`ExportError`]
    pub async fn export(&self, names: &[ServerName]) -> Result<Export, ExportError> {
        let file = self.configured().await?;
        let catalog = self.registry().snapshot();
        let keys: Vec<ServerKey> = match names {
            [] => {
                let known = catalog.servers(self.scope()).map(|entry| entry.key.clone());
                let own = file.entries().map(|(key, _)| key.clone());
                let mut keys: Vec<_> = own.filter(|key| key.scope == *self.scope()).collect();
                keys.extend(known.filter(|key| !file.contains(key) && key.scope == *self.scope()));
                keys
            }
            names => {
                let key = |name| Ok::<_, NoSuchServer>(self.server(name)?.entry.key.clone());
                names.iter().map(key).collect::<Result<_, _>>()?
            }
        };
        let mut export = Export { servers: Vec::new(), left_out: Vec::new() };
        for key in keys {
            export.take(self, &file, &key);
        }
        Ok(export)
    }
}

impl Export {
    fn take(&mut self, context: &Context, file: &McpFile, key: &ServerKey) {
        let mut left_out = |reason: String| {
            self.left_out.push(LeftOut { name: context.shown(key), reason });
        };
        let server = match file.servers().get(key) {
            Some(_) if key.scope != *context.scope() && *context.scope() != Scope::Store => {
                return left_out("belongs to the store, which exports it".to_owned());
            }
            Some(server) => server,
            None if file.contains(key) => {
                let problem = file.problems().iter().find(|problem| problem.server.as_ref() == Some(key));
                let problem = problem.map(ToString::to_string).unwrap_or_default();
                return left_out(format!("its entry is no server: {problem}"));
            }
            None => return left_out("is a script of this hub, which other clients cannot start".to_owned()),
        };
        let Some(mut entry) = file.raw(key) else { return };
        for ours in ["dormouse", "_mcpstore"] {
            entry.shift_remove(ours);
        }
        // Under the name that its person gave it, where that could not be a name here.
        let title = server.title.clone().filter(|title| self.servers.iter().all(|(name, _)| name != title));
        self.servers.push((title.unwrap_or_else(|| context.shown(key)), entry));
    }
}

/// What is to be done.
#[derive(Default)]
struct Decided {
    report: ImportReport,
    /// Edits, each with the place of its entry in the report.
    edits: Vec<(usize, Edit)>,
    shares: Vec<(usize, Share)>,
}

struct Deciding {
    /// As it will be after the edits so far.
    file: McpFile,
    catalog: std::sync::Arc<Catalog>,
    client: Option<Client>,
    on_conflict: OnConflict,
    decided: Decided,
}

impl Deciding {
    fn server(&mut self, Wish { path, name, key, entry, notes }: Wish) {
        // What an export hid stands for what is here.
        let (entry, mut fate) = match self.file.unmasked(&key, &entry) {
            Ok(entry) => {
                let fate = self.fate(&key, &entry);
                (entry, fate)
            }
            Err(error) => (entry, Fate::Refused(error.to_string())),
        };
        if matches!(fate, Fate::Added | Fate::Replaced) {
            let entry = with_settings_of(self.file.raw(&key), entry);
            match self.file.put_raw(&key, &entry) {
                Ok(_) => {
                    // What was free a moment ago may be taken now.
                    let kind = match fate {
                        Fate::Added => EditKind::Add(Value::Object(entry)),
                        _ => EditKind::Put(Value::Object(entry)),
                    };
                    let place = self.decided.report.entries.len();
                    self.decided.edits.push((place, Edit { server: key.clone(), kind }));
                }
                Err(error) => fate = Fate::Refused(error.to_string()),
            }
        }
        let notes = notes.iter().map(ToString::to_string).collect();
        self.decided.report.entries.push(Imported { path, name, server: Some(key), fate, notes });
    }

    fn fate(&self, key: &ServerKey, entry: &Map<String, Value>) -> Fate {
        if self.catalog.get(key).is_some_and(|known| known.config.origin != Origin::Configured) {
            return Fate::Conflict(format!("a script has the name `{key}`, and stays"));
        }
        if !self.file.contains(key) {
            return Fate::Added;
        }
        let is_same = self.file.raw(key).is_some_and(|now| is_same(self.client, &now, entry));
        match self.on_conflict {
            _ if is_same => Fate::Unchanged,
            OnConflict::Replace => Fate::Replaced,
            OnConflict::Keep => Fate::Conflict(format!("`{key}` is configured otherwise here, and stays")),
        }
    }

    fn share(&mut self, path: String, share: Share) {
        let key = ServerKey::store(share.server.clone());
        let fate = if self.catalog.sees(&Scope::Agent(share.agent.clone()), &key) {
            Fate::Unchanged
        } else if self.catalog.get(&key).is_some() || self.file.servers().contains_key(&key) {
            Fate::Shared
        } else {
            Fate::Refused(format!("the store has no server `{}`", share.server))
        };
        if fate == Fate::Shared {
            self.decided.shares.push((self.decided.report.entries.len(), share.clone()));
        }
        let name = share.server.to_string();
        let notes = vec![format!("for agent {}", share.agent)];
        self.decided.report.entries.push(Imported { path, name, server: Some(key), fate, notes });
    }
}

/// An entry with what only Dormouse knows about the server that it replaces.
fn with_settings_of(now: Option<Map<String, Value>>, mut entry: Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Object(mut ours)) = now.and_then(|mut now| now.shift_remove("dormouse")) else {
        return entry;
    };
    if let Some(Value::Object(theirs)) = entry.get("dormouse") {
        ours.extend(theirs.clone());
    }
    entry.insert("dormouse".to_owned(), Value::Object(ours));
    entry
}

/// Whether an entry says nothing that is not there already, in our words or in the client's.
fn is_same(client: Option<Client>, now: &Map<String, Value>, entry: &Map<String, Value>) -> bool {
    let ours = |entry: &Map<String, Value>| entry.get("dormouse").cloned().unwrap_or_else(|| json!({}));
    let (ours_now, ours_said) = (ours(now), ours(entry));
    let known = ours_said.as_object().is_some_and(|said| {
        said.iter().all(|(field, value)| ours_now.get(field).is_some_and(|now| now == value))
    });
    let plain = |entry: &Map<String, Value>| {
        let mut entry = entry.clone();
        entry.retain(|field, value| field != "dormouse" && !value.is_null());
        entry
    };
    if !known {
        return false;
    }
    if plain(now) == plain(entry) {
        return true;
    }
    // What the client would say of the server that is here, if it had been exported there.
    let said = client.and_then(|client| {
        let written = clients::write(client, None, &[("it".to_owned(), now.clone())]).ok()?;
        let read = clients::read(client, &written.text).ok()?;
        match read.entries.into_iter().next()? {
            dormouse_storage::mcp_json::IntakeEntry::Taken { entry, .. } => Some(entry),
            dormouse_storage::mcp_json::IntakeEntry::Refused { .. } => None,
        }
    });
    said.is_some_and(|said| plain(&said) == plain(entry))
}

/// A problem that makes an entry of its own in the report: it stands for a server that is not there.
pub(crate) fn refused(problem: Problem) -> Result<Imported, Problem> {
    match problem.kind {
        ProblemKind::Ignored => Err(problem),
        ProblemKind::Unusable => Ok(Imported {
            path: problem.path,
            name: String::new(),
            server: None,
            fate: Fate::Refused(problem.message),
            notes: Vec::new(),
        }),
    }
}
