//! Requests that are no calls of tools: reading a resource, getting a prompt, any other that is
//! passed through.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dormouse_protocol as protocol;
use dormouse_types::{Arguments, BackChannel, NoBackChannel, Rounds, ServerKey};
use serde_json::{Map, Value};

use crate::error::{LeaseError, WithoutOutput};
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

impl WithoutOutput for AskError {
    fn without_output(self) -> Self {
        match self {
            Self::Lease(error) => Self::Lease(error.without_output()),
            Self::Wire { server, source } => Self::Wire { server, source: source.without_output() },
        }
    }
}

/// A request for a server, in MCP's own terms.
#[derive(Debug, Clone)]
pub struct PassRequest {
    /// MCP's method, such as `completion/complete`.
    pub method: String,
    /// Its parameters, which go on whole.
    pub params: Map<String, Value>,
    /// The whole time that the caller gives, a wake included; `None` is the server's own.
    pub deadline: Option<Duration>,
    /// What becomes of a result by which the server asks for more.
    pub rounds: Rounds,
}

/// What a server answered to a [`PassRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct Passed {
    /// Exactly as it came.
    pub result: Value,
    /// Whether the server was woken for it.
    pub woke: bool,
    /// Whether the server speaks 2026-07-28.
    pub modern: bool,
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
        let params = Map::from_iter([("uri".to_owned(), Value::from(uri))]);
        self.asked(server, "resources/read", params, deadline).await
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
        let arguments = Value::Object(arguments.clone());
        let params =
            Map::from_iter([("name".to_owned(), Value::from(name)), ("arguments".to_owned(), arguments)]);
        self.asked(server, "prompts/get", params, deadline).await
    }

    async fn asked(
        &self,
        server: &ServerKey,
        method: &str,
        params: Map<String, Value>,
        deadline: Option<Duration>,
    ) -> Result<Value, AskError> {
        let method = method.to_owned();
        let request = PassRequest { method, params, deadline, rounds: Rounds::Driven };
        let nobody: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
        Ok(self.pass(server, &request, &nobody).await?.result)
    }

    /// Makes any request of a server, waking it if need be. To cancel, drop the future.
    ///
    /// # Errors
    /// [`AskError`]
    pub async fn pass(
        &self,
        server: &ServerKey,
        request: &PassRequest,
        back: &Arc<dyn BackChannel>,
    ) -> Result<Passed, AskError> {
        let (mut lease, left) = self.admitted(server, Instant::now(), request.deadline, back).await?;
        let result = lease.pass(&request.method, &request.params, left, request.rounds, back).await;
        let result = result.map_err(|source| wire(server, source))?;
        Ok(Passed { result, woke: lease.woke(), modern: lease.is_modern() })
    }
}

fn wire(server: &ServerKey, source: protocol::CallError) -> AskError {
    AskError::Wire { server: server.clone(), source }
}
