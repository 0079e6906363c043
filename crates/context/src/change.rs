//! The verbs that change which servers a context has: add, replace, patch, remove, share, reset.

use dormouse_orchestrator::{
    CheckError, Edit, EditError, EditKind, LeaseError, RefreshError, RemoveError, Reset, ShareError,
    WantError,
};
use dormouse_registry::{Entry, NoSuchServer};
use dormouse_storage::mcp_json::{Intake, IntakeEntry};
use dormouse_types::{AgentId, Origin, Scope, ServerKey, ServerName};
use serde_json::Value;

use std::sync::Arc;

use crate::context::Context;
use crate::servers::ServerInfo;

/// What became of an order to add servers: each entry by itself.
#[derive(Debug, Default)]
pub struct AddReport {
    /// Those that are servers of this context now.
    pub added: Vec<ServerInfo>,
    /// Those that are not, with the reason.
    pub failed: Vec<NotAdded>,
}

/// An entry that did not become a server.
#[derive(Debug)]
pub struct NotAdded {
    /// What it is called, as it was written; empty when it has no name.
    pub name: String,
    /// Why.
    pub reason: AddFault,
}

/// Why an entry did not become a server.
#[derive(Debug, thiserror::Error)]
pub enum AddFault {
    /// It describes no server; each problem with its path.
    #[error("{0}")]
    Unusable(String),
    /// It was not taken up.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// It is a name, and nothing has it.
    #[error(transparent)]
    Unknown(#[from] NoSuchServer),
    /// It is a name, and what has it could not be shared.
    #[error(transparent)]
    Share(#[from] ShareError),
}

/// Why a server was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// No server has that name here.
    #[error(transparent)]
    UnknownServer(#[from] NoSuchServer),
    /// It is the store's and only shared with this agent.
    #[error("server `{server}` belongs to the store; this agent may use it and not change it")]
    NotYours {
        /// The server.
        server: ServerName,
    },
    /// Its process runs calls of others too, and what it prints may tell of them.
    #[error("server `{server}` is stateless and may share its process; only the store sees what that prints")]
    OthersToo {
        /// The server.
        server: ServerName,
    },
    /// Its entry was not changed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// It was not removed.
    #[error(transparent)]
    Remove(#[from] RemoveError),
    /// It could not be given back to the store.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// It could not be asked how it fares.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The wish that it runs, or does not, was not taken.
    #[error(transparent)]
    Want(#[from] WantError),
    /// It is to run, and does not.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// Its lists were not read anew.
    #[error(transparent)]
    Refresh(Box<RefreshError>),
}

impl From<RefreshError> for ChangeError {
    fn from(error: RefreshError) -> Self {
        // Much larger than the other reasons.
        Self::Refresh(Box::new(error))
    }
}

/// An agent in a few numbers.
#[derive(Debug, Clone)]
pub struct AgentSummary {
    /// Its id.
    pub agent: AgentId,
    /// Servers of its own.
    pub own: usize,
    /// Servers of the store that it may use.
    pub shared: usize,
    /// Tools that it can call.
    pub tools: usize,
}

impl Context {
    /// A new server's key in this context.
    pub(crate) fn own_key(&self, name: ServerName) -> ServerKey {
        ServerKey { scope: self.scope().clone(), name }
    }

    /// A server that this context may change. The store may change every server.
    ///
    /// # Errors
    /// [`ChangeError::UnknownServer`], [`ChangeError::NotYours`]
    pub(crate) fn own(&self, name: &ServerName) -> Result<Arc<Entry>, ChangeError> {
        let entry = self.server(name)?.entry;
        match self.scope() {
            Scope::Agent(_) if entry.key.scope != *self.scope() => {
                Err(ChangeError::NotYours { server: name.clone() })
            }
            _ => Ok(entry),
        }
    }

    /// Adds servers in any form that [`intake`](dormouse_storage::mcp_json::intake) reads. Entries
    /// become entries of `mcp.json`, each by itself. A bare name means a server of the store: an
    /// agent gets to use it.
    pub async fn add_all(&self, intake: Intake) -> AddReport {
        let mut report = AddReport::default();
        let mut edits = Vec::new();
        for entry in intake.entries {
            match entry {
                IntakeEntry::Taken { name, entry, .. } => {
                    edits.push(Edit { server: self.own_key(name), kind: EditKind::Put(entry.into()) });
                }
                IntakeEntry::Refused { name, problems, .. } => {
                    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                    report.failed.push(NotAdded { name, reason: AddFault::Unusable(problems.join("; ")) });
                }
            }
        }
        let names: Vec<ServerName> = edits.iter().map(|edit| edit.server.name.clone()).collect();
        let mut results = self.orchestrator().edit(edits).await.into_iter();
        for name in names {
            let result = results.next().unwrap_or(Err(EditError::Ending)).map_err(AddFault::from);
            report.take(&name, result.and_then(|()| Ok(self.server(&name)?)));
        }
        for name in intake.names {
            let taken = self.take_up(&name).await;
            report.take(&name, taken);
        }
        report
    }

    async fn take_up(&self, name: &ServerName) -> Result<ServerInfo, AddFault> {
        if let Scope::Agent(agent) = self.scope() {
            // By its key: an agent is not told what is called alike in the store, or at others.
            let key = ServerKey::store(name.clone());
            if self.registry().snapshot().get(&key).is_none() {
                return Err(NoSuchServer::Unknown { name: name.to_string(), near: Vec::new() }.into());
            }
            self.orchestrator().assign(key, agent.clone()).await?;
        }
        Ok(self.server(name)?)
    }

    /// Adds one entry in the ecosystem's form to `mcp.json`, or replaces the one of that name.
    ///
    /// # Errors
    /// [`EditError`]
    pub async fn add(&self, name: ServerName, entry: Value) -> Result<ServerInfo, EditError> {
        self.edit(self.own_key(name.clone()), EditKind::Put(entry)).await?;
        self.server(&name).map_err(|_| EditError::Ending)
    }

    /// Replaces the entry of a configured server.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub async fn replace(&self, name: &ServerName, entry: Value) -> Result<ServerInfo, ChangeError> {
        self.edit(self.own(name)?.key.clone(), EditKind::Replace(entry)).await?;
        Ok(self.server(name)?)
    }

    /// Changes some members of the entry of a configured server (RFC 7396).
    ///
    /// # Errors
    /// [`ChangeError`]
    pub async fn patch(&self, name: &ServerName, members: Value) -> Result<ServerInfo, ChangeError> {
        self.edit(self.own(name)?.key.clone(), EditKind::Patch(members)).await?;
        Ok(self.server(name)?)
    }

    async fn edit(&self, server: ServerKey, kind: EditKind) -> Result<(), EditError> {
        let mut results = self.orchestrator().edit(vec![Edit { server, kind }]).await;
        results.pop().unwrap_or(Err(EditError::Ending))
    }

    /// Removes a registration or a configured entry. A script in a drop folder is only put to
    /// sleep, unless `delete_file` is set. A server that the store shares with this agent goes
    /// back to the store. An entry that is no server, for a mistake in it, is removed too.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub async fn remove(&self, name: &ServerName, delete_file: bool) -> Result<(), ChangeError> {
        let entry = match self.server(name) {
            Ok(server) => server.entry,
            Err(unknown) => return self.remove_unusable(name, unknown).await,
        };
        match self.scope() {
            Scope::Agent(agent) if entry.key.scope != *self.scope() => {
                Ok(self.orchestrator().unassign(entry.key.clone(), agent.clone()).await?)
            }
            _ => Ok(self.orchestrator().remove(entry.key.clone(), delete_file).await?),
        }
    }

    /// Removes what is configured under a name and is no server. The store finds those of agents
    /// by the names that they would have there, if only one would be called so.
    async fn remove_unusable(&self, name: &ServerName, unknown: NoSuchServer) -> Result<(), ChangeError> {
        let own = self.own_key(name.clone());
        let unusable = self.orchestrator().unusable().await?;
        let mut agents = unusable
            .iter()
            .filter(|key| *self.scope() == Scope::Store && key.store_name() == name.as_str())
            .cloned();
        let found = match unusable.contains(&own) {
            true => Some(own),
            false => agents.next().filter(|_| agents.next().is_none()),
        };
        match found {
            Some(key) => Ok(self.orchestrator().remove(key, false).await?),
            None => Err(unknown.into()),
        }
    }

    /// Lets an agent use a server of the store, by its local name there and without a process of
    /// its own. Doing so twice is no error.
    ///
    /// # Errors
    /// [`ChangeError`]: an agent cannot share, and only servers of the store can be shared.
    pub async fn assign(&self, name: &ServerName, agent: &AgentId) -> Result<(), ChangeError> {
        let key = self.to_share(name)?;
        Ok(self.orchestrator().assign(key, agent.clone()).await?)
    }

    /// Takes a server of the store away from an agent. One that it did not have is no error.
    ///
    /// # Errors
    /// [`ChangeError`], as [`assign`](Self::assign).
    pub async fn unassign(&self, name: &ServerName, agent: &AgentId) -> Result<(), ChangeError> {
        let key = self.to_share(name)?;
        Ok(self.orchestrator().unassign(key, agent.clone()).await?)
    }

    fn to_share(&self, name: &ServerName) -> Result<ServerKey, ChangeError> {
        match self.scope() {
            Scope::Store => Ok(self.server(name)?.entry.key.clone()),
            Scope::Agent(_) => Err(ChangeError::NotYours { server: name.clone() }),
        }
    }

    /// The agents that have servers, by id. An agent sees only itself.
    pub fn agents(&self) -> Vec<AgentSummary> {
        let catalog = self.registry().snapshot();
        let seen = |agent: &&AgentId| match self.scope() {
            Scope::Store => true,
            Scope::Agent(own) => own == *agent,
        };
        let agents = catalog.agents().filter(seen).map(|agent| {
            let scope = Scope::Agent(agent.clone());
            let own = catalog.servers(&scope).filter(|entry| entry.key.scope == scope).count();
            let all = catalog.server_count(&scope);
            AgentSummary {
                agent: agent.clone(),
                own,
                shared: all - own,
                tools: catalog.tools(&scope).count(),
            }
        });
        agents.collect()
    }

    /// The entry of a configured server as it stands in `mcp.json`, variables not expanded.
    /// `None` for a script.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub async fn entry(&self, name: &ServerName) -> Result<Option<Value>, ChangeError> {
        let entry = self.own(name)?;
        match entry.config.origin {
            Origin::Configured => Ok(self.orchestrator().entry(entry.key.clone()).await?),
            Origin::Dropped | Origin::Registered => Ok(None),
        }
    }

    /// What this context configured, in the form of `mcp.json`: the store's whole file, or an
    /// agent's own servers by their local names.
    ///
    /// # Errors
    /// [`EditError::File`]
    pub async fn config(&self) -> Result<Value, EditError> {
        self.orchestrator().document(self.scope().clone()).await
    }

    /// Forgets what this context configured: its entries of `mcp.json`, also those that are no
    /// servers, and its registrations, and what else is asked for. What was said of a server that is
    /// gone goes with it: who shares it, how its tools show, whether it is to run. Scripts stay
    /// where they are. Gives what is gone.
    ///
    /// # Errors
    /// [`EditError`]
    pub async fn reset(&self, what: Reset) -> Result<Vec<ServerKey>, EditError> {
        self.orchestrator().reset(self.scope().clone(), what).await
    }
}

impl AddReport {
    fn take(&mut self, name: &ServerName, result: Result<ServerInfo, AddFault>) {
        match result {
            Ok(info) => self.added.push(info),
            Err(reason) => self.failed.push(NotAdded { name: name.to_string(), reason }),
        }
    }
}
