//! One call of one tool, from the key to the result.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dormouse_protocol as protocol;
use dormouse_types::{Arguments, BackChannel, CallEnd, CallId, CallResult, Event, Outcome, ToolKey};

use crate::error::{CallError, LeaseError};
use crate::lease::Lease;
use crate::orchestrator::Orchestrator;

/// What to call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The tool.
    pub key: ToolKey,
    /// Its arguments, already repaired and validated.
    pub arguments: Arguments,
    /// The whole time that the caller gives, a wake included; `None` is the server's own deadline
    /// for the call, and its own for the wake.
    pub deadline: Option<Duration>,
}

/// How a call went.
#[derive(Debug)]
pub struct Called {
    /// The tool.
    pub key: ToolKey,
    /// What the server answered, or why it did not.
    pub result: Result<CallResult, CallError>,
    /// From the request to the answer, a wake included.
    pub duration: Duration,
    /// Whether the server was woken for it.
    pub woke: bool,
    /// The lease that the call used. Who keeps it keeps the server awake.
    pub lease: Option<Lease>,
}

impl Called {
    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        match &self.result {
            Ok(result) => result.outcome(),
            Err(error) => error.outcome(),
        }
    }
}

static CALLS: AtomicU64 = AtomicU64::new(0);

impl Orchestrator {
    /// Calls a tool, waking its server if need be. Never retried here: a tool that may have run
    /// is not run again. To cancel, drop the future.
    pub async fn call(&self, call: Call, back: &Arc<dyn BackChannel>) -> Called {
        let began = Instant::now();
        let id = CallId(CALLS.fetch_add(1, Ordering::Relaxed));
        let ToolKey { server, tool } = &call.key;
        let registry = self.registry();
        registry.emit(Event::CallStarted { call: id, server: server.clone(), tool: tool.clone() });

        let mut attempt = self.attempt(&call, began, back).await;
        // An idle process can end in the very moment of a call: nothing was sent, so nothing
        // can run twice.
        if let (Err(CallError::Wire { source: protocol::CallError::NotSent, .. }), Some(lease)) = &attempt {
            lease.closed().await;
            attempt = self.attempt(&call, began, back).await;
        }
        let (result, lease) = attempt;

        let woke = lease.as_ref().is_some_and(Lease::woke);
        let duration = began.elapsed();
        let called = Called { key: call.key, result, duration, woke, lease };
        let outcome = called.outcome();
        self.measures().called(&called.key, outcome, duration);
        registry.emit(Event::CallEnded {
            call: id,
            server: called.key.server.clone(),
            tool: called.key.tool.clone(),
            end: CallEnd { outcome, duration, woke },
        });
        called
    }

    async fn attempt(
        &self,
        call: &Call,
        began: Instant,
        back: &Arc<dyn BackChannel>,
    ) -> (Result<CallResult, CallError>, Option<Lease>) {
        let ToolKey { server, tool } = &call.key;
        let left = |deadline: Duration| deadline.saturating_sub(began.elapsed());
        let leased = match call.deadline {
            None => self.lease(server, back).await,
            Some(deadline) => match tokio::time::timeout(left(deadline), self.lease(server, back)).await {
                Ok(leased) => leased,
                Err(_) => Err(LeaseError::Late { server: server.clone(), deadline }),
            },
        };
        let mut lease = match leased {
            Ok(lease) => lease,
            Err(error) => return (Err(CallError::Lease(error)), None),
        };
        let deadline = call.deadline.map_or_else(|| lease.call_deadline(), left);
        let result = lease.call(tool, &call.arguments, deadline, back).await;
        let wire = |source| CallError::Wire { server: server.clone(), tool: tool.clone(), source };
        (result.map_err(wire), Some(lease))
    }
}
