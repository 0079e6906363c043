//! The three tools of [`Mode::Search`](crate::mode::Mode::Search): find, describe, call.
//!
//! They never change, whatever the hub knows: so they work for clients that read a list once, and
//! a model sees three tools instead of thousands.

use serde_json::{Value, json};

use crate::caller::Caller;
use crate::catalogue::tool_value;
use crate::dispatch::FIRST_CONTACT;
use crate::endpoint::Endpoint;
use crate::message::{Fault, Params};

pub(crate) const INSTRUCTIONS: &str = "Many tools stand behind three: find_tools finds those that fit a \
    question in plain words, describe_tool shows one with its parameters, call_tool calls it.";

pub(crate) const FIND: &str = "find_tools";
pub(crate) const DESCRIBE: &str = "describe_tool";
pub(crate) const CALL: &str = "call_tool";

/// How many tools a search returns, unless asked otherwise, and at most.
const FOUND: usize = 8;
const MOST_FOUND: usize = 50;

/// The three tools, with their names.
pub(crate) fn tools() -> Vec<(String, Value)> {
    let named = |name: &str, it: Value| (name.to_owned(), it);
    vec![
        named(
            FIND,
            json!({
                "name": FIND,
                "title": "Find tools",
                "description": "Finds the tools that fit a task in plain words, best first. Returns their names \
                    and what they do.",
                "inputSchema": {
                    "type": "object",
                    "properties": {
                        "query": { "type": "string", "description": "What the tool should do, in plain words." },
                        "limit": { "type": "integer", "minimum": 1, "maximum": MOST_FOUND, "default": FOUND,
                            "description": "How many tools at most." },
                    },
                    "required": ["query"],
                },
                "annotations": { "readOnlyHint": true, "openWorldHint": false },
            }),
        ),
        named(
            DESCRIBE,
            json!({
                "name": DESCRIBE,
                "title": "Describe a tool",
                "description": "Shows one tool with the JSON Schema of its arguments.",
                "inputSchema": {
                    "type": "object",
                    "properties": { "name": { "type": "string", "description": "The tool's name, as find_tools gives it." } },
                    "required": ["name"],
                },
                "annotations": { "readOnlyHint": true, "openWorldHint": false },
            }),
        ),
        named(
            CALL,
            json!({
                "name": CALL,
                "title": "Call a tool",
                "description": "Calls a tool by its name and returns its result.",
                "inputSchema": {
                    "type": "object",
                    "properties": {
                        "name": { "type": "string", "description": "The tool's name, as find_tools gives it." },
                        "arguments": { "type": "object", "description": "Its arguments, as describe_tool shows them." },
                    },
                    "required": ["name"],
                },
            }),
        ),
    ]
}

/// Answers `find_tools` and `describe_tool`. Servers that are contacted for the first time ever are
/// waited for.
pub(crate) async fn answer(
    endpoint: &Endpoint,
    caller: &Caller,
    name: &str,
    arguments: &Params,
) -> Result<Value, Fault> {
    let text = |member: &str| arguments.get(member).and_then(Value::as_str);
    match name {
        FIND => {
            let Some(query) = text("query") else { return Ok(told_wrong("`query` must be a text")) };
            let limit = arguments
                .get("limit")
                .and_then(Value::as_u64)
                .map_or(FOUND, |limit| usize::try_from(limit).unwrap_or(MOST_FOUND).clamp(1, MOST_FOUND));
            let context = endpoint.context();
            context.first_contacts(FIRST_CONTACT).await;
            let found: Vec<Value> = context
                .search(query, limit)
                .into_iter()
                .map(|found| json!({ "name": found.full_name, "description": found.tool.description }))
                .collect();
            let mut answer = json!({ "tools": found });
            match context.connecting() {
                0 => {}
                connecting => {
                    answer["connecting"] = Value::from(connecting);
                    answer["note"] = Value::from(
                        "Some servers are being contacted for the first time, and what they offer is not known \
                         yet: if nothing fits, ask again in a moment.",
                    );
                }
            }
            Ok(told(answer))
        }
        DESCRIBE => {
            let Some(name) = text("name") else { return Ok(told_wrong("`name` must be a text")) };
            Ok(match endpoint.context().find_tool(name, None, Some(FIRST_CONTACT)).await {
                Ok(tool) => {
                    let mut shown = tool_value(&tool, tool.full_name());
                    if !caller.is_stateless() {
                        endpoint.lists().fit_to_session(std::slice::from_mut(&mut shown));
                    }
                    told(shown)
                }
                Err(error) => told_wrong(&error.to_string()),
            })
        }
        _ => Err(Fault::invalid(format!("Unknown tool: {name}"))),
    }
}

/// The name and the arguments within the arguments of `call_tool`.
pub(crate) fn inner(params: &mut Params) -> Result<(), String> {
    let Some(Value::Object(mut asked)) = params.shift_remove("arguments") else {
        return Err("`name` must be a text".to_owned());
    };
    let Some(name @ Value::String(_)) = asked.shift_remove("name") else {
        return Err("`name` must be a text".to_owned());
    };
    params.insert("name".to_owned(), name);
    match asked.shift_remove("arguments") {
        None | Some(Value::Null) => {}
        Some(arguments @ Value::Object(_)) => {
            params.insert("arguments".to_owned(), arguments);
        }
        // Some models write the object as a text.
        Some(Value::String(text)) => match serde_json::from_str(&text) {
            Ok(arguments @ Value::Object(_)) => {
                params.insert("arguments".to_owned(), arguments);
            }
            _ => return Err("`arguments` must be an object".to_owned()),
        },
        Some(_) => return Err("`arguments` must be an object".to_owned()),
    }
    Ok(())
}

fn told(structured: Value) -> Value {
    json!({ "content": [{ "type": "text", "text": structured.to_string() }], "structuredContent": structured })
}

/// An error that the model should read and mend.
pub(crate) fn told_wrong(words: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": words }], "isError": true })
}
