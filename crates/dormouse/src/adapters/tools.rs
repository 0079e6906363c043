//! Tools as libraries offer them to models.

use dormouse_registry::ToolRef;
use dormouse_types::Scope;
use serde_json::{Map, Value, json};

use super::format::Format;
use super::gemini;
use super::schema::{inlined, plain_object};

/// The longest description that OpenAI takes, in characters.
const OPENAI_DESCRIPTION: usize = 1_024;

/// The tools of a context as a library takes them, by their full names: a list of tools. For
/// Gemini it is its `tools` list of one element, which holds the declarations.
pub fn tools(format: Format, scope: &Scope, tools: &[ToolRef]) -> Value {
    let each = tools.iter();
    match format {
        Format::OpenAi => each.map(|tool| json!({ "type": "function", "function": openai(tool) })).collect(),
        Format::OpenAiResponses => each
            .map(|tool| {
                let mut function = openai(tool);
                function.shift_insert(0, "type".to_owned(), json!("function"));
                // Left out, it means strict there, which few schemas are made for.
                function.insert("strict".to_owned(), json!(false));
                Value::Object(function)
            })
            .collect(),
        Format::Anthropic => each
            .map(|tool| {
                json!({
                    "name": tool.full_name(),
                    "description": description(tool),
                    "input_schema": plain_object(&tool.tool().input_schema.value()),
                })
            })
            .collect(),
        Format::Gemini => {
            let declarations: Vec<Value> = each.map(declaration).collect();
            match declarations.is_empty() {
                true => json!([]),
                false => json!([{ "functionDeclarations": declarations }]),
            }
        }
        Format::Ollama => each
            .map(|tool| {
                let parameters = plain_object(&inlined(&tool.tool().input_schema.value()));
                let function = function(tool.full_name(), &description(tool), parameters);
                json!({ "type": "function", "function": function })
            })
            .collect(),
        Format::LangChain => each.map(|tool| langchain(tool, scope)).collect(),
    }
}

fn openai(tool: &ToolRef) -> Map<String, Value> {
    let description = cut(&description(tool), OPENAI_DESCRIPTION);
    function(tool.full_name(), &description, plain_object(&tool.tool().input_schema.value()))
}

fn function(name: &str, description: &str, parameters: Map<String, Value>) -> Map<String, Value> {
    Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("description".to_owned(), json!(description)),
        ("parameters".to_owned(), Value::Object(parameters)),
    ])
}

fn declaration(tool: &ToolRef) -> Value {
    let mut declaration = json!({ "name": gemini::name(tool.full_name()), "description": description(tool) });
    if let Some(parameters) = gemini::parameters(&tool.tool().input_schema.value()) {
        declaration["parameters"] = parameters;
    }
    declaration
}

/// What a `StructuredTool` is made of, and where its calls go.
fn langchain(tool: &ToolRef, scope: &Scope) -> Value {
    let path = match scope {
        Scope::Store => "/tools/call?format=langchain".to_owned(),
        Scope::Agent(agent) => format!("/agents/{agent}/tools/call?format=langchain"),
    };
    json!({
        "name": tool.full_name(),
        "description": description(tool),
        "args_schema": plain_object(&tool.tool().input_schema.value()),
        "metadata": {
            "server_name": tool.server_name(),
            "tool_name": tool.tool().name,
            "annotations": tool.tool().annotations,
        },
        "call": { "method": "POST", "path": path },
    })
}

/// The tool's words; of a tool that says nothing its title or its name, as models need some.
fn description(tool: &ToolRef) -> String {
    let of = tool.tool();
    let said = tool.description().map(str::trim).filter(|said| !said.is_empty());
    said.or(of.title.as_deref()).unwrap_or(of.name.as_str()).to_owned()
}

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some(_) => text.chars().take(limit - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}
