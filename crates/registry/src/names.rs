//! The full names of tools: `{server}_{tool}`, given once and kept for ever.
//!
//! A tool has one name for each context that sees it: an agent sees its own servers by their
//! local names, the store sees them as `{name}by{agent}`. Within one context a name is unique.
//! Stored is one record for each server in each context, with all names of its tools, and a count
//! of the batches: of two hubs that give names at once, the later one reads those of the other and
//! names anew.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dormouse_storage::{Storage, StorageError, Table, Write, joined_key};
use dormouse_types::{Scope, ServerKey, ToolKey, ToolName};
use serde::{Deserialize, Serialize};

/// The longest name that models and MCP clients take.
pub(crate) const LONGEST: usize = 64;

/// What of a long name the tool's part may fill; the rest is the server's.
const TOOL_PART: usize = 34;

/// The key of the count. Those of names have three parts.
const COUNT: &str = "count";

/// Every name that was ever given.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// How many batches are stored, as far as is known.
    count: u64,
    given: HashMap<Place, HashMap<ToolName, Arc<str>>>,
    taken: HashMap<Scope, HashSet<Arc<str>>>,
}

/// A server as one context sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    view: Scope,
    server: ServerKey,
}

/// A record of the storage.
#[derive(Debug, Serialize, Deserialize)]
struct Stored<N> {
    view: Scope,
    server: ServerKey,
    names: N,
}

/// Names that were just given and are not stored yet.
#[derive(Debug, Default)]
pub(crate) struct Fresh(Vec<(Place, Vec<ToolName>)>);

impl Fresh {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Names {
    /// Reads the names that were given in earlier lives of this hub.
    pub(crate) async fn load(storage: &dyn Storage) -> Result<Self, StorageError> {
        let mut names = Self::default();
        for (key, record) in storage.all(Table::ToolNames).await? {
            if key == COUNT {
                names.count = record.as_u64().unwrap_or_default();
                continue;
            }
            let Stored { view, server, names: given } =
                serde_json::from_value::<Stored<HashMap<ToolName, Arc<str>>>>(record)
                    .map_err(|source| StorageError::damaged(Table::ToolNames, source))?;
            names.taken.entry(view.clone()).or_default().extend(given.values().cloned());
            names.given.insert(Place { view, server }, given);
        }
        Ok(names)
    }

    /// The names of a server's tools in a context, in their order; gives names to those that
    /// have none. `shown` is the server's name there; a name that `is_chosen` for some tool by a
    /// person is not given.
    pub(crate) fn of(
        &mut self,
        view: &Scope,
        server: &ServerKey,
        shown: &str,
        tools: &[&ToolName],
        is_chosen: &dyn Fn(&str) -> bool,
        fresh: &mut Fresh,
    ) -> Vec<Arc<str>> {
        let place = Place { view: view.clone(), server: server.clone() };
        let given = self.given.entry(place.clone()).or_default();
        let taken = self.taken.entry(view.clone()).or_default();
        let mut new = Vec::new();
        let mut name = |tool: &&ToolName| {
            if let Some(name) = given.get(*tool) {
                return Arc::clone(name);
            }
            let name: Arc<str> = candidates(shown, tool.as_str(), &place)
                .find(|name| !taken.contains(name.as_str()) && !is_chosen(name))
                .expect("the candidates never end")
                .into();
            taken.insert(Arc::clone(&name));
            given.insert((*tool).clone(), Arc::clone(&name));
            new.push((*tool).clone());
            name
        };
        let names = tools.iter().map(&mut name).collect();
        if !new.is_empty() {
            fresh.0.push((place, new));
        }
        names
    }

    /// The tool that was given a name in a context, also when it is gone.
    pub(crate) fn given_to(&self, view: &Scope, name: &str) -> Option<ToolKey> {
        self.taken.get(view)?.get(name)?;
        self.given.iter().filter(|(place, _)| place.view == *view).find_map(|(place, given)| {
            let (tool, _) = given.iter().find(|(_, its)| &***its == name)?;
            Some(ToolKey { server: place.server.clone(), tool: tool.clone() })
        })
    }

