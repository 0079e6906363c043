//! The verb `query`: a question in plain words → an answer, by walking the router's plan.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dormouse_orchestrator::{Call, Lease, Orchestrator};
use dormouse_routing::{Answer, Plan, Planned, PlannedCall, Question, Receipt, StepDone};
use dormouse_types::{
    Arguments, BackChannel, CallEvent, CallResult, Message, NoBackChannel, Outcome, Role, Scope, ServerKey,
    SessionId, Timestamp, ToolKey, chain,
};
use futures::future::join_all;
use tracing::{Instrument, info_span, warn};

use crate::context::{Context, Wake};
use crate::error::QueryError;
use crate::listener::{QueryEvent, QueryListener};

/// No question in plain words is longer; a document belongs into an argument.
const LONGEST_QUERY: usize = 64 * 1024;
/// How many tools the router chooses among; small models lose their way above.
const CANDIDATES: usize = 8;
/// How often results may lead to further calls.
const ROUNDS: usize = 4;
/// How many calls one plan may make.
const CALLS: usize = 8;
/// How long a query waits for servers that are contacted for the first time.
const FIRST_CONTACT: Duration = Duration::from_secs(5);

/// A question.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// The question in plain words.
    pub query: String,
    /// The conversation that it belongs to.
    pub session: SessionId,
}

/// One call that a query made.
#[derive(Debug, Clone)]
pub struct Step {
    /// The tool.
    pub key: ToolKey,
    /// Its full name in this context.
    pub full_name: String,
    /// Its server's name in this context.
    pub server_name: String,
    /// What it was called with.
    pub arguments: Arguments,
    /// Its result as text, or why there is none.
    pub text: String,
    /// How it ended.
    pub outcome: Outcome,
    /// From the request to the answer, a wake included.
    pub duration: Duration,
    /// Whether its server was woken for it.
    pub woke: bool,
    /// What was corrected in the arguments.
    pub receipts: Vec<Receipt>,
}

/// An answer, and how it came about.
#[derive(Debug, Clone)]
pub struct QueryAnswer {
    /// The question.
    pub query: String,
    /// The answer, for people.
    pub answer: String,
    /// The calls that were made, in the plans' order.
    pub steps: Vec<Step>,
    /// The servers that were woken for it, by their names in this context.
    pub woken: Vec<String>,
    /// What the router decided, a round each; at least one.
    pub rounds: Vec<Planned>,
    /// The model that wrote plan or answer, if one did.
    pub model: Option<String>,
    /// What a person should know beside the answer.
    pub notes: Vec<String>,
    /// From the question to the answer.
    pub duration: Duration,
}

impl Context {
    /// Answers a question: chooses tools, wakes their servers, calls, and says what came of it.
    ///
    /// Faults of models and tools end in a truthful answer, not in an error.
    ///
    /// # Errors
    /// [`QueryError`] when there is no question.
    pub async fn query(
        &self,
        request: QueryRequest,
        listener: Arc<dyn QueryListener>,
    ) -> Result<QueryAnswer, QueryError> {
        let QueryRequest { query, session } = request;
        if query.trim().is_empty() {
            return Err(QueryError::Empty);
        }
        if query.len() > LONGEST_QUERY {
            return Err(QueryError::TooLong { bytes: query.len(), limit: LONGEST_QUERY });
        }
        let span = info_span!("query", session = %session);
        let answer = self.walk(query, &session, &listener).instrument(span).await;
        let success = answer.steps.iter().all(|step| step.outcome == Outcome::Ok);
        self.measures().answered(success, answer.duration);
        Ok(answer)
    }

    async fn walk(
        &self,
        query: String,
        session: &SessionId,
        listener: &Arc<dyn QueryListener>,
    ) -> QueryAnswer {
        let began = Instant::now();
        let asked_at = Timestamp::now();
        let mut notes = Vec::new();
        let history = self.storage().history(&self.conversation(session)).await.unwrap_or_else(|error| {
            notes.push(format!("the conversation so far could not be read: {error}"));
            Vec::new()
        });

        let mut steps: Vec<Step> = Vec::new();
        let mut rounds: Vec<Planned> = Vec::new();
        let mut leases: Vec<Lease> = Vec::new();
        self.first_contacts(FIRST_CONTACT).await;
        loop {
            let candidates = self.search(&query, CANDIDATES);
            if rounds.is_empty() {
                listener.notify(QueryEvent::Candidates(candidates.clone()));
            }
            let ahead = self.wake_ahead(&candidates, rounds.is_empty());
            let done: Vec<StepDone> = steps.iter().map(Step::done).collect();
            let abilities = Vec::new();
            let question = Question { query: &query, history: &history, candidates, done: &done, abilities };
            let planned = self.router().plan(&question).await;
            listener.notify(QueryEvent::Planned(planned.clone()));
            let calls = match &planned.plan {
                Plan::Calls(calls) => new_calls(calls, &steps, &mut notes),
                Plan::NoTool { .. } | Plan::AskBack { .. } => Vec::new(),
            };
            let more = planned.more;
            rounds.push(planned);
            if calls.is_empty() {
                break;
            }
            let results = join_all(calls.into_iter().map(|call| self.step(call, listener))).await;
            for (mut step, lease) in results {
                // Woken for this query, though not by this call.
                step.woke |= ahead.as_ref().is_some_and(|ahead| ahead.woke(&step.key.server));
                listener.notify(QueryEvent::CallEnded(Box::new(step.clone())));
                steps.push(step);
                leases.extend(lease);
            }
            // Only a model can read a result and go on, and it says so.
            if !more || rounds.len() == ROUNDS {
                break;
            }
        }

        let last = rounds.last().expect("the loop plans before it ends");
        let done: Vec<StepDone> = steps.iter().map(Step::done).collect();
        let question = Question {
            query: &query,
            history: &history,
            candidates: last.candidates.clone(),
            done: &done,
            abilities: self.abilities(),
        };
        let tokens = |token: &str| listener.notify(QueryEvent::Token(token.to_owned()));
        let Answer { text: answer, model: answered_by, reasons } =
            self.router().answer(&question, &last.plan, &tokens).await;
        notes.extend(reasons);

        let said = [
            Message { role: Role::User, content: query.clone(), timestamp: asked_at },
            Message { role: Role::Assistant, content: answer.clone(), timestamp: Timestamp::now() },
        ];
        if let Err(error) = self.storage().append(&self.conversation(session), &said).await {
            warn!(%error, "a conversation could not be kept");
            notes.push(format!("this exchange could not be kept: {error}"));
        }
        let duration = began.elapsed();
        listener.notify(QueryEvent::Answered { took: duration });
        // Leases go back last; whoever sleeps now does so beside the answer's path.
        drop(leases);
        let woken: BTreeSet<&String> = steps.iter().filter(|s| s.woke).map(|s| &s.server_name).collect();
        QueryAnswer {
            woken: woken.into_iter().cloned().collect(),
            model: answered_by.or_else(|| rounds.iter().rev().find_map(|round| round.model.clone())),
            query,
            answer,
            steps,
            rounds,
            notes,
            duration,
        }
    }

