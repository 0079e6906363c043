//! A call, its end, and the way back while it runs.

use std::fmt;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Scope;

/// The arguments of a call, by parameter name.
pub type Arguments = Map<String, Value>;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The tool answered.
    Ok,
    /// The tool answered that it failed (`isError`).
    ToolError,
    /// It was certainly not executed.
    Failed,
    /// It may have been executed; nobody can say.
    Unknown,
}

impl Outcome {
    /// The word as it stands in answers and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What `tools/call` answered, member for member.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallResult {
    /// MCP content blocks, untouched.
    #[serde(default)]
    pub content: Vec<Value>,
    /// The structured result, untouched; any JSON value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Value>,
    /// Whether the tool says that it failed.
    #[serde(default)]
    pub is_error: bool,
    /// Every other member, as it came (`_meta`, …).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl CallResult {
    /// The result as one text: the text blocks, a line each; with none, the structured result as JSON.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self
            .content
            .iter()
            .filter(|block| block.get("type").and_then(Value::as_str) == Some("text"))
            .filter_map(|block| block.get("text").and_then(Value::as_str))
            .collect();
        match (&texts[..], &self.structured_content) {
            ([], Some(value)) => value.to_string(),
            ([], None) => self.content.iter().map(describe).collect::<Vec<_>>().join("\n"),
            (texts, _) => texts.join("\n"),
        }
    }

    /// How a call with this result ended.
    pub fn outcome(&self) -> Outcome {
        if self.is_error { Outcome::ToolError } else { Outcome::Ok }
    }
}

/// A block that has no text, in a few words.
fn describe(block: &Value) -> String {
    let kind = block.get("type").and_then(Value::as_str).unwrap_or("content");
    match block.get("mimeType").and_then(Value::as_str) {
        Some(mime) => format!("[{kind}: {mime}]"),
        None => format!("[{kind}]"),
    }
}

/// Something that a server says while a call runs.
#[derive(Debug, Clone, PartialEq)]
pub enum CallEvent {
    /// How far it is.
    Progress {
        /// The part done, in the tool's own unit.
        progress: f64,
        /// The whole, if the tool knows it.
        total: Option<f64>,
        /// What it is doing.
        message: Option<String>,
        /// All else that it says, such as `_meta`; as a rule nothing.
        rest: Map<String, Value>,
    },
    /// A line of its log.
    Log {
        /// MCP's level: `debug` to `emergency`.
        level: String,
        /// Which part of the server logged it, where it says so.
        logger: Option<String>,
        /// What it logged.
        data: Value,
        /// All else that it says, such as `_meta`; as a rule nothing.
        rest: Map<String, Value>,
    },
    /// What the hub does for the call before the server can: preparing, waking.
    Waking {
        /// In words for a person.
        step: String,
    },
    /// Any further notification that belongs to the call, as it came.
    Other {
        /// MCP's method, such as `notifications/elicitation/complete`.
        method: String,
        /// Its parameters, untouched; `null` when there are none.
        params: Value,
    },
}

/// A request that a server makes while it works on a call: elicitation, sampling, roots.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerRequest {
    /// MCP's method, such as `elicitation/create`.
    pub method: String,
    /// Its parameters, untouched.
    pub params: Value,
}

/// What the caller says to a [`PeerRequest`].
#[derive(Debug, Clone, PartialEq)]
pub enum PeerAnswer {
    /// The result, in MCP's shape for that method.
    Result(Value),
    /// An error of JSON-RPC, which reaches the server as it is.
    Refused {
        /// JSON-RPC's code.
        code: i64,
        /// The caller's words.
        message: String,
        /// What it added.
        data: Option<Value>,
    },
    /// Nobody here can answer such a request.
    Unsupported,
}

/// What becomes of a result by which a server of 2026-07-28 asks for more (`input_required`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rounds {
    /// The caller is asked by [`BackChannel::ask`], and the request is made again with his answers.
    #[default]
    Driven,
    /// It is a result like another.
    Passed,
}

/// A notification of a server that belongs to no call, as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerNote {
    /// MCP's method, such as `notifications/resources/updated`.
    pub method: String,
    /// Its parameters, untouched; `null` when there are none.
    pub params: Value,
    /// The only context that has used the server since it started. `None`: nobody has, several
    /// have, or it is not known who did; then nobody can tell whom it may concern.
    pub scope: Option<Scope>,
}

/// MCP's levels of log messages (RFC 5424), the most verbose first.
pub const LOG_LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// The way back from a running call to its caller.
///
/// Every call carries one. To cancel a call, drop its future: the server is told.
#[async_trait]
pub trait BackChannel: Send + Sync + fmt::Debug {
    /// Takes an event. Must return at once; a slow listener drops events rather than wait.
    fn notify(&self, event: CallEvent);

    /// Answers a request of the server.
    async fn ask(&self, request: PeerRequest) -> PeerAnswer {
        let _ = request;
        PeerAnswer::Unsupported
    }

    /// What the caller can answer: MCP's client capabilities, an object. Servers of 2026-07-28 are
    /// told with each request; the others at their handshake what some caller might.
    fn capabilities(&self) -> Arc<Value> {
        static NONE: LazyLock<Arc<Value>> = LazyLock::new(|| Arc::new(Value::Object(Map::new())));
        NONE.clone()
    }

    /// The context that calls, where it is known. What is meant for one caller of a context does no
    /// harm with another one of it.
    fn scope(&self) -> Option<&Scope> {
        None
    }

    /// The client that calls, where one may have several calls under way: a name that within its
    /// context is of no other client. Where a server does not say for which of its calls it asks, and
    /// all that run are of one client, that one is asked.
    fn client(&self) -> Option<&str> {
        None
    }

    /// Whether the caller wants to hear how far the server is. A server that nobody asked to tell
    /// it is not asked either.
    fn wants_progress(&self) -> bool {
        true
    }

    /// The lowest level of a server's log that the caller wants, such as `info`; `None` wants no
    /// particular one.
    fn log_level(&self) -> Option<String> {
        None
    }
}

/// The back channel of a caller who does not listen.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBackChannel;

impl BackChannel for NoBackChannel {
    fn notify(&self, _event: CallEvent) {}

    fn wants_progress(&self) -> bool {
        false
    }
}

/// The same, of a context that is known: what a server says unasked may then be told to others of
/// this context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentCaller(pub Scope);

impl BackChannel for SilentCaller {
    fn notify(&self, _event: CallEvent) {}

    fn wants_progress(&self) -> bool {
        false
    }

    fn scope(&self) -> Option<&Scope> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_joins_text_blocks_and_falls_back_to_structure() {
        let mut result: CallResult = serde_json::from_value(json!({
            "content": [{"type": "text", "text": "a"}, {"type": "image", "mimeType": "image/png"}, {"type": "text", "text": "b"}],
            "structuredContent": {"n": 1},
            "_meta": {"x": 1},
        }))
        .unwrap();
        assert_eq!(result.text(), "a\nb");
        assert_eq!(result.rest["_meta"], json!({"x": 1}));
        result.content.clear();
        assert_eq!(result.text(), r#"{"n":1}"#);
    }

    #[test]
    fn unknown_members_survive_a_round_trip() {
        let wire = json!({"content": [{"type": "hologram", "x": [1]}], "isError": true, "future": 7});
        let result: CallResult = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(result.outcome(), Outcome::ToolError);
        assert_eq!(serde_json::to_value(&result).unwrap(), wire);
    }
}
