//! Tasks: calls that go on after their answer.
//!
//! Both lives have them, in other words: a client of 2025-11-25 asks for one (`task` in the params of
//! a call), in 2026-07-28 a server begins one for whoever knows the extension. The hub gives each
//! task a name of its own, remembers whose it is, and keeps its server awake until the task has ended
//! or nobody has asked for it for long. Between the lives it translates: [`shape`] has the words, and
//! `dispatch` the ways of asking.

pub(crate) mod shape;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use dormouse::{Held, Scope, ServerKey, Timestamp};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::message::{Fault, Request};
use crate::parked::Questions;
use crate::session::{Session, fresh_id};

/// The extension's name in 2026-07-28.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// How a server of 2025-11-25 tells of a task unasked.
const STATUS: &str = "notifications/tasks/status";
/// How long a task that nobody asks for keeps its server awake, where it has no shorter life.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// The most tasks that are remembered; then the one that was asked for longest ago is forgotten.
const MOST: usize = 10_000;
/// How large the results may be in all that the hub keeps itself.
const MOST_KEPT: usize = 64 << 20;

/// What is announced to clients of 2025-11-25.
pub(crate) fn announcement() -> Value {
    json!({ "list": {}, "cancel": {}, "requests": { "tools": { "call": {} } } })
}

/// Whether these capabilities of a server are those of one that begins tasks as in 2025-11-25.
pub(crate) fn begins_when_asked(announced: &Value) -> bool {
    announced["tasks"]["requests"]["tools"]["call"].is_object()
}

/// Whether a request of a client with a session asks for a task, or after one.
pub(crate) fn are_asked_for(request: &Request) -> bool {
    request.method.starts_with("tasks/") || request.params.get("task").is_some_and(Value::is_object)
}

/// Words what is announced of tasks, in whichever words it is, for a client of one life.
pub(crate) fn announce(all: &mut Map<String, Value>, stateless: bool) {
    let older = all.get("tasks").is_some_and(|it| it["requests"]["tools"]["call"].is_object());
    let newer = all.get("extensions").is_some_and(|it| it[EXTENSION].is_object());
    if stateless {
        all.shift_remove("tasks");
        if older
            && !newer
            && let Value::Object(extensions) = all.entry("extensions").or_insert_with(|| json!({}))
        {
            extensions.insert(EXTENSION.to_owned(), json!({}));
        }
        return;
    }
    if newer && !older {
        all.insert("tasks".to_owned(), announcement());
    }
    if let Some(Value::Object(extensions)) = all.get_mut("extensions") {
        extensions.shift_remove(EXTENSION);
        if extensions.is_empty() {
            all.shift_remove("extensions");
        }
    }
}

/// The tasks of all servers that clients have begun here.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    known: Arc<Known>,
}

type Known = Mutex<HashMap<String, Task>>;

/// Whose a task is: a context's, and, where the client has a session, that session's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) scope: Scope,
    pub(crate) session: Option<String>,
}

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    owner: Owner,
    pub(crate) server: ServerKey,
    /// Its name at the server.
    pub(crate) own: String,
    /// How it was when its server was asked last, without its result, as its client gets it.
    pub(crate) last: Value,
    pub(crate) way: Way,
    /// Its client was told that the structured result is in an object.
    pub(crate) is_wrapped: bool,
    /// Cancelled when its server need not stay awake for it any more.
    released: CancellationToken,
    asked: Instant,
    patience: Duration,
}

/// How what its client says of a task gets to its server.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// Both are of one life: as it is.
    Straight,
    /// A session's, at a server of 2026-07-28, whose questions of these names were put to the client.
    ToStateless(Arc<Mutex<HashSet<String>>>),
    /// That of a client of 2026-07-28, at a server with sessions: it asks while somebody waits for
    /// the result.
    ToSession(Arc<Mutex<Option<Wait>>>),
    /// A session's, of a call that had its result at once: here it is, and how large.
    Ended(Arc<Value>, usize),
}

/// The hub waits for a result, so that the server can ask meanwhile.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) questions: Arc<Questions>,
    pub(crate) job: AbortOnDropHandle<()>,
}

impl Task {
    /// Whether its server may have gone to sleep, and forgotten it.
    pub(crate) fn is_released(&self) -> bool {
        self.released.is_cancelled()
    }
}

impl Tasks {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Task>> {
        lock(&self.known)
    }

