//! The clients that keep their servers in JSON.

use serde_json::{Map, Value};

use super::entry::{LAUNCH, without_inputs};
use super::jsonc::{blanked, without_member};
use super::{Client, ClientError, Found};
use crate::mcp_json::{
    Intake, IntakeEntry, Problem, ProblemKind, applied, doubled_keys, intake_maps, kind, member_at, put_edit,
    remove_edit, value_at,
};

pub(super) fn servers_key(client: Client) -> &'static str {
    if client == Client::VsCode { "servers" } else { "mcpServers" }
}

pub(super) fn read(client: Client, text: &str) -> Result<Intake, ClientError> {
    let root = root(text)?;
    let key = servers_key(client);
    let mut maps: Vec<_> =
        maps(client, &root)?.into_iter().map(|(path, servers)| (path.join("."), servers.clone())).collect();
    let mut asked = Vec::new();
    for (path, servers) in &mut maps {
        for (name, entry) in servers.iter_mut() {
            let variables = without_inputs(entry);
            if !variables.is_empty() {
                asked.push((format!("{path}.{name}"), variables.join(", ")));
            }
        }
    }
    let mut taken = intake_maps(maps.iter().map(|(path, servers)| (path.clone(), servers)));
    for name in doubled_keys(&blanked(text), key) {
        let at = format!("{key}.{name}");
        for entry in &mut taken.entries {
            if let IntakeEntry::Taken { path, notes, .. } = entry
                && *path == at
            {
                let message = "stands there more than once; the last one counts".to_owned();
                let (path, kind) = (path.clone(), ProblemKind::Ignored);
                notes.push(Problem { path, server: None, kind, message });
            }
        }
    }
    for entry in &mut taken.entries {
        if let IntakeEntry::Taken { path, notes, .. } = entry
            && let Some((_, variables)) = asked.iter().find(|(of, _)| of == path)
        {
            let message = format!("the client asks for what must be in the environment here: {variables}");
            let (path, kind) = (path.clone(), ProblemKind::Ignored);
            notes.push(Problem { path, server: None, kind, message });
        }
    }
    Ok(taken)
}

/// A map of servers, with the keys that lead to it.
type Placed<'a> = (Vec<&'a str>, &'a Map<String, Value>);

/// Every map of servers.
fn maps(client: Client, root: &Map<String, Value>) -> Result<Vec<Placed<'_>>, ClientError> {
    let key = servers_key(client);
    let mut maps = Vec::new();
    if let Some(servers) = servers(root, key)? {
        maps.push((vec![key], servers));
    }
    // What Claude Code was told inside single projects.
    if client == Client::ClaudeCode
        && let Some(Value::Object(projects)) = root.get("projects")
    {
        for (project, settings) in projects {
            if let Some(Value::Object(servers)) = settings.get("mcpServers") {
                maps.push((vec!["projects", project, "mcpServers"], servers));
            }
        }
    }
    Ok(maps)
}

pub(super) fn found(client: Client, text: &str) -> Result<Vec<Found>, ClientError> {
    let root = root(text)?;
    let mut found = Vec::new();
    for (path, servers) in maps(client, &root)? {
        found.extend(servers.iter().map(|(name, entry)| Found {
            path: format!("{}.{name}", path.join(".")),
            name: name.clone(),
            is_everywhere: path.len() == 1,
            entry: entry.clone(),
        }));
    }
    Ok(found)
}

pub(super) fn without(client: Client, text: &str, paths: &[&str]) -> Result<String, ClientError> {
    let root = root(text)?;
    let mut text = text.to_owned();
    for (path, servers) in maps(client, &root)? {
        for name in servers.keys() {
            if paths.contains(&format!("{}.{name}", path.join(".")).as_str()) {
                let keys = [path.as_slice(), &[name.as_str()]].concat();
                // All of a doubled key, or an older one would come to light.
                while let Some(place) = member_at(&blanked(&text), &keys) {
                    text = without_member(&text, place);
                }
            }
        }
    }
    Ok(text)
}

