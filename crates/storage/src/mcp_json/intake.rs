//! Servers as people and programs hand them in: one, many, a whole document, names, JSON text.
//!
//! # Invariants
//!
//! * One bad entry costs only itself; it says where it stands and why it was refused.
//! * A name stands for one server: the later one of a document is refused, also where a JSON
//!   text names a key twice, which a parser would swallow.
//! * What was taken has passed the same reader as `mcp.json`.

use std::collections::BTreeMap;
use std::io;

use dormouse_types::ServerName;
use serde_json::{Map, Value};

use super::reader::Reader;
use super::remote::{SHORT_FORMS, header_for};
use super::tree::Tree;
use super::{LARGEST, Problem, ProblemKind};

/// What was handed in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Intake {
    /// Every server of it, in its order.
    pub entries: Vec<IntakeEntry>,
    /// Servers that are meant by their name: they are in `mcp.json` already.
    pub names: Vec<ServerName>,
}

/// One server that was handed in.
#[derive(Clone, PartialEq)]
pub enum IntakeEntry {
    /// It is one.
    Taken {
        /// Where it stood, such as `mcpServers.calc`.
        path: String,
        /// Its name. Where the written one could not serve, it was made fit, and the written one
        /// stands in the entry as `dormouse.title`.
        name: ServerName,
        /// What goes into `mcp.json`; credentials are in `headers`.
        entry: Map<String, Value>,
        /// What of it does nothing.
        notes: Vec<Problem>,
    },
    /// It is none.
    Refused {
        /// Where it stood.
        path: String,
        /// Its name as written; empty when it has none.
        name: String,
        /// Why, with a path each.
        problems: Vec<Problem>,
    },
}

/// Without the entry, which holds secrets.
impl std::fmt::Debug for IntakeEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken { path, name, .. } => write!(f, "Taken({path} as {name})"),
            Self::Refused { path, problems, .. } => write!(f, "Refused({path}: {problems:?})"),
        }
    }
}

/// Why nothing of an input can be taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// A text is no JSON.
    #[error("line {line}, column {column} is no JSON")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// It is JSON of another shape.
    #[error("{path}: expected {expected}, found {found}")]
    Shape {
        /// Where.
        path: String,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A key that may stand once stands there more than once.
    #[error("{path}: stands there more than once")]
    Doubled {
        /// Where.
        path: String,
    },
    /// It is larger than any configuration.
    #[error("the input is larger than {} MiB", LARGEST >> 20)]
    TooLarge,
    /// It names no server.
    #[error("the input names no server")]
    Empty,
}

const FORMS: &str = "a server, a list of them, an object `mcpServers`, names, or any of it as JSON text";

/// Takes servers in any of the forms that are known: one server with its `name`; a list of
/// servers or names; `{"mcpServers": {…}}`, with `service_names` beside it or not; a bare map of
/// names to servers; all of it also as JSON text.
///
/// # Errors
/// [`IntakeError`] when the input as a whole is unusable; single servers become
/// [`IntakeEntry::Refused`].
pub fn intake(input: &Value) -> Result<Intake, IntakeError> {
    if let Value::String(text) = input {
        return intake_text(text);
    }
    let mut size = Size(0);
    // It only fails when there is too much of it.
    serde_json::to_writer(&mut size, input).map_err(|_| IntakeError::TooLarge)?;
    of_tree(&Tree::of(input))
}

/// Takes servers from a JSON text, or one name of a server.
///
/// # Errors
/// As [`intake`].
pub fn intake_text(text: &str) -> Result<Intake, IntakeError> {
    if text.len() > LARGEST {
        return Err(IntakeError::TooLarge);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    match serde_json::from_str(text) {
        Ok(tree @ (Tree::Object(_) | Tree::Array(_))) => of_tree(&tree),
        Ok(Tree::Leaf(Value::String(name))) => one_name(&name),
        Ok(other) => Err(shape("the input", FORMS, &other)),
        Err(source) => one_name(text).map_err(|_| IntakeError::Syntax {
            line: source.line(),
            column: source.column(),
            source,
        }),
    }
}

/// Takes servers from several maps of one input, each with its path.
pub(crate) fn intake_maps<'a>(maps: impl IntoIterator<Item = (String, &'a Map<String, Value>)>) -> Intake {
    let mut taking = Taking::default();
    for (path, servers) in maps {
        for (key, entry) in servers {
            taking.entry(below(&path, key), key, &Tree::of(entry));
        }
    }
    taking.taken
}

fn one_name(text: &str) -> Result<Intake, IntakeError> {
    let name =
        ServerName::try_new(text).map_err(|_| shape("the input", FORMS, &Tree::Leaf(Value::from(text))))?;
    Ok(Intake { names: vec![name], ..Intake::default() })
}

