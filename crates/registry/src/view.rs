//! What one context sees: its servers, and the indexes over their names.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use dormouse_types::{ServerKey, ServerStatus, ToolName};

use crate::entry::{Entry, ToolRef};
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
    pub(crate) full_name: Arc<str>,
}

/// How a server fares; shared by all versions of its entry and all contexts.
pub(crate) type StatusCell = Arc<ArcSwap<ServerStatus>>;

impl Listed {
    /// Lists a server; `name` gives the full name of a tool.
    ///
    /// A server that lists one tool name twice is faulty; the first one counts.
    pub(crate) fn new(
        entry: Arc<Entry>,
        shown: String,
        status: StatusCell,
        mut name: impl FnMut(&ToolName) -> Arc<str>,
    ) -> Self {
        let mut seen = HashSet::new();
        let mut tools = Vec::with_capacity(entry.features.tools.len());
        for (index, tool) in entry.features.tools.iter().enumerate() {
            if seen.insert(&tool.name) {
                tools.push(ListedTool { index, full_name: name(&tool.name) });
            }
        }
        drop(seen);
        Self { entry, shown: shown.into(), tools, status }
    }

    fn tool_name(&self, place: usize) -> &ToolName {
        &self.entry.features.tools[self.tools[place].index].name
    }
}

/// What one context sees. A copy shares almost everything with the original.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) servers: BTreeMap<ServerKey, Arc<Listed>>,
    pub(crate) tool_count: usize,
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
            self.by_bare_name.change(bare, |same| with(same, tool.clone()));
            let full = Arc::clone(&server.tools[place].full_name);
            self.by_full_name.change(full, |_| Some(tool));
        }
        self.by_shown_name.change(Arc::clone(&server.shown), |same| with(same, Arc::clone(&server)));
        self.tool_count += server.tools.len();
        self.servers.insert(server.entry.key.clone(), server);
    }

    pub(crate) fn remove(&mut self, key: &ServerKey) {
        let Some(server) = self.servers.remove(key) else { return };
        for place in 0..server.tools.len() {
            let bare = server.tool_name(place).clone();
            self.by_bare_name.change(bare, |same| without(same, |tool| Arc::ptr_eq(&tool.server, &server)));
            let full = Arc::clone(&server.tools[place].full_name);
            self.by_full_name.change(full, |_| None);
        }
        self.by_shown_name
            .change(Arc::clone(&server.shown), |same| without(same, |other| Arc::ptr_eq(other, &server)));
        self.tool_count -= server.tools.len();
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

fn with<T: Clone>(list: Option<Arc<Vec<T>>>, item: T) -> Option<Arc<Vec<T>>> {
    let mut list = list.unwrap_or_default();
    // Copied once per batch, not once per change.
    Arc::make_mut(&mut list).push(item);
    Some(list)
}

fn without<T: Clone>(list: Option<Arc<Vec<T>>>, gone: impl Fn(&T) -> bool) -> Option<Arc<Vec<T>>> {
    let mut list = list?;
    Arc::make_mut(&mut list).retain(|item| !gone(item));
    (!list.is_empty()).then_some(list)
}
