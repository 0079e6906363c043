//! Tools and calls.

use std::borrow::Cow;

use dormouse::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::plan::receipts;
use super::{ReceiptItem, ms, shown};
use crate::domain::{CallAnswer, Candidate, Outcome, Scope, ToolRef};

// Borrows from the catalog: ten thousand of them are written straight into the answer.
/// One tool of a context, asleep or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolItem<'a> {
    /// Its server's name in this context.
    #[schema(value_type = String)]
    pub server_name: Cow<'a, str>,
    /// Its own name.
    #[schema(value_type = String)]
    pub tool_name: Cow<'a, str>,
    /// What it does; empty when the server does not say.
    #[schema(value_type = String)]
    pub description: Cow<'a, str>,
    /// JSON Schema of its arguments.
    #[schema(value_type = Object)]
    pub schema: Cow<'a, Json>,
    /// Its name that is unique in this context.
    #[schema(value_type = String)]
    pub full_name: Cow<'a, str>,
    /// Whether it is left out in this context, and cannot be called.
    #[serde(default)]
    pub disabled: bool,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub title: Option<Cow<'a, str>>,
    /// JSON Schema of its structured result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub output_schema: Option<Cow<'a, Json>>,
    /// Hints such as `readOnlyHint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub annotations: Option<Cow<'a, Json>>,
}

impl<'a> From<&'a ToolRef> for ToolItem<'a> {
    fn from(tool: &'a ToolRef) -> Self {
        let of = tool.tool();
        Self {
            server_name: Cow::Borrowed(tool.server_name()),
            tool_name: Cow::Borrowed(of.name.as_str()),
            description: Cow::Borrowed(tool.description().unwrap_or_default()),
            schema: Cow::Borrowed(&of.input_schema),
            full_name: Cow::Borrowed(tool.full_name()),
            disabled: tool.settings().disabled,
            title: of.title.as_deref().map(Cow::Borrowed),
            output_schema: of.output_schema.as_ref().map(Cow::Borrowed),
            annotations: of.annotations.as_ref().map(Cow::Borrowed),
        }
    }
}

/// A tool that fits a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundTool {
    /// Its server's name in this context.
    pub server_name: String,
    /// Its own name.
    pub tool_name: String,
    /// What it does; empty when the server does not say.
    pub description: String,
    /// JSON Schema of its arguments.
    #[schema(value_type = Object)]
    pub schema: Json,
    /// How well it fits; comparable within one search only.
    pub score: f64,
    /// Its name that is unique in this context.
    pub full_name: String,
}

impl FoundTool {
    pub(crate) fn of(scope: &Scope, found: Candidate) -> Self {
        Self {
            server_name: shown(scope, &found.key.server),
            tool_name: found.key.tool.to_string(),
            description: found.tool.description.clone().unwrap_or_default(),
            schema: found.tool.input_schema.clone(),
            score: found.score,
            full_name: found.full_name.to_string(),
        }
    }
}

/// A call of one tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallBody {
    /// Its arguments.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub arguments: Map<String, Value>,
    /// Its server, where the tool's name alone is not clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The whole time that the caller gives, a wake included; at most a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 86_400_000)]
    pub timeout_ms: Option<u64>,
    /// Refused with the code `not_supported`, since no journal of calls is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallReply {
    /// The server's name in this context.
    pub server_name: String,
    /// The tool's own name.
    pub tool_name: String,
    /// MCP content blocks, untouched.
    #[schema(value_type = Vec<Object>)]
    pub content: Vec<Value>,
    /// The structured result, untouched; `null` when there is none.
    #[schema(value_type = Value)]
    pub structured_content: Option<Value>,
    /// Whether the tool says that it failed.
    pub is_error: bool,
    /// The text of the content.
    pub result: String,
    /// `ok` or `tool_error`.
    #[schema(value_type = String, example = "ok")]
    pub outcome: Outcome,
    /// From the request to the answer, a wake included, to 0.1 ms.
    pub duration_ms: f64,
    /// Whether the server was woken for it.
    pub woke: bool,
    /// What was corrected in the arguments.
    pub receipts: Vec<ReceiptItem>,
}

impl From<CallAnswer> for CallReply {
    fn from(answer: CallAnswer) -> Self {
        let CallAnswer { key, server_name, result, outcome, duration, woke, receipts: corrected } = answer;
        Self {
            server_name,
            tool_name: key.tool.to_string(),
            result: result.text(),
            content: result.content,
            structured_content: result.structured_content,
            is_error: result.is_error,
            outcome,
            duration_ms: ms(duration),
            woke,
            receipts: receipts(corrected),
        }
    }
}
