//! rmcp's transport over a server's two pipes.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::{Future, ready};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_types::CallEvent;
use rmcp::RoleClient;
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ClientRequest, CustomRequest, CustomResult, ErrorData,
    GetExtensions, GetMeta, JsonRpcMessage, NumberOrString, PingRequest, RequestId, ServerNotification,
    ServerRequest, ServerResult,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::{Map, Value};
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::flights::{Flights, Method, Ticket};
use super::lines::{Found, LONGEST, Lines};
use super::noise::NoiseLog;
use super::outbox::Outbox;

/// What the transport and the connection above it share.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) flights: Flights,
    pub(crate) noise: NoiseLog,
    pub(crate) outbox: Arc<Outbox>,
    /// Counts the announcements that a list has changed.
    pub(crate) list_changed: watch::Sender<u64>,
    /// What the server answered to `initialize`, member for member.
    pub(crate) greeting: Mutex<Option<Value>>,
}

impl Wire {
    pub(crate) fn new(stdin: pipe::Sender) -> Arc<Self> {
        Arc::new(Self {
            flights: Flights::default(),
            noise: NoiseLog::default(),
            outbox: Outbox::new(stdin),
            list_changed: watch::Sender::new(0),
            greeting: Mutex::new(None),
        })
    }
}

/// One message of the server, as rmcp takes it.
type Incoming = RxJsonRpcMessage<RoleClient>;

/// The transport. rmcp owns it while the connection lasts.
pub(crate) struct StdioTransport {
    wire: Arc<Wire>,
    lines: Lines<pipe::Receiver>,
    /// The rest of a batch (an array of messages, as the revision of March 2025 allows).
    batch: VecDeque<Value>,
}

impl StdioTransport {
    pub(crate) fn new(wire: Arc<Wire>, stdout: pipe::Receiver) -> Self {
        Self { wire, lines: Lines::new(stdout, LONGEST), batch: VecDeque::new() }
    }
}

impl Transport<RoleClient> for StdioTransport {
    type Error = io::Error;

    fn name() -> Cow<'static, str> {
        "stdio".into()
    }

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        // Done before it returns: rmcp gives the future to a task of its own.
        ready(self.wire.send(&item))
    }

    /// Cancel-safe: lines are kept by the reader, batches here.
    async fn receive(&mut self) -> Option<Incoming> {
        loop {
            if let Some(value) = self.batch.pop_front() {
                if let Some(message) = self.wire.accept(value, b"a part of a batch") {
                    return Some(message);
                }
                continue;
            }
            let message = match self.lines.next().await {
                Ok(Found::Line(line)) => {
                    let line = self.lines.get(line);
                    self.wire.read(line, &mut self.batch)
                }
                Ok(Found::TooLong { bytes, head, tail }) => {
                    let why = format!("it has {bytes} bytes on one line, more than {LONGEST}");
                    self.wire.unreadable(&head, &tail, why)
                }
                Ok(Found::End) => return None,
                Err(error) => {
                    tracing::debug!(%error, "a server's standard output cannot be read");
                    return None;
                }
            };
            if message.is_some() {
                return message;
            }
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        self.wire.outbox.close();
        Ok(())
    }
}

