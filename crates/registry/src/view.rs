//! What one context sees: its servers, and the indexes over their names.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dormouse_types::{ServerKey, ServerStatus, ToolName, ToolSettings};

use crate::entry::{Entry, ToolRef};
use crate::facts::SettingsOf;
use crate::shards::Shards;

/// A server as one context lists it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) entry: Arc<Entry>,
    /// Its name in this context.
    pub(crate) shown: Arc<str>,
    pub(crate) tools: Vec<ListedTool>,
    pub(crate) status: StatusCell,
}

#[derive(Debug)]
pub(crate) struct ListedTool {
    /// The place in the entry's features.
    pub(crate) index: usize,
    /// The full name that it was given.
    pub(crate) given: Arc<str>,
    pub(crate) settings: Option<Arc<ToolSettings>>,
}

impl ListedTool {
    /// The name under which it is listed.
    pub(crate) fn name(&self) -> &str {
        self.chosen().unwrap_or(&self.given)
    }

    fn chosen(&self) -> Option<&str> {
        self.settings.as_ref()?.name.as_ref().map(ToolName::as_str)
    }

    fn is_offered(&self) -> bool {
        self.settings.as_ref().is_none_or(|settings| !settings.disabled)
    }
}

/// How a server fares; shared by all versions of its entry and all contexts.
pub(crate) type StatusCell = Arc<ArcSwap<ServerStatus>>;

impl Listed {
    /// Lists a server; `names` gives the full names of its tools.
    ///
    /// A server that lists one tool name twice is faulty; the first one counts.
    pub(crate) fn new(
        entry: Arc<Entry>,
        shown: String,
        status: StatusCell,
        settings: Option<&SettingsOf>,
        names: impl FnOnce(&str, &[&ToolName]) -> Vec<Arc<str>>,
    ) -> Self {
        let mut seen = HashSet::new();
        let tools = entry.features.tools.iter().map(|tool| &tool.name).enumerate();
        let (places, own): (Vec<_>, Vec<_>) = tools.filter(|(_, name)| seen.insert(*name)).unzip();
        let given = names(&shown, &own);
        let settings = own.iter().map(|name| settings.and_then(|of| of.get(*name)).cloned());
        let listed = |((index, given), settings)| ListedTool { index, given, settings };
        let tools = places.into_iter().zip(given).zip(settings).map(listed).collect();
        Self { entry, shown: shown.into(), tools, status }
    }

    fn offered(&self) -> usize {
        self.tools.iter().filter(|tool| tool.is_offered()).count()
    }

    fn tool_name(&self, place: usize) -> &ToolName {
        &self.entry.features.tools[self.tools[place].index].name
    }
}

/// What one context sees. A copy shares almost everything with the original.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) servers: BTreeMap<ServerKey, Arc<Listed>>,
    /// How many tools are offered.
    pub(crate) tool_count: usize,
    /// By the names that were given, and by those that were chosen.
    by_full_name: Shards<Arc<str>, ToolRef>,
    by_bare_name: Shards<ToolName, Arc<Vec<ToolRef>>>,
    /// Several servers under one name happen in the store's view only.
    by_shown_name: Shards<Arc<str>, Arc<Vec<Arc<Listed>>>>,
}

impl View {
    pub(crate) fn put(&mut self, server: Arc<Listed>) {
        self.remove(&server.entry.key);
        for place in 0..server.tools.len() {
            let tool = ToolRef { server: Arc::clone(&server), place };
            let bare = server.tool_name(place).clone();
            Arc::make_mut(self.by_bare_name.at(bare)).push(tool.clone());
            let listed = &server.tools[place];
            if let Some(chosen) = listed.chosen() {
                self.by_full_name.insert(chosen.into(), tool.clone());
            }
            self.by_full_name.insert(Arc::clone(&listed.given), tool);
        }
        let same_name = self.by_shown_name.at(Arc::clone(&server.shown));
        Arc::make_mut(same_name).push(Arc::clone(&server));
        self.tool_count += server.offered();
        self.servers.insert(server.entry.key.clone(), server);
    }

    pub(crate) fn remove(&mut self, key: &ServerKey) {
        let Some(server) = self.servers.remove(key) else { return };
        for place in 0..server.tools.len() {
            let bare = server.tool_name(place);
            take_out(&mut self.by_bare_name, bare, |tool| Arc::ptr_eq(&tool.server, &server));
            let listed = &server.tools[place];
            self.by_full_name.remove(&*listed.given);
            if let Some(chosen) = listed.chosen() {
                self.by_full_name.remove(chosen);
            }
        }
        take_out(&mut self.by_shown_name, &server.shown, |other| Arc::ptr_eq(other, &server));
        self.tool_count -= server.offered();
    }

    pub(crate) fn tools(&self) -> impl Iterator<Item = ToolRef> {
        let tools_of = |server: &Arc<Listed>| {
            let server = Arc::clone(server);
            (0..server.tools.len()).map(move |place| ToolRef { server: Arc::clone(&server), place })
        };
        self.servers.values().flat_map(tools_of)
    }

    pub(crate) fn by_full_name(&self, name: &str) -> Option<&ToolRef> {
        self.by_full_name.get(name)
    }

    /// The tools with a bare name, in no order that means anything.
    pub(crate) fn by_bare_name(&self, name: &ToolName) -> &[ToolRef] {
        self.by_bare_name.get(name).map_or(&[], |tools| tools)
    }

    pub(crate) fn by_shown_name(&self, name: &str) -> &[Arc<Listed>] {
        self.by_shown_name.get(name).map_or(&[], |servers| servers)
    }

    pub(crate) fn shown_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_shown_name.iter().map(|(name, _)| name)
    }
}

/// Takes what is gone out of the list of a key; a list that is empty then goes, too.
fn take_out<K: Hash + Eq + Clone, T: Clone>(
    lists: &mut Shards<K, Arc<Vec<T>>>,
    key: &K,
    gone: impl Fn(&T) -> bool,
) {
    let list = Arc::make_mut(lists.at(key.clone()));
    list.retain(|item| !gone(item));
    if list.is_empty() {
        lists.remove(key);
    }
}
