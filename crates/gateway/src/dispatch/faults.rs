//! What goes wrong in the hub, in MCP's words.
//!
//! What a server says itself goes through as it is. A call that the hub could not make, or whose end
//! it does not know, is a tool's error and not the protocol's: most clients show a model only the
//! former, and it is the model that can do something else.

use dormouse::{AskError, CallError, NoSuchTool, Outcome, RunError, WireError, chain};
use serde_json::{Value, json};

use crate::message::{Fault, INTERNAL_ERROR};

/// The member of `_meta` that says whether a failed call may have run.
const OUTCOME: &str = "dormouse/outcome";

pub(super) fn unknown_tool(error: &NoSuchTool) -> Fault {
    let data = match error {
        NoSuchTool::Unknown { near, .. } => json!({ "near": near }),
        NoSuchTool::Ambiguous { same_name, .. } => json!({ "candidates": same_name }),
        NoSuchTool::Server(_) => Value::Null,
    };
    let fault = Fault::invalid(format!("Unknown tool: {error}"));
    if data.is_null() { fault } else { fault.with_data(data) }
}

/// How a call ended that has no result of a server's.
pub(super) fn called(error: &CallError) -> Result<Value, Fault> {
    match error {
        CallError::UnknownTool(error) => Err(unknown_tool(error)),
        CallError::Run(RunError::Wire { source: source @ WireError::Refused { .. }, .. }) => {
            Err(wire_fault(source))
        }
        CallError::Arguments { .. } | CallError::Run(_) => Ok(told(&chain(error), error.outcome())),
    }
}

pub(super) fn told(words: &str, outcome: Outcome) -> Value {
    let words = match outcome {
        Outcome::Unknown => format!("{words}. The tool may have run all the same."),
        _ => words.to_owned(),
    };
    json!({
        "content": [{ "type": "text", "text": words }],
        "isError": true,
        "_meta": { OUTCOME: outcome.as_str() },
    })
}

pub(super) fn asked(error: &AskError) -> Fault {
    match error {
        AskError::Wire { source, .. } => wire_fault(source),
        AskError::Lease(_) => {
            Fault::new(INTERNAL_ERROR, chain(error)).with_data(json!({ "outcome": "failed" }))
        }
    }
}

/// What happened on the wire to a server. Its own errors stay as they are.
pub(crate) fn wire_fault(error: &WireError) -> Fault {
    match error {
        WireError::Refused { code, message, data } => {
            Fault { code: *code, message: message.clone(), data: data.clone() }
        }
        other => {
            Fault::new(INTERNAL_ERROR, chain(other)).with_data(json!({ "outcome": other.outcome().as_str() }))
        }
    }
}
