//! Moving a client's servers into the hub.
//!
//! # Invariants
//!
//! * A server leaves the client's file only after the hub has it.
//! * An entry that leads to a hub is never taken: a hub must not become a server of itself.
//! * An entry that would mean something else here stays where it is.

use dormouse::clients::{self, Client, ClientError, Found};
use dormouse_http::wire::{ImportBody, ImportedItem, ImportedReport};
use serde_json::{Map, Value, json};

use super::super::{path, text};
use super::ours::Us;
use crate::args::View;
use crate::client::HubClient;
use crate::failure::Failure;

/// What becomes of the servers of a client's file.
#[derive(Debug, Default)]
pub(super) struct Taking {
    pub(super) taken: Vec<ImportedItem>,
    pub(super) left: Vec<Left>,
    pub(super) notes: Vec<String>,
}

/// A server that stays in the client's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) reason: String,
    /// Whether the hub could have taken it, and did not.
    pub(super) is_refused: bool,
}

/// What of a client's file is to be taken.
#[derive(Debug)]
pub(super) struct Candidates {
    client: Client,
    /// The file with nothing but the servers that may be taken; `None` when there are none.
    servers: Option<String>,
    left: Vec<Left>,
}

impl Candidates {
    /// Parts what may be taken from what must stay.
    pub(super) fn of(client: Client, whole: &str, there: &[Found], us: &Us) -> Result<Self, ClientError> {
        let mut left = Vec::new();
        let mut aside = Vec::new();
        for found in there {
            let reason = match us.ours(&found.entry) {
                // It is what connects the client.
                Some(ours) if ours.is_here => None,
                Some(_) => Some("leads to a hub".to_owned()),
                None => match stays_because(client, &found.entry) {
                    Some(reason) => Some(reason),
                    None => continue,
                },
            };
            aside.push(found.path.as_str());
            left.extend(reason.map(|reason| Left {
                path: found.path.clone(),
                name: found.name.clone(),
                reason,
                is_refused: false,
            }));
        }
        let servers = match aside.len() == there.len() {
            true => None,
            false => Some(clients::only_servers(client, &clients::without(client, whole, &aside)?)?),
        };
        Ok(Self { client, servers, left })
    }

    /// Only the servers at these paths.
    pub(super) fn only(client: Client, whole: &str, paths: &[&str]) -> Result<Self, ClientError> {
        let there = clients::found(client, whole)?;
        let others: Vec<&str> =
            there.iter().map(|found| found.path.as_str()).filter(|it| !paths.contains(it)).collect();
        let servers = clients::only_servers(client, &clients::without(client, whole, &others)?)?;
        Ok(Self { client, servers: Some(servers), left: Vec::new() })
    }

    /// Lets the hub take them, or say what it would take.
    pub(super) async fn take(
        &self,
        hub: &mut HubClient,
        view: &View,
        dry_run: bool,
    ) -> Result<Taking, Failure> {
        let mut taking = Taking { left: self.left.clone(), ..Taking::default() };
        let Some(servers) = &self.servers else { return Ok(taking) };
        let body = ImportBody {
            client: Some(self.client.as_str().to_owned()),
            text: Some(servers.clone()),
            dry_run,
            ..ImportBody::default()
        };
        let report: ImportedReport = hub.post(&path(view, "/config/import"), &body).await?;
        taking.notes = report.notes;
        for item in report.entries {
            if ["conflict", "refused"].contains(&item.outcome.as_str()) {
                let reason = item.reason.unwrap_or_default();
                taking.left.push(Left { path: item.path, name: item.name, reason, is_refused: true });
            } else {
                taking.taken.push(item);
            }
        }
        Ok(taking)
    }
}

impl Taking {
    /// Where those that were taken stood.
    pub(super) fn paths(&self) -> Vec<&str> {
        self.taken.iter().map(|item| item.path.as_str()).collect()
    }

    /// A row for each server: its name, what becomes of it, and why.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let taken = self.taken.iter().map(|item| {
            let name = item.server_name.clone().unwrap_or_else(|| item.name.clone());
            vec![name, item.outcome.clone(), item.notes.join("; ")]
        });
        let left =
            self.left.iter().map(|left| vec![left.name.clone(), "stays".to_owned(), left.reason.clone()]);
        taken.chain(left).collect()
    }

    pub(super) fn as_json(&self) -> Map<String, Value> {
        let left = self.left.iter().map(|left| {
            json!({ "path": left.path, "name": left.name, "reason": left.reason, "refused": left.is_refused })
        });
        let mut members = Map::new();
        members.insert("taken_over".to_owned(), json!(self.taken));
        members.insert("left".to_owned(), left.collect());
        members.insert("notes".to_owned(), json!(self.notes));
        members
    }
}

