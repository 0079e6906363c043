//! The right of one call to use an attached server.

use std::sync::Arc;
use std::time::Duration;

use dormouse_lifecycle::{CallStep, Event as Step};
use dormouse_protocol::{self as protocol, Connection};
use dormouse_types::{BackChannel, Features, Rounds, ServerKey};
use serde_json::{Map, Value};

use crate::instance::{Instance, Passage};
use crate::limits::Turn;

/// The right to use an attached server. As long as it lives the server does not sleep;
/// dropping it gives it back, and never waits.
#[derive(Debug)]
pub struct Lease {
    instance: Arc<Instance>,
    connection: Connection,
    generation: u64,
    woke: bool,
    /// Whether its process died of a call, and takes the lease with it.
    died: bool,
    /// Held while a call runs, where calls are limited.
    turn: Option<Turn>,
    /// Held while a call runs that the breaker let in.
    passage: Option<Passage>,
}

impl Lease {
    pub(crate) fn new(instance: Arc<Instance>, connection: Connection, generation: u64, woke: bool) -> Self {
        Self { instance, connection, generation, woke, died: false, turn: None, passage: None }
    }

    /// Gives it the turn that was waited for.
    pub(crate) fn in_turn(mut self, turn: Turn) -> Self {
        self.turn = Some(turn);
        self
    }

    /// Gives it the breaker's word.
    pub(crate) fn by(mut self, passage: Passage) -> Self {
        self.passage = Some(passage);
        self
    }

    /// Lets the next call of the server run; the server stays awake.
    pub(crate) fn rest(&mut self) {
        self.turn = None;
        self.passage = None;
    }

    /// Lists anew what the server offers.
    pub(crate) async fn list(&self) -> Result<Arc<Features>, protocol::CallError> {
        self.instance.list_anew(&self.connection).await
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

    /// Makes any request; parameters and answer are MCP's, untouched. Dropping the future cancels
    /// it at the server. For one that was [admitted](crate::Orchestrator::admitted).
    ///
    /// # Errors
    /// [`protocol::CallError`], whose outcome says whether a tool may have run.
    pub(crate) async fn pass(
        &mut self,
        method: &str,
        params: &Map<String, Value>,
        deadline: Duration,
        rounds: Rounds,
        back: &Arc<dyn BackChannel>,
    ) -> Result<Value, protocol::CallError> {
        let result = self.connection.pass(method, params, deadline, rounds, back).await;
        self.note(result, deadline)
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

    /// Tells the life how the server did its part. A call that its caller gave up never comes here,
    /// and says nothing; nor does one that had less than half of the time that the server is
    /// allowed: else whoever is in a hurry would close it for all.
    fn note<T>(
        &mut self,
        result: Result<T, protocol::CallError>,
        deadline: Duration,
    ) -> Result<T, protocol::CallError> {
        if matches!(result, Err(protocol::CallError::TimedOut { .. })) && deadline * 2 < self.call_deadline()
        {
            return result;
        }
        let (step, reason) = match &result {
            Ok(_) => (Step::Call(CallStep::Served), None),
            Err(error) => match Word::of(error) {
                Word::Answered => (Step::Call(CallStep::Served), None),
                Word::Ended if self.connection.exit().is_some() => {
                    self.died = true;
                    return result;
                }
                Word::Ended | Word::Silent => {
                    let tries = self.passage.as_ref().is_some_and(Passage::tries);
                    let step = if tries { CallStep::TrialFailed } else { CallStep::Failed };
                    (Step::Call(step), Some(told(error)))
                }
                Word::Closed(error) => (Step::SignInWanted, Some(self.instance.wants_sign_in(error))),
            },
        };
        self.instance.judged(self.generation, step, reason);
        result
    }
}

/// What a call that failed says of its server.
enum Word<'a> {
    /// A refusal or a garbled answer is an answer.
    Answered,
    /// It has ended.
    Ended,
    /// It was not reached, or did not answer.
    Silent,
    /// It wants to know who asks.
    Closed(&'a protocol::SignInError),
}

impl<'a> Word<'a> {
    fn of(error: &'a protocol::CallError) -> Self {
        use protocol::CallError as E;
        match error {
            E::Refused { .. } | E::Unreadable { .. } => Self::Answered,
            // What stands before a server speaks for it when it is down.
            E::Status { status, .. } if *status < 500 => Self::Answered,
            E::NotSent | E::Died { .. } => Self::Ended,
            E::TimedOut { .. } | E::Unreachable { .. } | E::Broken { .. } | E::Status { .. } => Self::Silent,
            E::SignIn(error) => Self::Closed(error),
        }
    }
}

/// The failure of a call as the reason of a state, which every agent sees that sees the server:
/// without anything that the server wrote.
fn told(error: &protocol::CallError) -> String {
    use protocol::CallError as E;
    let what = match error {
        E::Status { status, .. } => format!("the server answered with HTTP status {status}"),
        E::TimedOut { .. } | E::Unreachable { .. } | E::NotSent => error.to_string(),
        E::Died { .. } => "the server closed its output in the middle of it".to_owned(),
        E::Broken { .. } => "the connection broke in the middle of it".to_owned(),
        E::Refused { .. } | E::Unreadable { .. } | E::SignIn(_) => "it was refused".to_owned(),
    };
    format!("a call failed: {what}")
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Kept, where the process died of it: its end is no end of an idle one, whichever of the
        // two is noticed first.
        if !self.died {
            self.instance.give_back(self.generation);
        }
    }
}
