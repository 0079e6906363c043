//! The sessions of a hub: those in memory, and the way to those in storage.

mod room;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dormouse::{Scope, Storage, StorageError, Table, Timestamp, Write, chain};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::told::Told;
use super::{Record, Session, State, first_question, fresh_id};
use crate::caller::Nowhere;
use crate::catalogue::Digests;
use crate::message::{Fault, INTERNAL_ERROR};
use crate::mode::Mode;
use crate::revision::Revision;
use crate::unasked::Elicited;

/// How long a session that nobody uses stays in memory.
const IDLE: Duration = Duration::from_secs(10 * 60);
/// How long a session that nobody uses stays in storage.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How old the moment may be that is stored as that of the last use.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);
/// How often what is too old is looked for, while sessions begin.
const SWEEP: Duration = Duration::from_secs(60);
const SWEEP_STORED: Duration = Duration::from_secs(60 * 60);
/// The longest that a client's capabilities may be.
const LONGEST_CAPABILITIES: usize = 16 << 10;
/// How much is kept of each thing that a client says of itself, in characters.
const LONGEST_INFO: usize = 200;

/// The sessions of a hub.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) heard: Arc<Notify>,
    pub(super) live: Mutex<Live>,
    /// How many there may be.
    pub(super) most: usize,
    /// How many are stored, as far as this hub knows.
    pub(super) stored: AtomicUsize,
    /// Held while room is made for more.
    pub(super) room: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
pub(super) struct Live {
    pub(super) sessions: HashMap<String, Arc<Session>>,
    /// How often some were ended: who reads one from storage sees whether it may have been that one.
    pub(super) ended: u64,
    pub(super) swept: Instant,
    /// `None`: not yet in this life.
    pub(super) swept_stored: Option<Instant>,
}

impl Live {
    fn forget_idle(&mut self) {
        // Who holds it still uses it: a stream, or a request under way.
        self.sessions.retain(|_, session| Arc::strong_count(session) > 1 || session.idle() < IDLE);
    }
}

impl Sessions {
    /// At most so many of them. `heard` is told when a session can be told something again.
    pub(crate) fn new(storage: Arc<dyn Storage>, most: usize, heard: Arc<Notify>) -> Self {
        let live = Live { sessions: HashMap::new(), ended: 0, swept: Instant::now(), swept_stored: None };
        let (stored, room) = (AtomicUsize::new(0), tokio::sync::Mutex::default());
        Self { storage, heard, live: Mutex::new(live), most, stored, room }
    }

    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session, under the name `id` or one that nobody can guess.
    pub(crate) async fn begin(
        &self,
        id: Option<String>,
        scope: Scope,
        mode: Mode,
        seen: Digests,
        params: &serde_json::Map<String, Value>,
    ) -> Result<Arc<Session>, Fault> {
        let asked = params.get("protocolVersion").and_then(Value::as_str);
        let Some(asked) = asked else { return Err(Fault::invalid("`protocolVersion` must be a text")) };
        let capabilities = match params.get("capabilities") {
            None | Some(Value::Null) => json!({}),
            Some(it @ Value::Object(_)) => it.clone(),
            Some(_) => return Err(Fault::invalid("`capabilities` must be an object")),
        };
        if capabilities.to_string().len() > LONGEST_CAPABILITIES {
            let words = format!("`capabilities` take more than {LONGEST_CAPABILITIES} bytes");
            return Err(Fault::invalid(words));
        }
        let client_info = kept_of(params.get("clientInfo"));
        let id = match id {
            Some(id) => id,
            None => fresh_id()?,
        };
        let session = self.made(id, scope, mode, Revision::for_greeting(asked), capabilities, client_info);
        session.state().seen = Some(seen);
        session.keep().await;
        self.stored.fetch_add(1, Ordering::Relaxed);
        self.live().sessions.insert(session.id.clone(), Arc::clone(&session));
        self.sweep().await;
        Ok(session)
    }

    fn made(
        &self,
        id: String,
        scope: Scope,
        mode: Mode,
        revision: Revision,
        capabilities: Value,
        client_info: Value,
    ) -> Arc<Session> {
        let state = State {
            outlet: Arc::new(Nowhere),
            log_level: None,
            subscriptions: BTreeSet::new(),
            seen: None,
            told: Told::default(),
            keeping: false,
            running: HashMap::new(),
            asked: HashMap::new(),
        };
        Arc::new(Session {
            id,
            scope,
            mode,
            revision,
            capabilities: Arc::new(capabilities),
            client_info,
            state: Mutex::new(state),
            streams: Arc::default(),
            elicited: Elicited::default(),
            next: AtomicI64::new(first_question()),
            used: AtomicU64::new(0),
            begun: Instant::now(),
            over: CancellationToken::new(),
            storage: Arc::clone(&self.storage),
            writing: tokio::sync::Mutex::default(),
            heard: Arc::clone(&self.heard),
        })
    }

