//! The servers of `mcp.json`: the store's, and those that agents configured for themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dormouse_storage::mcp_json::{EntryError, McpFile};
use dormouse_storage::{ConfigSource, SourceError};
use dormouse_types::{Scope, ServerConfig, ServerKey, ServerName, Timing, chain};
use serde_json::{Map, Value, json};

use crate::edit::{Edit, EditError, EditKind};
use crate::finding::Finding;

/// What `mcp.json` says.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    pub(crate) servers: BTreeMap<ServerKey, ConfiguredServer>,
    pub(crate) findings: Vec<Finding>,
    /// Whether the storage was away, so that it is older than what is stored.
    pub(crate) is_unread: bool,
}

/// One usable entry.
#[derive(Debug, Clone)]
pub(crate) struct ConfiguredServer {
    pub(crate) config: ServerConfig,
    /// The entry's key, where it could not serve as a name.
    pub(crate) title: Option<String>,
}

impl Configured {
    /// Reads the configuration. While it cannot be read as a whole, such as half written, the
    /// servers stay as they were.
    pub(crate) async fn load(source: &dyn ConfigSource, timing: Timing, before: &Self) -> Self {
        let finding = |problem: String| Finding { path: place(source), problem };
        match read(source).await {
            Ok(file) => {
                let servers = file.servers().iter().map(|(key, server)| {
                    let config = server.config(timing);
                    (key.clone(), ConfiguredServer { config, title: server.title.clone() })
                });
                Self {
                    servers: servers.collect(),
                    findings: file.problems().iter().map(|problem| finding(problem.to_string())).collect(),
                    is_unread: false,
                }
            }
            Err(error) => {
                let problem = format!("{}; its servers stay as they were", chain(&error));
                let is_unread = matches!(error, SourceError::Storage(_));
                Self { servers: before.servers.clone(), findings: vec![finding(problem)], is_unread }
            }
        }
    }
}

/// Where a finding about the configuration leads a person.
fn place(source: &dyn ConfigSource) -> PathBuf {
    source.file().map_or_else(|| PathBuf::from(source.describe()), Path::to_owned)
}

async fn read(source: &dyn ConfigSource) -> Result<McpFile, SourceError> {
    match source.load().await? {
        // Thousands of entries keep a thread busy for a while.
        Some(text) => {
            let read = tokio::task::spawn_blocking(move || McpFile::read(&text));
            Ok(read.await.expect("reading a text does not panic")?)
        }
        None => Ok(McpFile::empty()),
    }
}

/// Makes the edits, each by itself, and saves once.
pub(crate) async fn edit(source: &dyn ConfigSource, edits: Vec<Edit>) -> Vec<Result<(), EditError>> {
    let made = dormouse_storage::edit(source, |file| {
        Ok::<_, SourceError>(edits.iter().map(|edit| made(file, edit)).collect())
    });
    match made.await {
        Ok(results) => results,
        Err(error) => edits.iter().map(|_| Err(failed(&error))).collect(),
    }
}

/// Takes out every entry of the contexts concerned, usable or not, and saves once; gives whose
/// they were. With `nobodys` also those whose owner cannot be told.
pub(crate) async fn forget(
    source: &dyn ConfigSource,
    concerned: impl Fn(&Scope) -> bool + Send + Sync,
    nobodys: bool,
) -> Result<BTreeSet<ServerKey>, EditError> {
    let forgotten = dormouse_storage::edit(source, |file| {
        let mut gone = BTreeSet::new();
        loop {
            // Of two entries with one name the second comes to light when the first is out.
            let keys = file.entries().map(|(key, _)| key).filter(|key| concerned(&key.scope)).cloned();
            let keys: Vec<ServerKey> = keys.collect();
            if keys.is_empty() {
                break;
            }
            for key in keys {
                file.remove(&key);
                gone.insert(key);
            }
        }
        if nobodys {
            let keys: Vec<String> = file.nobodys().map(str::to_owned).collect();
            for key in &keys {
                file.remove_nobodys(key);
            }
        }
        Ok::<_, SourceError>(gone)
    });
    forgotten.await.map_err(|error| failed(&error))
}

/// Takes out the entry of a server, or one that is nobody's and stands under its name; whether
/// there was one.
pub(crate) async fn remove(source: &dyn ConfigSource, server: &ServerKey) -> Result<bool, EditError> {
    let removed = dormouse_storage::edit(source, |file| {
        let is_named = server.scope == Scope::Store;
        let removed = file.remove(server) || (is_named && file.remove_nobodys(server.name.as_str()));
        Ok::<_, SourceError>(removed)
    });
    removed.await.map_err(|error| failed(&error))
}

/// Every entry, usable or not. One whose owner cannot be told is the store's to remove.
pub(crate) async fn keys(source: &dyn ConfigSource) -> Result<BTreeSet<ServerKey>, EditError> {
    let file = read(source).await.map_err(|error| failed(&error))?;
    let nobodys = file.nobodys().filter_map(|key| ServerName::try_new(key).ok()).map(ServerKey::store);
    Ok(file.entries().map(|(key, _)| key.clone()).chain(nobodys).collect())
}

fn failed(error: &SourceError) -> EditError {
    match error {
        SourceError::Storage(error) => EditError::Storage(error.clone()),
        other => EditError::File(chain(other)),
    }
}

fn made(file: &mut McpFile, edit: &Edit) -> Result<(), EditError> {
    let server = &edit.server;
    let absent = || EditError::NotConfigured { server: server.clone() };
    let refused = |error: EntryError| match error {
        EntryError::Unknown { .. } => absent(),
        EntryError::Invalid { .. } => EditError::Invalid(error.to_string()),
    };
    match &edit.kind {
        EditKind::Replace(_) if !file.contains(server) => Err(absent()),
        EditKind::Add(_) if file.contains(server) => {
            let taken_by = "another entry of mcp.json".to_owned();
            Err(EditError::Conflict { server: server.clone(), taken_by })
        }
        EditKind::Add(entry) | EditKind::Put(entry) | EditKind::Replace(entry) => {
            file.put_raw(server, object(entry)?).map(drop).map_err(refused)
        }
        EditKind::Patch(members) => file.patch_raw(server, object(members)?).map(drop).map_err(refused),
        EditKind::Remove => match file.remove(server) {
            true => Ok(()),
            false => Err(absent()),
        },
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, EditError> {
    value.as_object().ok_or_else(|| EditError::Invalid("expected an object".to_owned()))
}

/// One entry as it is written, variables not expanded.
pub(crate) async fn entry(source: &dyn ConfigSource, server: &ServerKey) -> Result<Option<Value>, EditError> {
    let file = read(source).await.map_err(|error| failed(&error))?;
    Ok(file.raw(server).map(Value::Object))
}

/// What a context configured, in the form of `mcp.json`: the store's whole document, or an
/// agent's own servers by their local names.
pub(crate) async fn document(source: &dyn ConfigSource, scope: &Scope) -> Result<Value, EditError> {
    let file = read(source).await.map_err(|error| failed(&error))?;
    if *scope == Scope::Store {
        // Editors of Windows begin a file with a mark that is no JSON.
        let text = file.text();
        return serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text))
            .map_err(|error| EditError::File(chain(&error)));
    }
    let own = file.entries().filter(|(key, _)| key.scope == *scope);
    let servers: Map<String, Value> =
        own.filter_map(|(key, _)| Some((key.name.to_string(), Value::Object(file.raw(key)?)))).collect();
    Ok(json!({ "mcpServers": servers }))
}