fn of_tree(tree: &Tree) -> Result<Intake, IntakeError> {
    let mut taking = Taking::default();
    match tree {
        Tree::Object(members) => taking.object("", members)?,
        Tree::Array(items) => taking.list(items)?,
        Tree::Leaf(_) => return Err(shape("the input", FORMS, tree)),
    }
    Ok(taking.taken)
}

#[derive(Default)]
struct Taking {
    taken: Intake,
    /// Where each name stood first.
    places: BTreeMap<ServerName, String>,
}

impl Taking {
    fn list(&mut self, items: &[Tree]) -> Result<(), IntakeError> {
        for (index, item) in items.iter().enumerate() {
            let path = format!("[{index}]");
            match item {
                Tree::Leaf(Value::String(name)) => self.name(path, name),
                Tree::Object(members) => self.object(&path, members)?,
                other => {
                    let message = format!("expected a server or a name, found {}", other.kind());
                    self.refuse(path, "", message);
                }
            }
        }
        Ok(())
    }

    fn object(&mut self, path: &str, members: &[(String, Tree)]) -> Result<(), IntakeError> {
        let servers = one_of(path, members, &["mcpServers"])?;
        let names = one_of(path, members, &["service_names", "serviceNames"])?;
        let has = |field: &str| {
            members.iter().any(|(key, value)| key == field && !matches!(value, Tree::Object(_)))
        };
        if servers.is_some() || names.is_some() {
            if let Some((key, servers)) = servers {
                let path = below(path, key);
                let Tree::Object(servers) = servers else {
                    return Err(shape(&path, "an object", servers));
                };
                self.map(&path, servers);
            }
            if let Some((key, names)) = names {
                self.names(&below(path, key), names)?;
            }
        } else if ["command", "url", "serverUrl", "name"].into_iter().any(has) {
            self.single(path, members);
        } else if members.is_empty() {
            return Err(IntakeError::Empty);
        } else {
            // VS Code's document, or names and servers with nothing around them.
            match members.iter().find(|(key, _)| key == "servers") {
                Some((key, Tree::Object(servers))) if !is_server(servers) => {
                    self.map(&below(path, key), servers)
                }
                _ => self.map(path, members),
            }
        }
        Ok(())
    }

    fn names(&mut self, path: &str, names: &Tree) -> Result<(), IntakeError> {
        match names {
            Tree::Leaf(Value::Null) => {}
            Tree::Leaf(Value::String(name)) => self.name(path.to_owned(), name),
            Tree::Array(names) => {
                for (index, name) in names.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    match name {
                        Tree::Leaf(Value::String(name)) => self.name(path, name),
                        other => self.refuse(path, "", format!("expected a name, found {}", other.kind())),
                    }
                }
            }
            other => return Err(shape(path, "a list of names", other)),
        }
        Ok(())
    }

    fn name(&mut self, path: String, text: &str) {
        match ServerName::try_new(text) {
            Ok(name) if self.taken.names.contains(&name) => {}
            Ok(name) => self.taken.names.push(name),
            Err(error) => self.refuse(path, text, error.to_string()),
        }
    }

    fn map(&mut self, path: &str, servers: &[(String, Tree)]) {
        for (key, entry) in servers {
            self.entry(below(path, key), key, entry);
        }
    }

    /// A server that says its own name.
    fn single(&mut self, path: &str, members: &[(String, Tree)]) {
        let path = if path.is_empty() { "the server" } else { path }.to_owned();
        let named =
            members.iter().find(|(key, value)| key == "name" && !matches!(value, Tree::Leaf(Value::Null)));
        match named {
            Some((_, Tree::Leaf(Value::String(name)))) => {
                let name = name.clone();
                let others = members.iter().filter(|(key, _)| key != "name").cloned().collect();
                if members.iter().filter(|(key, _)| key == "name").count() > 1 {
                    let at = format!("{path}.name");
                    return self.refuse_at(path, &name, at, "stands there more than once".to_owned());
                }
                self.entry(path, &name, &Tree::Object(others));
            }
            Some((_, other)) => {
                let at = format!("{path}.name");
                self.refuse_at(path, "", at, format!("expected a text, found {}", other.kind()));
            }
            None => self.refuse(path, "", "has no `name`".to_owned()),
        }
    }

    fn entry(&mut self, path: String, written: &str, entry: &Tree) {
        let mut entry = match entry.plain(&path) {
            Ok(Value::Object(entry)) => entry,
            Ok(_) => {
                return self.refuse(path, written, format!("expected an object, found {}", entry.kind()));
            }
            Err(at) => return self.refuse_at(path, written, at, "stands there more than once".to_owned()),
        };
        let name = match super::read::name_by_key(own_name(&entry).unwrap_or(written)) {
            Ok(name) => name,
            Err(message) => return self.refuse(path, written, message),
        };
        if let Some(first) = self.places.get(&name) {
            let message = format!("its name `{name}` is taken by {first} of the same input");
            return self.refuse(path, written, message);
        }
        let mut notes = Vec::new();
        let mut note = |path, kind, message| notes.push(Problem { path, server: None, kind, message });
        let value = Value::Object(entry.clone());
        if (Reader { note: &mut note }).server(&path, &value).is_none() {
            notes.retain(|note| note.kind == ProblemKind::Unusable);
            let refused = IntakeEntry::Refused { path, name: written.to_owned(), problems: notes };
            return self.taken.entries.push(refused);
        }
        self.places.insert(name.clone(), path.clone());
        fold_credentials(&mut entry);
        let has_own_name = own_name(&entry).is_some();
        let title = (!has_own_name && name.as_str() != written).then_some(written);
        disown(&mut entry, title);
        self.taken.entries.push(IntakeEntry::Taken { path, name, entry, notes });
    }

    fn refuse(&mut self, path: String, name: &str, message: String) {
        self.refuse_at(path.clone(), name, path, message);
    }

    fn refuse_at(&mut self, path: String, name: &str, at: String, message: String) {
        let problem = Problem { path: at, server: None, kind: ProblemKind::Unusable, message };
        let refused = IntakeEntry::Refused { path, name: name.to_owned(), problems: vec![problem] };
        self.taken.entries.push(refused);
    }
}