    /// Wakes the best candidate while the model writes; without a model the plan comes at once.
    fn wake_ahead(&self, candidates: &[dormouse_routing::Candidate], first: bool) -> Option<Ahead> {
        let server = &candidates.first()?.key.server;
        let worth_it = first
            && self.wake() == Wake::Ahead
            && self.router().expects_model()
            && self.router().is_clear(candidates)
            // A guess is no reason to build an environment.
            && self.orchestrator().is_prepared(server);
        worth_it.then(|| Ahead::of(self.orchestrator().clone(), server.clone()))
    }

    async fn step(&self, call: PlannedCall, listener: &Arc<dyn QueryListener>) -> (Step, Option<Lease>) {
        let PlannedCall { key, full_name, arguments, receipts } = call;
        listener.notify(QueryEvent::CallStarted { key: key.clone(), full_name: full_name.clone() });
        let back: Arc<dyn BackChannel> =
            Arc::new(Back { scope: self.scope().clone(), key: key.clone(), listener: listener.clone() });
        let server_name = self.shown(&key.server);
        let under_way = self.records().begin(self.scope(), &key);
        let called =
            self.orchestrator().call::<CallResult>(Call::new(key, arguments.clone(), None), &back).await;
        under_way.ended(&called);
        let outcome = called.outcome();
        let text = match called.result {
            Ok(result) => result.text(),
            Err(error) => chain(&self.told_here(&called.key.server, error)),
        };
        let step = Step {
            key: called.key,
            full_name,
            server_name,
            arguments,
            text,
            outcome,
            duration: called.duration,
            woke: called.woke,
            receipts,
        };
        (step, called.lease)
    }
}

/// A wake ahead of the plan; dropping it gives the lease back.
#[derive(Debug)]
struct Ahead {
    server: ServerKey,
    woke: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Ahead {
    fn of(orchestrator: Orchestrator, server: ServerKey) -> Self {
        let woke = Arc::new(AtomicBool::new(false));
        let (said, key) = (woke.clone(), server.clone());
        let task = tokio::spawn(async move {
            let back: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
            let lease = orchestrator.lease(&key, &back).await;
            said.store(lease.as_ref().is_ok_and(Lease::woke), Ordering::Relaxed);
            // Held until the plan is carried out; then the query's own leases hold it.
            std::future::pending::<()>().await;
        });
        Self { server, woke, task }
    }

    fn woke(&self, server: &ServerKey) -> bool {
        self.server == *server && self.woke.load(Ordering::Relaxed)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The calls of a plan that were not made yet in this query, at most [`CALLS`].
fn new_calls(calls: &[PlannedCall], steps: &[Step], notes: &mut Vec<String>) -> Vec<PlannedCall> {
    let mut new: Vec<PlannedCall> = Vec::new();
    for call in calls {
        let made = steps.iter().any(|s| s.key == call.key && s.arguments == call.arguments);
        let planned = new.iter().any(|c| c.key == call.key && c.arguments == call.arguments);
        if !made && !planned {
            new.push(call.clone());
        }
    }
    if new.len() > CALLS {
        notes.push(format!("the plan had {} calls; the first {CALLS} were made", new.len()));
        new.truncate(CALLS);
    }
    new
}

impl Step {
    fn done(&self) -> StepDone {
        StepDone {
            full_name: self.full_name.clone(),
            arguments: self.arguments.clone(),
            outcome: self.outcome,
            text: self.text.clone(),
        }
    }
}

/// What a server says while a query's call runs, passed on to who watches the query.
#[derive(Debug)]
struct Back {
    scope: Scope,
    key: ToolKey,
    listener: Arc<dyn QueryListener>,
}

impl BackChannel for Back {
    fn notify(&self, event: CallEvent) {
        match event {
            CallEvent::Waking { step } => {
                self.listener.notify(QueryEvent::Waking { server: self.key.server.clone(), step });
            }
            CallEvent::Progress { progress, total, message, rest: _ } => {
                let key = self.key.clone();
                self.listener.notify(QueryEvent::Progress { key, progress, total, message });
            }
            // A tool's log stays in its own output.
            CallEvent::Log { .. } | CallEvent::Other { .. } => {}
        }
    }

    fn scope(&self) -> Option<&Scope> {
        Some(&self.scope)
    }
}
