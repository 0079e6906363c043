//! The low-level `Server`: handlers that return literal `Tool(…)` values.

use dormouse_types::{Json, Prompt, Resource, ResourceTemplate, Tool, ToolName};
use serde_json::{Map, Value, json};

use super::options::{Reader, put};
use super::register::Target;
use super::servers::add;
use super::walk::Walker;
use crate::source::{Argument, Binding, Call, Expr, Function, Names, Stmt};

/// What a handler lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listing {
    Tools,
    Resources,
    Templates,
    Prompts,
}

fn listing(name: &str) -> Option<Listing> {
    Some(match name.strip_prefix("on_").unwrap_or(name) {
        "list_tools" => Listing::Tools,
        "list_resources" => Listing::Resources,
        "list_resource_templates" => Listing::Templates,
        "list_prompts" => Listing::Prompts,
        _ => return None,
    })
}

/// `@server.list_tools()` (first generation).
pub(super) fn decorated<'a>(walker: &mut Walker<'a>, server: usize, method: &str, function: &'a Function) {
    if let Some(listing) = listing(method) {
        handler(walker, server, listing, function);
    }
}

/// `Server("x", on_list_tools=handler)` (second generation).
pub(super) fn constructed<'a>(walker: &mut Walker<'a>, server: usize, call: &'a Call) {
    for argument in &call.args {
        let Argument::Keyword(name, value) = argument else { continue };
        if !name.starts_with("on_") {
            continue;
        }
        walker.servers[server].takes_handlers = true;
        let Some(listing) = listing(name) else { continue };
        let function = match value {
            Expr::Name(name) => match walker.names.get(name) {
                Some(Binding::Function(function)) => Some(function),
                _ => None,
            },
            _ => None,
        };
        match function {
            Some(function) => handler(walker, server, listing, function),
            None => doubt(walker, server, call.line, "its handler is not defined in this file"),
        }
    }
}

fn doubt(walker: &mut Walker<'_>, server: usize, line: usize, reason: &str) {
    walker.servers[server].doubts.push(dormouse_types::Doubt { line, reason: reason.to_owned() });
}

fn handler<'a>(walker: &mut Walker<'a>, server: usize, listing: Listing, function: &'a Function) {
    let Some(items) = returned(&function.body, &walker.names) else {
        doubt(walker, server, function.line, "what this handler lists is worked out when it runs");
        return;
    };
    for item in items {
        let mut reader = Reader::new(&walker.names);
        let target = match item.as_call() {
            Some(call) => literal(listing, call, &mut reader),
            None => {
                reader.doubt("an item of the list is not spelled out");
                None
            }
        };
        let doubts = reader.doubts;
        doubts.iter().for_each(|reason| doubt(walker, server, function.line, reason));
        if let Some(target) = target {
            add(&mut walker.servers[server].features, target, false);
        } else if doubts.is_empty() {
            doubt(walker, server, function.line, "an item of the list is not spelled out");
        }
    }
}

/// The literal items that a handler returns, through `ListToolsResult(tools=…)` and plain names.
fn returned<'a>(body: &'a [Stmt], names: &Names<'a>) -> Option<&'a [Expr]> {
    let mut locals: Vec<(&str, &'a Expr)> = Vec::new();
    let mut result = None;
    for statement in body {
        match statement {
            Stmt::Assign { target: Expr::Name(name), value: Some(value), .. } => locals.push((name, value)),
            Stmt::Return(value) if result.is_none() => result = Some(value),
            Stmt::Expr { value: Expr::Call(call), .. } => {
                // `tools.append(…)` and the like.
                if matches!(&call.func, Expr::Attribute(_, name) if name == "append" || name == "extend" || name == "insert")
                {
                    return None;
                }
            }
            Stmt::If { .. } | Stmt::Loop { .. } | Stmt::Try { .. } | Stmt::With { .. } | Stmt::Return(_) => {
                return None;
            }
            _ => {}
        }
    }
    let mut value = result?;
    for _ in 0..4 {
        value = match value {
            Expr::List(items) | Expr::Tuple(items) => return Some(items),
            Expr::Name(name) => match locals.iter().rev().find(|(local, _)| local == name) {
                Some((_, value)) => value,
                None => match names.get(name)? {
                    Binding::Value(value) => value,
                    _ => return None,
                },
            },
            Expr::Call(call) => ["tools", "resources", "resource_templates", "resourceTemplates", "prompts"]
                .iter()
                .find_map(|name| call.keyword(name))?,
            _ => return None,
        };
    }
    None
}

/// A member in either spelling.
fn either<'e>(call: &'e Call, camel: &str, snake: &str) -> Option<&'e Expr> {
    call.keyword(camel).or_else(|| call.keyword(snake))
}