impl Wire {
    fn send(&self, item: &TxJsonRpcMessage<RoleClient>) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(item)?;
        bytes.push(b'\n');
        let JsonRpcMessage::Request(request) = item else { return self.outbox.push(bytes, None) };
        let method = match &request.request {
            ClientRequest::InitializeRequest(_) => Method::Initialize,
            _ => Method::Other,
        };
        let ticket = request.request.extensions().get::<Arc<Ticket>>().cloned();
        let token = request.request.get_meta().get_progress_token().map(|token| token.0);
        // Before it is sent, since the answer may be faster than the next line here.
        self.flights.depart(request.id.clone(), method, ticket.clone(), token);
        let sent = self.outbox.push(bytes, ticket);
        if sent.is_err() {
            self.flights.forget(&request.id);
        }
        sent
    }

    /// Reads one line: a message, a batch, or noise.
    fn read(&self, line: &[u8], batch: &mut VecDeque<Value>) -> Option<Incoming> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        // What cannot be a message is not parsed at all.
        match line.first() {
            Some(b'{' | b'[') => {}
            None => return None,
            Some(_) => {
                self.noise.line(line);
                return None;
            }
        }
        match serde_json::from_slice(line) {
            Ok(Value::Array(values)) if !values.is_empty() && values.iter().all(is_message) => {
                batch.extend(values);
                None
            }
            Ok(value) => self.accept(value, line),
            Err(error) => {
                let tail = &line[line.len().saturating_sub(256)..];
                self.unreadable(line, tail, format!("it is no JSON: {error}"))
            }
        }
    }

    /// Takes one message in. `None` when it was served here, or was none.
    fn accept(&self, value: Value, line: &[u8]) -> Option<Incoming> {
        if !is_message(&value) {
            self.noise.line(line);
            return None;
        }
        let Value::Object(mut message) = value else { return None };
        let id = message.remove("id").and_then(request_id);
        match (message.remove("method"), id) {
            (Some(Value::String(method)), Some(id)) => {
                Some(JsonRpcMessage::request(request(method, message.remove("params")), id))
            }
            (Some(Value::String(method)), None) => self.notification(&method, message.remove("params")),
            (_, Some(id)) => self.answer(id, message, line),
            (_, None) => {
                // An error without a number: the server could not read something of ours.
                self.noise.line(line);
                None
            }
        }
    }

    fn answer(&self, id: RequestId, mut message: Map<String, Value>, line: &[u8]) -> Option<Incoming> {
        let Some(flight) = self.flights.land(&id) else {
            self.noise.stray(line);
            return None;
        };
        if let Some(error) = message.remove("error") {
            return Some(JsonRpcMessage::error(error_data(error), Some(id)));
        }
        let result = message.remove("result").unwrap_or(Value::Null);
        let result = match flight.method {
            Method::Initialize => {
                *self.greeting.lock().unwrap_or_else(PoisonError::into_inner) = Some(result.clone());
                match serde_json::from_value(result.clone()) {
                    Ok(greeting) => ServerResult::InitializeResult(greeting),
                    Err(_) => ServerResult::CustomResult(CustomResult(result)),
                }
            }
            Method::Other => ServerResult::CustomResult(CustomResult(result)),
        };
        Some(JsonRpcMessage::response(result, id))
    }

    /// Delivers a notification. Only what rmcp itself keeps track of is handed on.
    fn notification(&self, method: &str, params: Option<Value>) -> Option<Incoming> {
        let params = params.unwrap_or(Value::Null);
        match method {
            "notifications/progress" => {
                let token = params.get("progressToken").cloned().and_then(request_id)?;
                let ticket = self.flights.by_token(&token)?;
                ticket.back()?.notify(progress(&params)?);
                None
            }
            "notifications/message" => {
                // A log line names no request: every caller of the moment gets it.
                for ticket in self.flights.callers() {
                    if let Some(back) = ticket.back() {
                        back.notify(log(&params));
                    }
                }
                None
            }
            "notifications/tools/list_changed"
            | "notifications/resources/list_changed"
            | "notifications/prompts/list_changed" => {
                self.list_changed.send_modify(|count| *count += 1);
                None
            }
            "notifications/cancelled" => {
                let id = params.get("requestId").cloned().and_then(request_id)?;
                let reason = params.get("reason").and_then(Value::as_str).map(str::to_owned);
                let params = CancelledNotificationParam::new(Some(id), reason);
                let notification =
                    ServerNotification::CancelledNotification(CancelledNotification::new(params));
                Some(JsonRpcMessage::notification(notification))
            }
            _ => None,
        }
    }

    /// Records a line that cannot be read, and ends the wait of whom it would have answered.
    fn unreadable(&self, head: &[u8], tail: &[u8], why: String) -> Option<Incoming> {
        self.noise.line(head);
        let id = answered(head, tail)?;
        let flight = self.flights.land(&id)?;
        if let Some(ticket) = flight.ticket {
            ticket.set_unreadable(why.clone());
        }
        let error = ErrorData::internal_error(format!("the answer cannot be read: {why}"), None);
        Some(JsonRpcMessage::error(error, Some(id)))
    }
}

