//! Requests that are no calls of tools: reading a resource, getting a prompt.

use std::time::{Duration, Instant};

use dormouse_protocol as protocol;
use dormouse_types::{Arguments, BackChannel, NoBackChannel, ServerKey};
use serde_json::Value;

use crate::error::LeaseError;
use crate::lease::Lease;
use crate::orchestrator::Orchestrator;

/// Why a resource or prompt did not come.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The server could not be used.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The server refused, died or kept silent.
    #[error("server `{server}` did not give it")]
    Wire {
        /// The server.
        server: ServerKey,
        /// What happened on the wire.
        #[source]
        source: protocol::CallError,
    },
}

impl Orchestrator {
    /// Reads a resource of a server, waking it if need be; the answer is MCP's, untouched. The
    /// deadline is for all of it; `None` is the server's own.
    ///
    /// # Errors
    /// [`AskError`]
    pub async fn read_resource(
        &self,
        server: &ServerKey,
        uri: &str,
        deadline: Option<Duration>,
    ) -> Result<Value, AskError> {
        let (mut lease, left) = self.leased(server, deadline).await?;
        lease.read_resource(uri, left).await.map_err(|source| wire(server, source))
    }

    /// Gets a prompt of a server, waking it if need be; the answer is MCP's, untouched. The
    /// deadline is for all of it; `None` is the server's own.
    ///
    /// # Errors
    /// [`AskError`]
    pub async fn get_prompt(
        &self,
        server: &ServerKey,
        name: &str,
        arguments: &Arguments,
        deadline: Option<Duration>,
    ) -> Result<Value, AskError> {
        let (mut lease, left) = self.leased(server, deadline).await?;
        lease.get_prompt(name, arguments, left).await.map_err(|source| wire(server, source))
    }

    /// A lease, and the time that is left for what it is wanted for.
    async fn leased(
        &self,
        server: &ServerKey,
        deadline: Option<Duration>,
    ) -> Result<(Lease, Duration), LeaseError> {
        let began = Instant::now();
        let back: std::sync::Arc<dyn BackChannel> = std::sync::Arc::new(NoBackChannel);
        let Some(deadline) = deadline else {
            let lease = self.lease(server, &back).await?;
            let left = lease.call_deadline();
            return Ok((lease, left));
        };
        match tokio::time::timeout(deadline, self.lease(server, &back)).await {
            Ok(lease) => Ok((lease?, deadline.saturating_sub(began.elapsed()))),
            Err(_) => Err(LeaseError::Late { server: server.clone(), deadline }),
        }
    }
}

fn wire(server: &ServerKey, source: protocol::CallError) -> AskError {
    AskError::Wire { server: server.clone(), source }
}
