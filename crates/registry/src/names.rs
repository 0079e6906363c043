//! The full names of tools: `{server}_{tool}`, given once and kept for ever.
//!
//! A tool has one name for each context that sees it: an agent sees its own servers by their
//! local names, the store sees them as `{name}by{agent}`. Within one context a name is unique.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dormouse_storage::{Storage, StorageError, Table, Write, joined_key};
use dormouse_types::{Scope, ServerKey, ToolName};
use serde::{Deserialize, Serialize};

/// The longest name that models and MCP clients take.
const LONGEST: usize = 64;

/// What of a long name the tool's part may fill; the rest is the server's.
const TOOL_PART: usize = 34;

/// Every name that was ever given.
#[derive(Debug, Default)]
pub(crate) struct Names {
    given: HashMap<String, Arc<str>>,
    taken: HashMap<Scope, HashSet<Arc<str>>>,
}

/// A name as it is stored; its key holds which tool has it.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    view: Scope,
    name: String,
}

/// A name that was just given and is not stored yet.
#[derive(Debug)]
pub(crate) struct Fresh {
    key: String,
    view: Scope,
    name: Arc<str>,
}

impl Names {
    /// Reads the names that were given in earlier lives of this hub.
    pub(crate) async fn load(storage: &dyn Storage) -> Result<Self, StorageError> {
        let mut names = Self::default();
        for (key, value) in storage.all(Table::ToolNames).await? {
            let Stored { view, name } = serde_json::from_value(value)
                .map_err(|source| StorageError::damaged(Table::ToolNames, source))?;
            names.keep(&Fresh { key, view, name: name.into() });
        }
        Ok(names)
    }

    /// The name of a tool in a context; gives it one if it has none.
    pub(crate) fn name(
        &mut self,
        view: &Scope,
        server: &ServerKey,
        tool: &ToolName,
        fresh: &mut Vec<Fresh>,
    ) -> Arc<str> {
        let key = key(view, server, tool);
        if let Some(name) = self.given.get(&key) {
            return Arc::clone(name);
        }
        let shown = shown_name(view, server);
        let taken = self.taken.entry(view.clone()).or_default();
        let name = candidates(&shown, tool.as_str(), &key)
            .find(|name| !taken.contains(name.as_str()))
            .expect("the candidates never end");
        let new = Fresh { key, view: view.clone(), name: name.into() };
        self.keep(&new);
        let name = Arc::clone(&new.name);
        fresh.push(new);
        name
    }

    /// Takes back names that could not be stored.
    pub(crate) fn take_back(&mut self, fresh: &[Fresh]) {
        for Fresh { key, view, name } in fresh {
            self.given.remove(key);
            if let Some(taken) = self.taken.get_mut(view) {
                taken.remove(name);
            }
        }
    }

    fn keep(&mut self, new: &Fresh) {
        self.taken.entry(new.view.clone()).or_default().insert(Arc::clone(&new.name));
        self.given.insert(new.key.clone(), Arc::clone(&new.name));
    }
}

/// The changes that store the names.
pub(crate) fn writes(fresh: &[Fresh]) -> Vec<Write> {
    let put = |Fresh { key, view, name }: &Fresh| {
        let stored = Stored { view: view.clone(), name: name.to_string() };
        let value = serde_json::to_value(stored).expect("a scope and a text are JSON");
        Write::Put { table: Table::ToolNames, key: key.clone(), value }
    };
    fresh.iter().map(put).collect()
}

/// A server's name in a context.
pub(crate) fn shown_name(view: &Scope, server: &ServerKey) -> String {
    match view {
        Scope::Store => server.store_name(),
        Scope::Agent(_) => server.name.to_string(),
    }
}

fn key(view: &Scope, server: &ServerKey, tool: &ToolName) -> String {
    let scope = |scope: &Scope| match scope {
        // An agent's id is never empty, so this is nobody's.
        Scope::Store => String::new(),
        Scope::Agent(agent) => agent.to_string(),
    };
    joined_key([scope(view).as_str(), &scope(&server.scope), server.name.as_str(), tool.as_str()])
}

/// What a tool may be called, best first: the plain name if it fits, then with more and more
/// of a hash of its identity, which does not depend on what else exists.
fn candidates(shown: &str, tool: &str, identity: &str) -> impl Iterator<Item = String> {
    let (shown, tool) = (allowed(shown), allowed(tool));
    let plain = format!("{shown}_{tool}");
    let plain = (plain.len() <= LONGEST).then_some(plain);
    let identity = identity.to_owned();
    let hashed = (0_u64..).map(move |attempt| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(identity.as_bytes()).update(&attempt.to_le_bytes());
        let hash = &hasher.finalize().to_hex()[..8];
        let tool = &tool[..tool.len().min(TOOL_PART)];
        let room = LONGEST - tool.len() - hash.len() - 2;
        let shown = &shown[..shown.len().min(room)];
        format!("{shown}_{tool}_{hash}")
    });
    plain.into_iter().chain(hashed)
}

/// The text in allowed characters, which are all ASCII.
fn allowed(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    text.chars().map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ServerKey {
        ServerKey::store(name.parse().unwrap())
    }

    fn give(names: &mut Names, server_name: &str, tool: &str) -> String {
        let tool = tool.parse().unwrap();
        names.name(&Scope::Store, &server(server_name), &tool, &mut Vec::new()).to_string()
    }

    #[test]
    fn plain_name_is_server_and_tool() {
        let mut names = Names::default();
        assert_eq!(give(&mut names, "calculator", "add"), "calculator_add");
        assert_eq!(give(&mut names, "calculator", "größe/x"), "calculator_gr__e_x");
    }

    #[test]
    fn clashing_names_differ_and_the_first_keeps_its_own() {
        let mut names = Names::default();
        assert_eq!(give(&mut names, "a_b", "c"), "a_b_c");
        let second = give(&mut names, "a", "b_c");
        assert!(second.starts_with("a_b_c_") && second.len() == 14, "{second}");
        assert_eq!(give(&mut names, "a_b", "c"), "a_b_c");
        assert_eq!(give(&mut names, "a", "b_c"), second);
    }

    #[test]
    fn long_names_fit_and_show_both_parts() {
        let mut names = Names::default();
        let (long_server, long_tool) = ("s".repeat(100), "t".repeat(256));
        let both = give(&mut names, &long_server, &long_tool);
        assert_eq!(both.len(), LONGEST);
        assert!(both.starts_with("ssss") && both.contains("_tttt"));
        assert_ne!(both, give(&mut names, &long_server, &"t".repeat(255)));
        let short_tool = give(&mut names, &long_server, "add");
        assert!(short_tool.contains("_add_") && short_tool.len() == LONGEST, "{short_tool}");
    }

    #[test]
    fn each_context_has_names_of_its_own() {
        let mut names = Names::default();
        let agent = Scope::Agent("a1".parse().unwrap());
        let key = ServerKey { scope: agent.clone(), name: "calc".parse().unwrap() };
        let tool = "add".parse().unwrap();
        let mut fresh = Vec::new();
        assert_eq!(&*names.name(&agent, &key, &tool, &mut fresh), "calc_add");
        assert_eq!(&*names.name(&Scope::Store, &key, &tool, &mut fresh), "calcbya1_add");
        assert_eq!(fresh.len(), 2);
    }
}
