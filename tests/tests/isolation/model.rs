//! Who may see and call what, told by what was said to the hub alone.

use std::collections::{BTreeMap, BTreeSet};

use dormouse::{Scope, ServerKey};
use proptest::prelude::*;

/// Whose view: the store's, or an agent's.
pub(crate) type View = Option<String>;

/// Why there is nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum No {
    Unknown,
    Ambiguous,
    NotYours,
    Other(String),
}

pub(crate) type Said<T> = Result<T, No>;

/// A server, by its owner and its name there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) owner: View,
    pub(crate) name: String,
}

impl Key {
    /// What it says when it is asked who it is.
    pub(crate) fn identity(&self) -> String {
        match &self.owner {
            None => format!("{}.store", self.name),
            Some(agent) => format!("{}.agent.{agent}", self.name),
        }
    }

    /// As the hub has it.
    pub(crate) fn of_hub(&self) -> ServerKey {
        let scope = self.owner.as_ref().map(|agent| Scope::Agent(agent.parse().unwrap()));
        ServerKey { scope: scope.unwrap_or(Scope::Store), name: self.name.parse().unwrap() }
    }

    pub(crate) fn shown(&self, view: &View) -> String {
        match (view, &self.owner) {
            (None, Some(agent)) => format!("{}by{agent}", self.name),
            _ => self.name.clone(),
        }
    }
}

/// How a tool shows in a view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) disabled: bool,
    pub(crate) name: Option<String>,
}

/// A tool in a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) server: Key,
    pub(crate) name: String,
    /// The full name that the hub gave it.
    pub(crate) given: String,
    pub(crate) says: Says,
}

impl Tool {
    pub(crate) fn full(&self) -> &str {
        self.says.name.as_deref().unwrap_or(&self.given)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) agents: Vec<String>,
    /// Every server with its tools.
    pub(crate) servers: BTreeMap<Key, Vec<String>>,
    /// Which servers of the store which agents may use.
    pub(crate) shared: BTreeSet<(String, String)>,
    pub(crate) says: BTreeMap<(View, Key, String), Says>,
    /// The full names that were given; that they are good is the registry's own test.
    pub(crate) given: BTreeMap<(View, Key, String), String>,
}

impl Model {
    pub(crate) fn views(&self) -> Vec<View> {
        std::iter::once(None).chain(self.agents.iter().cloned().map(Some)).collect()
    }

    pub(crate) fn seen(&self, view: &View) -> BTreeSet<Key> {
        let Some(agent) = view else { return self.servers.keys().cloned().collect() };
        let mut seen: BTreeSet<Key> = self.servers.keys().filter(|key| key.owner == *view).cloned().collect();
        let own: BTreeSet<String> = seen.iter().map(|key| key.name.clone()).collect();
        let shared = self.shared.iter().filter(|(server, with)| with == agent && !own.contains(server));
        seen.extend(shared.map(|(server, _)| Key { owner: None, name: server.clone() }));
        seen
    }

    /// The server that a name means in a view.
    pub(crate) fn named(&self, view: &View, name: &str) -> Said<Key> {
        let same: Vec<Key> = self.seen(view).into_iter().filter(|key| key.shown(view) == name).collect();
        // The store's own name is no rendering.
        let own = same.iter().find(|key| key.owner.is_none());
        match (own, &same[..]) {
            (Some(key), _) | (None, [key]) => Ok(key.clone()),
            (None, []) => Err(No::Unknown),
            (None, _) => Err(No::Ambiguous),
        }
    }

    /// Every tool of a view, also those that are disabled there.
    pub(crate) fn all_tools(&self, view: &View) -> Vec<Tool> {
        let tools_of = |server: Key| {
            let tools = self.servers[&server].clone().into_iter();
            tools.map(move |name| {
                let at = (view.clone(), server.clone(), name.clone());
                let (given, says) = (self.given[&at].clone(), self.says.get(&at).cloned());
                Tool { server: server.clone(), name, given, says: says.unwrap_or_default() }
            })
        };
        self.seen(view).into_iter().flat_map(tools_of).collect()
    }

    pub(crate) fn tools(&self, view: &View) -> Vec<Tool> {
        self.all_tools(view).into_iter().filter(|tool| !tool.says.disabled).collect()
    }

    /// The tool that a name means in a view.
    pub(crate) fn tool(&self, view: &View, name: &str, server: Option<&str>) -> Said<Tool> {
        self.among(self.tools(view), view, name, server)
    }

    /// The tool that is shown by a name: also one that is disabled.
    pub(crate) fn known(&self, view: &View, name: &str, server: Option<&str>) -> Said<Tool> {
        match self.tool(view, name, server) {
            Err(No::Unknown) => self.among(self.all_tools(view), view, name, server),
            found => found,
        }
    }

    fn among(&self, all: Vec<Tool>, view: &View, name: &str, server: Option<&str>) -> Said<Tool> {
        let is_chosen = |tool: &&Tool| tool.says.name.as_deref() == Some(name);
        let is_given = |tool: &&Tool| tool.given == name;
        let is_bare = |tool: &&Tool| tool.name == name;
        if let Some(server) = server {
            let server = self.named(view, server)?;
            let of = || all.iter().filter(|tool| tool.server == server);
            let found = of().find(is_chosen).or_else(|| of().find(is_bare)).or_else(|| of().find(is_given));
            return found.cloned().ok_or(No::Unknown);
        }
        if let Some(tool) = all.iter().find(|tool| is_chosen(tool) || is_given(tool)) {
            return Ok(tool.clone());
        }
        let bare: Vec<&Tool> = all.iter().filter(is_bare).collect();
        match bare[..] {
            [] => Err(No::Unknown),
            [tool] => Ok(tool.clone()),
            _ => Err(No::Ambiguous),
        }
    }

