//! Requests to the server, each with a deadline and a way back.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use dormouse_types::{
    Arguments, BackChannel, CallResult, Features, PeerAnswer, PeerRequest, Rounds, ToolName,
};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{Connection, Inner, after};
use crate::error::CallError;
use crate::wire::{LONGEST_THOUGHT, Request, Ticket, Wanting};

/// How long a call whose server is gone waits to learn how it ended.
const TO_LEARN_THE_EXIT: Duration = Duration::from_secs(1);

/// How often a server may answer a call by a question.
const MOST_ROUNDS: usize = 10;

impl Connection {
    /// Calls a tool. Dropping the future cancels the call: the server is told.
    ///
    /// # Errors
    /// [`CallError`]; its [`outcome`](CallError::outcome) says whether the tool may have run. A tool
    /// that says itself that it failed is a result, not an error.
    pub async fn call(
        &self,
        tool: &ToolName,
        arguments: &Arguments,
        deadline: Duration,
        back: &Arc<dyn BackChannel>,
    ) -> Result<CallResult, CallError> {
        let mut params = Map::with_capacity(2);
        params.insert("name".to_owned(), Value::from(tool.as_str()));
        params.insert("arguments".to_owned(), Value::Object(arguments.clone()));
        self.pass("tools/call", &params, deadline, Rounds::Driven, back).await.and_then(read_result)
    }