    /// Lets all servers sleep.
    pub(crate) fn clear(&self) {
        for (_, task) in self.known().drain() {
            task.released.cancel();
        }
    }

    /// Takes up a task that a server has just begun, and gives it our name, in `result` too; which is
    /// worded for the client then.
    pub(crate) fn begin(
        &self,
        owner: Owner,
        server: &ServerKey,
        held: Option<Held>,
        session: Option<&Arc<Session>>,
        is_wrapped: bool,
        result: &mut Value,
    ) -> Result<(), Fault> {
        let is_new = result.get("resultType").and_then(Value::as_str) == Some("task");
        let way = match (session, is_new) {
            (Some(_), true) => {
                *result = shape::begun_for_session(result);
                Way::ToStateless(Arc::default())
            }
            (None, false) => {
                *result = shape::begun_for_stateless(result);
                Way::ToSession(Arc::default())
            }
            _ => Way::Straight,
        };
        let Some(task) = task_in(result) else { return Ok(()) };
        let Some(own) = task.get("taskId").and_then(Value::as_str).map(str::to_owned) else { return Ok(()) };
        let lives = ["ttl", "ttlMs"].iter().find_map(|name| task.get(*name)?.as_u64());
        let patience = lives.map_or(PATIENCE, Duration::from_millis).min(PATIENCE);
        let name = fresh_id()?;
        task["taskId"] = Value::String(name.clone());
        let released = CancellationToken::new();
        let (server, last) = (server.clone(), without_result(task));
        let over = session.map(|session| session.over().clone());
        let task = Task {
            owner,
            server,
            own,
            last,
            way,
            is_wrapped,
            released: released.clone(),
            asked: Instant::now(),
            patience,
        };
        self.remember(name.clone(), task);
        match held {
            // Ends with the task, or when nobody has asked for it for long.
            Some(held) => {
                let session = session.map(Arc::downgrade);
                let known = Arc::downgrade(&self.known);
                drop(tokio::spawn(stay_awake(known, name, held, released, session, over)));
            }
            None => released.cancel(),
        }
        Ok(())
    }

    /// Takes up a call as a task that has ended: it was asked for one, and had its result at once.
    pub(crate) fn keep(&self, owner: Owner, server: &ServerKey, result: &mut Value) -> Result<(), Fault> {
        let name = fresh_id()?;
        let now = Timestamp::now().to_string();
        let failed = result.get("isError").and_then(Value::as_bool) == Some(true);
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
        let last = json!({
            "taskId": name,
            "status": if failed { "failed" } else { "completed" },
            "createdAt": now,
            "lastUpdatedAt": now,
            "ttl": patience,
        });
        let kept = std::mem::replace(result, json!({ "task": last.clone() }));
        let size = kept.to_string().len();
        let released = CancellationToken::new();
        released.cancel();
        let task = Task {
            owner,
            server: server.clone(),
            own: String::new(),
            last,
            way: Way::Ended(Arc::new(kept), size),
            // What is kept is so already.
            is_wrapped: false,
            released,
            asked: Instant::now(),
            patience: PATIENCE,
        };
        self.remember(name, task);
        Ok(())
    }

    fn remember(&self, name: String, task: Task) {
        let mut known = self.known();
        let size = |task: &Task| if let Way::Ended(_, size) = task.way { size } else { 0 };
        known.retain(|_, task| size(task) == 0 || task.asked.elapsed() < task.patience);
        let mut kept: usize = if size(&task) == 0 { 0 } else { known.values().map(size).sum() };
        while known.len() >= MOST || (kept > 0 && kept + size(&task) > MOST_KEPT) {
            let only_kept = known.len() < MOST;
            let candidates = known.iter().filter(|(_, task)| !only_kept || size(task) > 0);
            let Some(oldest) = candidates.min_by_key(|(_, task)| task.asked).map(|(name, _)| name.clone())
            else {
                break;
            };
            if let Some(forgotten) = known.remove(&oldest) {
                kept = kept.saturating_sub(size(&forgotten));
                forgotten.released.cancel();
            }
        }
        known.insert(name, task);
    }

    /// A task by our name, if its owner asks.
    pub(crate) fn find(&self, owner: &Owner, name: &str) -> Result<Task, Fault> {
        let mut known = self.known();
        let task = known.get_mut(name).filter(|task| task.owner == *owner);
        let Some(task) = task else { return Err(Fault::invalid(format!("Unknown task: {name}"))) };
        task.asked = Instant::now();
        Ok(task.clone())
    }

