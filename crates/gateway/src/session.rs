//! Sessions of clients up to 2025-11-25: in memory while they are used, in storage for longer.
//!
//! What is stored is what the client said when it greeted, its log level and its subscriptions: a
//! hub that is started anew, or another one on the same Redis, goes on with it. What was under way
//! at that moment is lost with the process that did it.
//!
//! # Invariants
//!
//! * One write of a session at a time, and none once it is over: what was ended never comes back.
//! * What one session stores is bounded, and how many sessions there are (`sessions/room`).

mod sessions;
#[cfg(test)]
mod tests;
mod told;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dormouse::{Scope, Storage, StorageError, Table, Timestamp, Write, chain};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::caller::{Nowhere, Outlet};
use crate::catalogue::Digests;
use crate::http::Streams;
use crate::message::{Fault, INTERNAL_ERROR, Id, notification, request};
use crate::mode::Mode;
use crate::revision::Revision;
use crate::unasked::Elicited;

pub(crate) use self::sessions::Sessions;
pub(crate) use self::told::Receipt;
use self::told::Told;

/// The most addresses that one session may watch, and how many bytes they may take.
const MOST_WATCHED: usize = 1_000;
const LONGEST_WATCHED: usize = 256 << 10;

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    id: String,
    scope: Scope,
    mode: Mode,
    revision: Revision,
    capabilities: Arc<Value>,
    client_info: Value,
    state: Mutex<State>,
    /// Its streams over HTTP.
    streams: Arc<Streams>,
    /// What it was asked that its user settles elsewhere.
    elicited: Elicited,
    /// Our requests to the client are numbered.
    next: AtomicI64,
    /// Nanoseconds since `begun` at which it was last used.
    used: AtomicU64,
    begun: Instant,
    /// Cancelled when the client ends it.
    over: CancellationToken,
    storage: Arc<dyn Storage>,
    /// Held while it is written, and while it is ended.
    writing: tokio::sync::Mutex<()>,
    /// Told when there is somebody again to tell of changes.
    heard: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    /// Where messages go that belong to no request.
    outlet: Arc<dyn Outlet>,
    log_level: Option<String>,
    /// The addresses that it wants to hear of, as it knows them.
    subscriptions: BTreeSet<String>,
    /// What the lists read like of which it knows.
    seen: Option<Digests>,
    /// What is on its way to it.
    told: Told,
    /// Whether a write is about to begin.
    keeping: bool,
    /// Requests of the client under way.
    running: HashMap<Id, CancellationToken>,
    /// Our requests to the client.
    asked: HashMap<Id, oneshot::Sender<Result<Value, Fault>>>,
}

/// A session as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    scope: Scope,
    mode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    revision: String,
    capabilities: Value,
    client_info: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_level: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    subscriptions: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Digests>,
    used_at: Timestamp,
}

impl Session {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn mode(&self) -> &Mode {
        &self.mode
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn capabilities(&self) -> &Arc<Value> {
        &self.capabilities
    }

    pub(crate) fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    pub(crate) fn elicited(&self) -> &Elicited {
        &self.elicited
    }

    pub(crate) fn log_level(&self) -> Option<String> {
        self.state().log_level.clone()
    }

    /// Sets where messages go that belong to no request; `None`: nowhere, for the moment.
    pub(crate) fn set_outlet(&self, outlet: Option<Arc<dyn Outlet>>) {
        let opened = outlet.is_some();
        let outlet = outlet.unwrap_or_else(|| Arc::new(Nowhere));
        let before = {
            let mut state = self.state();
            if !Arc::ptr_eq(&state.outlet, &outlet) {
                // Nobody will read there what is on its way.
                state.told = Told::default();
            }
            std::mem::replace(&mut state.outlet, outlet)
        };
        // Not under the lock: with it go receipts, which look after the session.
        drop(before);
        if opened {
            self.heard.notify_one();
        }
    }