    /// Makes any request, with the parameters as they are; the result as it came. Dropping the
    /// future cancels it.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn pass(
        &self,
        method: &str,
        params: &Map<String, Value>,
        deadline: Duration,
        rounds: Rounds,
        back: &Arc<dyn BackChannel>,
    ) -> Result<Value, CallError> {
        let mut until = after(deadline);
        let _wanted = self.inner.level(back, until).await?;
        let mut result = object(self.inner.request(method, Some(params), until, Some(back)).await?)?;
        if rounds == Rounds::Passed || !wants_more(&result) {
            return Ok(result);
        }
        let mut params = params.clone();
        for _ in 1..MOST_ROUNDS {
            let asked = Instant::now();
            let answers = questions(&result, deadline, back).await?;
            // The caller's time, perhaps a person's, is not the server's.
            until += asked.elapsed();
            params.insert("inputResponses".to_owned(), Value::Object(answers));
            match result.get("requestState") {
                Some(state) => params.insert("requestState".to_owned(), state.clone()),
                None => params.shift_remove("requestState"),
            };
            result = object(self.inner.request(method, Some(&params), until, Some(back)).await?)?;
            if !wants_more(&result) {
                return Ok(result);
            }
        }
        Err(CallError::Unreadable { why: format!("it asked for more after {MOST_ROUNDS} rounds") })
    }

    /// Whether the server speaks 2026-07-28, where each request speaks for itself.
    pub fn is_modern(&self) -> bool {
        self.inner.line.is_modern()
    }

    /// Reads a resource; the result as it came.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn read_resource(&self, uri: &str, deadline: Duration) -> Result<Value, CallError> {
        let params = Map::from_iter([("uri".to_owned(), Value::from(uri))]);
        self.inner.request("resources/read", Some(&params), after(deadline), None).await
    }

    /// Gets a prompt; the result as it came.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get_prompt(
        &self,
        name: &str,
        arguments: &Arguments,
        deadline: Duration,
    ) -> Result<Value, CallError> {
        let arguments = Value::Object(arguments.clone());
        let params =
            Map::from_iter([("name".to_owned(), Value::from(name)), ("arguments".to_owned(), arguments)]);
        self.inner.request("prompts/get", Some(&params), after(deadline), None).await
    }

    /// Asks the server for a sign of life, as its revision knows it: `ping`, or `server/discover`
    /// from 2026-07-28 on. An error that it answers is a sign of life too.
    ///
    /// # Errors
    /// [`CallError`] when no answer came.
    pub async fn ping(&self, deadline: Duration) -> Result<(), CallError> {
        let method = if self.is_modern() { "server/discover" } else { "ping" };
        match self.inner.request(method, None, after(deadline), None).await {
            Ok(_) | Err(CallError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lists again what the server offers, as after an announcement that a list has changed.
    ///
    /// # Errors
    /// [`CallError`] when its tools cannot be listed; then the features stay as they were.
    pub async fn refresh(&self, deadline: Duration) -> Result<Arc<Features>, CallError> {
        let listed = self.inner.list(after(deadline)).await?;
        let features = Arc::new(listed.features);
        let inner = &self.inner;
        *inner.features.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&features);
        *inner.list_faults.lock().unwrap_or_else(PoisonError::into_inner) = listed.faults.into();
        Ok(features)
    }
}

impl Inner {
    /// Sends one request and waits for its answer. Dropping the future takes it back.
    pub(super) async fn request(
        &self,
        method: &str,
        params: Option<&Map<String, Value>>,
        until: Instant,
        back: Option<&Arc<dyn BackChannel>>,
    ) -> Result<Value, CallError> {
        let task = match method {
            "tasks/result" => params.and_then(|params| params.get("taskId")).and_then(Value::as_str),
            _ => None,
        };
        let ticket = match task {
            Some(task) => Ticket::of_task(back.cloned(), task),
            None => Ticket::new(back.cloned()),
        };
        self.request_by(ticket, method, params, until).await
    }

    pub(super) async fn request_by(
        &self,
        ticket: Arc<Ticket>,
        method: &str,
        params: Option<&Map<String, Value>>,
        until: Instant,
    ) -> Result<Value, CallError> {
        let begun = Instant::now();
        let Some((id, answered)) = self.wire.flights.depart(&ticket) else {
            return Err(self.gone(&ticket).await);
        };
        let waiting = Waiting { inner: self, ticket: &ticket, id };
        let request = Request { id, method, params, back: ticket.back() };
        let exchange = self.line.exchange(&request, &ticket, answered);
        match in_time(until, &ticket, exchange).await {
            Ok(Some(answer)) => {
                // What it was is known, so the server is told nothing.
                self.wire.flights.forget(id);
                answer
            }
            Ok(None) => {
                self.wire.flights.forget(id);
                drop(waiting);
                Err(self.gone(&ticket).await)
            }
            Err(Late) => {
                let sent = ticket.withdraw();
                Err(CallError::TimedOut { after: until.saturating_duration_since(begun), sent })
            }
        }
    }

    /// Why there is no answer now that the wire has ended.
    async fn gone(&self, ticket: &Ticket) -> CallError {
        if !ticket.withdraw() {
            return CallError::NotSent;
        }
        let gone = async {
            let exit = self.exit.wait().await;
            self.tail.ended().await;
            exit
        };
        let exit = tokio::time::timeout(TO_LEARN_THE_EXIT, gone).await.ok();
        CallError::Died { exit: exit.or(self.exit.seen()), stderr: self.tail.lines() }
    }

    /// Tells a server of the older kind which log is wanted, if it was told otherwise before. What the
    /// caller wants counts as long as the answer is held.
    async fn level(
        &self,
        back: &Arc<dyn BackChannel>,
        until: Instant,
    ) -> Result<Option<Wanting<'_>>, CallError> {
        if !self.wire.logs.load(Ordering::Relaxed) || self.line.is_modern() {
            return Ok(None);
        }
        let levels = &self.wire.levels;
        let Some(wanting) = back.log_level().and_then(|level| levels.want(&level)) else { return Ok(None) };
        let begun = Instant::now();
        let Ok(due) = tokio::time::timeout_at(until, levels.due()).await else {
            let after = until.saturating_duration_since(begun);
            return Err(CallError::TimedOut { after, sent: false });
        };
        let Some(telling) = due else { return Ok(Some(wanting)) };
        let params = Map::from_iter([("level".to_owned(), Value::from(telling.level()))]);
        match self.request("logging/setLevel", Some(&params), until, None).await {
            // If it refuses, its log is as it is.
            Ok(_) | Err(CallError::Refused { .. } | CallError::Unreadable { .. }) => {
                telling.done();
                Ok(Some(wanting))
            }
            // Nothing of the call itself was sent.
            Err(CallError::TimedOut { after, .. }) => Err(CallError::TimedOut { after, sent: false }),
            Err(_) => Err(CallError::NotSent),
        }
    }
}

/// The time of a request is over.
struct Late;

