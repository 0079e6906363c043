//! Calls of stateless clients that an older server interrupted by a question.
//!
//! The server waits for an answer within its call; the client gets the question as the result
//! (`input_required`) and comes again with the answer. Between the two the call is parked here:
//! it goes on running, in this hub's memory. Another replica does not know it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dormouse::{PeerAnswer, PeerRequest, Scope};
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::back::Back;
use crate::caller::Caller;
use crate::endpoint::Endpoint;
use crate::message::{Fault, INTERNAL_ERROR, Request};
use crate::session::fresh_id;

/// How long a call waits for its client to come again, and its result if it has ended meanwhile.
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
    pub(crate) async fn asked(&self) {
        while self.open().asked.is_empty() {
            self.changed.notified().await;
        }
    }

    /// The open questions, as the client gets them.
    pub(crate) fn requests(&self) -> Map<String, Value> {
        let shown = |(name, (asked, _)): (&String, &(PeerRequest, _))| {
            let mut it = json!({ "method": asked.method });
            if !asked.params.is_null() {
                it["params"] = asked.params.clone();
            }
            (name.clone(), it)
        };
        self.open().asked.iter().map(shown).collect()
    }

    pub(crate) fn answer(&self, answers: Map<String, Value>) {
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
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    calls: HashMap<String, Waiting>,
    /// Gives up those whose time is over. There is one as long as there are calls.
    timer: Option<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
struct Waiting {
    scope: Scope,
    method: String,
    target: Option<Value>,
    back: Arc<Back>,
    /// It may have ended: who comes again gets what came of it.
    job: AbortOnDropHandle<Result<Value, Fault>>,
    since: Instant,
}

impl Parked {
    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// Gives all of them up.
    pub(crate) fn clear(&self) {
        *self.table() = Table::default();
    }

    /// Keeps a call until its client comes again; the name under which it does.
    fn put(&self, waiting: Waiting) -> Result<String, Fault> {
        let name = fresh_id()?;
        let mut table = self.table();
        if table.calls.len() >= MOST
            && let Some(oldest) = table.oldest().map(|(name, _)| name.clone())
        {
            table.calls.remove(&oldest);
        }
        table.calls.insert(name.clone(), waiting);
        if table.timer.is_none() {
            let timer = tokio::spawn(grow_old(Arc::downgrade(&self.table)));
            table.timer = Some(AbortOnDropHandle::new(timer));
        }
        Ok(name)
    }

    /// Takes a call out, if it is the one that is meant.
    fn take(&self, name: &str, is_meant: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        let mut table = self.table();
        // An answer that goes elsewhere leaves the call where it is.
        let call = if table.calls.get(name).is_some_and(is_meant) { table.calls.remove(name) } else { None };
        if table.calls.is_empty() {
            table.timer = None;
        }
        call
    }

    fn park(&self, waiting: Waiting) -> Result<Value, Fault> {
        let questions = waiting.back.questions().requests();
        let name = self.put(waiting)?;
        Ok(json!({
            "resultType": "input_required",
            "inputRequests": questions,
            "requestState": format!("{MARK}{name}"),
        }))
    }
}

impl Table {
    fn oldest(&self) -> Option<(&String, &Waiting)> {
        self.calls.iter().min_by_key(|(_, call)| call.since)
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives up each call when its time is over, until there is none.
async fn grow_old(table: Weak<Mutex<Table>>) {
    loop {
        let next = {
            let Some(table) = table.upgrade() else { return };
            let mut table = lock(&table);
            table.calls.retain(|_, call| call.since.elapsed() < PATIENCE);
            let Some((_, oldest)) = table.oldest() else {
                table.timer = None;
                return;
            };
            oldest.since + PATIENCE
        };
        tokio::time::sleep_until(next).await;
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
        let Some(call) = parked.take(name, fits) else {
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

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;
    use crate::caller::{Life, Meta, Nowhere};
    use crate::message::Id;

    /// A call that waits, and does this.
    fn waiting(job: impl Future<Output = Result<Value, Fault>> + Send + 'static) -> Waiting {
        let request =
            Request { id: Id::Text("1".to_owned()), method: "tools/call".to_owned(), params: Map::new() };
        let meta = Meta { capabilities: Arc::default(), log_level: None };
        let caller = Caller { life: Life::Stateless(Arc::new(meta)), outlet: Arc::new(Nowhere) };
        Waiting {
            scope: Scope::Store,
            method: request.method.clone(),
            target: None,
            back: Back::new(&Scope::Store, &caller, &request),
            job: AbortOnDropHandle::new(tokio::spawn(job)),
            since: Instant::now(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_parked_call_came_to_waits_for_its_client_while_others_park() {
        let parked = Parked::default();
        let name = parked.put(waiting(async { Ok(json!("done")) })).unwrap();
        while !parked.table().calls[&name].job.is_finished() {
            tokio::task::yield_now().await;
        }
        parked.put(waiting(std::future::pending())).unwrap();
        tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
        parked.put(waiting(std::future::pending())).unwrap();
        let call = parked.take(&name, |_| true).expect("it is there");
        assert_eq!(go_on(&parked, call).await, Ok(json!("done")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_comes_for_is_given_up_by_itself() {
        let parked = Parked::default();
        let (held, mut let_go) = oneshot::channel::<()>();
        let job = async move {
            let _held = held;
            std::future::pending().await
        };
        parked.put(waiting(job)).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let later = parked.put(waiting(std::future::pending())).unwrap();
        tokio::time::sleep(PATIENCE - Duration::from_millis(1500)).await;
        assert_eq!(let_go.try_recv(), Err(TryRecvError::Empty), "its time is not over");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(let_go.try_recv(), Err(TryRecvError::Closed), "nothing is held for it any more");
        assert_eq!(parked.table().calls.keys().collect::<Vec<_>>(), [&later]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let table = parked.table();
        assert!(table.calls.is_empty() && table.timer.is_none(), "{table:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_parked_calls_there_is_no_timer() {
        let parked = Parked::default();
        let name = parked.put(waiting(std::future::pending())).unwrap();
        assert!(parked.table().timer.is_some());
        assert!(parked.take(&name, |_| false).is_none());
        assert!(parked.table().timer.is_some());
        assert!(parked.take(&name, |_| true).is_some());
        assert!(parked.table().timer.is_none());
    }
}
