//! Requests to the server, each with a deadline and a way back.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use dormouse_types::{
    Arguments, BackChannel, CallResult, Features, PeerAnswer, PeerRequest, Rounds, ToolName,
};
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ClientNotification, ClientRequest, CustomRequest,
    CustomResult, GetExtensions, RequestId, ServerResult,
};
use rmcp::service::PeerRequestOptions;
use rmcp::{Peer, RoleClient, ServiceError};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Connection, Inner, after};
use crate::error::CallError;
use crate::wire::{Ticket, Wire};

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
        let until = after(deadline);
        let ask = |params: &Map<String, Value>| {
            let params = Some(Value::Object(params.clone()));
            self.inner.request(method, params, until, Some(Arc::clone(back)))
        };
        let mut result = ask(params).await?;
        if rounds == Rounds::Passed || !wants_more(&result) {
            return Ok(result);
        }
        let mut params = params.clone();
        for _ in 1..MOST_ROUNDS {
            let answers = questions(&result, until, deadline, back).await?;
            params.insert("inputResponses".to_owned(), Value::Object(answers));
            match result.get("requestState") {
                Some(state) => params.insert("requestState".to_owned(), state.clone()),
                None => params.shift_remove("requestState"),
            };
            result = ask(&params).await?;
            if !wants_more(&result) {
                return Ok(result);
            }
        }
        Err(CallError::Unreadable { why: format!("it asked for more after {MOST_ROUNDS} rounds") })
    }

    /// Whether the server speaks 2026-07-28, where each request speaks for itself.
    pub fn is_modern(&self) -> bool {
        self.inner.sign_of_life == "server/discover"
    }

    /// Reads a resource; the result as it came.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn read_resource(&self, uri: &str, deadline: Duration) -> Result<Value, CallError> {
        let params = json!({ "uri": uri });
        let until = after(deadline);
        self.inner.request("resources/read", Some(params), until, None).await
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
        let params = json!({ "name": name, "arguments": arguments });
        let until = after(deadline);
        self.inner.request("prompts/get", Some(params), until, None).await
    }

    /// Asks the server for a sign of life, as its revision knows it: `ping`, or `server/discover`
    /// from 2026-07-28 on. An error that it answers is a sign of life too.
    ///
    /// # Errors
    /// [`CallError`] when no answer came.
    pub async fn ping(&self, deadline: Duration) -> Result<(), CallError> {
        match self.inner.request(self.inner.sign_of_life, None, after(deadline), None).await {
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
    /// Sends one request and waits for its answer.
    pub(super) async fn request(
        &self,
        method: &str,
        params: Option<Value>,
        until: Instant,
        back: Option<Arc<dyn BackChannel>>,
    ) -> Result<Value, CallError> {
        let begun = Instant::now();
        let ticket = Ticket::new(back);
        let mut request = ClientRequest::CustomRequest(CustomRequest::new(method.to_owned(), params));
        request.extensions_mut().insert(Arc::clone(&ticket));
        let mut waiting = Waiting { peer: &self.peer, wire: &self.wire, ticket: &ticket, id: None };
        let exchange = async {
            let options = PeerRequestOptions::no_options();
            let mut handle = self.peer.send_request_with_option(request, options).await?;
            waiting.id = Some(handle.id.clone());
            let answer = (&mut handle.rx).await;
            waiting.id = None;
            answer.map_err(|_| ServiceError::TransportClosed)?
        };
        match tokio::time::timeout_at(until, exchange).await {
            Ok(Ok(ServerResult::CustomResult(CustomResult(value)))) => Ok(value),
            Ok(Ok(_)) => Err(CallError::Unreadable { why: "it is of another kind".to_owned() }),
            Ok(Err(error)) => Err(self.failed(error, &ticket).await),
            Err(_) => {
                let sent = ticket.withdraw();
                Err(CallError::TimedOut { after: until.saturating_duration_since(begun), sent })
            }
        }
    }

    async fn failed(&self, error: ServiceError, ticket: &Ticket) -> CallError {
        if let Some(fault) = ticket.take_fault() {
            return fault;
        }
        if let ServiceError::McpError(error) = error {
            let code = i64::from(error.code.0);
            return CallError::Refused { code, message: error.message.into_owned(), data: error.data };
        }
        // The wire is closed.
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
}

/// A request that somebody waits for. Dropping it tells the wire and the server that nobody does.
struct Waiting<'a> {
    peer: &'a Peer<RoleClient>,
    wire: &'a Wire,
    ticket: &'a Ticket,
    /// Its number, while its answer is still to come.
    id: Option<RequestId>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.ticket.end();
        let Some(id) = self.id.take() else { return };
        self.ticket.withdraw();
        self.wire.flights.forget(&id);
        let reason = Some("nobody waits for the answer any more".to_owned());
        let cancelled = CancelledNotification::new(CancelledNotificationParam::new(Some(id), reason));
        let notification = ClientNotification::CancelledNotification(cancelled);
        let peer = self.peer.clone();
        // Detached: it ends as soon as rmcp's loop has taken the notification, or has ended. A drop
        // cannot wait. rmcp has to be told also of what was not sent, or it would wait for ever.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { peer.send_notification(notification).await });
        }
    }
}

fn wants_more(result: &Value) -> bool {
    result.get("resultType").and_then(Value::as_str) == Some("input_required")
}

/// Answers what a server of 2026-07-28 asks instead of a result: it has given the call up until it
/// comes again, with the answers.
async fn questions(
    result: &Value,
    until: Instant,
    deadline: Duration,
    back: &Arc<dyn BackChannel>,
) -> Result<Map<String, Value>, CallError> {
    let mut answers = Map::new();
    for (name, question) in result.get("inputRequests").and_then(Value::as_object).into_iter().flatten() {
        let method = question.get("method").and_then(Value::as_str).unwrap_or_default().to_owned();
        let params = question.get("params").cloned().unwrap_or(Value::Null);
        let asked = back.ask(PeerRequest { method: method.clone(), params });
        match tokio::time::timeout_at(until, asked).await {
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
