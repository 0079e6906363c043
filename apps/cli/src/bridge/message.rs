//! As much of a message as the bridge has to know: whose ids it carries.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Methods that change nothing, or the same when they come twice: they may be asked again.
const HARMLESS: &[&str] = &[
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/get",
    "tasks/list",
    "tools/list",
];

/// What a line says, as far as the bridge has to know.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Message {
    /// The requests in it.
    pub(crate) asks: Vec<Value>,
    /// The requests that it answers.
    pub(crate) answers: Vec<Value>,
    /// The requests that it takes back.
    pub(crate) cancels: Vec<Value>,
    /// Its only method, where it has one.
    pub(crate) method: Option<String>,
    /// Whether it is a batch.
    pub(crate) batch: bool,
    /// Whether it is an error that names no request.
    pub(crate) refuses: bool,
    /// Whether all in it may be asked again.
    pub(crate) harmless: bool,
}

#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Cancelled {
    #[serde(rename = "requestId")]
    request: Value,
}

impl Message {
    /// Reads a line. What is no message asks nothing; the hub says what is wrong with it.
    pub(crate) fn read(line: &[u8]) -> Self {
        let mut message = Self { harmless: true, ..Self::default() };
        if line.trim_ascii_start().starts_with(b"[") {
            message.batch = true;
            for peek in serde_json::from_slice::<Vec<Peek<'_>>>(line).unwrap_or_default() {
                message.add(&peek);
            }
        } else if let Ok(peek) = serde_json::from_slice::<Peek<'_>>(line) {
            message.add(&peek);
            message.refuses = peek.error.is_some() && message.answers.is_empty();
            message.method = peek.method.map(Cow::into_owned);
        }
        message
    }

    fn add(&mut self, peek: &Peek<'_>) {
        let id =
            peek.id.and_then(|id| serde_json::from_str::<Value>(id.get()).ok()).filter(|id| !id.is_null());
        match (&peek.method, id) {
            (Some(method), Some(id)) => {
                self.harmless &= HARMLESS.contains(&&**method);
                self.asks.push(id);
            }
            (Some(method), None) if method == "notifications/cancelled" => {
                let params =
                    peek.params.and_then(|params| serde_json::from_str::<Cancelled>(params.get()).ok());
                self.cancels.extend(params.map(|params| params.request));
            }
            (Some(_), None) | (None, None) => {}
            (None, Some(id)) => self.answers.push(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_is_known_by_its_ids() {
        let call =
            Message::read(br#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"x"}}"#);
        assert_eq!((call.asks, call.harmless), (vec![json!("a")], false));
        let answer = Message::read(br#"{"id":7,"result":{"id":1,"method":"x"}}"#);
        assert_eq!((answer.answers, answer.asks.len()), (vec![json!(7)], 0));
        let cancel = Message::read(br#"{"method":"notifications/cancelled","params":{"requestId":7}}"#);
        assert_eq!(cancel.cancels, [json!(7)]);
        let batch =
            Message::read(br#" [{"id":1,"method":"ping"},{"id":2,"method":"tools/list"},{"method":"x"}]"#);
        assert_eq!((batch.asks.len(), batch.batch, batch.harmless), (2, true, true));
    }

    #[test]
    fn what_is_no_message_asks_nothing() {
        for line in ["", "no", "{", "7", "[7]", r#"{"id":null,"method":"ping"}"#, "\u{1}"] {
            let message = Message::read(line.as_bytes());
            assert!(message.asks.is_empty() && message.answers.is_empty(), "{line}: {message:?}");
        }
    }
}
