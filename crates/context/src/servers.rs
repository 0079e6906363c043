//! The verbs on servers: list, find, register, add, remove, attach, detach.

use std::path::Path;
use std::sync::Arc;

use dormouse_orchestrator::RegisterError;
use dormouse_registry::{Entry, NoSuchServer, ToolRef};
use dormouse_types::{ServerKey, ServerName, ServerStatus, Timestamp};

use crate::change::ChangeError;
use crate::context::Context;

/// One server as a context shows it.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// Its name in this context.
    pub name: String,
    /// What is known of it.
    pub entry: Arc<Entry>,
    /// How it fares.
    pub status: Arc<ServerStatus>,
    /// Its tools, with their full names here.
    pub tools: Vec<ToolRef>,
}

impl Context {
    /// Every server of this context, asleep or not, by name. Answers from memory.
    pub fn servers(&self) -> Vec<ServerInfo> {
        let catalog = self.registry().snapshot();
        catalog.servers(self.scope()).map(|entry| self.info(&catalog, entry)).collect()
    }

    /// One server.
    ///
    /// # Errors
    /// [`NoSuchServer`] with near misses.
    pub fn server(&self, name: &ServerName) -> Result<ServerInfo, NoSuchServer> {
        let catalog = self.registry().snapshot();
        catalog.find_server(self.scope(), name.as_str()).map(|entry| self.info(&catalog, entry))
    }

    fn info(&self, catalog: &dormouse_registry::Catalog, entry: &Arc<Entry>) -> ServerInfo {
        let tools: Vec<ToolRef> = catalog.tools_of(self.scope(), &entry.key).collect();
        let name = self.shown(&entry.key);
        let status =
            catalog.status(&entry.key).unwrap_or_else(|| Arc::new(ServerStatus::dormant(Timestamp::now())));
        let status = match status.said.is_some() && !self.sees_output(&entry.key) {
            true => Arc::new(status.without_output()),
            false => status,
        };
        ServerInfo { name, entry: entry.clone(), status, tools }
    }

    pub(crate) fn key_of(&self, name: &ServerName) -> Result<ServerKey, NoSuchServer> {
        Ok(self.server(name)?.entry.key.clone())
    }

    /// Takes a script of a drop folder as a server of this context.
    ///
    /// # Errors
    /// [`RegisterError`]
    pub async fn register(&self, name: ServerName, path: &Path) -> Result<ServerInfo, RegisterError> {
        self.orchestrator().register(self.own_key(name.clone()), path.to_owned()).await?;
        self.server(&name).map_err(|_| RegisterError::Ending)
    }

    /// Wakes a server. It sleeps again after its linger.
    ///
    /// # Errors
    /// [`ChangeError`]; a server that the store shares may be woken.
    pub async fn attach(&self, name: &ServerName) -> Result<ServerInfo, ChangeError> {
        let key = self.key_of(name)?;
        self.orchestrator().attach(&key).await.map_err(|error| self.told_here(&key, error))?;
        Ok(self.server(name)?)
    }

    /// Puts a server to sleep; calls that run finish first. Not one that the store only shares.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub async fn detach(&self, name: &ServerName) -> Result<ServerInfo, ChangeError> {
        let key = self.own(name)?.key.clone();
        self.orchestrator().detach(&key).await;
        Ok(self.server(name)?)
    }
}
