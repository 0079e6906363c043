//! From the text of the file to its servers and problems.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_types::{AgentId, Scope, ServerKey, ServerName};
use serde_json::{Map, Value};

use super::reader::{Reader, kind};
use super::{Entry, LARGEST, McpFile, McpFileError, Problem, ProblemKind, splice};

/// The key of the servers in most clients, and the one that we write.
const SERVERS: &str = "mcpServers";

/// The key in VS Code's file.
const VS_CODE_SERVERS: &str = "servers";

pub(super) fn file(text: &str) -> Result<McpFile, McpFileError> {
    if text.len() > LARGEST {
        return Err(McpFileError::TooLarge);
    }
    let root = root(text)?;
    let servers_key = key_in(&root);
    let mut file = McpFile {
        text: text.to_owned(),
        on_disk: None,
        servers_key,
        servers: BTreeMap::new(),
        entries: BTreeMap::new(),
        file_keys: BTreeSet::new(),
        problems: Vec::new(),
    };
    let servers = match root.get(servers_key) {
        Some(Value::Object(servers)) => servers,
        Some(other) => {
            return Err(McpFileError::Shape { path: servers_key.to_owned(), found: kind(other) });
        }
        None => {
            if !root.is_empty() {
                let message = format!("there is no `{SERVERS}`, so there are no servers");
                file.note("the file".to_owned(), None, ProblemKind::Ignored, message);
            }
            return Ok(file);
        }
    };
    for key in splice::doubled_keys(text, servers_key) {
        let message = "stands there more than once; the last one counts".to_owned();
        let server = servers.get(&key).and_then(|entry| identity(&key, entry).ok());
        file.note(format!("{servers_key}.{key}"), server, ProblemKind::Ignored, message);
    }
    for (key, entry) in servers {
        file.read_entry(servers_key, key, entry);
    }
    Ok(file)
}

impl McpFile {
    fn read_entry(&mut self, servers_key: &str, file_key: &str, entry: &Value) {
        let path = format!("{servers_key}.{file_key}");
        self.file_keys.insert(file_key.to_owned());
        let key = match identity(file_key, entry) {
            Ok(key) => key,
            Err((field, message)) => {
                return self.note(format!("{path}{field}"), None, ProblemKind::Unusable, message);
            }
        };
        if let Some(other) = self.entries.get(&key) {
            let message = format!("its name would be `{key}`, which `{}` has already", other.file_key);
            return self.note(path, None, ProblemKind::Unusable, message);
        }
        self.entries.insert(key.clone(), Entry { file_key: file_key.to_owned(), value: entry.clone() });
        let mut note = |path, kind, message| self.note(path, Some(key.clone()), kind, message);
        let server = Reader { note: &mut note }.server(&path, entry);
        if let Some(mut server) = server {
            // With a name of its own, the entry's key is only a rendering.
            let is_title = ours(entry).is_none_or(|ours| !ours.contains_key("name"));
            let by_key = || (is_title && key.name.as_str() != file_key).then(|| file_key.to_owned());
            server.title = server.title.or_else(by_key);
            self.servers.insert(key, server);
        }
    }

    fn note(&mut self, path: String, server: Option<ServerKey>, kind: ProblemKind, message: String) {
        self.problems.push(Problem { path, server, kind, message });
    }
}

/// The name that an entry has by its key alone.
pub(super) fn name_by_key(file_key: &str) -> Result<ServerName, String> {
    let name = ServerName::try_new(file_key).or_else(|_| ServerName::slug(file_key));
    name.map_err(|error| error.to_string())
}

/// Whose server an entry is, and its name there; else the field that is wrong, and why. An entry
/// whose owner cannot be told is nobody's.
fn identity(file_key: &str, entry: &Value) -> Result<ServerKey, (&'static str, String)> {
    let field = |name: &str| ours(entry).and_then(|ours| ours.get(name)).filter(|value| !value.is_null());
    let text = |at, value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        other => Err((at, format!("expected a text, found {}", kind(other)))),
    };
    let scope = match field("agent") {
        None => Scope::Store,
        Some(agent) => {
            let agent = AgentId::try_new(text(".dormouse.agent", agent)?);
            Scope::Agent(agent.map_err(|error| (".dormouse.agent", error.to_string()))?)
        }
    };
    let name = match field("name") {
        None => name_by_key(file_key).map_err(|message| ("", message))?,
        Some(name) => ServerName::try_new(text(".dormouse.name", name)?)
            .map_err(|error| (".dormouse.name", error.to_string()))?,
    };
    Ok(ServerKey { scope, name })
}

fn ours(entry: &Value) -> Option<&Map<String, Value>> {
    entry.get("dormouse").and_then(Value::as_object)
}

fn key_in(root: &Map<String, Value>) -> &'static str {
    let vs_code = root.get(VS_CODE_SERVERS).is_some_and(Value::is_object);
    if vs_code && !root.contains_key(SERVERS) { VS_CODE_SERVERS } else { SERVERS }
}

fn root(text: &str) -> Result<Map<String, Value>, McpFileError> {
    // Windows editors put a byte order mark at the beginning.
    let json = text.strip_prefix('\u{feff}').unwrap_or(text);
    match serde_json::from_str(json) {
        Ok(Value::Object(root)) => Ok(root),
        Ok(other) => Err(McpFileError::Shape { path: "the file".to_owned(), found: kind(&other) }),
        Err(source) => Err(McpFileError::Syntax { line: source.line(), column: source.column(), source }),
    }
}