/// Fields that change what a server is, and that the hub does not have.
const UNKNOWN_HERE: [&str; 9] = [
    "envFile",
    "headersHelper",
    "oauth",
    "sandbox",
    "sandboxEnabled",
    "dev",
    "enabled_tools",
    "disabled_tools",
    "scopes",
];

/// Why an entry would not be the same server here.
fn stays_because(client: Client, entry: &Value) -> Option<String> {
    if let Some(field) = UNKNOWN_HERE.into_iter().find(|field| entry.get(field).is_some_and(is_set)) {
        return Some(format!("its `{field}` has no counterpart in the hub"));
    }
    // Cursor's object with a client's id and secret; in other files it may be a text.
    if entry.get("auth").is_some_and(Value::is_object) {
        return Some("its `auth` has no counterpart in the hub".to_owned());
    }
    let is_name = |value: &Value| value.is_string();
    if entry.get("env_vars").and_then(Value::as_array).is_some_and(|names| !names.iter().all(is_name)) {
        return Some("its `env_vars` have no counterpart in the hub".to_owned());
    }
    let is_relative = |text: &str| text.contains('/') && !text.starts_with(['/', '~', '$']);
    if is_relative(text(entry, "command"))
        || ["cwd", "working_dir"].into_iter().any(|field| {
            let folder = text(entry, field);
            !folder.is_empty() && !folder.starts_with(['/', '$'])
        })
    {
        return Some("its program lies where the client looks for it".to_owned());
    }
    let of_client = variable_of_client(client, entry)?;
    Some(match of_client.strip_prefix("input:") {
        Some(_) => format!("the client asks a person for `${{{of_client}}}`"),
        None => format!("only the client knows `${{{of_client}}}`"),
    })
}

/// Whether a field says something.
fn is_set(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

/// A variable in an entry that the client fills in, and not the environment.
fn variable_of_client(client: Client, entry: &Value) -> Option<String> {
    /// Those of VS Code and Cursor that look like variables of the environment.
    const THEIRS: [&str; 9] = [
        "workspaceFolder",
        "workspaceFolderBasename",
        "userHome",
        "pathSeparator",
        "file",
        "fileDirname",
        "cwd",
        "execPath",
        "extensionInstallFolder",
    ];
    match entry {
        Value::String(text) => text.split("${").skip(1).find_map(|rest| {
            let (inner, _) = rest.split_once('}')?;
            let name = inner.split_once(":-").map_or(inner, |(name, _)| name);
            let is_theirs = match name.split_once(':') {
                Some((kind, _)) => kind != "env",
                None => {
                    let has_own = matches!(client, Client::VsCode | Client::Cursor);
                    name == "/" || has_own && THEIRS.contains(&name)
                }
            };
            is_theirs.then(|| inner.to_owned())
        }),
        Value::Array(items) => items.iter().find_map(|item| variable_of_client(client, item)),
        Value::Object(members) => members.values().find_map(|value| variable_of_client(client, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_another_server_here_stays() {
        for (client, entry, part) in [
            (Client::VsCode, json!({"command": "x", "envFile": "a.env"}), "envFile"),
            (Client::VsCode, json!({"command": "x", "args": ["${workspaceFolder}/a"]}), "workspaceFolder"),
            (Client::VsCode, json!({"url": "u", "headers": {"A": "Bearer ${input:key}"}}), "asks a person"),
            (Client::Cursor, json!({"command": "x", "env": {"A": "${userHome}"}}), "userHome"),
            (Client::Cursor, json!({"url": "u", "auth": {"CLIENT_ID": "x"}}), "auth"),
            (Client::Codex, json!({"command": "x", "enabled_tools": ["a"]}), "enabled_tools"),
            (Client::Codex, json!({"command": "x", "env_vars": [{"name": "A"}]}), "env_vars"),
            (Client::ClaudeCode, json!({"command": "./server"}), "lies where"),
            (Client::ClaudeCode, json!({"command": "x", "cwd": "sub"}), "lies where"),
        ] {
            let reason = stays_because(client, &entry);
            assert!(reason.as_deref().is_some_and(|it| it.contains(part)), "{entry}: {reason:?}");
        }
        for entry in [
            json!({"command": "npx", "args": ["-y", "@a/b"], "env": {"A": "${A}", "B": "${env:B}"}}),
            json!({"command": "/x/y", "cwd": "/z", "env_vars": ["HOME"], "disabled_tools": null}),
            json!({"url": "https://h/mcp", "headers": {"A": "Bearer ${A:-b}"}, "sandbox": false}),
        ] {
            assert_eq!(stays_because(Client::VsCode, &entry), None, "{entry}");
        }
        assert_eq!(stays_because(Client::ClaudeCode, &json!({"command": "${file}"})), None);
    }
}
