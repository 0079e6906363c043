//! Waiting for a server: until it is in a state, or in another one.

use std::time::Duration;

use dormouse_orchestrator::{Lease, LeaseError};
use dormouse_types::{BackChannel, NoBackChannel, ServerKey, ServerName, ServerState, ServerStatus};
use tokio::time::Instant;

use crate::context::Context;
use crate::error::WaitError;
use crate::servers::ServerInfo;

impl Context {
    /// Waits until a server is in one of the states.
    ///
    /// Whoever waits for `healthy` wakes a server that sleeps, and tries one that failed as often
    /// as its back-off allows. A server that a person stopped stays so.
    ///
    /// # Errors
    /// [`WaitError`] with the state that it is in.
    pub async fn wait(
        &self,
        name: &ServerName,
        states: &[ServerState],
        timeout: Duration,
    ) -> Result<ServerInfo, WaitError> {
        let wakes = states.contains(&ServerState::Healthy);
        self.wait_until(name, wakes, timeout, |status| states.contains(&status.state)).await
    }

    /// Waits until a server is in another state than now. It is not woken.
    ///
    /// # Errors
    /// [`WaitError`] with the state that it is still in.
    pub async fn wait_change(&self, name: &ServerName, timeout: Duration) -> Result<ServerInfo, WaitError> {
        let now = self.server(name)?.status.state;
        self.wait_until(name, false, timeout, |status| status.state != now).await
    }

    async fn wait_until(
        &self,
        name: &ServerName,
        wakes: bool,
        timeout: Duration,
        holds: impl Fn(&ServerStatus) -> bool,
    ) -> Result<ServerInfo, WaitError> {
        let mut events = self.registry().events();
        let deadline = Instant::now() + timeout;
        // The first try is that of any caller; later ones wait for news, and for the back-off.
        let mut tries = wakes;
        let mut tried = false;
        loop {
            let info = self.server(name)?;
            if holds(&info.status) {
                return self.told(name, info, deadline).await;
            }
            let due = tries && asleep(info.status.state) && !(tried && info.status.next_retry.is_some());
            let in_time = if due {
                (tries, tried) = (false, true);
                let woken = tokio::time::timeout_at(deadline, self.awake(&info.entry.key)).await;
                if let Ok(Ok(_lease)) = &woken {
                    // Looked at while it is held: without a linger the server sleeps right after.
                    let info = self.server(name)?;
                    if holds(&info.status) {
                        return self.told(name, info, deadline).await;
                    }
                }
                woken.is_ok()
            } else {
                // Any event may be the one, and one who lags looks again.
                let heard = tokio::time::timeout_at(deadline, events.recv()).await;
                tries = wakes;
                heard.is_ok()
            };
            if !in_time {
                // What holds at the last moment counts.
                let info = self.server(name)?;
                if holds(&info.status) {
                    return Ok(info);
                }
                return Err(WaitError::Late {
                    server: name.clone(),
                    now: info.status.state,
                    reason: info.status.told(),
                    waited: timeout,
                });
            }
        }
    }

    /// A server as it was seen, with what it offers: a new one is awake a moment before its tools
    /// are listed, and whoever waited for it goes on with them.
    async fn told(
        &self,
        name: &ServerName,
        seen: ServerInfo,
        deadline: Instant,
    ) -> Result<ServerInfo, WaitError> {
        if seen.status.state != ServerState::Healthy {
            return Ok(seen);
        }
        let _ = tokio::time::timeout_at(deadline, self.orchestrator().listed(&seen.entry.key)).await;
        Ok(ServerInfo { status: seen.status, ..self.server(name)? })
    }

    async fn awake(&self, server: &ServerKey) -> Result<Lease, LeaseError> {
        let back: std::sync::Arc<dyn BackChannel> = std::sync::Arc::new(NoBackChannel);
        self.orchestrator().lease(server, &back).await
    }
}

/// Whether nobody is trying to start it now.
fn asleep(state: ServerState) -> bool {
    match state {
        ServerState::Dormant | ServerState::Reconnecting | ServerState::Unreachable => true,
        ServerState::Initializing
        | ServerState::Healthy
        | ServerState::Warning
        | ServerState::Disconnecting
        | ServerState::Disconnected => false,
    }
}
