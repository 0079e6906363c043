//! JSON-RPC: what comes in, taken apart as little as possible, and what goes out.

use serde_json::{Map, Number, Value, json};

/// The params of a message.
pub(crate) type Params = Map<String, Value>;

/// The number or name of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    Number(Number),
    Text(String),
}

impl Id {
    /// `None` for what cannot be an id: MCP forbids `null` too.
    pub(crate) fn read(value: Value) -> Option<Self> {
        match value {
            Value::Number(number) => Some(Self::Number(number)),
            Value::String(text) => Some(Self::Text(text)),
            _ => None,
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone()),
        }
    }
}

/// A request of a client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) id: Id,
    pub(crate) method: String,
    pub(crate) params: Params,
}

impl Request {
    /// A member of `_meta`.
    pub(crate) fn meta(&self, name: &str) -> Option<&Value> {
        self.params.get("_meta")?.get(name)
    }
}

/// One message of a client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Incoming {
    Request(Request),
    Notification {
        method: String,
        params: Params,
    },
    /// The answer to a request of ours.
    Answer {
        id: Id,
        answer: Result<Value, Fault>,
    },
}

/// A message that is none, and to whom the error goes: the id, if it could be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unreadable {
    pub(crate) id: Option<Id>,
    pub(crate) fault: Box<Fault>,
}

impl Unreadable {
    /// The message that says so.
    pub(crate) fn message(&self) -> Value {
        self.fault.message_to(self.id.as_ref())
    }
}

impl Incoming {
    /// Takes one JSON value as a message.
    pub(crate) fn read(value: Value) -> Result<Self, Unreadable> {
        let Value::Object(mut message) = value else {
            return Err(unreadable(None, "a message is a JSON object"));
        };
        let had_id = message.contains_key("id");
        let id = message.remove("id").and_then(Id::read);
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(unreadable(id, "`jsonrpc` must be \"2.0\""));
        }
        match message.remove("method") {
            Some(Value::String(method)) => {
                let params = match message.remove("params") {
                    None | Some(Value::Null) => Params::new(),
                    Some(Value::Object(params)) => params,
                    Some(_) => return Err(unreadable(id, "`params` must be an object")),
                };
                match id {
                    Some(id) => Ok(Self::Request(Request { id, method, params })),
                    None if had_id => Err(unreadable(None, "`id` must be a text or a number")),
                    None => Ok(Self::Notification { method, params }),
                }
            }
            Some(_) => Err(unreadable(id, "`method` must be a text")),
            None => {
                let Some(id) = id else {
                    return Err(unreadable(None, "a message has a `method`, or answers an `id`"));
                };
                let answer = match (message.remove("result"), message.remove("error")) {
                    (Some(result), None) => Ok(result),
                    (None, Some(error)) => Err(Fault::read(&error)),
                    _ => return Err(unreadable(Some(id), "an answer has a `result` or an `error`")),
                };
                Ok(Self::Answer { id, answer })
            }
        }
    }

    /// Reads bytes as one message.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Unreadable> {
        serde_json::from_slice(bytes).map_err(|error| Unreadable {
            id: None,
            fault: Fault::new(PARSE_ERROR, error.to_string()).into(),
        })
    }
}

fn unreadable(id: Option<Id>, why: &str) -> Unreadable {
    Unreadable { id, fault: Fault::new(INVALID_REQUEST, why).into() }
}

/// It is no JSON.
pub(crate) const PARSE_ERROR: i64 = -32700;
/// It is no message.
pub(crate) const INVALID_REQUEST: i64 = -32600;
/// There is no such method here.
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
/// The params are not what the method takes.
pub(crate) const INVALID_PARAMS: i64 = -32602;
/// It went wrong here.
pub(crate) const INTERNAL_ERROR: i64 = -32603;
/// There is no such resource, up to 2025-11-25.
pub(crate) const RESOURCE_NOT_FOUND: i64 = -32002;
/// Headers and body say different things (2026-07-28).
pub(crate) const HEADER_MISMATCH: i64 = -32020;
/// The client cannot do what is needed (2026-07-28).
pub(crate) const MISSING_CAPABILITY: i64 = -32021;
/// The revision is not spoken here (2026-07-28).
pub(crate) const UNSUPPORTED_REVISION: i64 = -32022;
/// The client has cancelled it: no answer is sent.
const CANCELLED: i64 = i64::MIN;

