//! The methods on tasks, each passed to the task's own server.

use std::sync::Arc;
use std::time::Duration;

use dormouse::{Held, NoBackChannel, ServerKey};
use serde_json::{Value, json};

use super::calls::{passed, passed_within};
use crate::back::Back;
use crate::caller::{Caller, Life};
use crate::endpoint::Endpoint;
use crate::message::{Fault, MISSING_CAPABILITY, Request};
use crate::tasks::{EXTENSION, is_begun};

/// How long a client may wait for the result of a task in one request.
const LONGEST_TASK: Duration = Duration::from_secs(60 * 60);

/// Holds the server of a call that may begin a task: it must not sleep between the two.
pub(super) async fn may_begin(
    endpoint: &Endpoint,
    caller: &Caller,
    request: &Request,
    server: &ServerKey,
) -> Option<Held> {
    let asked = match &caller.life {
        Life::Session(_) => request.params.get("task").is_some_and(Value::is_object),
        Life::Stateless(meta) => {
            let catalog = endpoint.context().registry().snapshot();
            let announced = catalog.get(server).and_then(|entry| entry.features.capabilities.clone());
            meta.capabilities["extensions"][EXTENSION].is_object()
                && announced.is_some_and(|announced| announced.text().contains(EXTENSION))
        }
    };
    if !asked {
        return None;
    }
    endpoint.context().hold(server, Back::new(endpoint.scope(), caller, request)).await.ok()
}

/// Takes up the task that a call has begun, if it has.
pub(super) async fn begun(
    endpoint: &Endpoint,
    caller: &Caller,
    server: &ServerKey,
    held: Option<Held>,
    result: &mut Value,
) -> Result<(), Fault> {
    if !is_begun(result) {
        return Ok(());
    }
    let held = match held {
        Some(held) => Some(held),
        // Nobody asked for a task. The server is awake: the call has just ended.
        None => endpoint.context().hold(server, Arc::new(NoBackChannel)).await.ok(),
    };
    let session = match &caller.life {
        Life::Session(session) => Some(session),
        Life::Stateless(_) => None,
    };
    endpoint.gateway().tasks().begin(endpoint.scope(), server, held, session, result)
}

/// Answers `tasks/get`, `tasks/result`, `tasks/cancel`, `tasks/update` and `tasks/list`.
pub(super) async fn answer(
    endpoint: &Endpoint,
    caller: &Caller,
    mut request: Request,
) -> Result<Value, Fault> {
    let tasks = endpoint.gateway().tasks();
    if request.method == "tasks/list" {
        return list(endpoint, caller, request).await;
    }
    let Some(name) = request.params.get("taskId").and_then(Value::as_str).map(str::to_owned) else {
        return Err(Fault::invalid("`taskId` must be a text"));
    };
    if let Life::Stateless(meta) = &caller.life
        && !meta.capabilities["extensions"][EXTENSION].is_object()
    {
        let needed = json!({ "requiredCapabilities": { "extensions": { EXTENSION: {} } } });
        return Err(
            Fault::new(MISSING_CAPABILITY, "Tasks are for clients that announce them").with_data(needed)
        );
    }
    let task = tasks.find(endpoint.scope(), &name)?;
    request.params.insert("taskId".to_owned(), Value::from(task.own.as_str()));
    let is_result = request.method == "tasks/result";
    let longest = is_result.then_some(LONGEST_TASK);
    let answered = passed_within(endpoint, caller, request, task.server, longest).await;
    // The result of one that failed may be the error.
    if is_result && (answered.is_ok() || task.last["status"] == "failed") {
        tasks.fetched(&name);
    }
    let mut result = answered?;
    if is_result {
        rename_related(&mut result, &name);
    } else {
        tasks.seen(&name, &mut result);
    }
    Ok(result)
}

/// The tasks that were begun here, as their servers tell of them now.
async fn list(endpoint: &Endpoint, caller: &Caller, request: Request) -> Result<Value, Fault> {
    let tasks = endpoint.gateway().tasks();
    let mut all = Vec::new();
    for (name, task) in tasks.of(endpoint.scope()) {
        if endpoint.only().is_some_and(|only| *only != task.server) {
            continue;
        }
        if task.is_released() {
            all.push(task.last);
            continue;
        }
        let mut asked = request.clone();
        asked.method = "tasks/get".to_owned();
        asked.params = match json!({ "taskId": task.own }) {
            Value::Object(params) => params,
            _ => continue,
        };
        // What its server has forgotten is none any more.
        if let Ok(mut said) = passed(endpoint, caller, asked, task.server).await {
            tasks.seen(&name, &mut said);
            all.push(said);
        }
    }
    Ok(json!({ "tasks": all }))
}

/// The result of a task names it in its `_meta`.
fn rename_related(result: &mut Value, name: &str) {
    let related = result.pointer_mut("/_meta/io.modelcontextprotocol~1related-task/taskId");
    if let Some(related) = related {
        *related = Value::from(name);
    }
}