/// Waits for an answer as long as there is time, of which none goes by while the caller is asked.
async fn in_time<T>(first: Instant, ticket: &Ticket, exchange: impl Future<Output = T>) -> Result<T, Late> {
    let mut exchange = std::pin::pin!(exchange);
    let mut until = first;
    loop {
        match tokio::time::timeout_at(until, exchange.as_mut()).await {
            Ok(answer) => return Ok(answer),
            Err(_) => until = ticket.later(first, until).ok_or(Late)?,
        }
    }
}

/// A request that somebody waits for. Dropping it tells the wire and the server that nobody does.
struct Waiting<'a> {
    inner: &'a Inner,
    ticket: &'a Ticket,
    id: i64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.ticket.end();
        let still_flying = self.inner.wire.flights.give_up(self.id);
        if self.ticket.withdraw() && still_flying {
            self.inner.line.cancel(self.id);
        }
    }
}

/// The result, which is an object whatever was asked.
fn object(result: Value) -> Result<Value, CallError> {
    if result.is_object() {
        return Ok(result);
    }
    Err(CallError::Unreadable { why: "the result is no object".to_owned() })
}

fn wants_more(result: &Value) -> bool {
    result.get("resultType").and_then(Value::as_str) == Some("input_required")
}

/// Answers what a server of 2026-07-28 asks instead of a result: it has given the call up until it
/// comes again, with the answers.
async fn questions(
    result: &Value,
    deadline: Duration,
    back: &Arc<dyn BackChannel>,
) -> Result<Map<String, Value>, CallError> {
    let mut answers = Map::new();
    for (name, question) in result.get("inputRequests").and_then(Value::as_object).into_iter().flatten() {
        let method = question.get("method").and_then(Value::as_str).unwrap_or_default().to_owned();
        let params = question.get("params").cloned().unwrap_or(Value::Null);
        let asked = back.ask(PeerRequest { method: method.clone(), params });
        match tokio::time::timeout(LONGEST_THOUGHT, asked).await {
            Ok(PeerAnswer::Result(answer)) => answers.insert(name.clone(), answer),
            // The caller's own words go on to the caller.
            Ok(PeerAnswer::Refused { code, message, data }) => {
                return Err(CallError::Refused { code, message, data });
            }
            Ok(PeerAnswer::Unsupported) => {
                let message = format!("the server asks by {method}, and nobody here can answer");
                return Err(CallError::Refused { code: -32601, message, data: None });
            }
            Err(_) => return Err(CallError::TimedOut { after: deadline, sent: true }),
        };
    }
    Ok(answers)
}

/// Takes the result of a call of a tool apart without a second parse; what it does not name stays
/// in `rest`.
///
/// # Errors
/// [`CallError::Unreadable`] when it is none.
pub fn read_result(result: Value) -> Result<CallResult, CallError> {
    let Value::Object(mut rest) = result else {
        return Err(CallError::Unreadable { why: "the result is no object".to_owned() });
    };
    let content = match rest.shift_remove("content") {
        Some(Value::Array(content)) => content,
        None | Some(Value::Null) => Vec::new(),
        Some(_) => {
            return Err(CallError::Unreadable { why: "`content` is no list".to_owned() });
        }
    };
    let structured_content = rest.shift_remove("structuredContent").filter(|value| !value.is_null());
    let is_error = match rest.get("isError") {
        Some(Value::Bool(is_error)) => {
            let is_error = *is_error;
            rest.shift_remove("isError");
            is_error
        }
        _ => false,
    };
    Ok(CallResult { content, structured_content, is_error, rest })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_keeps_every_member() {
        let wire = json!({
            "content": [{ "type": "hologram", "x": 1 }],
            "isError": true,
            "structuredContent": [1],
            "_meta": { "a": 1 },
            "future": null,
        });
        let result = read_result(wire.clone()).unwrap();
        assert_eq!(serde_json::to_value(&result).unwrap(), wire);
    }

    #[test]
    fn what_is_no_result_is_unreadable() {
        for bad in [json!(1), json!([]), json!(null), json!({ "content": "text" })] {
            assert!(matches!(read_result(bad), Err(CallError::Unreadable { .. })));
        }
        assert_eq!(read_result(json!({})).unwrap(), CallResult::default());
    }
}
