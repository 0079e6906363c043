//! Codex keeps its servers in TOML, with words of its own.

use serde_json::{Map, Value, json};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike};

use super::entry::LAUNCH;
use super::{ClientError, Found};
use crate::mcp_json::{Intake, intake_maps};

const SERVERS: &str = "mcp_servers";

/// Codex's words for how a server is reached; an export sets or removes them all.
const THEIR_LAUNCH: [&str; 8] =
    ["command", "args", "env", "cwd", "url", "bearer_token_env_var", "http_headers", "env_http_headers"];

pub(super) fn read(text: &str) -> Result<Intake, ClientError> {
    let document = document(text)?;
    let Some(servers) = document.get(SERVERS) else { return Ok(Intake::default()) };
    let servers = servers.as_table_like().ok_or_else(|| shape(servers))?;
    let entries: Map<_, _> = servers
        .iter()
        .map(|(name, item)| {
            let entry = match value_of(item) {
                Value::Object(entry) => Value::Object(ours(entry)),
                other => other,
            };
            (name.to_owned(), entry)
        })
        .collect();
    Ok(intake_maps([(SERVERS.to_owned(), &entries)]))
}

pub(super) fn only_servers(text: &str) -> Result<String, ClientError> {
    let mut document = document(text)?;
    let others: Vec<String> =
        document.iter().map(|(key, _)| key.to_owned()).filter(|key| key != SERVERS).collect();
    others.iter().for_each(|key| drop(document.remove(key)));
    Ok(document.to_string())
}

pub(super) fn write(text: &str, entries: &[(&str, Map<String, Value>)]) -> Result<String, ClientError> {
    let mut document = document(text)?;
    if entries.is_empty() {
        return Ok(document.to_string());
    }
    let mut implicit = Table::new();
    implicit.set_implicit(true);
    let servers = document.entry(SERVERS).or_insert(Item::Table(implicit));
    if !servers.is_table_like() {
        return Err(shape(servers));
    }
    let servers = servers.as_table_like_mut().expect("it was just seen to be one");
    for (name, entry) in entries {
        if !servers.get(name).is_some_and(Item::is_table_like) {
            servers.insert(name, Item::Table(Table::new()));
        }
        let table = servers.get_mut(name).and_then(Item::as_table_like_mut).expect("it was just put there");
        let theirs = theirs(entry);
        for field in THEIR_LAUNCH.into_iter().filter(|field| !theirs.contains_key(*field)) {
            table.remove(field);
        }
        theirs.iter().for_each(|(field, value)| put(table, field, value));
    }
    Ok(document.to_string())
}

pub(super) fn found(text: &str) -> Result<Vec<Found>, ClientError> {
    let document = document(text)?;
    let Some(servers) = document.get(SERVERS) else { return Ok(Vec::new()) };
    let servers = servers.as_table_like().ok_or_else(|| shape(servers))?;
    let found = servers.iter().map(|(name, item)| Found {
        path: format!("{SERVERS}.{name}"),
        name: name.to_owned(),
        is_everywhere: true,
        entry: value_of(item),
    });
    Ok(found.collect())
}

pub(super) fn without(text: &str, paths: &[&str]) -> Result<String, ClientError> {
    let mut document = document(text)?;
    let Some(servers) = document.get_mut(SERVERS) else { return Ok(text.to_owned()) };
    let Some(servers) = servers.as_table_like_mut() else { return Err(shape(servers)) };
    let names: Vec<String> = servers
        .iter()
        .map(|(name, _)| name.to_owned())
        .filter(|name| paths.contains(&format!("{SERVERS}.{name}").as_str()))
        .collect();
    let mut kept = Vec::new();
    for name in names {
        if let Some(Item::Table(table)) = servers.remove(&name)
            && let Some(comments) = of_others(&table)
        {
            kept.push((table.position(), comments));
        }
    }
    for (place, comments) in kept {
        let next = next_table(document.as_table_mut(), place.unwrap_or(isize::MAX));
        match next {
            Some(table) => {
                let before = table.decor().prefix().and_then(|it| it.as_str()).unwrap_or_default();
                let all = comments + before;
                table.decor_mut().set_prefix(all);
            }
            None => {
                let behind = document.trailing().as_str().unwrap_or_default().to_owned();
                document.set_trailing(comments + &behind);
            }
        }
    }
    Ok(document.to_string())
}