fn is_message(value: &Value) -> bool {
    value.get("jsonrpc").and_then(Value::as_str) == Some("2.0")
        && (value.get("method").is_some_and(Value::is_string)
            || value.get("result").is_some()
            || value.get("error").is_some())
}

/// A request's number; a text that is a number is one, as some servers write it.
fn request_id(value: Value) -> Option<RequestId> {
    match value {
        Value::Number(number) => number.as_i64().map(NumberOrString::Number),
        Value::String(text) => Some(match text.parse() {
            Ok(number) => NumberOrString::Number(number),
            Err(_) => NumberOrString::String(text.into()),
        }),
        _ => None,
    }
}

/// The server's requests go on raw, but for `ping`, which rmcp answers also during the handshake.
fn request(method: String, params: Option<Value>) -> ServerRequest {
    if method == "ping" {
        return ServerRequest::PingRequest(PingRequest::default());
    }
    ServerRequest::CustomRequest(CustomRequest::new(method, params))
}

fn error_data(error: Value) -> ErrorData {
    serde_json::from_value(error.clone())
        .unwrap_or_else(|_| ErrorData::internal_error(error.to_string(), None))
}

fn progress(params: &Value) -> Option<CallEvent> {
    Some(CallEvent::Progress {
        progress: params.get("progress")?.as_f64()?,
        total: params.get("total").and_then(Value::as_f64),
        message: params.get("message").and_then(Value::as_str).map(str::to_owned),
    })
}

fn log(params: &Value) -> CallEvent {
    CallEvent::Log {
        level: params.get("level").and_then(Value::as_str).unwrap_or("info").to_owned(),
        data: params.get("data").cloned().unwrap_or(Value::Null),
    }
}

/// Whose answer an unreadable line is, as far as its two ends tell.
///
/// The number stands before the result or after it, as the line's writer orders its members.
/// Only members outside of the result count, so nothing within a result is taken for a number.
fn answered(head: &[u8], tail: &[u8]) -> Option<RequestId> {
    let head = String::from_utf8_lossy(head);
    let body = head.find("\"result\"").or_else(|| head.find("\"error\""))?;
    let before = &head[..body];
    if before.contains("\"method\"") {
        return None;
    }
    if let Some(at) = before.find("\"id\"") {
        return number_after(&before[at + 4..]).map(|(id, _)| id);
    }
    let tail = String::from_utf8_lossy(tail);
    let at = tail.rfind("\"id\"")?;
    let (id, rest) = number_after(&tail[at + 4..])?;
    let rest = rest.trim();
    (rest == "}" || rest.starts_with(",\"jsonrpc\"") || rest.starts_with(", \"jsonrpc\"")).then_some(id)
}