/// The member with one of these keys, in any case of letters; two of them are an error.
fn one_of<'a>(
    path: &str,
    members: &'a [(String, Tree)],
    keys: &[&str],
) -> Result<Option<(&'a str, &'a Tree)>, IntakeError> {
    let is_it = |key: &str| keys.iter().any(|it| it.eq_ignore_ascii_case(key));
    let mut found = members.iter().filter(|(key, _)| is_it(key));
    match (found.next(), found.next()) {
        (_, Some((key, _))) => Err(IntakeError::Doubled { path: below(path, key) }),
        (first, None) => Ok(first.map(|(key, value)| (key.as_str(), value))),
    }
}

fn is_server(members: &[(String, Tree)]) -> bool {
    let is_leaf = |value: &Tree| matches!(value, Tree::Leaf(_));
    members
        .iter()
        .any(|(key, value)| matches!(key.as_str(), "command" | "url" | "serverUrl") && is_leaf(value))
}

/// The name that an entry of ours says of itself: its key is then only a rendering.
fn own_name(entry: &Map<String, Value>) -> Option<&str> {
    entry.get("dormouse")?.get("name")?.as_str()
}

/// Takes away whose the entry was elsewhere; keeps the written name, where it is another.
fn disown(entry: &mut Map<String, Value>, title: Option<&str>) {
    let mut ours = match entry.get("dormouse") {
        Some(Value::Object(ours)) => ours.clone(),
        _ => Map::new(),
    };
    ours.shift_remove("agent");
    ours.shift_remove("name");
    if let Some(title) = title {
        ours.insert("title".to_owned(), Value::from(title));
    }
    if ours.is_empty() {
        entry.shift_remove("dormouse");
    } else {
        entry.insert("dormouse".to_owned(), Value::Object(ours));
    }
}

/// Writes `auth`, `token` and `api_key` of a server at a URL as headers, which every client knows.
pub(crate) fn fold_credentials(entry: &mut Map<String, Value>) {
    if entry.get("command").is_some_and(|command| !command.is_null()) {
        return;
    }
    for field in SHORT_FORMS {
        let Some(Value::String(text)) = entry.get(field) else { continue };
        if field == "auth" && text == "oauth" {
            continue;
        }
        let (name, text) = header_for(field, text);
        entry.shift_remove(field);
        let mut headers = match entry.get("headers") {
            Some(Value::Object(headers)) => headers.clone(),
            _ => Map::new(),
        };
        if !headers.keys().any(|other| other.eq_ignore_ascii_case(name)) {
            headers.insert(name.to_owned(), Value::from(text));
            entry.insert("headers".to_owned(), Value::Object(headers));
        }
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn shape(path: &str, expected: &'static str, found: &Tree) -> IntakeError {
    IntakeError::Shape { path: path.to_owned(), expected, found: found.kind() }
}

/// Counts what is written, and fails beyond the limit.
struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        if self.0 > LARGEST { Err(io::Error::other("too large")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
