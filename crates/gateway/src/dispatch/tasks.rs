//! The methods on tasks: each passed to the task's own server, or [bridged](super::bridge) where the
//! server is of the other life.

use std::sync::Arc;
use std::time::Duration;

use dormouse::{AskError, BackChannel, Context, Held, PassRequest, Rounds, ServerKey, SilentCaller, ToolRef};
use serde_json::{Map, Value, json};

use super::about::About;
use super::bridge;
use super::calls::{complete_for, passed};
use super::faults::asked;
use crate::back::Back;
use crate::caller::{Caller, Life, undressed};
use crate::catalogue::wrap;
use crate::endpoint::Endpoint;
use crate::message::{Fault, MISSING_CAPABILITY, Request};
use crate::tasks::{self, EXTENSION, Owner, PATIENCE, Task, Way, is_begun, shape};

/// How long a client may wait for the result of a task in one request.
pub(super) const LONGEST_TASK: Duration = Duration::from_secs(60 * 60);

/// What there is between a call that may begin a task and its answer.
#[derive(Debug, Default)]
pub(super) struct MayBegin {
    /// The server must not sleep between the two.
    held: Option<Held>,
    /// A client with a session asked for a task, of a server that has another way of it: it gets one
    /// whatever the server answers.
    must: bool,
}

impl MayBegin {
    /// Takes out of the params of the call what its server would not know.
    pub(super) fn fit(&self, params: &mut Map<String, Value>) {
        if self.must {
            params.shift_remove("task");
        }
    }
}

/// Whose a task of this caller is.
fn owner(endpoint: &Endpoint, caller: &Caller) -> Owner {
    let session = match &caller.life {
        Life::Session(session) => Some(session.id().to_owned()),
        Life::Stateless(_) => None,
    };
    Owner { scope: endpoint.scope().clone(), session }
}

/// Holds the server of a call that may begin a task, and says in the call what its server knows of
/// that.
///
/// # Errors
/// The tool is for those only who know tasks.
pub(super) async fn may_begin(
    endpoint: &Endpoint,
    caller: &Caller,
    request: &mut Request,
    tool: &ToolRef,
) -> Result<MayBegin, Fault> {
    let server = &tool.key().server;
    match &caller.life {
        Life::Session(_) => {
            if !request.params.get("task").is_some_and(Value::is_object) {
                return Ok(MayBegin::default());
            }
            let held = hold(endpoint, caller, request, server).await;
            // There a server decides by itself, for clients that know the extension.
            let must = held.as_ref().is_some_and(Held::is_modern);
            Ok(MayBegin { held, must })
        }
        Life::Stateless(meta) => {
            // In this life there is no such member.
            request.params.shift_remove("task");
            let catalog = endpoint.context().registry().snapshot();
            let announced = catalog.get(server).and_then(|entry| entry.features.capabilities.clone());
            // Most say nothing of it, and their text is not parsed.
            let Some(announced) = announced.filter(|it| it.text().contains("tasks")) else {
                return Ok(MayBegin::default());
            };
            let announced = announced.value();
            let knows = meta.capabilities["extensions"][EXTENSION].is_object();
            let begins_by_itself = announced["extensions"][EXTENSION].is_object();
            let support = tool.tool().rest.get("execution").and_then(|it| it["taskSupport"].as_str());
            if !begins_by_itself && tasks::begins_when_asked(&announced) {
                match support {
                    Some("required") if !knows => return Err(for_those_who_know()),
                    Some("required" | "optional") if knows => {
                        let patience = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
                        request.params.insert("task".to_owned(), json!({ "ttl": patience }));
                    }
                    _ => return Ok(MayBegin::default()),
                }
            } else if !knows || !begins_by_itself {
                return Ok(MayBegin::default());
            }
            Ok(MayBegin { held: hold(endpoint, caller, request, server).await, must: false })
        }
    }
}

async fn hold(endpoint: &Endpoint, caller: &Caller, request: &Request, server: &ServerKey) -> Option<Held> {
    endpoint.context().hold(server, Back::new(endpoint.scope(), caller, request)).await.ok()
}

/// The error for a client that did not announce the extension.
fn for_those_who_know() -> Fault {
    let needed = json!({ "requiredCapabilities": { "extensions": { EXTENSION: {} } } });
    Fault::new(MISSING_CAPABILITY, "Tasks are for clients that announce them").with_data(needed)
}

/// Takes up the task that a call has begun, if it has. Its client was told that the structured result
/// `is_wrapped` in an object, or was not.
pub(super) async fn begun(
    endpoint: &Endpoint,
    caller: &Caller,
    server: &ServerKey,
    may_begin: MayBegin,
    is_wrapped: bool,
    result: &mut Value,
) -> Result<(), Fault> {
    let tasks = endpoint.gateway().tasks();
    let owner = owner(endpoint, caller);
    if !is_begun(result) {
        return match may_begin.must {
            true => tasks.keep(owner, server, result),
            false => Ok(()),
        };
    }
    let held = match may_begin.held {
        Some(held) => Some(held),
        // Nobody asked for a task. The server is awake: the call has just ended.
        None => {
            let silent = Arc::new(SilentCaller(endpoint.scope().clone()));
            endpoint.context().hold(server, silent).await.ok()
        }
    };
    let session = match &caller.life {
        Life::Session(session) => Some(session),
        Life::Stateless(_) => None,
    };
    tasks.begin(owner, server, held, session, is_wrapped, result)
}