/// Reads `: 5` or `: "5"`.
fn number_after(text: &str) -> Option<(RequestId, &str)> {
    let text = text.trim_start().strip_prefix(':')?.trim_start();
    let text = text.strip_prefix('"').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    let rest = &text[end..];
    Some((NumberOrString::Number(number), rest.strip_prefix('"').unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use dormouse_types::{BackChannel, NoBackChannel};

    use super::*;

    fn wire() -> (Arc<Wire>, pipe::Receiver) {
        let (sender, receiver) = pipe::pipe().unwrap();
        (Wire::new(sender), receiver)
    }

    fn depart(wire: &Wire, id: i64) -> Arc<Ticket> {
        let ticket = Ticket::new(Some(Arc::new(NoBackChannel) as Arc<dyn BackChannel>));
        wire.flights.depart(NumberOrString::Number(id), Method::Other, Some(Arc::clone(&ticket)), None);
        ticket
    }

    #[tokio::test]
    async fn what_is_no_message_is_noise_and_gets_no_answer() {
        let (wire, _receiver) = wire();
        let mut batch = VecDeque::new();
        let noise = [
            "42",
            "hello",
            "[1, 2]",
            "[]",
            "{}",
            "{\"method\": \"ping\", \"id\": 1}",
            "{\"jsonrpc\": \"2.0\"}",
            "{\"jsonrpc\": \"2.0\", \"error\": {\"code\": -32700, \"message\": \"?\"}, \"id\": null}",
            "{broken",
            "\u{fffd}\u{0}",
        ];
        for line in noise {
            assert!(wire.read(line.as_bytes(), &mut batch).is_none(), "{line}");
        }
        assert!(batch.is_empty());
        assert_eq!(wire.noise.read().lines, noise.len() as u64);
        for quiet in ["", "  ", "\u{feff}"] {
            assert!(wire.read(quiet.as_bytes(), &mut batch).is_none());
        }
        assert_eq!(wire.noise.read().lines, noise.len() as u64);
    }

    #[tokio::test]
    async fn a_second_answer_and_a_wrong_number_are_strays() {
        let (wire, _receiver) = wire();
        depart(&wire, 1);
        let line = br#"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"#;
        assert!(wire.read(line, &mut VecDeque::new()).is_some());
        assert!(wire.read(line, &mut VecDeque::new()).is_none());
        assert_eq!((wire.noise.read().lines, wire.noise.read().strays), (0, 1));
    }

    #[tokio::test]
    async fn results_pass_raw() {
        let (wire, _receiver) = wire();
        depart(&wire, 7);
        let line = br#"{"jsonrpc":"2.0","id":"7","result":{"content":[{"type":"x","y":1}],"z":2}}"#;
        let message = wire.read(line, &mut VecDeque::new()).unwrap();
        let (result, _) = message.into_response().unwrap();
        let ServerResult::CustomResult(CustomResult(value)) = result else { panic!() };
        assert_eq!(value, serde_json::json!({"content": [{"type": "x", "y": 1}], "z": 2}));
    }

    #[tokio::test]
    async fn an_answer_that_is_no_json_fails_its_call_at_once() {
        let (wire, _receiver) = wire();
        let ticket = depart(&wire, 3);
        let line = br#"{"jsonrpc":"2.0","id":3,"result":{"content":[],"structuredContent":NaN}}"#;
        let message = wire.read(line, &mut VecDeque::new()).unwrap();
        assert!(message.into_error().is_some());
        assert!(ticket.take_unreadable().unwrap().contains("no JSON"));
    }

    #[tokio::test]
    async fn a_batch_is_its_messages() {
        let (wire, _receiver) = wire();
        let mut batch = VecDeque::new();
        let line = br#"[{"jsonrpc":"2.0","id":1,"result":1},{"jsonrpc":"2.0","method":"ping","id":9}]"#;
        assert!(wire.read(line, &mut batch).is_none());
        assert_eq!(batch.len(), 2);
    }

    #[test]
    fn the_number_of_an_overlong_answer_is_read_from_either_end() {
        let check = |head: &str, tail: &str, expected: Option<i64>| {
            let id = answered(head.as_bytes(), tail.as_bytes());
            assert_eq!(id, expected.map(NumberOrString::Number), "{head} … {tail}");
        };
        check(r#"{"jsonrpc":"2.0","id":5,"result":{"content":[{"id":9"#, r#""id":8}}"#, Some(5));
        check(r#"{"jsonrpc": "2.0", "id": "5", "result": "#, "", Some(5));
        check(r#"{"result":{"content":["#, r#"aaa"]},"jsonrpc":"2.0","id":6}"#, Some(6));
        check(r#"{"result":{"content":["#, r#"aaa"]}, "id": 6, "jsonrpc": "2.0"}"#, Some(6));
        check(r#"{"result":{"content":["#, r#"{"id":6}]},"jsonrpc":"2.0"}"#, None);
        check(r#"{"jsonrpc":"2.0","id":5,"method":"x","params":{"result":1"#, "", None);
        check("xxxxxxxx", "\"id\":5}", None);
    }
}