pub(super) fn only_servers(client: Client, text: &str) -> Result<String, ClientError> {
    let mut root = root(text)?;
    let key = servers_key(client);
    let mut members = Vec::new();
    // As it is written: a key that stands there twice shall still do so.
    if let Some(servers) = value_at(&blanked(text), key) {
        members.push(format!("{}: {servers}", Value::from(key)));
    }
    if client == Client::ClaudeCode
        && let Some(Value::Object(projects)) = root.get_mut("projects")
    {
        for settings in projects.values_mut().filter_map(Value::as_object_mut) {
            settings.retain(|name, _| name == "mcpServers");
        }
        members.push(format!("\"projects\": {}", root["projects"]));
    }
    Ok(format!("{{{}}}", members.join(", ")))
}

pub(super) fn write(
    client: Client,
    existing: Option<&str>,
    entries: &[(&str, Map<String, Value>)],
) -> Result<String, ClientError> {
    let key = servers_key(client);
    let mut text = match existing.filter(|text| !text.trim().is_empty()) {
        Some(text) => text.to_owned(),
        None => format!("{{\n  \"{key}\": {{}}\n}}\n"),
    };
    let root = root(&text)?;
    let there = servers(&root, key)?;
    for (name, entry) in entries {
        match there.and_then(|servers| servers.get(*name)) {
            Some(Value::Object(now)) => {
                for field in LAUNCH.into_iter().filter(|field| now.contains_key(*field)) {
                    if !entry.contains_key(field) {
                        text = removed(&text, &[key, name, field]);
                    }
                }
                for (field, value) in entry.iter().filter(|(field, value)| now.get(*field) != Some(value)) {
                    text = put(&text, &[key, name, field], value);
                }
            }
            _ => text = put(&text, &[key, name], &Value::Object(entry.clone())),
        }
    }
    Ok(text)
}

/// The servers of a text that can be read, those of single projects under the path of their map;
/// masked by whoever shows them.
pub(super) fn shown(client: Client, text: &str) -> Value {
    let root = root(text).unwrap_or_default();
    let mut shown = Map::new();
    for (path, servers) in maps(client, &root).unwrap_or_default() {
        match path.len() {
            1 => shown.extend(servers.clone()),
            _ => drop(shown.insert(path.join("."), Value::Object(servers.clone()))),
        }
    }
    Value::Object(shown)
}

fn put(text: &str, path: &[&str], value: &Value) -> String {
    let blank = blanked(text);
    let (place, new) = put_edit(&blank, path, value);
    let line_end = text[place.end..].find('\n').map_or(text.len(), |end| place.end + end);
    let tail = text[place.end..line_end].trim();
    // Behind the last member stands a comment, or a comma that only we may not see.
    let is_hidden = blank[place.end..line_end].trim().is_empty() && !tail.is_empty();
    match new.strip_prefix(',') {
        Some(member) if place.is_empty() && is_hidden => {
            let line_end = line_end - usize::from(text[..line_end].ends_with('\r'));
            let comma = if tail.starts_with(',') { "" } else { "," };
            let between = &text[place.end..line_end];
            [&text[..place.start], comma, between, member, &text[line_end..]].concat()
        }
        _ => applied(text, (place, new)),
    }
}

fn removed(text: &str, path: &[&str]) -> String {
    let mut text = text.to_owned();
    while let Some(edit) = remove_edit(&blanked(&text), path) {
        text = applied(&text, edit);
    }
    text
}

fn servers<'a>(
    root: &'a Map<String, Value>,
    key: &str,
) -> Result<Option<&'a Map<String, Value>>, ClientError> {
    match root.get(key) {
        None => Ok(None),
        Some(Value::Object(servers)) => Ok(Some(servers)),
        Some(other) => Err(ClientError::Shape { path: key.to_owned(), found: kind(other) }),
    }
}

fn root(text: &str) -> Result<Map<String, Value>, ClientError> {
    let blank = blanked(text);
    let json = blank.strip_prefix('\u{feff}').unwrap_or(&blank);
    match serde_json::from_str(json) {
        Ok(Value::Object(root)) => Ok(root),
        Ok(other) => Err(ClientError::Shape { path: "the file".to_owned(), found: kind(&other) }),
        Err(source) => Err(ClientError::Json { line: source.line(), column: source.column(), source }),
    }
}