/// Answers `tasks/get`, `tasks/result`, `tasks/cancel`, `tasks/update` and `tasks/list`.
pub(super) async fn answer(endpoint: &Endpoint, caller: &Caller, request: Request) -> Result<Value, Fault> {
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
        return Err(for_those_who_know());
    }
    let task = tasks.find(&owner(endpoint, caller), &name)?;
    let server = task.server.clone();
    let result = about(endpoint, caller, request, name, task).await?;
    endpoint.learn_links(&server, &result);
    endpoint.learn_links(&server, &result["result"]);
    Ok(result)
}

/// Answers a request about one task.
async fn about(
    endpoint: &Endpoint,
    caller: &Caller,
    mut request: Request,
    name: String,
    task: Task,
) -> Result<Value, Fault> {
    let tasks = endpoint.gateway().tasks();
    match task.way.clone() {
        Way::Straight => {}
        Way::ToStateless(asked) => {
            return bridge::for_session(endpoint, caller, &request, &name, &task, &asked).await;
        }
        Way::ToSession(waiting) => {
            let answer = bridge::for_stateless(endpoint, caller, &request, &name, &task, &waiting).await?;
            return Ok(complete_for(caller, answer));
        }
        Way::Ended(result, _) => return kept(&request, &name, task, &result),
    }
    if request.method == "tasks/result" {
        let about = About::on(Back::new(endpoint.scope(), caller, &request), Some(&name));
        let (context, params) = (endpoint.context(), undressed(request.params));
        let its = (&task.server, task.own.as_str());
        let answered = pass(context, its, "tasks/result", params, Some(LONGEST_TASK), about).await;
        // The result of one that failed may be the error.
        if answered.is_ok() || task.last["status"] == "failed" {
            tasks.fetched(&name);
        }
        let mut result = answered.map_err(|error| asked(&error))?;
        // It names the task, if it does, as its server does.
        if result.pointer("/_meta").is_some_and(|meta| meta.get(shape::RELATED).is_some()) {
            shape::relate(&mut result, Some(&name));
        }
        if !caller.is_stateless() {
            wrap(&mut result, task.is_wrapped);
        }
        return Ok(complete_for(caller, result));
    }
    request.params.insert("taskId".to_owned(), Value::from(task.own.as_str()));
    let mut result = passed(endpoint, caller, request, task.server).await?;
    tasks.seen(&name, &mut result);
    Ok(result)
}

/// Makes a request about a task, by its server's name for it, to its server.
pub(super) async fn pass(
    context: &Context,
    task: (&ServerKey, &str),
    method: &str,
    mut params: Map<String, Value>,
    deadline: Option<Duration>,
    back: Arc<dyn BackChannel>,
) -> Result<Value, AskError> {
    let (server, own) = task;
    params.insert("taskId".to_owned(), Value::from(own));
    let request = PassRequest { method: method.to_owned(), params, deadline, rounds: Rounds::Driven };
    Ok(context.pass(server, request, back).await?.result)
}

/// Answers for a call that had its result at once, and is a task only for its client.
fn kept(request: &Request, name: &str, task: Task, result: &Value) -> Result<Value, Fault> {
    match request.method.as_str() {
        "tasks/get" => Ok(task.last),
        "tasks/cancel" => Err(has_ended(&task.last)),
        _ => {
            let mut result = result.clone();
            shape::relate(&mut result, Some(name));
            Ok(result)
        }
    }
}

/// What has ended cannot be cancelled, in 2025-11-25.
pub(super) fn has_ended(task: &Value) -> Fault {
    let status = task["status"].as_str().unwrap_or("completed");
    Fault::invalid(format!("the task has ended already: {status}"))
}

/// The tasks that were begun here, as their servers tell of them now.
async fn list(endpoint: &Endpoint, caller: &Caller, request: Request) -> Result<Value, Fault> {
    let tasks = endpoint.gateway().tasks();
    let mut all = Vec::new();
    for (name, task) in tasks.of(&owner(endpoint, caller)) {
        if endpoint.only().is_some_and(|only| *only != task.server) {
            continue;
        }
        if task.is_released() {
            all.push(task.last);
            continue;
        }
        let mut asked = request.clone();
        asked.method = "tasks/get".to_owned();
        // What its server has forgotten is none any more.
        if let Way::ToStateless(questions) = &task.way {
            let said = bridge::for_session(endpoint, caller, &asked, &name, &task, questions).await;
            all.extend(said.ok());
            continue;
        }
        asked.params = Map::from_iter([("taskId".to_owned(), Value::from(task.own))]);
        if let Ok(mut said) = passed(endpoint, caller, asked, task.server).await {
            tasks.seen(&name, &mut said);
            all.push(said);
        }
    }
    Ok(json!({ "tasks": all }))
}
