//! Supervision as a person sees it: checks, wishes and alerts. The numbers are in `tuning`.

use std::sync::Arc;
use std::time::Duration;

use dormouse_lifecycle::Event as Step;
use dormouse_registry::Entry;
use dormouse_types::{
    Alert, AlertLevel, BackChannel, FeatureSource, Features, NoBackChannel, ServerKey, ServerState, Wanted,
};

use crate::alerts::Words;
use crate::error::{CheckError, RefreshError, WantError};
use crate::orchestrator::Orchestrator;
use crate::wishes::Wish;

/// How long a refresh waits until the registry has taken up what the server said.
const TAKING_UP: Duration = Duration::from_secs(5);

/// What one health probe found.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Whether it answered. A dormant server was not asked, and is well as long as nothing is
    /// known against it.
    pub healthy: bool,
    /// Its state after the probe.
    pub state: ServerState,
    /// How long its answer took; `None` when it was not asked, or did not answer.
    pub latency: Option<Duration>,
    /// What is wrong, or why it was not asked.
    pub reason: Option<String>,
}

impl Orchestrator {
    /// Probes an attached server once, now. A dormant one is not woken.
    ///
    /// # Errors
    /// [`CheckError`]
    pub async fn check(&self, server: &ServerKey) -> Result<Check, CheckError> {
        self.known_entry(server).ok_or_else(|| CheckError::UnknownServer { server: server.clone() })?;
        let instance = self.roster().known(server);
        let asked = match instance.as_ref().and_then(|i| Some((i, i.connection()?))) {
            Some((instance, connection)) => Some(instance.probe(&connection).await),
            None => None,
        };
        let status = self.registry().status(server);
        let state = status.as_ref().map_or(ServerState::Dormant, |status| status.state);
        let reason = status.and_then(|status| status.reason.clone());
        Ok(match asked {
            Some(Ok(latency)) => Check { healthy: true, state, latency: Some(latency), reason },
            Some(Err(error)) => {
                let reason = reason.or_else(|| Some(dormouse_types::chain(&error)));
                Check { healthy: false, state, latency: None, reason }
            }
            None => {
                let reason = reason.or_else(|| Some(format!("not asked: it is {state}")));
                Check { healthy: state == ServerState::Dormant, state, latency: None, reason }
            }
        })
    }

    /// Lists again what a server offers, waking it if need be. Returns when the registry has it.
    ///
    /// # Errors
    /// [`RefreshError`]
    pub async fn refresh(&self, server: &ServerKey) -> Result<Arc<Features>, RefreshError> {
        let back: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
        let lease = self.lease(server, &back).await?;
        let features =
            lease.list().await.map_err(|source| RefreshError::Wire { server: server.clone(), source })?;
        let mut version = self.registry().version();
        let taken_up = async {
            while self.known_entry(server).is_some_and(|entry| *entry.features != *features)
                && version.changed().await.is_ok()
            {}
        };
        let _ = tokio::time::timeout(TAKING_UP, taken_up).await;
        Ok(features)
    }

    /// Returns once what an awake server offers is listed, so that whoever woke it can name its
    /// tools. One that is known already is not waited for.
    pub async fn listed(&self, server: &ServerKey) {
        let mut version = self.registry().version();
        let unknown = || self.known_entry(server).is_some_and(|entry| entry.source == FeatureSource::Unknown);
        let listed = async { while unknown() && version.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(TAKING_UP, listed).await;
    }

    /// Takes a person's word on whether a server should run, over what is configured: `Stopped`
    /// disconnects it, with a reason that its status shows; what is configured connects it again.
    /// It is kept until it is taken back, also over a restart of the hub.
    ///
    /// # Errors
    /// [`WantError`]
    pub async fn want(
        &self,
        server: &ServerKey,
        wanted: Wanted,
        reason: Option<String>,
    ) -> Result<(), WantError> {
        let unknown = || WantError::UnknownServer { server: server.clone() };
        let entry = self.known_entry(server).ok_or_else(unknown)?;
        let wish = (wanted != entry.config.wanted).then_some(Wish { wanted, reason });
        self.engine().wishes.set(server, wish.clone()).await?;
        let instance = self.roster().instance(&entry).ok_or(WantError::Ending)?;
        instance.wish(wish);
        if wanted != Wanted::Stopped {
            instance.feed(Step::Wake);
        }
        Ok(())
    }

    /// What a person should look at, oldest first; at most 500.
    pub fn alerts(&self) -> Vec<Alert> {
        self.engine().alerts.list()
    }

    /// Raises an alert by hand.
    pub fn raise_alert(
        &self,
        level: AlertLevel,
        title: &str,
        message: &str,
        server: Option<ServerKey>,
    ) -> Alert {
        let words = Words { level, title: title.to_owned(), message: message.to_owned() };
        (*self.engine().alerts.raise(self.registry(), server, words)).clone()
    }

    /// Forgets all alerts and says how many there were.
    pub fn clear_alerts(&self) -> usize {
        self.engine().alerts.clear(self.registry())
    }

    pub(crate) fn known_entry(&self, server: &ServerKey) -> Option<Arc<Entry>> {
        self.registry().snapshot().get(server).cloned()
    }
}
