//! Tasks: calls that go on after their answer.
//!
//! They are passed through, within one life: a client of 2025-11-25 with a server of 2025-11-25
//! (`task` in the params of a call), a client of 2026-07-28 with a server of 2026-07-28 (the
//! extension). The hub gives each task a name of its own, remembers whose it is, and keeps its
//! server awake until the task has ended or nobody has asked for it for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dormouse::{Held, Scope, ServerKey};
use serde_json::{Value, json};

use crate::message::Fault;
use crate::session::fresh_id;

/// The extension's name in 2026-07-28.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
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
    known: Mutex<HashMap<String, Task>>,
}

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    scope: Scope,
    pub(crate) server: ServerKey,
    /// Its name at the server.
    pub(crate) own: String,
    /// Keeps the server awake until the task has ended.
    held: Option<Arc<Held>>,
    asked: Instant,
    patience: Duration,
}

impl Tasks {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Task>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets all servers sleep.
    pub(crate) fn clear(&self) {
        self.known().clear();
    }

    /// Takes up a task that a server has just begun, and gives it our name, in `result` too.
    pub(crate) fn begin(
        &self,
        scope: &Scope,
        server: &ServerKey,
        held: Option<Held>,
        result: &mut Value,
    ) -> Result<(), Fault> {
        let Some(task) = task_in(result) else { return Ok(()) };
        let Some(own) = task.get("taskId").and_then(Value::as_str).map(str::to_owned) else { return Ok(()) };
        let lives = ["ttl", "ttlMs"].iter().find_map(|name| task.get(*name)?.as_u64());
        let patience = lives.map_or(PATIENCE, Duration::from_millis).min(PATIENCE);
        let name = fresh_id()?;
        task["taskId"] = Value::String(name.clone());
        let (scope, server, held) = (scope.clone(), server.clone(), held.map(Arc::new));
        let task = Task { scope, server, own, held, asked: Instant::now(), patience };
        let mut known = self.known();
        self.tidy(&mut known);
        known.insert(name, task);
        Ok(())
    }

    fn tidy(&self, known: &mut HashMap<String, Task>) {
        for task in known.values_mut() {
            if task.asked.elapsed() > task.patience {
                task.held = None;
            }
        }
        if known.len() >= MOST
            && let Some(oldest) =
                known.iter().min_by_key(|(_, task)| task.asked).map(|(name, _)| name.clone())
        {
            known.remove(&oldest);
        }
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

    /// Reads what a server said of a task: our name goes in, and a task that has ended keeps its
    /// server awake no longer.
    pub(crate) fn seen(&self, name: &str, result: &mut Value) {
        let Some(said) = task_in(result) else { return };
        if said.get("taskId").is_some() {
            said["taskId"] = Value::String(name.to_owned());
        }
        let ended =
            matches!(said.get("status").and_then(Value::as_str), Some("completed" | "failed" | "cancelled"));
        if ended && let Some(task) = self.known().get_mut(name) {
            task.held = None;
        }
    }
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
