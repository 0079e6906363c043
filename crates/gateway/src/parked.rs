//! Calls of stateless clients that an older server interrupted by a question.
//!
//! The server waits for an answer within its call; the client gets the question as the result
//! (`input_required`) and comes again with the answer. Between the two the call is parked here:
//! it goes on running, in this hub's memory. Another replica does not know it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dormouse::{PeerAnswer, PeerRequest, Scope};
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::back::Back;
use crate::caller::Caller;
use crate::endpoint::Endpoint;
use crate::message::{Fault, INTERNAL_ERROR, Request};
use crate::session::fresh_id;

/// How long a call waits for its client to come again.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// The most calls that wait; then the oldest is given up.
const MOST: usize = 1_000;
/// What the state of our own begins with, so that it is told from a server's.
const MARK: &str = "dormouse-parked:";

/// The questions of one call.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    open: Mutex<Open>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    asked: BTreeMap<String, (PeerRequest, oneshot::Sender<PeerAnswer>)>,
    next: u64,
}

impl Questions {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and waits until the client has come again.
    pub(crate) async fn ask(&self, request: PeerRequest) -> PeerAnswer {
        let (send, receive) = oneshot::channel();
        let name = {
            let mut open = self.open();
            open.next += 1;
            let name = format!("question-{}", open.next);
            open.asked.insert(name.clone(), (request, send));
            name
        };
        let asking = Asking { questions: self, name };
        self.changed.notify_one();
        let answer = receive.await.unwrap_or(PeerAnswer::Unsupported);
        drop(asking);
        answer
    }

    /// Resolves when a question is open.
    async fn asked(&self) {
        while self.open().asked.is_empty() {
            self.changed.notified().await;
        }
    }

    /// The open questions, as the client gets them.
    fn requests(&self) -> Map<String, Value> {
        let shown = |(name, (asked, _)): (&String, &(PeerRequest, _))| {
            let mut it = json!({ "method": asked.method });
            if !asked.params.is_null() {
                it["params"] = asked.params.clone();
            }
            (name.clone(), it)
        };
        self.open().asked.iter().map(shown).collect()
    }

    fn answer(&self, answers: Map<String, Value>) {
        for (name, answer) in answers {
            let asked = self.open().asked.remove(&name);
            if let Some((_, waiting)) = asked {
                // Fails when the server has taken its question back.
                let _ = waiting.send(PeerAnswer::Result(answer));
            }
        }
    }
}

/// A question that somebody waits for.
struct Asking<'a> {
    questions: &'a Questions,
    name: String,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.questions.open().asked.remove(&self.name);
    }
}

type Job = BoxFuture<'static, Result<Value, Fault>>;

/// The calls that wait for their clients.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    calls: Mutex<HashMap<String, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    scope: Scope,
    method: String,
    target: Option<Value>,
    back: Arc<Back>,
    job: AbortOnDropHandle<Result<Value, Fault>>,
    since: Instant,
}

impl Parked {
    fn calls(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives all of them up.
    pub(crate) fn clear(&self) {
        self.calls().clear();
    }

    fn park(&self, waiting: Waiting) -> Result<Value, Fault> {
        let questions = waiting.back.questions().requests();
        let name = fresh_id()?;
        let mut calls = self.calls();
        calls.retain(|_, call| call.since.elapsed() < PATIENCE && !call.job.is_finished());
        if calls.len() >= MOST
            && let Some(oldest) =
                calls.iter().min_by_key(|(_, call)| call.since).map(|(name, _)| name.clone())
        {
            calls.remove(&oldest);
        }
        calls.insert(name.clone(), waiting);
        Ok(json!({
            "resultType": "input_required",
            "inputRequests": questions,
            "requestState": format!("{MARK}{name}"),
        }))
    }
}

/// The state of ours that a request brings back, if it does.
fn state_of(request: &Request) -> Option<&str> {
    request.params.get("requestState")?.as_str()?.strip_prefix(MARK)
}

/// What a request is about, so that an answer goes to nothing else.
fn target(request: &Request) -> Option<Value> {
    request.params.get("name").or_else(|| request.params.get("uri")).cloned()
}

/// Runs a request of a stateless client. A question of the server is its result, and the client
/// comes again with the answer: then the same call goes on.
pub(crate) async fn run(
    endpoint: &Endpoint,
    caller: &Caller,
    request: &Request,
    make: impl FnOnce(Arc<Back>) -> Job,
) -> Result<Value, Fault> {
    let parked = endpoint.gateway().parked();
    if let Some(name) = state_of(request) {
        let fits = |call: &Waiting| {
            call.scope == *endpoint.scope() && call.method == request.method && call.target == target(request)
        };
        let found = {
            let mut calls = parked.calls();
            // An answer that goes elsewhere leaves the call where it is.
            if calls.get(name).is_some_and(fits) { calls.remove(name) } else { None }
        };
        let Some(call) = found else {
            let words = "the call that waited for this answer is not there any more; whether it ran to its \
                end is not known";
            return Err(Fault::invalid(words).with_data(json!({ "outcome": "unknown" })));
        };
        call.back.redirect(caller, request);
        let answers = request.params.get("inputResponses").and_then(Value::as_object).cloned();
        call.back.questions().answer(answers.unwrap_or_default());
        return go_on(parked, call).await;
    }
    let back = Back::new(endpoint.scope(), caller, request);
    let questions = Arc::clone(back.questions());
    let mut job = make(Arc::clone(&back));
    tokio::select! {
        biased;
        result = &mut job => return result,
        () = questions.asked() => {}
    }
    let call = Waiting {
        scope: endpoint.scope().clone(),
        method: request.method.clone(),
        target: target(request),
        back,
        // Ends with its call, whose deadline stands, or when it is dropped from the table.
        job: AbortOnDropHandle::new(tokio::spawn(job)),
        since: Instant::now(),
    };
    parked.park(call)
}

async fn go_on(parked: &Parked, mut call: Waiting) -> Result<Value, Fault> {
    let questions = Arc::clone(call.back.questions());
    let ended = tokio::select! {
        biased;
        ended = &mut call.job => Some(ended),
        () = questions.asked() => None,
    };
    match ended {
        Some(ended) => ended.unwrap_or_else(|_| Err(Fault::new(INTERNAL_ERROR, "the call was given up"))),
        None => {
            call.since = Instant::now();
            parked.park(call)
        }
    }
}
