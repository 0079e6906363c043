//! One call of one tool, from the key to the result.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dormouse_protocol as protocol;
use dormouse_types::{
    Arguments, BackChannel, CallEnd, CallId, CallResult, Event, Outcome, Rounds, ServerKey, ToolKey,
};
use serde_json::{Map, Value};

use crate::error::{CallError, LeaseError};
use crate::lease::Lease;
use crate::orchestrator::Orchestrator;

/// What to call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The tool.
    pub key: ToolKey,
    /// The parameters of `tools/call`, their arguments already repaired and validated. `name` is
    /// put in from the key.
    pub params: Map<String, Value>,
    /// The whole time that the caller gives, a wake included; `None` is the server's own deadline
    /// for the call, and its own for the wake.
    pub deadline: Option<Duration>,
    /// What becomes of a result by which the server asks for more.
    pub rounds: Rounds,
}

impl Call {
    /// A call with arguments alone.
    pub fn new(key: ToolKey, arguments: Arguments, deadline: Option<Duration>) -> Self {
        let params = Map::from_iter([("arguments".to_owned(), Value::Object(arguments))]);
        Self { key, params, deadline, rounds: Rounds::Driven }
    }
}

/// In what form the result of a call is wanted.
pub trait Reply: Sized {
    /// Takes the result as it came.
    ///
    /// # Errors
    /// It is no result of a call.
    fn read(result: Value) -> Result<Self, protocol::CallError>;

    /// How a call with this result ended.
    fn outcome(&self) -> Outcome;
}

/// Taken apart.
impl Reply for CallResult {
    fn read(result: Value) -> Result<Self, protocol::CallError> {
        protocol::read_result(result)
    }

    fn outcome(&self) -> Outcome {
        CallResult::outcome(self)
    }
}

/// Exactly as it came, whatever it is.
impl Reply for Value {
    fn read(result: Value) -> Result<Self, protocol::CallError> {
        Ok(result)
    }

    fn outcome(&self) -> Outcome {
        let is_error = self.get("isError").and_then(Value::as_bool).unwrap_or_default();
        if is_error { Outcome::ToolError } else { Outcome::Ok }
    }
}

/// How a call went.
#[derive(Debug)]
pub struct Called<R = CallResult> {
    /// The tool.
    pub key: ToolKey,
    /// What the server answered, or why it did not.
    pub result: Result<R, CallError>,
    /// From the request to the answer, a wake included.
    pub duration: Duration,
    /// Whether the server was woken for it.
    pub woke: bool,
    /// The lease that the call used. Who keeps it keeps the server awake.
    pub lease: Option<Lease>,
}

impl<R: Reply> Called<R> {
    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        match &self.result {
            Ok(result) => result.outcome(),
            Err(error) => error.outcome(),
        }
    }
}

/// A call between its two events. Dropped before its end, it is one that its caller gave up: the
/// tool may have run, and whoever heard of its beginning hears of its end.
struct UnderWay<'a> {
    orchestrator: &'a Orchestrator,
    id: CallId,
    key: ToolKey,
    began: Instant,
    has_ended: bool,
}

impl<'a> UnderWay<'a> {
    fn begin(orchestrator: &'a Orchestrator, key: &ToolKey) -> Self {
        let id = CallId(CALLS.fetch_add(1, Ordering::Relaxed));
        let (server, tool) = (key.server.clone(), key.tool.clone());
        orchestrator.registry().emit(Event::CallStarted { call: id, server, tool });
        Self { orchestrator, id, key: key.clone(), began: Instant::now(), has_ended: false }
    }

    fn end(&mut self, outcome: Outcome, duration: Duration, woke: bool) {
        self.has_ended = true;
        self.orchestrator.measures().called(&self.key, outcome, duration);
        self.orchestrator.registry().emit(Event::CallEnded {
            call: self.id,
            server: self.key.server.clone(),
            tool: self.key.tool.clone(),
            end: CallEnd { outcome, duration, woke },
        });
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end(Outcome::Unknown, self.began.elapsed(), false);
        }
    }
}

