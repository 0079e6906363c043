//! The right of one call to use an attached server.

use std::sync::Arc;
use std::time::Duration;

use dormouse_protocol::{self as protocol, Connection};
use dormouse_types::{Arguments, BackChannel, CallResult, Features, Rounds, ServerKey, ToolName};
use serde_json::{Map, Value};

use crate::instance::Instance;
use crate::limits::Turn;

/// The right to use an attached server. As long as it lives the server does not sleep;
/// dropping it gives it back, and never waits.
#[derive(Debug)]
pub struct Lease {
    instance: Arc<Instance>,
    connection: Connection,
    generation: u64,
    woke: bool,
    served: bool,
    /// Held while a call runs, where calls are limited.
    turn: Option<Turn>,
}

impl Lease {
    pub(crate) fn new(instance: Arc<Instance>, connection: Connection, generation: u64, woke: bool) -> Self {
        Self { instance, connection, generation, woke, served: true, turn: None }
    }

    /// Gives it the turn that was waited for.
    pub(crate) fn in_turn(mut self, turn: Turn) -> Self {
        self.turn = Some(turn);
        self
    }

    /// Lets the next call of the server run; the server stays awake.
    pub(crate) fn rest(&mut self) {
        self.turn = None;
    }

    /// Lists anew what the server offers.
    pub(crate) async fn list(&self) -> Result<Arc<Features>, protocol::CallError> {
        self.instance.list_anew(&self.connection).await
    }

    /// Waits for a turn, unless it has one; whoever has none in time has sent nothing.
    async fn wait_for_turn(&self, deadline: Duration) -> Result<Option<Turn>, protocol::CallError> {
        if self.turn.is_some() {
            return Ok(None);
        }
        let turn = self.instance.gate().turn(self.instance.key(), deadline).await;
        turn.map(Some).map_err(|_| protocol::CallError::TimedOut { after: deadline, sent: false })
    }

    /// The server.
    pub fn server(&self) -> &ServerKey {
        self.instance.key()
    }

    /// Whether the server was asleep when the lease was asked for.
    pub fn woke(&self) -> bool {
        self.woke
    }

    /// The number of the start that serves this lease.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The server's own deadline for a call.
    pub fn call_deadline(&self) -> Duration {
        self.instance.config().timing.call
    }

    /// Waits until the server's process is gone, and the next lease is one on another.
    pub(crate) async fn closed(&self) {
        self.connection.closed().await;
        self.instance.gone(self.generation).await;
    }

    /// Calls a tool. Dropping the future cancels the call at the server.
    ///
    /// # Errors
    /// [`protocol::CallError`], whose outcome says whether the tool may have run.
    pub async fn call(
        &mut self,
        tool: &ToolName,
        arguments: &Arguments,
        deadline: Duration,
        back: &Arc<dyn BackChannel>,
    ) -> Result<CallResult, protocol::CallError> {
        let _turn = self.wait_for_turn(deadline).await?;
        let result = self.connection.call(tool, arguments, deadline, back).await;
        self.note(result)
    }

    /// Makes any request; parameters and answer are MCP's, untouched. Dropping the future cancels
    /// it at the server.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn pass(
        &mut self,
        method: &str,
        params: &Map<String, Value>,
        deadline: Duration,
        rounds: Rounds,
        back: &Arc<dyn BackChannel>,
    ) -> Result<Value, protocol::CallError> {
        let _turn = self.wait_for_turn(deadline).await?;
        let result = self.connection.pass(method, params, deadline, rounds, back).await;
        self.note(result)
    }

    /// Whether the server speaks 2026-07-28.
    pub fn is_modern(&self) -> bool {
        self.connection.is_modern()
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns when the server's process is gone, or is to go as soon as it is not leased any more:
    /// it sleeps, is stopped, or a new version stands in its place.
    pub(crate) async fn leaving(&self) {
        self.instance.leaving(self.generation).await;
    }

    /// Remembers whether the server did its part.
    fn note<T>(&mut self, result: Result<T, protocol::CallError>) -> Result<T, protocol::CallError> {
        self.served = match &result {
            Ok(_) => true,
            Err(error) => answered(error),
        };
        if let Err(protocol::CallError::SignIn(error)) = &result {
            let problem = self.instance.wants_sign_in(error);
            self.instance.probed(&self.connection, Some(problem));
        }
        result
    }
}

/// A refusal or a garbled answer is one; a silence or a death is none.
fn answered(error: &protocol::CallError) -> bool {
    use protocol::CallError as E;
    match error {
        E::Refused { .. } | E::Unreadable { .. } => true,
        // What stands before a server speaks for it when it is down.
        E::Status { status, .. } => *status < 500,
        E::NotSent
        | E::Died { .. }
        | E::TimedOut { .. }
        | E::Unreachable { .. }
        | E::Broken { .. }
        | E::SignIn(_) => false,
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.instance.give_back(self.generation, self.served);
    }
}
