//! The call objects that libraries hand on from their models.

use std::time::Duration;

use dormouse_context::CallRequest;
use dormouse_types::Arguments;
use serde_json::{Map, Value};

use super::format::Format;
use super::gemini;

/// The most calls in one list.
pub const MOST_CALLS: usize = 128;

/// One call, as a model made it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// By what the library knows it again; not all give one.
    pub id: Option<String>,
    /// The name that the library called, as it came.
    pub name: String,
    /// The arguments, or what is wrong with them: models write JSON that is none.
    pub arguments: Result<Arguments, String>,
}

/// Calls of one form.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    /// Their form.
    pub format: Format,
    /// The calls, in their order.
    pub calls: Vec<ToolCall>,
    /// Whether they came as a list, or as a single call.
    pub is_list: bool,
}

/// Why a value cannot be taken as calls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableCalls {
    /// It has the shape of nobody's call.
    #[error("this is no call of {}; there are {}", .format.map_or("any library", Format::as_str), known())]
    Unknown {
        /// Where in what was sent, such as `[2]`; empty for the whole.
        at: String,
        /// The form that it should have had.
        format: Option<Format>,
    },
    /// There are too many.
    #[error("{count} calls at once are too many; {MOST_CALLS} are allowed")]
    TooMany {
        /// How many.
        count: usize,
    },
}

fn known() -> String {
    Format::ALL.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", ")
}

impl UnreadableCalls {
    /// Where in what was sent; empty for the whole.
    pub fn at(&self) -> &str {
        match self {
            Self::Unknown { at, .. } => at,
            Self::TooMany { .. } => "",
        }
    }
}

impl ToolCall {
    /// The request for the hub.
    ///
    /// # Errors
    /// What is wrong with the arguments, for the model to read.
    pub fn request(&self, format: Format, deadline: Option<Duration>) -> Result<CallRequest, String> {
        let tool = match format {
            Format::Gemini => gemini::full_name(&self.name).to_owned(),
            _ => self.name.clone(),
        };
        Ok(CallRequest { tool, server: None, arguments: self.arguments.clone()?, deadline })
    }
}

/// Reads a call, a list of calls, or a whole message with calls in it. Without a form it is
/// seen from the first call; an empty list is then OpenAI's.
///
/// # Errors
/// [`UnreadableCalls`] when one of them has the shape of no call. Wrong arguments are no error
/// here: they are the answer of that call.
pub fn read_calls(body: &Value, format: Option<Format>) -> Result<Calls, UnreadableCalls> {
    let (items, is_list, at) = items(body);
    if items.len() > MOST_CALLS {
        return Err(UnreadableCalls::TooMany { count: items.len() });
    }
    let place = |index: usize| if is_list { format!("{at}[{index}]") } else { at.clone() };
    let seen = match (format, items.first()) {
        (Some(format), _) => format,
        (None, None) => Format::OpenAi,
        (None, Some(first)) => {
            detect(first).ok_or_else(|| UnreadableCalls::Unknown { at: place(0), format: None })?
        }
    };
    let read = |(index, item): (usize, &&Value)| {
        read_call(item, seen).ok_or_else(|| UnreadableCalls::Unknown { at: place(index), format: Some(seen) })
    };
    let calls = items.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    Ok(Calls { format: seen, calls, is_list })
}

/// The calls in what was sent, whether they are a list, and where they stand.
fn items(body: &Value) -> (Vec<&Value>, bool, String) {
    if let Value::Array(list) = body {
        return (list.iter().collect(), true, String::new());
    }
    // Ollama's whole answer, and OpenAI's `choices[0]`.
    let (message, prefix) = match body.get("message") {
        Some(message) if message.is_object() => (message, "message."),
        _ => (body, ""),
    };
    if let Some(Value::Array(calls)) = message.get("tool_calls") {
        return (calls.iter().collect(), true, format!("{prefix}tool_calls"));
    }
    // Messages of parts hold words and thoughts beside the calls.
    for (member, is_call) in [
        ("content", is_tool_use as fn(&Value) -> bool),
        ("parts", |part| function_call(part).is_some()),
        ("output", |item| is_type(item, "function_call")),
    ] {
        if let Some(Value::Array(parts)) = message.get(member) {
            let calls = parts.iter().filter(|part| is_call(part)).collect();
            return (calls, true, format!("{prefix}{member}"));
        }
    }
    (vec![message], false, String::new())
}

fn is_type(value: &Value, kind: &str) -> bool {
    value.get("type").is_some_and(|named| named == kind)
}

fn is_tool_use(part: &Value) -> bool {
    is_type(part, "tool_use")
}

fn function_call(part: &Value) -> Option<&Value> {
    part.get("functionCall").or_else(|| part.get("function_call"))
}

/// Whose call it is, by its shape.
fn detect(call: &Value) -> Option<Format> {
    if is_tool_use(call) {
        return Some(Format::Anthropic);
    }
    if is_type(call, "function_call") {
        return Some(Format::OpenAiResponses);
    }
    if function_call(call).is_some() {
        return Some(Format::Gemini);
    }
    if let Some(function) = call.get("function") {
        return Some(match function.get("arguments") {
            Some(Value::String(_)) => Format::OpenAi,
            Some(_) => Format::Ollama,
            None if is_type(call, "function") => Format::OpenAi,
            None => Format::Ollama,
        });
    }
    call.get("name")?;
    call.get("args").map(|_| Format::LangChain)
}

fn read_call(call: &Value, format: Format) -> Option<ToolCall> {
    let (id, of, arguments) = match format {
        Format::OpenAi | Format::Ollama => (call.get("id"), call.get("function")?, "arguments"),
        Format::OpenAiResponses => (call.get("call_id"), call, "arguments"),
        Format::Anthropic => (call.get("id"), call, "input"),
        Format::Gemini => {
            let of = function_call(call).unwrap_or(call);
            (of.get("id"), of, "args")
        }
        Format::LangChain => (call.get("id"), call, "args"),
    };
    let name = of.get("name")?.as_str()?.to_owned();
    let id = id.and_then(Value::as_str).map(str::to_owned);
    Some(ToolCall { id, name, arguments: arguments_of(of.get(arguments)) })
}

/// Arguments as an object, or as JSON text; every library leaves them out now and then.
fn arguments_of(value: Option<&Value>) -> Result<Arguments, String> {
    let no_object = |value: &Value| format!("the arguments must be a JSON object, not {}", kind(value));
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(arguments)) => Ok(arguments.clone()),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Map::new()),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Object(arguments)) => Ok(arguments),
            Ok(Value::Null) => Ok(Map::new()),
            Ok(other) => Err(no_object(&other)),
            Err(error) => Err(format!("the arguments are no JSON: {error}")),
        },
        Some(other) => Err(no_object(other)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
