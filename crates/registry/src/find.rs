//! From a name that a person or a model wrote to a tool or a server.
//!
//! Only an exact name finds something. Near misses go into the error, for whoever reads it.

use std::sync::Arc;

use dormouse_types::{Scope, ServerKey, ToolName};

use crate::catalog::Catalog;
use crate::entry::{Entry, ToolRef};
use crate::view::{Listed, View};

/// How many near misses are worth reading.
const SUGGESTIONS: usize = 5;

/// How like a suggestion must be, from 0 to 1: `ad` finds `add`, `divide` does not find `drive`.
const LIKE_ENOUGH: f64 = 0.82;

/// How much less like than the best one a suggestion may be: beside a typo the rest is noise.
const BEHIND_THE_BEST: f64 = 0.08;

/// Names longer than any we give are not compared: it would only cost time.
const LONGEST_COMPARED: usize = 256;

/// Why no tool was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchTool {
    /// Nothing has that name.
    #[error("no tool is named `{}`{}", cut(name), suggested(near))]
    Unknown {
        /// The name asked for.
        name: String,
        /// Full names that are like it, best first.
        near: Vec<String>,
    },
    /// Several servers have a tool of that name.
    #[error("several tools are named `{name}`: say which one ({})", same_name.join(", "))]
    Ambiguous {
        /// The name asked for.
        name: String,
        /// Their full names, sorted.
        same_name: Vec<String>,
    },
    /// The server named beside it was not found.
    #[error(transparent)]
    Server(#[from] NoSuchServer),
}

/// Why no server was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchServer {
    /// Nothing has that name.
    #[error("no server is named `{}`{}", cut(name), suggested(near))]
    Unknown {
        /// The name asked for.
        name: String,
        /// Names that are like it, best first.
        near: Vec<String>,
    },
    /// Two servers of different owners are shown under that name.
    #[error("several servers are shown as `{name}`: {}", listed(owners))]
    Ambiguous {
        /// The name asked for.
        name: String,
        /// Which ones, sorted.
        owners: Vec<ServerKey>,
    },
}

impl Catalog {
    /// Finds the tool that a name means in a context: a full name (chosen or given), or a bare
    /// one that only one server has. With a server's name beside it, only that server's tools
    /// count. A tool that is disabled there is not found.
    ///
    /// # Errors
    /// [`NoSuchTool`] with the candidates, or with near misses.
    pub fn find_tool(&self, scope: &Scope, name: &str, server: Option<&str>) -> Result<ToolRef, NoSuchTool> {
        self.find(scope, name, server, |tool| !tool.settings().disabled)
    }

    /// Like [`find_tool`](Self::find_tool), and finds also what is disabled there.
    ///
    /// # Errors
    /// [`NoSuchTool`] with the candidates, or with near misses.
    pub fn find_any_tool(
        &self,
        scope: &Scope,
        name: &str,
        server: Option<&str>,
    ) -> Result<ToolRef, NoSuchTool> {
        self.find(scope, name, server, |_| true)
    }

    fn find(
        &self,
        scope: &Scope,
        name: &str,
        server: Option<&str>,
        counts: fn(&ToolRef) -> bool,
    ) -> Result<ToolRef, NoSuchTool> {
        let unknown = |near| NoSuchTool::Unknown { name: name.to_owned(), near };
        let Some(view) = self.view(scope) else {
            return match server {
                Some(server) => Err(unknown_server(server, Vec::new()).into()),
                None => Err(unknown(Vec::new())),
            };
        };
        if let Some(server) = server {
            let server = find_listed(view, server)?;
            let near = || near_tools(tools_of(server).filter(counts), name);
            return tool_of(server, name, counts).ok_or_else(|| unknown(near()));
        }
        if let Some(tool) = view.by_full_name(name).filter(|tool| counts(tool)) {
            return Ok(tool.clone());
        }
        let bare = ToolName::try_new(name);
        let same_name = bare.as_ref().map_or(&[][..], |bare| view.by_bare_name(bare));
        let same_name: Vec<&ToolRef> = same_name.iter().filter(|tool| counts(tool)).collect();
        match *same_name {
            [tool] => Ok(tool.clone()),
            [] => Err(unknown(near_tools(view.tools().filter(counts), name))),
            _ => {
                let mut same_name: Vec<_> =
                    same_name.iter().map(|tool| tool.full_name().to_owned()).collect();
                same_name.sort();
                Err(NoSuchTool::Ambiguous { name: name.to_owned(), same_name })
            }
        }
    }

