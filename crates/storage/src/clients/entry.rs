//! One server between our form and a client's.

use dormouse_types::RemoteTransport;
use serde_json::{Map, Value, json};

use super::Client;
use crate::mcp_json::{
    NamedTransport, Problem, ProblemKind, fold_credentials, inferred_transport, named_transport, names_own,
};

/// The fields that say how a server is reached; an export sets or removes them all.
pub(super) const LAUNCH: [&str; 10] =
    ["command", "args", "env", "cwd", "url", "serverUrl", "headers", "type", "transport", "working_dir"];

/// An entry as a client knows it; `None` when it cannot have such a server.
pub(super) fn theirs(
    client: Client,
    name: &str,
    entry: &Map<String, Value>,
    problems: &mut Vec<Problem>,
) -> Option<Map<String, Value>> {
    let mut note = |kind, message: &str| {
        let (path, message) = (name.to_owned(), message.to_owned());
        problems.push(Problem { path, server: None, kind, message });
    };
    let mut entry: Map<_, _> = entry.iter().filter(|(_, value)| !value.is_null()).map(owned).collect();
    fold_credentials(&mut entry);
    for ours in ["dormouse", "_mcpstore", "auth"] {
        entry.shift_remove(ours);
    }
    for (alias, field) in [("serverUrl", "url"), ("working_dir", "cwd")] {
        if let Some(value) = entry.shift_remove(alias) {
            entry.entry(field).or_insert(value);
        }
    }
    // In Claude Code these are milliseconds.
    if client == Client::ClaudeCode && entry.shift_remove("timeout").is_some() {
        note(ProblemKind::Ignored, "its `timeout` is left out: the client counts otherwise");
    }
    let named = ["transport", "type"].into_iter().filter_map(|field| entry.shift_remove(field)).next();
    let name = named.as_ref().and_then(Value::as_str);
    let named = name.and_then(named_transport);
    let url = entry.get("url").and_then(Value::as_str).map(str::to_owned);
    match (&url, client) {
        (None, _) if !entry.contains_key("command") => {
            note(ProblemKind::Unusable, "has neither `command` nor `url`");
            return None;
        }
        (None, Client::VsCode) => drop(entry.insert("type".to_owned(), json!("stdio"))),
        (None, _) | (Some(_), Client::Cursor) => {}
        (Some(_), Client::ClaudeDesktop) => {
            note(ProblemKind::Unusable, "is at a URL; Claude Desktop's file holds programs only");
            return None;
        }
        (Some(url), client) => {
            let transport = match named {
                Some(NamedTransport::Http(transport)) => transport,
                None if name.is_some_and(|name| names_own(name, url)) => RemoteTransport::Own,
                Some(NamedTransport::Stdio) | None => inferred_transport(url),
            };
            match (client, transport) {
                (Client::Codex, RemoteTransport::StreamableHttp) => {}
                (Client::Codex, RemoteTransport::Sse) => {
                    note(ProblemKind::Unusable, "speaks SSE, which Codex does not");
                    return None;
                }
                (_, RemoteTransport::StreamableHttp) => drop(entry.insert("type".into(), json!("http"))),
                (_, RemoteTransport::Sse) => drop(entry.insert("type".into(), json!("sse"))),
                (_, RemoteTransport::Own) => {
                    note(ProblemKind::Unusable, "is reached by a transport of a program's own");
                    return None;
                }
            }
        }
    }
    let mut entry = Value::Object(entry);
    let (mut has_variable, mut has_default) = (false, false);
    texts(&mut entry, &mut |text| {
        with_variables(text, &mut |variable| {
            if !is_variable(variable) {
                return format!("${{{variable}}}");
            }
            has_variable = true;
            let (name, default) = match variable.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (variable, None),
            };
            let name = name.strip_prefix("env:").unwrap_or(name);
            match (client, default) {
                (Client::Cursor | Client::VsCode, default) => {
                    has_default |= default.is_some();
                    format!("${{env:{name}}}")
                }
                (_, Some(default)) => format!("${{{name}:-{default}}}"),
                (_, None) => format!("${{{name}}}"),
            }
        })
    });
    if has_default {
        note(ProblemKind::Ignored, "a variable's default is left out: the client knows none");
    }
    let stays = match (client, &entry) {
        (Client::ClaudeDesktop, _) => has_variable,
        // It has fields for names of variables, but for a whole value alone.
        (Client::Codex, Value::Object(entry)) => {
            has_variable && Value::Object(super::codex::theirs(entry)).to_string().contains("${")
        }
        _ => false,
    };
    if stays {
        note(ProblemKind::Ignored, "`${…}` stays as it is: the client puts no variables in");
    }
    match entry {
        Value::Object(entry) => Some(entry),
        _ => None,
    }
}

/// Makes variables of what VS Code would ask a person for; tells their names.
pub(super) fn without_inputs(entry: &mut Value) -> Vec<String> {
    let mut asked = Vec::new();
    texts(entry, &mut |text| {
        with_variables(text, &mut |variable| match variable.strip_prefix("input:") {
            Some(input) => {
                let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
                let name: String = input.chars().map(plain).collect();
                if !asked.contains(&name) {
                    asked.push(name.clone());
                }
                format!("${{{name}}}")
            }
            None => format!("${{{variable}}}"),
        })
    });
    asked
}

/// Whether `${…}` holds a variable of the environment, and nothing that the client itself fills in.
fn is_variable(inner: &str) -> bool {
    let name = inner.split_once(":-").map_or(inner, |(name, _)| name);
    let name = name.strip_prefix("env:").unwrap_or(name);
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// Changes every text in a value.
fn texts(value: &mut Value, change: &mut dyn FnMut(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, change)),
        Value::Object(members) => members.values_mut().for_each(|value| texts(value, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Changes every `${…}` in a text.
fn with_variables(text: &str, change: &mut dyn FnMut(&str) -> String) -> String {
    let mut changed = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(end) = rest[start..].find('}') else { break };
        changed.push_str(&rest[..start]);
        // `$${` is no variable.
        if rest[..start].ends_with('$') {
            changed.push_str(&rest[start..=start + end]);
        } else {
            changed.push_str(&change(&rest[start + 2..start + end]));
        }
        rest = &rest[start + end + 1..];
    }
    changed + rest
}