    /// The tasks of an owner, by our names.
    pub(crate) fn of(&self, owner: &Owner) -> Vec<(String, Task)> {
        let known = self.known();
        let mut all: Vec<_> = known
            .iter()
            .filter(|(_, task)| task.owner == *owner)
            .map(|(name, task)| (name.clone(), task.clone()))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Keeps how a task is now, as its client gets it.
    pub(crate) fn note(&self, name: &str, last: &Value) {
        if let Some(task) = self.known().get_mut(name) {
            task.last = without_result(last);
        }
    }

    /// Reads what a server said of a task: our name goes in. A task whose result is in there, or that
    /// has none, keeps its server awake no longer; another's result is still to be fetched.
    pub(crate) fn seen(&self, name: &str, result: &mut Value) {
        let Some(said) = task_in(result) else { return };
        said["taskId"] = Value::String(name.to_owned());
        let is_over = match said.get("status").and_then(Value::as_str) {
            Some("cancelled") => true,
            Some("completed" | "failed") => said.get("result").is_some() || said.get("error").is_some(),
            _ => false,
        };
        if let Some(task) = self.known().get_mut(name) {
            task.last = without_result(said);
            if is_over {
                task.released.cancel();
            }
        }
    }

    /// The result of a task was fetched: its server need not stay awake for it.
    pub(crate) fn fetched(&self, name: &str) {
        if let Some(task) = self.known().get(name) {
            task.released.cancel();
        }
    }
}

fn lock(known: &Known) -> MutexGuard<'_, HashMap<String, Task>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a task's server awake, until that is not needed any more or the server leaves by itself.
/// What the server tells of the task meanwhile, its session hears.
async fn stay_awake(
    known: Weak<Known>,
    name: String,
    held: Held,
    released: CancellationToken,
    session: Option<Weak<Session>>,
    over: Option<CancellationToken>,
) {
    let ended = async {
        match over {
            Some(over) => over.cancelled().await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(ended);
    let mut news = held.updates();
    let left = || {
        let known = known.upgrade()?;
        let known = lock(&known);
        let task = known.get(&name)?;
        task.patience.checked_sub(task.asked.elapsed()).filter(|left| !left.is_zero())
    };
    while let Some(left) = left() {
        tokio::select! {
            () = released.cancelled() => break,
            () = held.closed() => break,
            () = &mut ended => {
                if let Some(known) = known.upgrade() {
                    lock(&known).remove(&name);
                }
                break;
            }
            () = tokio::time::sleep(left) => {}
            Ok(note) = news.recv(), if session.is_some() => {
                let session = session.as_ref().and_then(Weak::upgrade);
                if let (true, Some(session)) = (note.method == STATUS, session) {
                    tell(&known, &name, &session, &note.params);
                }
            }
        }
    }
    released.cancel();
}

/// Tells a session how its task is, if it is this one.
fn tell(known: &Weak<Known>, name: &str, session: &Session, said: &Value) {
    let Some(known) = known.upgrade() else { return };
    let own = lock(&known).get(name).map(|task| task.own.clone());
    if own.is_some() && said.get("taskId").and_then(Value::as_str) == own.as_deref() {
        let mut params = said.clone();
        params["taskId"] = Value::from(name);
        session.tell(STATUS, params);
    }
}

/// A task as it is remembered: results may be large.
fn without_result(task: &Value) -> Value {
    let mut task = task.clone();
    if let Some(members) = task.as_object_mut() {
        for large in ["result", "error", "inputRequests", "resultType"] {
            members.shift_remove(large);
        }
    }
    task
}

/// The task within a result: under `task` in 2025-11-25, the result itself in 2026-07-28 and in the
/// answer of `tasks/get`.
fn task_in(result: &mut Value) -> Option<&mut Value> {
    if result.get("task").is_some_and(|task| task.get("taskId").is_some()) {
        return result.get_mut("task");
    }
    result.get("taskId").is_some().then_some(result)
}

/// Whether the result of a call is a task that has begun.
pub(crate) fn is_begun(result: &Value) -> bool {
    result.get("resultType").and_then(Value::as_str) == Some("task")
        || result.get("task").is_some_and(|task| task.get("taskId").is_some())
}
