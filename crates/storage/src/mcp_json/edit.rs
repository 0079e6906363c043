//! Changes of single entries; the rest of the text stays as it is, byte for byte.

use dormouse_types::{Scope, ServerKey};
use serde_json::{Map, Value};

use super::read::name_by_key;
use super::{EntryError, McpFile, McpFileError, McpServer, Problem, ProblemKind, splice};

impl McpFile {
    /// Adds a server, or replaces what is known of it; unknown fields of its entry stay.
    pub fn put(&mut self, key: &ServerKey, server: &McpServer) {
        let entry = self.raw(key).unwrap_or_default();
        let entry = server.written_over(entry, self.servers.get(key));
        let text = self.with_entry(key, entry);
        self.become_text(&text).expect("texts and numbers make no file that cannot be read");
    }

    /// Adds an entry as somebody gave it, or replaces the whole entry. Whose it is and its name
    /// come from the key, whatever the entry says. A [`MASK`](super::MASK) stands for what is stored
    /// at its place.
    ///
    /// # Errors
    /// The problems that make it no server; then the file is as it was.
    pub fn put_raw(&mut self, key: &ServerKey, entry: &Map<String, Value>) -> Result<&McpServer, EntryError> {
        let entry = self.unmasked(key, entry)?;
        self.become_entry(key, &self.with_entry(key, entry))
    }

    /// Changes parts of an entry, as by a JSON merge patch (RFC 7396): members are put over those
    /// there, `null` takes one away, and what the patch does not name stays byte for byte. Whose
    /// the entry is and its name do not change. A [`MASK`](super::MASK) stands for what is stored at
    /// its place.
    ///
    /// # Errors
    /// [`EntryError`]; then the file is as it was.
    pub fn patch_raw(
        &mut self,
        key: &ServerKey,
        patch: &Map<String, Value>,
    ) -> Result<&McpServer, EntryError> {
        let Some(entry) = self.entries.get(key) else {
            return Err(EntryError::Unknown { key: key.clone() });
        };
        let patch = self.unmasked(key, patch)?;
        let path = [self.servers_key, &entry.file_key];
        let patch = without_identity(patch, &entry.value);
        let text = splice::merge(&self.text, &path, &entry.value, &patch);
        self.become_entry(key, &text)
    }

    /// Removes an entry, usable or not; says whether there was one.
    pub fn remove(&mut self, key: &ServerKey) -> bool {
        let Some(entry) = self.entries.get(key) else { return false };
        let text = splice::remove(&self.text, &[self.servers_key, &entry.file_key]);
        self.become_text(&text).expect("a good file is good without one entry");
        true
    }

    /// Removes one of the entries that are [`nobodys`](Self::nobodys); says whether there was one.
    pub fn remove_nobodys(&mut self, file_key: &str) -> bool {
        if !self.nobodys().any(|it| it == file_key) {
            return false;
        }
        let text = splice::remove(&self.text, &[self.servers_key, file_key]);
        self.become_text(&text).expect("a good file is good without one entry");
        true
    }

    /// An entry as it stands in the file, without what its key says already (`dormouse.agent` and
    /// `dormouse.name`): what [`put_raw`](Self::put_raw) takes. `None` also for one that is no
    /// object. Its variables are not expanded; values that are written there openly show.
    pub fn raw(&self, key: &ServerKey) -> Option<Map<String, Value>> {
        let mut entry = self.entries.get(key)?.value.as_object()?.clone();
        if let Some(Value::Object(ours)) = entry.get_mut("dormouse") {
            ours.shift_remove("agent");
            ours.shift_remove("name");
            if ours.is_empty() {
                entry.shift_remove("dormouse");
            }
        }
        Some(entry)
    }

    /// Takes a text in which one entry was changed, if that entry is a server.
    fn become_entry(&mut self, key: &ServerKey, text: &str) -> Result<&McpServer, EntryError> {
        let unusable = |message: &str| {
            let (path, server) = (key.to_string(), Some(key.clone()));
            let problem = Problem { path, server, kind: ProblemKind::Unusable, message: message.to_owned() };
            EntryError::Invalid { problems: vec![problem] }
        };
        let mut changed = self.clone();
        changed.become_text(text).map_err(|error| match error {
            McpFileError::TooLarge => unusable("is too large for the file"),
            McpFileError::Syntax { .. } | McpFileError::Shape { .. } => unusable("is nested too deeply"),
        })?;
        if changed.servers.contains_key(key) {
            *self = changed;
            Ok(&self.servers[key])
        } else {
            let of_entry = |problem: &Problem| {
                problem.server.as_ref() == Some(key) && problem.kind == ProblemKind::Unusable
            };
            Err(EntryError::Invalid { problems: changed.problems.into_iter().filter(of_entry).collect() })
        }
    }

    fn with_entry(&self, key: &ServerKey, entry: Map<String, Value>) -> String {
        let file_key = self.file_key_for(key);
        let entry = Value::Object(identified(key, &file_key, entry));
        splice::put(&self.text, &[self.servers_key, &file_key], &entry)
    }

    /// Where an entry stands, or would stand: under its own key, or one that nobody has.
    fn file_key_for(&self, key: &ServerKey) -> String {
        if let Some(entry) = self.entries.get(key) {
            return entry.file_key.clone();
        }
        let rendered = key.store_name();
        let numbered = (2..).map(|number| format!("{rendered}-{number}"));
        let mut candidates = std::iter::once(rendered.clone()).chain(numbered);
        candidates.find(|it| !self.file_keys.contains(it)).expect("a file has an end, the numbers have none")
    }

    /// Reads the edited text anew: there is one truth, and the edit is known to be a good file.
    fn become_text(&mut self, text: &str) -> Result<(), McpFileError> {
        *self = Self { on_disk: self.on_disk.take(), ..Self::read(text)? };
        Ok(())
    }
}

/// An entry that says whose it is, where its key in the file does not.
fn identified(key: &ServerKey, file_key: &str, mut entry: Map<String, Value>) -> Map<String, Value> {
    let mut ours = match entry.get_mut("dormouse") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(ours)) => std::mem::take(ours),
        // Not ours to mend: the reader refuses it.
        Some(_) => return entry,
    };
    ours.shift_remove("agent");
    ours.shift_remove("name");
    let is_agents = match &key.scope {
        Scope::Store => false,
        Scope::Agent(agent) => {
            ours.insert("agent".to_owned(), Value::from(agent.as_str()));
            true
        }
    };
    if is_agents || name_by_key(file_key).as_ref() != Ok(&key.name) {
        ours.insert("name".to_owned(), Value::from(key.name.as_str()));
    }
    if ours.is_empty() {
        entry.shift_remove("dormouse");
    } else {
        entry.insert("dormouse".to_owned(), Value::Object(ours));
    }
    entry
}

/// A patch that leaves alone whose an entry is.
fn without_identity(mut patch: Map<String, Value>, entry: &Value) -> Map<String, Value> {
    match patch.get_mut("dormouse") {
        Some(Value::Object(ours)) => {
            ours.shift_remove("agent");
            ours.shift_remove("name");
        }
        Some(settings @ Value::Null) => {
            let ours = entry.get("dormouse").and_then(Value::as_object);
            let (kept, gone): (Vec<_>, Vec<_>) = ours
                .into_iter()
                .flatten()
                .map(|(field, _)| field)
                .partition(|it| matches!(it.as_str(), "agent" | "name"));
            if !kept.is_empty() {
                *settings = gone.into_iter().map(|field| (field.clone(), Value::Null)).collect();
            }
        }
        _ => {}
    }
    patch
}