fn literal(listing: Listing, call: &Call, reader: &mut Reader<'_, '_>) -> Option<Target> {
    if call.has_splat() {
        reader.doubt("an item of the list is not spelled out");
        return None;
    }
    let name = reader.text("name", call.keyword("name"))?;
    let title = reader.text("title", call.keyword("title"));
    let description = reader.text("description", call.keyword("description"));
    let annotations = reader.annotations(call.keyword("annotations"));
    let mime = reader.text("mimeType", either(call, "mimeType", "mime_type"));
    let mut rest = Map::new();
    match listing {
        Listing::Tools => {
            let schema = match either(call, "inputSchema", "input_schema") {
                Some(value) => {
                    reader.json("inputSchema", Some(value)).unwrap_or_else(|| json!({"type": "object"}))
                }
                None => json!({"type": "object"}),
            };
            let mut tool = Tool::new(ToolName::try_new(&name).ok()?, schema);
            tool.title = title;
            tool.description = description;
            let output = reader.json("outputSchema", either(call, "outputSchema", "output_schema"));
            tool.output_schema = output.map(Json::from);
            tool.annotations = annotations.map(Json::from);
            Some(Target::Tool(Box::new(tool)))
        }
        Listing::Resources => {
            let uri = reader.text("uri", call.keyword("uri").and_then(unwrapped))?;
            put(&mut rest, "title", title);
            put(&mut rest, "mimeType", mime);
            put(&mut rest, "annotations", annotations);
            Some(Target::Resource(Resource { uri, name, description, rest }))
        }
        Listing::Templates => {
            let uri_template = reader.text("uriTemplate", either(call, "uriTemplate", "uri_template"))?;
            put(&mut rest, "title", title);
            put(&mut rest, "mimeType", mime);
            put(&mut rest, "annotations", annotations);
            Some(Target::Template(ResourceTemplate { uri_template, name, description, rest }))
        }
        Listing::Prompts => {
            put(&mut rest, "title", title);
            if let Some(arguments) = call.keyword("arguments") {
                rest.insert("arguments".to_owned(), arguments_of(arguments, reader)?);
            }
            Some(Target::Prompt(Prompt { name, description, rest }))
        }
    }
}

/// `AnyUrl("…")` is its text.
fn unwrapped(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Call(call) => call.positional(0),
        other => Some(other),
    }
}

fn arguments_of(expr: &Expr, reader: &mut Reader<'_, '_>) -> Option<Value> {
    let Expr::List(items) = expr else {
        reader.doubt("the arguments of a prompt are not spelled out");
        return None;
    };
    let mut arguments = Vec::new();
    for item in items {
        let call = item.as_call()?;
        let mut argument = Map::new();
        put(&mut argument, "name", reader.text("name", call.keyword("name")));
        put(&mut argument, "description", reader.text("description", call.keyword("description")));
        put(&mut argument, "required", reader.json("required", call.keyword("required")));
        arguments.push(Value::Object(argument));
    }
    Some(Value::Array(arguments))
}
