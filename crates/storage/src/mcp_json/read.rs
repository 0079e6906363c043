//! From the text of the file to its servers and problems.

use std::collections::BTreeMap;

use dormouse_types::ServerName;
use serde_json::{Map, Value};

use super::server::{Reader, kind};
use super::{McpFile, McpFileError, Problem, ProblemKind, splice};

/// The key of the servers in most clients, and the one that we write.
const SERVERS: &str = "mcpServers";

/// The key in VS Code's file.
const VS_CODE_SERVERS: &str = "servers";

pub(super) fn file(text: &str) -> Result<McpFile, McpFileError> {
    let root = root(text)?;
    let mut file = McpFile {
        text: text.to_owned(),
        on_disk: None,
        servers: BTreeMap::new(),
        keys: BTreeMap::new(),
        problems: Vec::new(),
    };
    let servers_key = key_in(&root);
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
        let server = ServerName::slug(&key).ok();
        file.note(format!("{servers_key}.{key}"), server, ProblemKind::Ignored, message);
    }
    for (key, entry) in servers {
        file.read_entry(servers_key, key, entry);
    }
    Ok(file)
}

impl McpFile {
    fn read_entry(&mut self, servers_key: &str, key: &str, entry: &Value) {
        let path = format!("{servers_key}.{key}");
        let name = match ServerName::try_new(key).or_else(|_| ServerName::slug(key)) {
            Ok(name) => name,
            Err(error) => return self.note(path, None, ProblemKind::Unusable, error.to_string()),
        };
        if let Some(other) = self.keys.get(&name) {
            let message = format!("its name would be `{name}`, which `{other}` has already");
            return self.note(path, None, ProblemKind::Unusable, message);
        }
        self.keys.insert(name.clone(), key.to_owned());
        let mut note = |path, kind, message| self.note_of(&name, path, kind, message);
        let server = Reader { note: &mut note }.server(&path, entry);
        if let Some(mut server) = server {
            server.title = (name.as_str() != key).then(|| key.to_owned());
            self.servers.insert(name, server);
        }
    }

    fn note_of(&mut self, name: &ServerName, path: String, kind: ProblemKind, message: String) {
        self.note(path, Some(name.clone()), kind, message);
    }

    fn note(&mut self, path: String, server: Option<ServerName>, kind: ProblemKind, message: String) {
        self.problems.push(Problem { path, server, kind, message });
    }
}

/// The key that holds the servers of a good file, or would hold them.
pub(super) fn servers_key(text: &str) -> String {
    root(text).map_or(SERVERS, |root| key_in(&root)).to_owned()
}

/// One entry of a good file, if it is an object.
pub(super) fn entry(text: &str, key: &str) -> Option<Map<String, Value>> {
    let root = root(text).ok()?;
    match root.get(key_in(&root))?.get(key)? {
        Value::Object(entry) => Some(entry.clone()),
        _ => None,
    }
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