/// Why a request has no result: JSON-RPC's error object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl Fault {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(crate) fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    pub(crate) fn no_method(method: &str) -> Self {
        Self::new(METHOD_NOT_FOUND, "Method not found").with_data(json!({ "method": method }))
    }

    /// The client has taken the request back.
    pub(crate) fn cancelled() -> Self {
        Self::new(CANCELLED, "cancelled by the client")
    }

    /// Whether the client took the request back; then it gets no answer.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.code == CANCELLED
    }

    /// Reads JSON-RPC's error object.
    pub(crate) fn read(error: &Value) -> Self {
        Self {
            code: error["code"].as_i64().unwrap_or(INTERNAL_ERROR),
            message: error["message"].as_str().unwrap_or("an error without words").to_owned(),
            data: error.get("data").cloned(),
        }
    }

    fn to_value(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(data) = &self.data {
            error["data"] = data.clone();
        }
        error
    }

    /// The message that carries it; without an id it answers what could not be read.
    pub(crate) fn message_to(&self, id: Option<&Id>) -> Value {
        let id = id.map_or(Value::Null, Id::to_value);
        json!({ "jsonrpc": "2.0", "id": id, "error": self.to_value() })
    }
}

/// The answer to a request as it goes out.
pub(crate) fn response(id: &Id, answer: Result<Value, Fault>) -> Value {
    match answer {
        Ok(result) => {
            let mut message = Map::with_capacity(3);
            message.insert("jsonrpc".to_owned(), Value::from("2.0"));
            message.insert("id".to_owned(), id.to_value());
            message.insert("result".to_owned(), result);
            Value::Object(message)
        }
        Err(fault) => fault.message_to(Some(id)),
    }
}

/// A notification as it goes out.
pub(crate) fn notification(method: &str, params: Value) -> Value {
    match params {
        Value::Null => json!({ "jsonrpc": "2.0", "method": method }),
        params => json!({ "jsonrpc": "2.0", "method": method, "params": params }),
    }
}

/// A request of ours as it goes out.
pub(crate) fn request(id: &Id, method: &str, params: Value) -> Value {
    let mut message = notification(method, params);
    message["id"] = id.to_value();
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let read = |value: Value| Incoming::read(value);
        assert!(matches!(
            read(json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })),
            Ok(Incoming::Request(Request { id: Id::Number(_), .. }))
        ));
        assert!(matches!(
            read(json!({ "jsonrpc": "2.0", "method": "x", "params": null })),
            Ok(Incoming::Notification { .. })
        ));
        assert!(matches!(
            read(json!({ "jsonrpc": "2.0", "id": "a", "result": {} })),
            Ok(Incoming::Answer { answer: Ok(_), .. })
        ));
        assert!(matches!(
            read(json!({ "jsonrpc": "2.0", "id": "a", "error": { "code": 1, "message": "m" } })),
            Ok(Incoming::Answer { answer: Err(Fault { code: 1, .. }), .. })
        ));
    }

    #[test]
    fn what_is_no_message_is_refused_to_whom_it_concerns() {
        for (value, id) in [
            (json!([]), None),
            (json!(1), None),
            (json!({}), None),
            (json!({ "jsonrpc": "1.0", "id": 7, "method": "x" }), Some(7)),
            (json!({ "jsonrpc": "2.0", "id": null, "method": "x" }), None),
            (json!({ "jsonrpc": "2.0", "id": 7, "method": 3 }), Some(7)),
            (json!({ "jsonrpc": "2.0", "id": 7, "method": "x", "params": [1] }), Some(7)),
            (json!({ "jsonrpc": "2.0", "id": 7 }), Some(7)),
            (json!({ "jsonrpc": "2.0", "id": 7, "result": 1, "error": {} }), Some(7)),
        ] {
            let error = Incoming::read(value.clone()).unwrap_err();
            assert_eq!(error.id, id.map(|id: i64| Id::Number(id.into())), "{value}");
            assert_eq!(error.fault.code, INVALID_REQUEST, "{value}");
        }
    }
}