    /// The one server of a view for which something holds.
    pub(crate) fn only(&self, view: &View, offers: impl Fn(&Key) -> bool) -> Said<Key> {
        let offering: Vec<Key> = self.seen(view).into_iter().filter(offers).collect();
        match &offering[..] {
            [] => Err(No::Unknown),
            [key] => Ok(key.clone()),
            _ => Err(No::Ambiguous),
        }
    }

    /// Every name under which any view shows a server.
    pub(crate) fn all_names(&self) -> BTreeSet<String> {
        let names = |key: &Key| [key.name.clone(), key.shown(&None)];
        let owners = self.agents.iter().flat_map(|agent| {
            // What somebody would try who takes a rendering for a name.
            self.servers.keys().map(move |key| format!("{}by{agent}", key.name))
        });
        let known = self.servers.keys().flat_map(names).chain(owners);
        known.filter(|name| name.len() <= 100).collect()
    }
}

/// What a test says to a hub.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Servers beside those that every plan has.
    pub(crate) servers: Vec<(usize, usize, usize)>,
    pub(crate) shares: Vec<(usize, usize)>,
    pub(crate) settings: Vec<(usize, usize, Change)>,
}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    Disable,
    Rename(usize),
}

/// Ids that look like parts of renderings, like paths and like options. The last one stays poor:
/// nobody gives it anything.
pub(crate) fn agents() -> Vec<String> {
    ["1", "a", "by_a", "search", "servers", "nobody"]
        .map(str::to_owned)
        .into_iter()
        .chain([longest('a')])
        .collect()
}

const NAMES: [&str; 14] = [
    "ru", "ruby1", "bya", "x", "xbya", "x_by_a", "a_by_b", "search", "register", "call", "servers", "wait",
    "tools", "who",
];
const TOOLS: [&str; 7] = ["search", "call", "register", "x_who", "by1_who", "servers", "settings"];
const CHOSEN: [&str; 5] = ["who", "search", "ru_who", "call", "mine"];

fn longest(c: char) -> String {
    c.to_string().repeat(100)
}

fn name(place: usize) -> String {
    match place % (NAMES.len() + 2) {
        14 => longest('s'),
        15 => format!("{}bya", "s".repeat(97)),
        place => NAMES[place].to_owned(),
    }
}

/// Every server has `who` and a few of the others.
fn tools(place: usize) -> Vec<String> {
    let others = TOOLS.iter().enumerate().filter(|(bit, _)| place & (1 << bit) != 0);
    let long = place.is_multiple_of(5).then(|| "t".repeat(70));
    std::iter::once("who".to_owned()).chain(others.map(|(_, tool)| (*tool).to_owned())).chain(long).collect()
}

impl Plan {
    /// The servers, by owner and name, with their tools.
    pub(crate) fn servers(&self, agents: &[String]) -> BTreeMap<Key, Vec<String>> {
        let owner = |place: usize| match place % agents.len() {
            0 => None,
            place => Some(agents[place - 1].clone()).filter(|agent| agent != "nobody"),
        };
        // The store's `ruby1` and the `ru` of agent `1` are shown alike.
        let always = [(None, "ruby1"), (None, "x"), (Some("1"), "ru"), (Some("a"), "x"), (None, "search")];
        let always = always.map(|(owner, name)| {
            let key = Key { owner: owner.map(str::to_owned), name: name.to_owned() };
            (key, tools(1))
        });
        let more = self
            .servers
            .iter()
            .map(|(of, called, offers)| (Key { owner: owner(*of), name: name(*called) }, tools(*offers)));
        more.chain(always).collect()
    }

    pub(crate) fn shares(
        &self,
        agents: &[String],
        servers: &BTreeMap<Key, Vec<String>>,
    ) -> BTreeSet<(String, String)> {
        let of_store: Vec<&Key> = servers.keys().filter(|key| key.owner.is_none()).collect();
        let always = [("x", "a"), ("ruby1", "1"), ("search", "search")];
        let always = always.map(|(server, agent)| (server.to_owned(), agent.to_owned()));
        let more = self.shares.iter().map(|(server, with)| {
            (of_store[server % of_store.len()].name.clone(), agents[with % agents.len()].clone())
        });
        more.filter(|(_, agent)| agent != "nobody").chain(always).collect()
    }

    pub(crate) fn chosen(place: usize) -> &'static str {
        CHOSEN[place % CHOSEN.len()]
    }
}

pub(crate) fn arb_plan() -> impl Strategy<Value = Plan> {
    let many = 0..1_000_usize;
    let change = prop_oneof![Just(Change::Disable), (0..CHOSEN.len()).prop_map(Change::Rename)];
    (
        prop::collection::vec((many.clone(), many.clone(), 0..128_usize), 7..10),
        prop::collection::vec((many.clone(), many.clone()), 3..6),
        prop::collection::vec((many.clone(), many, change), 4..8),
    )
        .prop_map(|(servers, shares, settings)| Plan { servers, shares, settings })
}