/// What stands above a table and is not about it: all up to the last empty line, if there are
/// comments in it.
fn of_others(table: &Table) -> Option<String> {
    let above = table.decor().prefix()?.as_str()?;
    let end = above.rfind("\n\n").map_or(0, |at| at + 1);
    let others = &above[..end];
    (!others.trim().is_empty()).then(|| others.to_owned())
}

/// The table that is written first behind a place of the document.
fn next_table(table: &mut Table, place: isize) -> Option<&mut Table> {
    let mut next: Option<&mut Table> = None;
    for (_, item) in table.iter_mut() {
        let tables: Vec<&mut Table> = match item {
            Item::Table(table) => vec![table],
            Item::ArrayOfTables(tables) => tables.iter_mut().collect(),
            Item::None | Item::Value(_) => Vec::new(),
        };
        for table in tables {
            let is_behind = |table: &Table| !table.is_implicit() && table.position() > Some(place);
            let found = if is_behind(table) { Some(table) } else { next_table(table, place) };
            if found
                .as_ref()
                .is_some_and(|found| next.as_ref().is_none_or(|next| found.position() < next.position()))
            {
                next = found;
            }
        }
    }
    next
}

pub(super) fn shown(text: &str) -> Value {
    let servers = document(text).ok().and_then(|document| document.get(SERVERS).map(value_of));
    servers.unwrap_or_else(|| Value::Object(Map::new()))
}

/// An entry in our words.
fn ours(mut theirs: Map<String, Value>) -> Map<String, Value> {
    let mut entry = Map::new();
    let mut settings = Map::new();
    for field in ["command", "args", "cwd", "url"] {
        if let Some(value) = theirs.shift_remove(field) {
            entry.insert(field.to_owned(), value);
        }
    }
    let object = |value: Option<Value>| match value {
        Some(Value::Object(members)) => Ok(members),
        None => Ok(Map::new()),
        Some(other) => Err(other),
    };
    let variable = |name: &str| Value::from(format!("${{{name}}}"));
    match object(theirs.shift_remove("env")) {
        Ok(mut env) => {
            // Variables that Codex hands on.
            if let Some(Value::Array(names)) = theirs.shift_remove("env_vars") {
                for name in names.iter().filter_map(Value::as_str) {
                    env.entry(name).or_insert_with(|| variable(name));
                }
            }
            if !env.is_empty() {
                entry.insert("env".to_owned(), Value::Object(env));
            }
        }
        Err(other) => drop(entry.insert("env".to_owned(), other)),
    }
    match object(theirs.shift_remove("http_headers")) {
        Ok(mut headers) => {
            if let Some(Value::Object(from)) = theirs.shift_remove("env_http_headers") {
                for (header, name) in &from {
                    headers.insert(header.clone(), variable(name.as_str().unwrap_or_default()));
                }
            }
            if let Some(Value::String(name)) = theirs.shift_remove("bearer_token_env_var") {
                headers.insert("Authorization".to_owned(), Value::from(format!("Bearer ${{{name}}}")));
            }
            if !headers.is_empty() {
                entry.insert("headers".to_owned(), Value::Object(headers));
            }
        }
        Err(other) => drop(entry.insert("headers".to_owned(), other)),
    }
    if theirs.shift_remove("enabled") == Some(Value::Bool(false)) {
        entry.insert("disabled".to_owned(), Value::Bool(true));
    }
    let times =
        [("startup_timeout_sec", "start_timeout_seconds"), ("tool_timeout_sec", "call_timeout_seconds")];
    for (field, setting) in times {
        if let Some(value) = theirs.shift_remove(field) {
            settings.insert(setting.to_owned(), value);
        }
    }
    entry.extend(theirs);
    if !settings.is_empty() {
        entry.insert("dormouse".to_owned(), Value::Object(settings));
    }
    entry
}

