//! How calls ended: records of single calls, and sums for each tool.
//!
//! Records stay in memory and the newest of them in storage, written in batches beside the
//! calls' path. They hold neither arguments nor results, which may be anybody's secrets: what went
//! wrong stands there in the hub's own words, never in the server's.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dormouse_orchestrator::{Called, Reply};
use dormouse_storage::{Storage, StorageError, Table, Write};
use dormouse_types::{Outcome, Scope, ServerKey, Timestamp, ToolKey, ToolName};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::context::Context;

/// How many records are kept in memory.
const KEPT: usize = 10_000;
/// How many records outlive the hub.
const STORED: usize = 1_000;
/// How long records wait for others before they are stored.
const GATHERING: Duration = Duration::from_secs(1);

/// How one call ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Its number within the hub that made it.
    pub id: u64,
    /// When it ended.
    pub at: Timestamp,
    /// The context that called.
    pub caller: Scope,
    /// The server.
    pub server: ServerKey,
    /// The tool's own name.
    pub tool: ToolName,
    /// What became of it.
    pub outcome: Outcome,
    /// From the request to the answer in milliseconds, a wake included.
    pub duration_ms: f64,
    /// Whether the server was woken for it.
    pub woke: bool,
    /// What went wrong, in the hub's words; the server's are only in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Which records are wanted; empty is all.
#[derive(Debug, Clone, Default)]
pub struct CallFilter {
    /// Calls of this server.
    pub server: Option<ServerKey>,
    /// Calls of tools with this own name.
    pub tool: Option<String>,
    /// Calls that ended so.
    pub outcome: Option<Outcome>,
    /// Calls that ended at this moment or later.
    pub since: Option<Timestamp>,
    /// At most so many, the newest; zero is all.
    pub limit: usize,
}

/// What became of the calls of one tool in one context since the hub was opened.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ToolStats {
    /// How many calls ended.
    pub calls: u64,
    /// How many of them did not end well.
    pub errors: u64,
    /// How long all of them took together.
    pub total: Duration,
    /// When the last one ended.
    pub last: Option<Timestamp>,
}

impl ToolStats {
    /// How long one took on average; `None` without a call.
    pub fn mean(&self) -> Option<Duration> {
        let calls = u32::try_from(self.calls).unwrap_or(u32::MAX);
        self.total.checked_div(calls)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.total += other.total;
        self.last = self.last.max(other.last);
    }
}

/// The records of a hub.
#[derive(Debug)]
pub(crate) struct Records {
    storage: Arc<dyn Storage>,
    /// Tells the records of this life from those of other hubs and other lives.
    life: String,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    next: u64,
    records: VecDeque<Arc<CallRecord>>,
    stats: HashMap<(Scope, ToolKey), ToolStats>,
    /// Not stored yet.
    fresh: VecDeque<Arc<CallRecord>>,
    /// The keys of this life's stored records, oldest first.
    stored: VecDeque<String>,
    flushing: bool,
}

/// How a call ended.
struct End {
    outcome: Outcome,
    duration: Duration,
    woke: bool,
    error: Option<String>,
}

/// A call of which there is no record yet. Dropped before its end, it is one that its caller gave
/// up: the tool may have run.
pub(crate) struct UnderWay<'a> {
    records: &'a Arc<Records>,
    caller: &'a Scope,
    key: ToolKey,
    began: Instant,
    has_ended: bool,
}

impl UnderWay<'_> {
    pub(crate) fn ended<R: Reply>(mut self, called: &Called<R>) {
        self.has_ended = true;
        self.records.add(self.caller, called);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            let error = Some("the caller gave it up".to_owned());
            let duration = self.began.elapsed();
            let end = End { outcome: Outcome::Unknown, duration, woke: false, error };
            self.records.keep(self.caller, &self.key, end);
        }
    }
}

impl Records {
    /// Begins with what earlier lives left.
    pub(crate) async fn open(storage: Arc<dyn Storage>) -> Result<Self, StorageError> {
        let mut kept = Kept::default();
        for (key, value) in storage.all(Table::Calls).await? {
            // One of another version is left to be trimmed.
            if let Ok(record) = serde_json::from_value::<CallRecord>(value) {
                kept.records.push_back(Arc::new(record));
            }
            kept.stored.push_back(key);
        }
        let life = format!("{:x}-{:x}", Timestamp::now().as_nanosecond(), std::process::id());
        Ok(Self { storage, life, kept: Mutex::new(kept) })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a call ends that begins now, also when its caller gives it up.
    pub(crate) fn begin<'a>(self: &'a Arc<Self>, caller: &'a Scope, key: &ToolKey) -> UnderWay<'a> {
        UnderWay { records: self, caller, key: key.clone(), began: Instant::now(), has_ended: false }
    }

    /// Takes the end of a call.
    fn add<R: Reply>(self: &Arc<Self>, caller: &Scope, called: &Called<R>) {
        let outcome = called.outcome();
        let error = match &called.result {
            Ok(_) if outcome == Outcome::ToolError => Some("the tool answered that it failed".to_owned()),
            Ok(_) => None,
            Err(error) => Some(error.in_our_words()),
        };
        self.keep(caller, &called.key, End { outcome, duration: called.duration, woke: called.woke, error });
    }

    fn keep(self: &Arc<Self>, caller: &Scope, key: &ToolKey, end: End) {
        let End { outcome, duration, woke, error } = end;
        let mut kept = self.kept();
        let record = Arc::new(CallRecord {
            id: kept.next,
            at: Timestamp::now(),
            caller: caller.clone(),
            server: key.server.clone(),
            tool: key.tool.clone(),
            outcome,
            duration_ms: duration.as_secs_f64() * 1_000.0,
            woke,
            error,
        });
        kept.next += 1;
        let stats = kept.stats.entry((caller.clone(), key.clone())).or_default();
        stats.add(&ToolStats {
            calls: 1,
            errors: u64::from(outcome != Outcome::Ok),
            total: duration,
            last: Some(record.at),
        });
        push_capped(&mut kept.records, record.clone(), KEPT);
        push_capped(&mut kept.fresh, record, STORED);
        // Who drops a call as the runtime ends leaves it to the last `flush`.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !std::mem::replace(&mut kept.flushing, true) {
            let records = Arc::clone(self);
            // Ends by itself after one batch; `flush` does the same at the hub's end.
            runtime.spawn(async move {
                tokio::time::sleep(GATHERING).await;
                records.flush().await;
            });
        }
    }

