//! The servers of `mcp.json`.

use std::collections::BTreeMap;

use dormouse_storage::mcp_json::{McpFile, Problem};
use dormouse_types::{ServerConfig, ServerName};
use serde_json::Value;

use crate::error::{AddError, RemoveError};
use crate::finding::Finding;
use crate::settings::Settings;
use dormouse_types::chain;

/// What `mcp.json` says.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    pub(crate) servers: BTreeMap<ServerName, ConfiguredServer>,
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
                let servers = file.servers().iter().map(|(name, server)| {
                    let config = server.config(settings.timing);
                    (name.clone(), ConfiguredServer { config, title: server.title.clone() })
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

/// Adds an entry, or replaces the one of that name, and saves the file.
pub(crate) fn put(settings: &Settings, name: &ServerName, entry: &Value) -> Result<(), AddError> {
    let Some(entry) = entry.as_object() else {
        return Err(AddError::Invalid("expected an object".to_owned()));
    };
    let mut file = McpFile::load(&settings.mcp_json).map_err(|error| AddError::File(chain(&error)))?;
    file.put_raw(name, entry).map_err(|problems| {
        AddError::Invalid(problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))
    })?;
    file.save(&settings.mcp_json).map_err(|error| AddError::File(chain(&error)))
}

/// Removes an entry and saves the file.
pub(crate) fn remove(settings: &Settings, name: &ServerName) -> Result<(), RemoveError> {
    let mut file = McpFile::load(&settings.mcp_json).map_err(|error| RemoveError::Config(chain(&error)))?;
    file.remove(name);
    file.save(&settings.mcp_json).map_err(|error| RemoveError::Config(chain(&error)))
}