/// An entry in Codex's words. Codex puts no variables into values; it has fields for their names.
pub(super) fn theirs(entry: &Map<String, Value>) -> Map<String, Value> {
    let mut theirs = Map::new();
    let variable = |text: &str| {
        let name = text.strip_prefix("${")?.strip_suffix('}')?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        is_name.then(|| name.to_owned())
    };
    for field in ["command", "args", "cwd", "url"] {
        if let Some(value) = entry.get(field) {
            theirs.insert(field.to_owned(), value.clone());
        }
    }
    let (mut env, mut handed_on) = (Map::new(), Vec::new());
    for (name, value) in entry.get("env").and_then(Value::as_object).into_iter().flatten() {
        match value.as_str().and_then(variable) {
            Some(of) if of == *name => handed_on.push(Value::from(of)),
            _ if value.is_null() => {}
            _ => drop(env.insert(name.clone(), text_of(value))),
        }
    }
    let (mut headers, mut from_env) = (Map::new(), Map::new());
    for (header, value) in entry.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let text = text_of(value);
        let text = text.as_str().unwrap_or_default();
        let bearer = text.strip_prefix("Bearer ").and_then(variable);
        match (bearer, variable(text)) {
            (Some(name), _) if header.eq_ignore_ascii_case("authorization") => {
                theirs.insert("bearer_token_env_var".to_owned(), Value::from(name));
            }
            (_, Some(name)) => drop(from_env.insert(header.clone(), Value::from(name))),
            _ => drop(headers.insert(header.clone(), Value::from(text))),
        }
    }
    let parts = [
        ("env", Value::Object(env)),
        ("env_vars", Value::Array(handed_on)),
        ("http_headers", Value::Object(headers)),
        ("env_http_headers", Value::Object(from_env)),
    ];
    let is_empty = |value: &Value| *value == json!({}) || *value == json!([]);
    theirs.extend(
        parts.into_iter().filter(|(_, value)| !is_empty(value)).map(|(key, value)| (key.into(), value)),
    );
    if entry.get("disabled") == Some(&Value::Bool(true)) {
        theirs.insert("enabled".to_owned(), Value::Bool(false));
    }
    if let Some(timeout) = entry.get("timeout").filter(|timeout| timeout.is_number()) {
        theirs.insert("tool_timeout_sec".to_owned(), timeout.clone());
    }
    // What came from Codex and means something there only.
    let known = |field: &str| LAUNCH.contains(&field) || ["disabled", "timeout"].contains(&field);
    for (field, value) in entry.iter().filter(|(field, _)| !known(field)) {
        theirs.entry(field.clone()).or_insert_with(|| value.clone());
    }
    theirs
}

fn text_of(value: &Value) -> Value {
    match value {
        Value::String(_) => value.clone(),
        other => Value::from(other.to_string()),
    }
}

/// Sets a field; what means the same already stays as it is written.
fn put(table: &mut dyn TableLike, field: &str, value: &Value) {
    if table.get(field).is_some_and(|now| value_of(now) == *value) {
        return;
    }
    if let (Some(now), Value::Object(members)) =
        (table.get_mut(field).and_then(Item::as_table_like_mut), value)
    {
        let gone: Vec<_> =
            now.iter().map(|(key, _)| key.to_owned()).filter(|key| !members.contains_key(key)).collect();
        gone.iter().for_each(|key| drop(now.remove(key)));
        members.iter().for_each(|(key, value)| put(now, key, value));
    } else if let Some(mut value) = toml_of(value) {
        if let Some(Item::Value(now)) = table.get(field) {
            *value.decor_mut() = now.decor().clone();
        }
        table.insert(field, Item::Value(value));
    }
}

fn toml_of(value: &Value) -> Option<toml_edit::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().filter_map(toml_of).collect::<Array>().into(),
        Value::Object(members) => {
            let members = members.iter().filter_map(|(key, value)| Some((key.as_str(), toml_of(value)?)));
            members.collect::<InlineTable>().into()
        }
    })
}

fn value_of(item: &Item) -> Value {
    let of_table = |table: &dyn TableLike| {
        Value::Object(table.iter().map(|(key, item)| (key.to_owned(), value_of(item))).collect())
    };
    match item {
        Item::None => Value::Null,
        Item::Table(table) => of_table(table),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| of_table(table)).collect(),
        Item::Value(value) => match value {
            toml_edit::Value::String(text) => Value::from(text.value().as_str()),
            toml_edit::Value::Integer(number) => Value::from(*number.value()),
            toml_edit::Value::Float(number) => Value::from(*number.value()),
            toml_edit::Value::Boolean(flag) => Value::from(*flag.value()),
            toml_edit::Value::Datetime(time) => Value::from(time.value().to_string()),
            toml_edit::Value::Array(items) => {
                items.iter().map(|item| value_of(&Item::Value(item.clone()))).collect()
            }
            toml_edit::Value::InlineTable(table) => of_table(table),
        },
    }
}

fn shape(found: &Item) -> ClientError {
    ClientError::Shape { path: SERVERS.to_owned(), found: crate::mcp_json::kind(&value_of(found)) }
}

fn document(text: &str) -> Result<DocumentMut, ClientError> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.get(..start).map_or(1, |before| before.matches('\n').count() + 1);
        ClientError::Toml { place: format!("line {line}") }
    })
}