    /// Stores what is not stored yet, and forgets what is too old.
    pub(crate) async fn flush(&self) {
        let (fresh, batch) = {
            let mut kept = self.kept();
            kept.flushing = false;
            let mut batch = Vec::new();
            let fresh = std::mem::take(&mut kept.fresh);
            for record in &fresh {
                let key = format!("{:016x}-{}-{:x}", record.at.as_millisecond(), self.life, record.id);
                let value = serde_json::to_value(&**record).expect("a record is JSON");
                kept.stored.push_back(key.clone());
                batch.push(Write::Put { table: Table::Calls, key, value });
            }
            let over = kept.stored.len().saturating_sub(STORED);
            batch.extend(kept.stored.drain(..over).map(|key| Write::Delete { table: Table::Calls, key }));
            (fresh, batch)
        };
        if batch.is_empty() {
            return;
        }
        let deleted: Vec<String> = batch
            .iter()
            .filter_map(|write| if let Write::Delete { key, .. } = write { Some(key.clone()) } else { None })
            .collect();
        if let Err(error) = self.storage.write(batch).await {
            warn!(%error, "records of calls are not kept yet; the next call tries again");
            let mut kept = self.kept();
            let newer = std::mem::take(&mut kept.fresh);
            let stored = kept.stored.len().saturating_sub(fresh.len());
            kept.stored.truncate(stored);
            for key in deleted.into_iter().rev() {
                kept.stored.push_front(key);
            }
            for record in fresh.into_iter().chain(newer) {
                push_capped(&mut kept.fresh, record, STORED);
            }
        }
    }

    /// Everything, oldest first; also what other hubs on the same storage recorded.
    async fn all(&self) -> Result<Vec<Arc<CallRecord>>, StorageError> {
        let mut all: Vec<Arc<CallRecord>> = self.kept().records.iter().cloned().collect();
        if self.storage.is_shared() {
            let ours: std::collections::HashSet<(Timestamp, u64)> =
                all.iter().map(|record| (record.at, record.id)).collect();
            let stored = self.storage.all(Table::Calls).await?.into_iter();
            let stored = stored.filter_map(|(_, value)| serde_json::from_value::<CallRecord>(value).ok());
            all.extend(stored.filter(|record| !ours.contains(&(record.at, record.id))).map(Arc::new));
            all.sort_by_key(|record| record.at);
        }
        Ok(all)
    }
}

fn push_capped<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}

impl Context {
    /// How calls of this context ended, newest first. The store sees those of all contexts.
    ///
    /// # Errors
    /// [`StorageError`] when records of other hubs cannot be read.
    pub async fn calls(&self, filter: &CallFilter) -> Result<Vec<Arc<CallRecord>>, StorageError> {
        let wanted = |record: &Arc<CallRecord>| {
            (*self.scope() == Scope::Store || record.caller == *self.scope())
                && filter.server.as_ref().is_none_or(|server| record.server == *server)
                && filter.tool.as_ref().is_none_or(|tool| record.tool.as_str() == tool)
                && filter.outcome.is_none_or(|outcome| record.outcome == outcome)
                && filter.since.is_none_or(|since| record.at >= since)
        };
        let limit = if filter.limit == 0 { usize::MAX } else { filter.limit };
        Ok(self.records().all().await?.into_iter().rev().filter(wanted).take(limit).collect())
    }

    /// What became of each tool's calls in this context since the hub was opened. The store sees
    /// the sum over all contexts.
    pub fn tool_stats(&self) -> HashMap<ToolKey, ToolStats> {
        let mut sums: HashMap<ToolKey, ToolStats> = HashMap::new();
        for ((caller, key), stats) in &self.records().kept().stats {
            if *self.scope() == Scope::Store || caller == self.scope() {
                sums.entry(key.clone()).or_default().add(stats);
            }
        }
        sums
    }

    /// Stores what is only remembered in memory so far. A hub does this when it ends.
    pub async fn flush(&self) {
        self.records().flush().await;
    }
}