    /// Takes back names that could not be stored.
    pub(crate) fn take_back(&mut self, fresh: &Fresh) {
        for (place, tools) in &fresh.0 {
            let given = self.given.entry(place.clone()).or_default();
            let taken = self.taken.entry(place.view.clone()).or_default();
            for name in tools.iter().filter_map(|tool| given.remove(tool)) {
                taken.remove(&name);
            }
        }
    }

    /// New names are stored.
    pub(crate) fn stored(&mut self) {
        self.count += 1;
    }

    /// The changes that store new names; a conflict when another hub stored some meanwhile.
    pub(crate) fn writes(&self, fresh: &Fresh) -> Vec<Write> {
        let put = |(place, _): &(Place, Vec<ToolName>)| {
            let Place { view, server } = place.clone();
            let record = Stored { view, server, names: &self.given[place] };
            let value = serde_json::to_value(record).expect("names and scopes are JSON");
            Write::Put { table: Table::ToolNames, key: joined_key(place.parts()), value }
        };
        let (table, key) = (Table::ToolNames, COUNT.to_owned());
        let known = (self.count > 0).then(|| self.count.into());
        let expected = Write::Expect { table, key: key.clone(), value: known };
        let counted = Write::Put { table, key, value: (self.count + 1).into() };
        [expected, counted].into_iter().chain(fresh.0.iter().map(put)).collect()
    }
}

impl Place {
    fn parts(&self) -> [&str; 3] {
        fn owner(scope: &Scope) -> &str {
            match scope {
                // An agent's id is never empty, so this is nobody's.
                Scope::Store => "",
                Scope::Agent(agent) => agent.as_str(),
            }
        }
        [owner(&self.view), owner(&self.server.scope), self.server.name.as_str()]
    }
}

/// A server's name in a context.
pub(crate) fn shown_name(view: &Scope, server: &ServerKey) -> String {
    match view {
        Scope::Store => server.store_name(),
        Scope::Agent(_) => server.name.to_string(),
    }
}

/// What a tool may be called, best first: the plain name if it fits, then with a hash of its
/// identity, which does not depend on what else exists.
fn candidates(shown: &str, name: &str, place: &Place) -> impl Iterator<Item = String> {
    let (shown, tool) = (allowed(shown), allowed(name));
    let fits = shown.len() + 1 + tool.len() <= LONGEST;
    let plain = fits.then(|| format!("{shown}_{tool}"));
    let hashed = (0_u64..).map(move |attempt| {
        let mut hasher = blake3::Hasher::new();
        let identity = joined_key(place.parts().into_iter().chain([name]));
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
    text.chars().map(|c| if is_allowed_char(c) { c } else { '_' }).collect()
}

/// Whether a text holds nothing but the characters that clients take in a name.
pub(crate) fn is_allowed(text: &str) -> bool {
    text.chars().all(is_allowed_char)
}

fn is_allowed_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ServerKey {
        ServerKey::store(name.parse().unwrap())
    }

    fn give(names: &mut Names, server_name: &str, tool: &str) -> String {
        let tool = tool.parse().unwrap();
        let server = server(server_name);
        names.of(&Scope::Store, &server, server_name, &[&tool], &|_| false, &mut Fresh::default())[0]
            .to_string()
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
        let mut fresh = Fresh::default();
        let mut give = |view| {
            let shown = shown_name(view, &key);
            names.of(view, &key, &shown, &[&tool], &|_| false, &mut fresh)[0].to_string()
        };
        assert_eq!(give(&agent), "calc_add");
        assert_eq!(give(&Scope::Store), "calcbya1_add");
        assert_eq!(names.writes(&fresh).len(), 4);
        names.take_back(&fresh);
        assert!(names.taken.values().all(HashSet::is_empty));
    }
}
