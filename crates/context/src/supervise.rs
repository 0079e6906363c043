//! The verbs of supervision: check, connect, disconnect, restart, refresh, and the numbers it goes by.

use dormouse_orchestrator::{Check, Supervision, TuneError};
use dormouse_registry::Entry;
use dormouse_types::{Scope, ServerName, ServerState, Wanted};
use futures::future::join_all;
use serde_json::Value;

use crate::change::ChangeError;
use crate::context::Context;
use crate::servers::ServerInfo;

/// Why the numbers of supervision were not changed.
#[derive(Debug, thiserror::Error)]
pub enum SupervisionError {
    /// They are those of all servers.
    #[error("supervision is set in the store; an agent cannot")]
    StoreOnly,
    /// They were not taken.
    #[error(transparent)]
    Tune(#[from] TuneError),
}

impl Context {
    /// Asks a server that is awake whether it answers, now. One that sleeps is not woken.
    ///
    /// # Errors
    /// [`ChangeError`]: an agent can only check its own servers.
    pub async fn check(&self, name: &ServerName) -> Result<Check, ChangeError> {
        let key = self.own(name)?.key.clone();
        Ok(self.orchestrator().check(&key).await?)
    }

    /// Checks every server of this context at once, by name: a slow one delays the answer, and no
    /// other check. Of servers that the store shares with an agent it says what is known.
    pub async fn check_all(&self) -> Vec<(String, Check)> {
        join_all(self.servers().into_iter().map(|server| self.checked(server))).await
    }

    async fn checked(&self, server: ServerInfo) -> (String, Check) {
        let is_own = *self.scope() == Scope::Store || server.entry.key.scope == *self.scope();
        let asked = match is_own {
            true => self.orchestrator().check(&server.entry.key).await.ok(),
            false => None,
        };
        let check = asked.unwrap_or_else(|| Check {
            healthy: matches!(server.status.state, ServerState::Healthy | ServerState::Dormant),
            state: server.status.state,
            latency: None,
            reason: server.status.told().or_else(|| Some("not asked: it is the store's".to_owned())),
        });
        (server.name, check)
    }

    /// Takes back that a server was disconnected, and wakes it. Returns when it is awake; it
    /// sleeps again after its linger.
    ///
    /// # Errors
    /// [`ChangeError`]: an agent can only connect its own servers. That it is to run is kept, also
    /// where it did not start.
    pub async fn connect(&self, name: &ServerName) -> Result<ServerInfo, ChangeError> {
        let entry = self.own(name)?;
        self.orchestrator().want(&entry.key, to_run(&entry), None).await?;
        let attached = self.orchestrator().attach(&entry.key).await;
        attached.map_err(|error| self.told_here(&entry.key, error))?;
        Ok(self.server(name)?)
    }

    /// Stops a server until it is connected again, also over a restart of the hub: its process
    /// ends once its calls have finished, and new calls fail. Returns when the process is gone;
    /// the server shows the reason.
    ///
    /// # Errors
    /// [`ChangeError`]: an agent can only disconnect its own servers.
    pub async fn disconnect(
        &self,
        name: &ServerName,
        reason: Option<String>,
    ) -> Result<ServerInfo, ChangeError> {
        let key = self.own(name)?.key.clone();
        self.orchestrator().want(&key, Wanted::Stopped, reason).await?;
        self.orchestrator().detach(&key).await;
        Ok(self.server(name)?)
    }

    /// Gives a server a new process: new calls go to it at once, and those that run finish with the
    /// old one. Returns when it is awake.
    ///
    /// # Errors
    /// [`ChangeError`]: an agent can only restart its own servers.
    pub async fn restart(&self, name: &ServerName) -> Result<ServerInfo, ChangeError> {
        let key = self.own(name)?.key.clone();
        self.orchestrator().restart(&key).await.map_err(|error| self.told_here(&key, error))?;
        Ok(self.server(name)?)
    }

    /// Reads anew what a server offers, waking it if need be. Returns when it is listed.
    ///
    /// # Errors
    /// [`ChangeError`]: an agent can only refresh its own servers.
    pub async fn refresh(&self, name: &ServerName) -> Result<ServerInfo, ChangeError> {
        let key = self.own(name)?.key.clone();
        self.orchestrator().refresh(&key).await.map_err(|error| self.told_here(&key, error))?;
        Ok(self.server(name)?)
    }

    /// The thresholds and paces of supervision, the same in all contexts.
    pub fn supervision(&self) -> Supervision {
        self.orchestrator().supervision()
    }

    /// Changes some of them: an object of names and numbers, as [`Supervision::to_value`] shows
    /// them. They hold at once and stay; `null` takes back what was said.
    ///
    /// # Errors
    /// [`SupervisionError`] with every value that cannot be; nothing is changed then.
    pub async fn set_supervision(&self, patch: Value) -> Result<Supervision, SupervisionError> {
        match self.scope() {
            Scope::Store => Ok(self.orchestrator().tune(&patch).await?),
            Scope::Agent(_) => Err(SupervisionError::StoreOnly),
        }
    }
}

/// How a server runs that is to run: as it is configured, or when it is needed.
fn to_run(entry: &Entry) -> Wanted {
    match entry.config.wanted {
        Wanted::Stopped => Wanted::OnDemand,
        wanted @ (Wanted::OnDemand | Wanted::Always) => wanted,
    }
}
