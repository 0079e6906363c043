//! Tasks whose client and server are of different lives.
//!
//! A client with a session waits for a result in one request (`tasks/result`), and is asked there
//! what the task needs. A client of 2026-07-28 comes again and again (`tasks/get`), gets all of it
//! there, and answers by `tasks/update`. So for the one the hub comes again and again, as often as
//! the server says; for the other it waits for the result as soon as the server says that it wants
//! something.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dormouse::{AskError, BackChannel, PeerAnswer, PeerRequest, WireError};
use serde_json::{Map, Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::about::About;
use super::faults::asked;
use super::tasks::{LONGEST_TASK, has_ended, pass};
use crate::back::Back;
use crate::caller::{Caller, Nowhere};
use crate::catalogue::wrap;
use crate::endpoint::Endpoint;
use crate::message::{Fault, INVALID_PARAMS, METHOD_NOT_FOUND, Request};
use crate::tasks::{Task, Wait, shape};

/// How soon a server is asked again that does not say how soon, and the bounds of what it may say.
const POLL: Duration = Duration::from_secs(1);
const SHORTEST_POLL: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_secs(30);
/// How long a server may take to ask what it wants, once it has said that it wants something.
const TO_ASK: Duration = Duration::from_secs(5);

type Names = Mutex<HashSet<String>>;

/// Answers a client with a session whose task is at a server of 2026-07-28.
pub(super) async fn for_session(
    endpoint: &Endpoint,
    caller: &Caller,
    request: &Request,
    name: &str,
    task: &Task,
    questions: &Names,
) -> Result<Value, Fault> {
    let back: Arc<dyn BackChannel> = Back::new(endpoint.scope(), caller, request);
    let here = Here { endpoint, task, name, back };
    match request.method.as_str() {
        // Its server may sleep, and have forgotten it.
        "tasks/get" if is_cancelled(task) => Ok(task.last.clone()),
        "tasks/cancel" if is_cancelled(task) => Err(has_ended(&task.last)),
        "tasks/get" => {
            let said = here.get().await?;
            Ok(here.seen(&said))
        }
        "tasks/cancel" => {
            let before = here.get().await?;
            if shape::has_ended(&before) {
                return Err(has_ended(&here.seen(&before)));
            }
            here.pass("tasks/cancel", Map::new()).await.map_err(|error| asked(&error))?;
            let said = here.get().await?;
            Ok(here.seen(&said))
        }
        _ => match tokio::time::timeout(LONGEST_TASK, here.result(questions)).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::invalid("the task goes on; ask again for its result")),
        },
    }
}

/// One request about one task.
struct Here<'a> {
    endpoint: &'a Endpoint,
    task: &'a Task,
    name: &'a str,
    back: Arc<dyn BackChannel>,
}