    /// Where messages go that belong to no request.
    pub(crate) fn outlet(&self) -> Arc<dyn Outlet> {
        Arc::clone(&self.state().outlet)
    }

    /// Tells the client something that belongs to no request.
    pub(crate) fn tell(&self, method: &str, params: Value) -> bool {
        self.outlet().send(notification(method, params))
    }

    /// Resolves when the client has ended it.
    pub(crate) fn over(&self) -> &CancellationToken {
        &self.over
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        let used = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.used.store(used, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        let used = Duration::from_nanos(self.used.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(used)
    }

    /// Notes a request of the client, which [`cancel`](Self::cancel) can end. `None`: one of that
    /// id is under way.
    pub(crate) fn begin(self: &Arc<Self>, id: &Id) -> Option<Running> {
        let cancelled = CancellationToken::new();
        let mut state = self.state();
        if state.running.contains_key(id) {
            return None;
        }
        state.running.insert(id.clone(), cancelled.clone());
        Some(Running { session: Arc::clone(self), id: id.clone(), cancelled })
    }

    /// Cancels a request of the client; whether it was under way here.
    pub(crate) fn cancel(&self, id: &Id) -> bool {
        let token = self.state().running.get(id).cloned();
        if let Some(token) = &token {
            token.cancel();
        }
        token.is_some()
    }

    /// Delivers the client's answer to a request of ours. Gives it back if nothing of the kind was
    /// asked here.
    pub(crate) fn answered(&self, id: &Id, answer: Result<Value, Fault>) -> Option<Result<Value, Fault>> {
        let waiting = self.state().asked.remove(id);
        match waiting {
            // Fails when nobody waits any more.
            Some(waiting) => {
                let _ = waiting.send(answer);
                None
            }
            None => Some(answer),
        }
    }

    /// Hands a message of the client on to the hub that has what it is for. Without other hubs it is
    /// for nothing.
    pub(crate) fn pass_on(&self, message: Value) {
        crate::replicas::pass_on(&self.storage, &self.id, message);
    }

    /// Asks the client something on the way of one of its own requests. Dropping the future takes
    /// the question back.
    pub(crate) async fn ask(
        &self,
        outlet: &Arc<dyn Outlet>,
        method: &str,
        params: Value,
    ) -> Result<Value, Fault> {
        let id = Id::Number(self.next.fetch_add(1, Ordering::Relaxed).into());
        let (send, receive) = oneshot::channel();
        self.state().asked.insert(id.clone(), send);
        let mut asking = Asking { session: self, outlet, id: Some(id.clone()) };
        if !outlet.send(request(&id, method, params)) {
            let _ = asking.id.take();
            self.state().asked.remove(&id);
            return Err(Fault::new(INTERNAL_ERROR, "the client is gone"));
        }
        let answer = tokio::select! {
            answer = receive => answer,
            () = self.over.cancelled() => return Err(Fault::new(INTERNAL_ERROR, "the client has ended its session")),
        };
        let _ = asking.id.take();
        answer.unwrap_or_else(|_| Err(Fault::new(INTERNAL_ERROR, "the client is gone")))
    }

    /// Keeps the level of log messages that the client wants.
    pub(crate) async fn set_log_level(&self, level: String) {
        self.state().log_level = Some(level);
        self.keep().await;
    }

    /// Whether the client may want to hear of one more resource.
    pub(crate) fn may_subscribe(&self, uri: &str) -> Result<(), Fault> {
        let state = self.state();
        if state.subscriptions.contains(uri) {
            return Ok(());
        }
        let bytes = uri.len() + state.subscriptions.iter().map(String::len).sum::<usize>();
        if state.subscriptions.len() < MOST_WATCHED && bytes <= LONGEST_WATCHED {
            return Ok(());
        }
        Err(Fault::invalid(format!(
            "a session watches at most {MOST_WATCHED} resources, and their addresses take at most \
             {LONGEST_WATCHED} bytes"
        )))
    }

    /// Notes that the client wants to hear of a resource; false if it does already.
    pub(crate) async fn subscribe(&self, uri: &str) -> bool {
        let fresh = self.state().subscriptions.insert(uri.to_owned());
        if fresh {
            self.keep().await;
        }
        fresh
    }

    /// Notes that it does not any more; false if it did not.
    pub(crate) async fn unsubscribe(&self, uri: &str) -> bool {
        let had = self.state().subscriptions.remove(uri);
        if had {
            self.keep().await;
        }
        had
    }

    pub(crate) fn subscriptions(&self) -> Vec<String> {
        self.state().subscriptions.iter().cloned().collect()
    }

    /// Stores it soon: several changes at once are one write.
    fn keep_soon(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state().keeping, true) {
            return;
        }
        let session = Arc::clone(self);
        // Ends with one write.
        tokio::spawn(async move { session.keep().await });
    }

    /// Stores it. A failure costs only what would outlive this hub.
    async fn keep(&self) {
        if let Err(error) = self.store().await {
            warn!(error = chain(&error), "a session will not outlive this hub");
        }
    }

    async fn store(&self) -> Result<(), StorageError> {
        let _writing = self.writing.lock().await;
        let record = {
            let mut state = self.state();
            state.keeping = false;
            if self.over.is_cancelled() {
                return Ok(());
            }
            Record {
                scope: self.scope.clone(),
                mode: self.mode.word().to_owned(),
                server: match &self.mode {
                    Mode::Single(server) => Some(server.clone()),
                    Mode::All | Mode::Search => None,
                },
                revision: self.revision.as_str().to_owned(),
                capabilities: (*self.capabilities).clone(),
                client_info: self.client_info.clone(),
                log_level: state.log_level.clone(),
                subscriptions: state.subscriptions.clone(),
                seen: state.seen.clone(),
                used_at: Timestamp::now(),
            }
        };
        let value =
            serde_json::to_value(record).map_err(|error| StorageError::damaged(Table::Sessions, error))?;
        self.storage.write(vec![Write::Put { table: Table::Sessions, key: self.id.clone(), value }]).await?;
        crate::replicas::tell(&*self.storage, &self.id).await;
        Ok(())
    }

    /// Takes up what is stored of it.
    fn take_up(&self, record: &Record) {
        let mut state = self.state();
        state.log_level.clone_from(&record.log_level);
        state.subscriptions.clone_from(&record.subscriptions);
        state.seen.clone_from(&record.seen);
    }
}

/// A request of the client that runs.
#[derive(Debug)]
pub(crate) struct Running {
    session: Arc<Session>,
    id: Id,
    cancelled: CancellationToken,
}

impl Running {
    pub(crate) async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.session.state().running.remove(&self.id);
    }
}

/// A question to the client; dropped without an answer, it is taken back.
struct Asking<'a> {
    session: &'a Session,
    outlet: &'a Arc<dyn Outlet>,
    id: Option<Id>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.session.state().asked.remove(&id);
            let params =
                json!({ "requestId": id.to_value(), "reason": "the request that needed it is over" });
            let taken_back = notification("notifications/cancelled", params);
            // It may have gone on the way of another request of this client, which is over.
            if !self.outlet.send(taken_back.clone()) {
                self.session.outlet().send(taken_back);
            }
        }
    }
}

/// The number of a session's first question. Somewhere, so that an answer to a question of the hub
/// before this one is not taken for an answer to one of ours.
fn first_question() -> i64 {
    let mut bytes = [0; 4];
    // Without random bits they begin anew.
    let _ = getrandom::fill(&mut bytes);
    i64::from(u32::from_le_bytes(bytes)) + 1
}

/// A name that nobody can guess: 192 random bits.
pub(crate) fn fresh_id() -> Result<String, Fault> {
    use base64::Engine;
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|_| Fault::new(INTERNAL_ERROR, "the system gives no random bits"))?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}
