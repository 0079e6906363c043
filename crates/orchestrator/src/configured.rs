//! The servers of `mcp.json`: the store's, and those that agents configured for themselves.

use std::collections::BTreeMap;

use dormouse_storage::mcp_json::{EntryError, McpFile};
use dormouse_types::{Scope, ServerConfig, ServerKey, chain};
use serde_json::{Map, Value, json};

use crate::edit::{Edit, EditError, EditKind};
use crate::finding::Finding;
use crate::settings::Settings;

/// How often an edit is made anew when somebody else saved the file meanwhile.
const ATTEMPTS: usize = 5;

/// What `mcp.json` says.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    pub(crate) servers: BTreeMap<ServerKey, ConfiguredServer>,
    pub(crate) findings: Vec<Finding>,
}

/// One usable entry.
#[derive(Debug, Clone)]
pub(crate) struct ConfiguredServer {
    pub(crate) config: ServerConfig,
    /// The entry's key, where it could not serve as a name.
    pub(crate) title: Option<String>,
}

impl Configured {
    /// Reads the file. While it cannot be read as a whole, such as half written, the servers
    /// stay as they were.
    pub(crate) fn load(settings: &Settings, before: &Self) -> Self {
        let finding = |problem: String| Finding { path: settings.mcp_json.clone(), problem };
        match McpFile::load(&settings.mcp_json) {
            Ok(file) => {
                let servers = file.servers().iter().map(|(key, server)| {
                    let config = server.config(settings.timing);
                    (key.clone(), ConfiguredServer { config, title: server.title.clone() })
                });
                Self {
                    servers: servers.collect(),
                    findings: file.problems().iter().map(|problem| finding(problem.to_string())).collect(),
                }
            }
            Err(error) => {
                let problem = format!("{}; its servers stay as they were", chain(&error));
                Self { servers: before.servers.clone(), findings: vec![finding(problem)] }
            }
        }
    }
}

/// Makes the edits, each by itself, and saves the file once.
pub(crate) fn edit(settings: &Settings, edits: Vec<Edit>) -> Vec<Result<(), EditError>> {
    let failed = |error: String| edits.iter().map(|_| Err(EditError::File(error.clone()))).collect();
    let mut attempt = 1;
    loop {
        let mut file = match McpFile::load(&settings.mcp_json) {
            Ok(file) => file,
            Err(error) => return failed(chain(&error)),
        };
        let results: Vec<_> = edits.iter().map(|edit| made(&mut file, edit)).collect();
        if results.iter().all(Result::is_err) {
            return results;
        }
        match file.save(&settings.mcp_json) {
            Ok(()) => return results,
            // Somebody else saved it meanwhile: their edit stays, and ours is made on top.
            Err(dormouse_storage::mcp_json::SaveError::Changed { .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => return failed(chain(&error)),
        }
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
        EditKind::Put(entry) | EditKind::Replace(entry) => {
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

/// One entry as it stands in the file, variables not expanded.
pub(crate) fn entry(settings: &Settings, server: &ServerKey) -> Result<Option<Value>, EditError> {
    let file = McpFile::load(&settings.mcp_json).map_err(|error| EditError::File(chain(&error)))?;
    Ok(file.raw(server).map(Value::Object))
}

/// What a context configured, in the form of the file: the store's whole document, or an agent's
/// own servers by their local names.
pub(crate) fn document(settings: &Settings, scope: &Scope) -> Result<Value, EditError> {
    let file = McpFile::load(&settings.mcp_json).map_err(|error| EditError::File(chain(&error)))?;
    if *scope == Scope::Store {
        return serde_json::from_str(file.text()).map_err(|error| EditError::File(chain(&error)));
    }
    let own = file.entries().filter(|(key, _)| key.scope == *scope);
    let servers: Map<String, Value> =
        own.filter_map(|(key, _)| Some((key.name.to_string(), Value::Object(file.raw(key)?)))).collect();
    Ok(json!({ "mcpServers": servers }))
}