    /// A session by its name, from memory or storage; the second: whether it was taken up again.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<(Arc<Session>, bool)>, Fault> {
        loop {
            if let Some(session) = self.in_memory(id) {
                return Ok(Some((session, false)));
            }
            let ended = self.live().ended;
            let Some(record) = self.stored(id).await? else { return Ok(None) };
            let (Ok(mode), Some(revision)) =
                (Mode::of(Some(&record.mode), record.server.as_deref()), Revision::read(&record.revision))
            else {
                return Ok(None);
            };
            let session = self.made(
                id.to_owned(),
                record.scope.clone(),
                mode,
                revision,
                record.capabilities.clone(),
                record.client_info.clone(),
            );
            session.take_up(&record);
            let mut live = self.live();
            if live.ended != ended {
                // It may have been this one.
                continue;
            }
            // Another request of it may have been faster.
            let first = live.sessions.entry(id.to_owned()).or_insert_with(|| Arc::clone(&session));
            let again = Arc::ptr_eq(first, &session);
            if again && record.used_at < Timestamp::now() - FRESH {
                first.keep_soon();
            }
            return Ok(Some((Arc::clone(first), again)));
        }
    }

    pub(super) async fn stored(&self, id: &str) -> Result<Option<Record>, Fault> {
        let Some(value) = self.storage.get(Table::Sessions, id).await.map_err(unreadable)? else {
            return Ok(None);
        };
        match serde_json::from_value(value) {
            Ok(record) => Ok(Some(record)),
            Err(error) => {
                warn!(%error, "a stored session cannot be read and is left aside");
                Ok(None)
            }
        }
    }

    /// Those in memory.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.live().sessions.values().cloned().collect()
    }

    /// The names of those in memory.
    pub(crate) fn names(&self) -> Vec<String> {
        self.live().sessions.keys().cloned().collect()
    }

    /// Reads a session that is in memory anew: another hub has written it. `None`: it is not in
    /// memory, or was ended.
    pub(crate) async fn reread(&self, id: &str) -> Result<Option<Arc<Session>>, Fault> {
        let Some(session) = self.live().sessions.get(id).cloned() else { return Ok(None) };
        match self.stored(id).await? {
            Some(record) => {
                session.take_up(&record);
                Ok(Some(session))
            }
            None => {
                self.end(id).await?;
                Ok(None)
            }
        }
    }

    /// A session that this hub has in memory: what runs for it here runs there.
    pub(crate) fn in_memory(&self, id: &str) -> Option<Arc<Session>> {
        let session = self.live().sessions.get(id).cloned()?;
        session.touch();
        Some(session)
    }

    /// Ends a session for good.
    pub(crate) async fn end(&self, id: &str) -> Result<(), Fault> {
        self.end_all(&[id.to_owned()]).await.map_err(unreadable)
    }

    /// Ends sessions for good, whatever is under way in them.
    async fn end_all(&self, ids: &[String]) -> Result<(), StorageError> {
        loop {
            let here: Vec<Arc<Session>> = {
                let mut live = self.live();
                ids.iter().filter_map(|id| live.sessions.remove(id)).collect()
            };
            here.iter().for_each(|session| session.over.cancel());
            let mut written = Vec::with_capacity(here.len());
            for session in &here {
                // What is being written is there before it is taken away.
                written.push(session.writing.lock().await);
            }
            let delete = |id: &String| Write::Delete { table: Table::Sessions, key: id.clone() };
            self.storage.write(ids.iter().map(delete).collect()).await?;
            let mut live = self.live();
            live.ended += 1;
            // Who had read it just before may have taken it up again.
            if !ids.iter().any(|id| live.sessions.contains_key(id)) {
                break;
            }
        }
        self.count_off(ids.len());
        for id in ids {
            crate::replicas::tell_ended(&*self.storage, id).await;
        }
        Ok(())
    }

    /// So many are not stored any more. The number is not exact; it is counted anew now and then.
    fn count_off(&self, ended: usize) {
        let less = |stored: usize| Some(stored.saturating_sub(ended));
        let _ = self.stored.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Forgets those that nobody has used for long; they stay in storage.
    pub(crate) fn forget_idle(&self) {
        self.live().forget_idle();
    }

    /// Forgets what nobody has used for long.
    pub(super) async fn sweep(&self) {
        let now = Instant::now();
        let stored = {
            let mut live = self.live();
            if now.duration_since(live.swept) > SWEEP {
                live.swept = now;
                live.forget_idle();
            }
            let due = live.swept_stored.is_none_or(|swept| now.duration_since(swept) > SWEEP_STORED);
            if due {
                live.swept_stored = Some(now);
            }
            due
        };
        if stored && let Err(error) = self.sweep_stored().await {
            debug!(error = chain(&error), "old sessions are still stored");
        }
    }

    pub(super) async fn sweep_stored(&self) -> Result<(), StorageError> {
        let now = Timestamp::now();
        let used_before = |value: &Value, moment: Timestamp| used_at(value).is_none_or(|used| used < moment);
        let mut old = Vec::new();
        let all = self.storage.all(Table::Sessions).await?;
        self.stored.store(all.len(), Ordering::Relaxed);
        for (key, value) in all {
            if !used_before(&value, now - FRESH) {
                continue;
            }
            let live = self.live().sessions.get(&key).cloned();
            match live {
                Some(session) => session.store().await?,
                None if used_before(&value, now - KEPT) => {
                    old.push(Write::Delete { table: Table::Sessions, key });
                }
                None => {}
            }
        }
        if old.is_empty() {
            return Ok(());
        }
        self.count_off(old.len());
        self.storage.write(old).await
    }
}

/// When a stored session was last used, as far as was stored.
fn used_at(record: &Value) -> Option<Timestamp> {
    record.get("used_at").and_then(Value::as_str).and_then(|at| at.parse().ok())
}

/// What is kept of what a client says of itself: its name, and no icons.
fn kept_of(info: Option<&Value>) -> Value {
    let kept = ["name", "title", "version"].into_iter().filter_map(|member| {
        let text: String = info?.get(member)?.as_str()?.chars().take(LONGEST_INFO).collect();
        Some((member.to_owned(), Value::from(text)))
    });
    Value::Object(kept.collect())
}

fn unreadable(error: StorageError) -> Fault {
    Fault::new(INTERNAL_ERROR, format!("sessions cannot be looked up: {}", chain(&error)))
}
