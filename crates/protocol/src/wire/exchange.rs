//! Who waits for which answer, and what becomes of each message of a server.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dormouse_types::{CallEvent, ServerNote};
use rmcp::RoleClient;
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, CustomRequest, GetExtensions, JsonRpcMessage,
    NumberOrString, PingRequest, RequestId, ServerNotification, ServerRequest,
};
use rmcp::service::RxJsonRpcMessage;
use serde_json::{Map, Value, json};
use tokio::sync::{broadcast, watch};

use super::flights::{Flights, Ticket};
use super::levels::Levels;
use super::noise::NoiseLog;
use crate::error::CallError;

/// Where a notification says to which listening it belongs; that is between the hub and the server.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// How many notes wait for who reads slowly.
const NOTES: usize = 64;

/// What the transport and the connection above it share.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) flights: Flights,
    pub(crate) noise: NoiseLog,
    /// Counts the announcements that a list has changed.
    pub(crate) list_changed: watch::Sender<u64>,
    /// What the server says that belongs to no call.
    pub(crate) notes: broadcast::Sender<Arc<ServerNote>>,
    /// The resources that a server of the older kind was asked to tell about.
    pub(crate) subscribed: Mutex<BTreeSet<String>>,
    /// What the server answered to its greeting, member for member.
    pub(crate) greeting: Mutex<Option<Value>>,
    /// Whether it lets callers say which log they want, and which they do.
    pub(crate) logs: AtomicBool,
    pub(crate) levels: Levels,
}

/// One message of the server, as rmcp takes it.
pub(crate) type Incoming = RxJsonRpcMessage<RoleClient>;

/// On what stream a message came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream<'a> {
    /// On the one for everything.
    Shared,
    /// On the one that answers a request.
    #[cfg_attr(not(feature = "remote"), expect(dead_code, reason = "pipes have one stream"))]
    Answering(&'a Arc<Ticket>),
}