    /// Finds a server by the name under which a context shows it.
    ///
    /// # Errors
    /// [`NoSuchServer`]. Of servers that the store shows under one name its own is found; where
    /// all are agents', take [`get`](Catalog::get) with (owner, name) instead.
    pub fn find_server(&self, scope: &Scope, name: &str) -> Result<&Arc<Entry>, NoSuchServer> {
        match self.view(scope) {
            Some(view) => find_listed(view, name).map(|server| &server.entry),
            None => Err(unknown_server(name, Vec::new())),
        }
    }
}

fn find_listed<'a>(view: &'a View, name: &str) -> Result<&'a Arc<Listed>, NoSuchServer> {
    match view.by_shown_name(name) {
        [server] => Ok(server),
        [] => {
            let near = Near::of(name).among(view.shown_names().map(|shown| ([&**shown], &**shown)));
            Err(unknown_server(name, near))
        }
        several => {
            // The store's own name is a name, the others are renderings: no agent takes it away.
            let own = several.iter().find(|server| server.entry.key.scope == Scope::Store);
            if let Some(own) = own {
                return Ok(own);
            }
            let mut owners: Vec<_> = several.iter().map(|server| server.entry.key.clone()).collect();
            owners.sort();
            Err(NoSuchServer::Ambiguous { name: name.to_owned(), owners })
        }
    }
}

fn unknown_server(name: &str, near: Vec<String>) -> NoSuchServer {
    NoSuchServer::Unknown { name: name.to_owned(), near }
}

fn tools_of(server: &Arc<Listed>) -> impl Iterator<Item = ToolRef> {
    (0..server.tools.len()).map(|place| ToolRef { server: Arc::clone(server), place })
}

/// A tool of one server. A name that a person chose goes first, since lists show it; then the
/// bare name: here it cannot be ambiguous, whereas one tool's given name may be another one's
/// bare name.
fn tool_of(server: &Arc<Listed>, name: &str, counts: fn(&ToolRef) -> bool) -> Option<ToolRef> {
    let is_chosen = |tool: &ToolRef| tool.settings().name.as_ref().is_some_and(|n| n.as_str() == name);
    let is_bare = |tool: &ToolRef| tool.tool().name.as_str() == name;
    let is_given = |tool: &ToolRef| tool.given_name() == name;
    let find = |is: &dyn Fn(&ToolRef) -> bool| tools_of(server).filter(counts).find(is);
    find(&is_chosen).or_else(|| find(&is_bare)).or_else(|| find(&is_given))
}

fn near_tools(tools: impl Iterator<Item = ToolRef>, name: &str) -> Vec<String> {
    let tools: Vec<_> = tools.collect();
    Near::of(name).among(tools.iter().map(|tool| {
        let (full, bare) = (tool.full_name(), tool.tool().name.as_str());
        ([full, bare], full)
    }))
}

/// Finds the names that are like the one asked for. Case and separators do not count.
struct Near {
    asked: Vec<char>,
}

impl Near {
    fn of(asked: &str) -> Self {
        let compared = asked.len() <= LONGEST_COMPARED;
        Self { asked: if compared { plain(asked).collect() } else { Vec::new() } }
    }

    /// The best of those that are known by some names and are shown by one.
    fn among<'a, const N: usize>(&self, known: impl Iterator<Item = ([&'a str; N], &'a str)>) -> Vec<String> {
        if self.asked.is_empty() {
            return Vec::new();
        }
        let mut like = Vec::new();
        for (names, shown) in known {
            let likeness = names.iter().map(|name| self.likeness(name)).fold(0.0, f64::max);
            if likeness >= LIKE_ENOUGH {
                like.push((likeness, shown));
            }
        }
        like.sort_by(|(a, a_name), (b, b_name)| b.total_cmp(a).then_with(|| a_name.cmp(b_name)));
        let least = like.first().map_or(1.0, |(best, _)| best - BEHIND_THE_BEST);
        let near = like.into_iter().take_while(|(likeness, _)| *likeness >= least);
        near.take(SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
    }

    /// From 0 to 1.
    fn likeness(&self, name: &str) -> f64 {
        let name: Vec<char> = plain(name).collect();
        strsim::generic_jaro_winkler(&self.asked, &name)
    }
}

fn plain(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase)
}

/// The beginning of a name that may be anything.
fn cut(name: &str) -> String {
    const SHOWN: usize = 80;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

fn suggested(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(", ")),
    }
}

fn listed(owners: &[ServerKey]) -> String {
    let owner = |key: &ServerKey| match &key.scope {
        Scope::Store => format!("`{}` of the store", key.name),
        Scope::Agent(agent) => format!("`{}` of agent `{agent}`", key.name),
    };
    owners.iter().map(owner).collect::<Vec<_>>().join(", ")
}
