//! Tasks: calls that go on after their answer.
//!
//! They are passed through, within one life: a client of 2025-11-25 with a server of 2025-11-25
//! (`task` in the params of a call), a client of 2026-07-28 with a server of 2026-07-28 (the
//! extension). The hub gives each task a name of its own, remembers whose it is, and keeps its
//! server awake until the task has ended or nobody has asked for it for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use dormouse::{Held, Scope, ServerKey};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::message::Fault;
use crate::session::{Session, fresh_id};

/// The extension's name in 2026-07-28.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// How a server of 2025-11-25 tells of a task unasked.
const STATUS: &str = "notifications/tasks/status";
/// How long a task that nobody asks for keeps its server awake, where it has no shorter life.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// The most tasks that are remembered; then the one that was asked for longest ago is forgotten.
const MOST: usize = 10_000;

/// What is announced to clients of 2025-11-25.
pub(crate) fn announcement() -> Value {
    json!({ "list": {}, "cancel": {}, "requests": { "tools": { "call": {} } } })
}

/// The tasks of all servers that clients have begun here.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    known: Arc<Known>,
}

type Known = Mutex<HashMap<String, Task>>;

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    scope: Scope,
    pub(crate) server: ServerKey,
    /// Its name at the server.
    pub(crate) own: String,
    /// How it was when its server was asked last, without its result.
    pub(crate) last: Value,
    /// Cancelled when its server need not stay awake for it any more.
    released: CancellationToken,
    asked: Instant,
    patience: Duration,
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

    /// Takes up a task that a server has just begun, and gives it our name, in `result` too.
    pub(crate) fn begin(
        &self,
        scope: &Scope,
        server: &ServerKey,
        held: Option<Held>,
        session: Option<&Arc<Session>>,
        result: &mut Value,
    ) -> Result<(), Fault> {
        let Some(task) = task_in(result) else { return Ok(()) };
        let Some(own) = task.get("taskId").and_then(Value::as_str).map(str::to_owned) else { return Ok(()) };
        let lives = ["ttl", "ttlMs"].iter().find_map(|name| task.get(*name)?.as_u64());
        let patience = lives.map_or(PATIENCE, Duration::from_millis).min(PATIENCE);
        let name = fresh_id()?;
        task["taskId"] = Value::String(name.clone());
        let released = CancellationToken::new();
        let (scope, server, last) = (scope.clone(), server.clone(), without_result(task));
        let task =
            Task { scope, server, own, last, released: released.clone(), asked: Instant::now(), patience };
        {
            let mut known = self.known();
            if known.len() >= MOST
                && let Some(oldest) =
                    known.iter().min_by_key(|(_, task)| task.asked).map(|(name, _)| name.clone())
                && let Some(forgotten) = known.remove(&oldest)
            {
                forgotten.released.cancel();
            }
            known.insert(name.clone(), task);
        }
        match held {
            // Ends with the task, or when nobody has asked for it for long.
            Some(held) => {
                let session = session.map(Arc::downgrade);
                drop(tokio::spawn(stay_awake(Arc::downgrade(&self.known), name, held, released, session)));
            }
            None => released.cancel(),
        }
        Ok(())
    }

    /// A task by our name, if the context has begun it.
    pub(crate) fn find(&self, scope: &Scope, name: &str) -> Result<Task, Fault> {
        let mut known = self.known();
        let task = known.get_mut(name).filter(|task| task.scope == *scope);
        let Some(task) = task else { return Err(Fault::invalid(format!("Unknown task: {name}"))) };
        task.asked = Instant::now();
        Ok(task.clone())
    }

    /// The tasks of a context, by our names.
    pub(crate) fn of(&self, scope: &Scope) -> Vec<(String, Task)> {
        let known = self.known();
        let mut all: Vec<_> = known
            .iter()
            .filter(|(_, task)| task.scope == *scope)
            .map(|(name, task)| (name.clone(), task.clone()))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
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
) {
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