impl Wire {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            flights: Flights::default(),
            noise: NoiseLog::default(),
            list_changed: watch::Sender::new(0),
            notes: broadcast::Sender::new(NOTES),
            subscribed: Mutex::default(),
            greeting: Mutex::new(None),
            logs: AtomicBool::new(false),
            levels: Levels::default(),
        })
    }

    /// Takes what the server says of itself, as it begins or begins anew.
    pub(crate) fn set_greeting(&self, greeting: Value) {
        let logs = greeting
            .get("capabilities")
            .is_some_and(|all| all.get("logging").is_some_and(|it| !it.is_null()));
        self.logs.store(logs, Ordering::Relaxed);
        self.levels.forget();
        *self.greeting.lock().unwrap_or_else(PoisonError::into_inner) = Some(greeting);
    }

    /// Reads one line: a message, a batch, or noise.
    pub(super) fn read(&self, line: &[u8], batch: &mut VecDeque<Value>) -> Option<Incoming> {
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
            Ok(value) => self.accept(value, line, Stream::Shared).incoming(),
            Err(error) => {
                let tail = &line[line.len().saturating_sub(256)..];
                self.unreadable(line, tail, format!("it is no JSON: {error}"));
                None
            }
        }
    }

    /// Takes one message in.
    pub(crate) fn accept(&self, value: Value, line: &[u8], stream: Stream<'_>) -> Taken {
        if !is_message(&value) {
            self.noise.line(line);
            return self.half_an_answer(&value);
        }
        let Value::Object(mut message) = value else { return Taken::Done };
        let id = message.remove("id").and_then(request_id);
        match (message.remove("method"), id) {
            (Some(Value::String(method)), Some(id)) => {
                let mut request = request(method, message.remove("params"));
                if let Stream::Answering(ticket) = stream {
                    request.extensions_mut().insert(Arc::clone(ticket));
                }
                Taken::Incoming(Box::new(JsonRpcMessage::request(request, id)))
            }
            (Some(Value::String(method)), None) => {
                match self.notification(&method, message.remove("params"), stream) {
                    Some(message) => Taken::Incoming(Box::new(message)),
                    None => Taken::Done,
                }
            }
            (_, Some(id)) => self.answer(&id, message, line),
            (_, None) => {
                // An error without a number: the server could not read something of ours.
                self.noise.line(line);
                Taken::Done
            }
        }
    }

    /// Ends the wait for an answer that says nothing: no better one will come.
    fn half_an_answer(&self, value: &Value) -> Taken {
        let is_ours = value.get("jsonrpc").and_then(Value::as_str) == Some("2.0");
        if !is_ours || value.get("method").is_some() {
            return Taken::Done;
        }
        match value.get("id").cloned().and_then(request_id) {
            Some(NumberOrString::Number(id)) => {
                let why = "it has neither a result nor an error".to_owned();
                if self.flights.land(id, Err(CallError::Unreadable { why })) {
                    Taken::Answer(id)
                } else {
                    Taken::Done
                }
            }
            _ => Taken::Done,
        }
    }

    fn answer(&self, id: &RequestId, mut message: Map<String, Value>, line: &[u8]) -> Taken {
        let NumberOrString::Number(id) = *id else {
            self.noise.stray(line);
            return Taken::Done;
        };
        let answer = match message.remove("error") {
            Some(error) => Err(refused(error)),
            None => Ok(message.remove("result").unwrap_or(Value::Null)),
        };
        if self.flights.land(id, answer) {
            return Taken::Answer(id);
        }
        self.noise.stray(line);
        Taken::Done
    }

    /// Delivers a notification. Only what rmcp itself keeps track of is handed on.
    fn notification(&self, method: &str, params: Option<Value>, stream: Stream<'_>) -> Option<Incoming> {
        let params = params.unwrap_or(Value::Null);
        match method {
            "notifications/progress" => {
                let token = params.get("progressToken").cloned().and_then(request_id)?;
                let NumberOrString::Number(token) = token else { return None };
                let ticket = self.flights.by_token(token)?;
                ticket.back()?.notify(progress(params)?);
                None
            }
            "notifications/tools/list_changed"
            | "notifications/resources/list_changed"
            | "notifications/prompts/list_changed" => {
                self.list_changed.send_modify(|count| *count += 1);
                self.note(method, params);
                None
            }
            "notifications/resources/updated" => {
                self.note(method, params);
                None
            }
            "notifications/subscriptions/acknowledged" => {
                let ticket = match stream {
                    Stream::Answering(ticket) => Arc::clone(ticket),
                    Stream::Shared => {
                        let id = params.get("_meta")?.get(SUBSCRIPTION)?.as_i64()?;
                        self.flights.by_token(id)?
                    }
                };
                ticket.back()?.notify(CallEvent::Other { method: method.to_owned(), params });
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
            _ => {
                self.tell(method, params, stream);
                None
            }
        }
    }

    /// Tells those whom a notification concerns: the call on whose stream it came, on the stream
    /// for everything the callers of the moment if they are of one context, since it does not say
    /// whose call it belongs to; else whoever listens to the server.
    fn tell(&self, method: &str, params: Value, stream: Stream<'_>) {
        let callers = match stream {
            // These outlive the call that they are about.
            Stream::Shared
                if matches!(method, "notifications/tasks/status" | "notifications/elicitation/complete") =>
            {
                Vec::new()
            }
            Stream::Shared => self.flights.concerned(),
            Stream::Answering(ticket) if ticket.is_call() => vec![Arc::clone(ticket)],
            Stream::Answering(_) => Vec::new(),
        };
        let backs: Vec<_> = callers.iter().filter_map(|ticket| ticket.back()).collect();
        let Some((last, others)) = backs.split_last() else { return self.note(method, params) };
        let event = match method {
            "notifications/message" => log(params),
            _ => CallEvent::Other { method: method.to_owned(), params },
        };
        for back in others {
            back.notify(event.clone());
        }
        last.notify(event);
    }

    /// Tells whoever listens to the server.
    fn note(&self, method: &str, mut params: Value) {
        if let Some(meta) = params.get_mut("_meta").and_then(Value::as_object_mut)
            && meta.shift_remove(SUBSCRIPTION).is_some()
            && meta.is_empty()
            && let Some(params) = params.as_object_mut()
        {
            params.shift_remove("_meta");
        }
        let note = ServerNote { method: method.to_owned(), params, scope: self.flights.only_user() };
        // Fails when nobody listens.
        let _ = self.notes.send(Arc::new(note));
    }

    /// Tells that a resource may have changed while nobody could be told.
    pub(crate) fn note_update(&self, uri: &str) {
        self.note("notifications/resources/updated", json!({ "uri": uri }));
    }

    /// Records a line that cannot be read, and ends the wait of whom it would have answered.
    pub(super) fn unreadable(&self, head: &[u8], tail: &[u8], why: String) {
        self.noise.line(head);
        if let Some(id) = answered(head, tail) {
            self.flights.land(id, Err(CallError::Unreadable { why }));
        }
    }
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It was served here, or was none.
    Done,
    /// It answered the request of this number.
    Answer(#[cfg_attr(not(feature = "remote"), expect(dead_code, reason = "pipes wait for none"))] i64),
    /// It is for rmcp: a request of the server, or the end of one.
    Incoming(Box<Incoming>),
}

impl Taken {
    pub(super) fn incoming(self) -> Option<Incoming> {
        match self {
            Self::Incoming(message) => Some(*message),
            Self::Done | Self::Answer(_) => None,
        }
    }
}

pub(crate) fn is_message(value: &Value) -> bool {
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

/// An error of the server, as it came; of one without its form, all of it in words.
pub(crate) fn refused(error: Value) -> CallError {
    let Value::Object(mut members) = error else {
        return CallError::Refused { code: -32603, message: error.to_string(), data: None };
    };
    let (code, message) = (members.get("code").and_then(Value::as_i64), members.remove("message"));
    match (code, message) {
        (Some(code), Some(Value::String(message))) => {
            CallError::Refused { code, message, data: members.remove("data") }
        }
        (_, message) => {
            members.extend(message.map(|message| ("message".to_owned(), message)));
            let message = Value::Object(members).to_string();
            CallError::Refused { code: -32603, message, data: None }
        }
    }
}

fn progress(params: Value) -> Option<CallEvent> {
    let Value::Object(mut rest) = params else { return None };
    // That is between the hub and the server.
    rest.shift_remove("progressToken");
    Some(CallEvent::Progress {
        progress: rest.shift_remove("progress")?.as_f64()?,
        total: rest.shift_remove("total").and_then(|total| total.as_f64()),
        message: text(&mut rest, "message"),
        rest,
    })
}

fn log(params: Value) -> CallEvent {
    let mut rest = match params {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    CallEvent::Log {
        level: text(&mut rest, "level").unwrap_or_else(|| "info".to_owned()),
        logger: text(&mut rest, "logger"),
        data: rest.shift_remove("data").unwrap_or(Value::Null),
        rest,
    }
}

/// Takes a member out; only a text is one.
fn text(members: &mut Map<String, Value>, name: &str) -> Option<String> {
    match members.shift_remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Whose answer an unreadable line is, as far as its two ends tell.
///
/// The number stands before the result or after it, as the line's writer orders its members.
/// Only members outside of the result count, so nothing within a result is taken for a number.
fn answered(head: &[u8], tail: &[u8]) -> Option<i64> {
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
fn number_after(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start().strip_prefix(':')?.trim_start();
    let text = text.strip_prefix('"').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    let rest = &text[end..];
    Some((number, rest.strip_prefix('"').unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::super::flights::Answer;
    use super::*;

    /// A request under way; the first of a wire has the number 1.
    fn depart(wire: &Wire) -> oneshot::Receiver<Answer> {
        wire.flights.depart(&Ticket::new(None)).unwrap().1
    }

    #[test]
    fn what_is_no_message_is_noise_and_gets_no_answer() {
        let wire = Wire::new();
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

    #[test]
    fn an_answer_that_says_nothing_ends_the_wait() {
        let wire = Wire::new();
        let mut answered = depart(&wire);
        let mut batch = VecDeque::new();
        // Without the mark of the protocol, or as a request, it is noise.
        for noise in ["{\"id\": 1}", "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": 7}"] {
            assert!(wire.read(noise.as_bytes(), &mut batch).is_none());
            assert!(answered.try_recv().is_err(), "{noise}");
        }
        assert!(wire.read(b"{\"jsonrpc\": \"2.0\", \"id\": 1}", &mut batch).is_none());
        assert!(matches!(answered.try_recv(), Ok(Err(CallError::Unreadable { .. }))));
    }

    #[test]
    fn a_second_answer_and_a_wrong_number_are_strays() {
        let wire = Wire::new();
        let mut answered = depart(&wire);
        let line = br#"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"#;
        for _ in 0..2 {
            assert!(wire.read(line, &mut VecDeque::new()).is_none());
        }
        assert!(answered.try_recv().unwrap().is_ok());
        assert_eq!((wire.noise.read().lines, wire.noise.read().strays), (0, 1));
    }

    #[test]
    fn results_pass_raw() {
        let wire = Wire::new();
        let mut answered = depart(&wire);
        let line = br#"{"jsonrpc":"2.0","id":"1","result":{"content":[{"type":"x","y":1}],"z":2}}"#;
        assert!(wire.read(line, &mut VecDeque::new()).is_none());
        let value = answered.try_recv().unwrap().unwrap();
        assert_eq!(value, serde_json::json!({"content": [{"type": "x", "y": 1}], "z": 2}));
    }

    #[test]
    fn errors_pass_raw_whatever_their_code() {
        let wire = Wire::new();
        let check = |error: &str, expected: (i64, &str, Option<Value>)| {
            let mut answered = wire.flights.depart(&Ticket::new(None)).unwrap();
            let line = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, answered.0);
            assert!(wire.read(line.as_bytes(), &mut VecDeque::new()).is_none());
            let Err(CallError::Refused { code, message, data }) = answered.1.try_recv().unwrap() else {
                panic!()
            };
            assert_eq!((code, message.as_str(), data), expected);
        };
        let data = Some(serde_json::json!({ "supported": [] }));
        check(r#"{"code":-32022,"message":"no","data":{"supported":[]}}"#, (-32022, "no", data));
        check(r#"{"code":9007199254740991,"message":""}"#, (9_007_199_254_740_991, "", None));
        check(r#""what""#, (-32603, r#""what""#, None));
        check(r#"{"message":"?"}"#, (-32603, r#"{"message":"?"}"#, None));
    }

    #[test]
    fn an_answer_that_is_no_json_fails_its_call_at_once() {
        let wire = Wire::new();
        let mut answer = depart(&wire);
        let line = br#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":NaN}}"#;
        assert!(wire.read(line, &mut VecDeque::new()).is_none());
        let Err(CallError::Unreadable { why }) = answer.try_recv().unwrap() else { panic!() };
        assert!(why.contains("no JSON"), "{why}");
    }

    #[test]
    fn a_batch_is_its_messages() {
        let wire = Wire::new();
        let mut batch = VecDeque::new();
        let line = br#"[{"jsonrpc":"2.0","id":1,"result":1},{"jsonrpc":"2.0","method":"ping","id":9}]"#;
        assert!(wire.read(line, &mut batch).is_none());
        assert_eq!(batch.len(), 2);
    }

    #[test]
    fn the_number_of_an_overlong_answer_is_read_from_either_end() {
        let check = |head: &str, tail: &str, expected: Option<i64>| {
            let id = answered(head.as_bytes(), tail.as_bytes());
            assert_eq!(id, expected, "{head} … {tail}");
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