static CALLS: AtomicU64 = AtomicU64::new(0);

impl Orchestrator {
    /// Calls a tool, waking its server if need be. Never retried here: a tool that may have run
    /// is not run again. To cancel, drop the future.
    pub async fn call<R: Reply>(&self, mut call: Call, back: &Arc<dyn BackChannel>) -> Called<R> {
        let began = Instant::now();
        call.params.insert("name".to_owned(), Value::from(call.key.tool.as_str()));
        let mut under_way = UnderWay::begin(self, &call.key);
        let mut attempt = self.attempt(&call, began, back).await;
        // An idle process can end in the very moment of a call: nothing was sent, so nothing
        // can run twice.
        if let (Err(CallError::Wire { source: protocol::CallError::NotSent, .. }), Some(lease)) = &attempt {
            // Within the time of the call; then the attempt says that there is none left.
            let left = call.deadline.unwrap_or_else(|| lease.call_deadline()).saturating_sub(began.elapsed());
            let _ = tokio::time::timeout(left, lease.closed()).await;
            attempt = self.attempt(&call, began, back).await;
        }
        let (result, lease) = attempt;
        let unread = |source| {
            let ToolKey { server, tool } = call.key.clone();
            CallError::Wire { server, tool, source }
        };
        let result = match result {
            Ok(result) => R::read(result).map_err(unread),
            Err(error) => Err(error),
        };

        let woke = lease.as_ref().is_some_and(Lease::woke);
        let duration = began.elapsed();
        let called = Called { key: call.key, result, duration, woke, lease };
        under_way.end(called.outcome(), duration, woke);
        called
    }

    async fn attempt(
        &self,
        call: &Call,
        began: Instant,
        back: &Arc<dyn BackChannel>,
    ) -> (Result<Value, CallError>, Option<Lease>) {
        let ToolKey { server, tool } = &call.key;
        let (mut lease, left) = match self.admitted(server, began, call.deadline, back).await {
            Ok(admitted) => admitted,
            Err(error) => return (Err(CallError::Lease(error)), None),
        };
        let result = lease.pass("tools/call", &call.params, left, call.rounds, back).await;
        // Who keeps the lease keeps the server awake, and nobody from his turn.
        lease.rest();
        let wire = |source| CallError::Wire { server: server.clone(), tool: tool.clone(), source };
        (result.map_err(wire), Some(lease))
    }

    /// A lease for a request: with a turn, where they are limited, and with the breaker's word, all
    /// of one version of the server. And the time that is left for the request: of the caller's own,
    /// which began in the past, else the server's for a call.
    pub(crate) async fn admitted(
        &self,
        server: &ServerKey,
        began: Instant,
        deadline: Option<Duration>,
        back: &Arc<dyn BackChannel>,
    ) -> Result<(Lease, Duration), LeaseError> {
        let left = |deadline: Duration| deadline.saturating_sub(began.elapsed());
        loop {
            let Some(entry) = self.registry().snapshot().get(server).cloned() else {
                return Err(LeaseError::UnknownServer { server: server.clone() });
            };
            let instance = self.roster().instance(&entry).ok_or(LeaseError::Ending)?;
            // Nobody waits for the turns of calls that hang, to hear then that he is not let in.
            instance.lets_calls_in()?;
            let patience = deadline.map_or(entry.config.timing.call, left);
            let late = |deadline| LeaseError::Late { server: server.clone(), deadline };
            if let Some(turn) = instance.gate().turn(server, patience).await? {
                let passage = instance.passage()?;
                let leased = match deadline {
                    None => instance.lease(back).await?,
                    Some(deadline) => tokio::time::timeout(left(deadline), instance.lease(back))
                        .await
                        .map_err(|_| late(deadline))??,
                };
                if let Some(lease) = leased {
                    let left = deadline.map_or_else(|| lease.call_deadline(), left);
                    return Ok((lease.in_turn(turn).by(passage), left));
                }
            }
            if let Some(deadline) = deadline
                && left(deadline).is_zero()
            {
                return Err(late(deadline));
            }
            self.next_version().await?;
        }
    }
}