impl Here<'_> {
    async fn pass(&self, method: &str, more: Map<String, Value>) -> Result<Value, AskError> {
        let its = (&self.task.server, self.task.own.as_str());
        pass(self.endpoint.context(), its, method, more, None, Arc::clone(&self.back)).await
    }

    async fn get(&self) -> Result<Value, Fault> {
        self.pass("tasks/get", Map::new()).await.map_err(|error| asked(&error))
    }

    /// A task as its server of 2026-07-28 tells of it, for a client with a session.
    fn seen(&self, said: &Value) -> Value {
        let mut it = shape::for_session(said);
        it["taskId"] = Value::from(self.name);
        let tasks = self.endpoint.gateway().tasks();
        tasks.note(self.name, &it);
        if it["status"] == "cancelled" {
            tasks.fetched(self.name);
        }
        it
    }

    /// Waits for the result, and puts to the client meanwhile what the server asks.
    async fn result(&self, questions: &Names) -> Result<Value, Fault> {
        loop {
            let mut said = self.get().await?;
            self.seen(&said);
            match said["status"].as_str() {
                Some("completed") => {
                    self.endpoint.gateway().tasks().fetched(self.name);
                    let mut result = said["result"].take();
                    if let Some(members) = result.as_object_mut() {
                        members.shift_remove("resultType");
                    }
                    wrap(&mut result, self.task.is_wrapped);
                    shape::relate(&mut result, Some(self.name));
                    return Ok(result);
                }
                Some("failed") => {
                    self.endpoint.gateway().tasks().fetched(self.name);
                    return Err(Fault::read(&said["error"]));
                }
                Some("cancelled") => return Err(Fault::invalid("the task was cancelled")),
                Some("input_required") if self.put(&said["inputRequests"], questions).await? => {}
                _ => tokio::time::sleep(poll(&said)).await,
            }
        }
    }

    /// Puts to the client what it was not asked yet, and takes the answers to the server. False:
    /// there was nothing new.
    async fn put(&self, requests: &Value, questions: &Names) -> Result<bool, Fault> {
        let mut putting = Putting { questions, names: Vec::new() };
        let mut answers = Map::new();
        for (key, question) in requests.as_object().into_iter().flatten() {
            // Another request of this client may wait for the same result.
            if !lock(questions).insert(key.clone()) {
                continue;
            }
            putting.names.push(key.clone());
            let method = question["method"].as_str().unwrap_or_default().to_owned();
            let mut params = question.get("params").cloned().unwrap_or_else(|| json!({}));
            shape::relate(&mut params, Some(self.name));
            match self.back.ask(PeerRequest { method: method.clone(), params }).await {
                PeerAnswer::Result(answer) => drop(answers.insert(key.clone(), answer)),
                // A server of that life takes no refusal: the task stays as it is.
                PeerAnswer::Refused { code, message, data } => return Err(Fault { code, message, data }),
                PeerAnswer::Unsupported => {
                    let words = format!("the server asks by {method}, and nobody here can answer");
                    return Err(Fault::new(METHOD_NOT_FOUND, words));
                }
            }
        }
        if answers.is_empty() {
            return Ok(false);
        }
        let more = Map::from_iter([("inputResponses".to_owned(), Value::Object(answers))]);
        self.pass("tasks/update", more).await.map_err(|error| asked(&error))?;
        putting.names.clear();
        Ok(true)
    }
}

/// Questions that are put to a client; those whose answers did not get to the server may be put again.
struct Putting<'a> {
    questions: &'a Names,
    names: Vec<String>,
}

impl Drop for Putting<'_> {
    fn drop(&mut self) {
        let mut asked = lock(self.questions);
        for name in &self.names {
            asked.remove(name);
        }
    }
}

fn poll(said: &Value) -> Duration {
    let wanted = said["pollIntervalMs"].as_u64().map_or(POLL, Duration::from_millis);
    wanted.clamp(SHORTEST_POLL, LONGEST_POLL)
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers a client of 2026-07-28 whose task is at a server with sessions.
pub(super) async fn for_stateless(
    endpoint: &Endpoint,
    caller: &Caller,
    request: &Request,
    name: &str,
    task: &Task,
    waiting: &Mutex<Option<Wait>>,
) -> Result<Value, Fault> {
    let back = About::on(Back::new(endpoint.scope(), caller, request), None);
    let here = Here { endpoint, task, name, back };
    match request.method.as_str() {
        // Its server may sleep, and have forgotten it.
        "tasks/get" if is_cancelled(task) => Ok(task.last.clone()),
        _ if is_cancelled(task) => Ok(json!({})),
        "tasks/update" => {
            let answers = request.params.get("inputResponses").and_then(Value::as_object).cloned();
            let questions = lock(waiting).as_ref().map(|wait| Arc::clone(&wait.questions));
            if let (Some(questions), Some(answers)) = (questions, answers) {
                questions.answer(answers);
            }
            Ok(json!({}))
        }
        "tasks/cancel" => {
            match here.pass("tasks/cancel", Map::new()).await {
                Ok(said) => {
                    let mut it = shape::for_stateless(&said);
                    it["taskId"] = Value::from(name);
                    endpoint.gateway().tasks().note(name, &it);
                    endpoint.gateway().tasks().fetched(name);
                }
                // There it is an error to cancel what has ended; here it is none.
                Err(error) if is_refused_with(&error, INVALID_PARAMS) => {
                    if !shape::has_ended(&here.get().await?) {
                        return Err(asked(&error));
                    }
                }
                Err(error) => return Err(asked(&error)),
            }
            drop(lock(waiting).take());
            Ok(json!({}))
        }
        _ => here.whole(caller, request, waiting).await,
    }
}

impl Here<'_> {
    /// A task as a client of 2026-07-28 gets it: with what belongs to its status.
    async fn whole(
        &self,
        caller: &Caller,
        request: &Request,
        waiting: &Mutex<Option<Wait>>,
    ) -> Result<Value, Fault> {
        let said = self.get().await?;
        let mut it = shape::for_stateless(&said);
        it["taskId"] = Value::from(self.name);
        let tasks = self.endpoint.gateway().tasks();
        tasks.note(self.name, &it);
        match said["status"].as_str() {
            Some("completed" | "failed") => {
                match self.pass("tasks/result", Map::new()).await {
                    Ok(mut result) => {
                        shape::relate(&mut result, None);
                        // That a tool says that it failed is a result as well.
                        it["status"] = Value::from("completed");
                        if let Some(members) = result.as_object_mut() {
                            members.entry("resultType").or_insert_with(|| Value::from("complete"));
                        }
                        it["result"] = result;
                    }
                    Err(AskError::Wire { source: WireError::Refused { code, message, data }, .. }) => {
                        it["status"] = Value::from("failed");
                        it["error"] = json!({ "code": code, "message": message });
                        if let Some(data) = data {
                            it["error"]["data"] = data;
                        }
                    }
                    Err(error) => return Err(asked(&error)),
                }
                tasks.fetched(self.name);
                drop(lock(waiting).take());
            }
            Some("cancelled") => {
                tasks.fetched(self.name);
                drop(lock(waiting).take());
            }
            status => {
                let open = self.questions(caller, request, waiting, status == Some("input_required")).await;
                // That it wants something is said together with what.
                it["status"] = Value::from(if open.is_empty() { "working" } else { "input_required" });
                if !open.is_empty() {
                    it["inputRequests"] = Value::Object(open);
                }
            }
        }
        Ok(it)
    }

    /// What the server asks at the moment. It does so while somebody waits for the result: if it
    /// `wants` something, the hub does from now on.
    async fn questions(
        &self,
        caller: &Caller,
        request: &Request,
        waiting: &Mutex<Option<Wait>>,
        wants: bool,
    ) -> Map<String, Value> {
        let (questions, is_new) = {
            let mut waiting = lock(waiting);
            match waiting.as_ref().filter(|wait| !wait.job.is_finished()) {
                Some(wait) => (Arc::clone(&wait.questions), false),
                None if wants => {
                    let wait = self.wait(caller, request);
                    let questions = Arc::clone(&wait.questions);
                    *waiting = Some(wait);
                    (questions, true)
                }
                None => return Map::new(),
            }
        };
        if is_new {
            // Otherwise it is told with a later answer.
            let _ = tokio::time::timeout(TO_ASK, questions.asked()).await;
        }
        questions.requests()
    }

    fn wait(&self, caller: &Caller, request: &Request) -> Wait {
        // The request is over long before.
        let caller = Caller { life: caller.life.clone(), outlet: Arc::new(Nowhere) };
        let back = Back::new(self.endpoint.scope(), &caller, request);
        let questions = Arc::clone(back.questions());
        let about = About::on(back, None);
        let (context, server, own) =
            (self.endpoint.context().clone(), self.task.server.clone(), self.task.own.clone());
        // Ends with the task, which it does not hold.
        let job = tokio::spawn(async move {
            let its = (&server, own.as_str());
            // What comes of it the server says again to whoever asks.
            let _ = pass(&context, its, "tasks/result", Map::new(), Some(LONGEST_TASK), about).await;
        });
        Wait { questions, job: AbortOnDropHandle::new(job) }
    }
}

/// Whether a task was cancelled, so that its server is not needed for it any more.
fn is_cancelled(task: &Task) -> bool {
    task.is_released() && task.last["status"] == "cancelled"
}

fn is_refused_with(error: &AskError, wanted: i64) -> bool {
    matches!(error, AskError::Wire { source: WireError::Refused { code, .. }, .. } if *code == wanted)
}
