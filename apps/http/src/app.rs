//! What all handlers share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use dormouse_gateway::Gateway;

use crate::domain::{Context, Format, Hub, Scope, ToolRef, Version, formed};
use crate::journal::Journal;
use crate::settings::{Door, HttpSettings};
use crate::wire::ToolItem;

/// Whose list of tools, and in which form.
type ListOf = (Scope, Option<Format>);

/// A cheap handle on what all handlers share.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    hub: Hub,
    settings: HttpSettings,
    door: Door,
    journal: Journal,
    tool_lists: Mutex<HashMap<ListOf, (Version, Bytes)>>,
}

impl App {
    pub(crate) fn new(hub: Hub, settings: HttpSettings, door: Door) -> Self {
        let journal = Journal::new(settings.ending.clone());
        // Some make the router before their runtime; there the first request begins the journal.
        if tokio::runtime::Handle::try_current().is_ok() {
            journal.begin(&hub);
        }
        Self(Arc::new(Shared { hub, settings, door, journal, tool_lists: Mutex::default() }))
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// The hub as an MCP server. One for all doors that share their settings: sessions and
    /// subscriptions live in it.
    pub(crate) fn gateway(&self) -> &Gateway {
        self.0.settings.gateway.of(&self.0.hub, &self.0.settings.ending)
    }

    pub(crate) fn settings(&self) -> &HttpSettings {
        &self.0.settings
    }

    pub(crate) fn door(&self) -> Door {
        self.0.door
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// The tools of a context as JSON, by name, in a library's form or our own. Written once a
    /// version of the catalog: ten thousand tools are some megabytes.
    pub(crate) fn tool_list(
        &self,
        context: &Context,
        format: Option<Format>,
    ) -> Result<Bytes, serde_json::Error> {
        let lists = || self.0.tool_lists.lock().expect("nothing panics while it holds the lists");
        let catalog = context.registry().snapshot();
        let place = (context.scope().clone(), format);
        if let Some((version, list)) = lists().get(&place)
            && *version == catalog.version()
        {
            return Ok(list.clone());
        }
        let tools: Vec<ToolRef> = catalog.tools(context.scope()).collect();
        // Anybody can name agents that do not exist; they must not fill the memory.
        let is_kept = !tools.is_empty();
        let list = written(context.scope(), tools, format)?;
        if is_kept {
            lists().insert(place, (catalog.version(), list.clone()));
        }
        Ok(list)
    }
}

/// Tools as JSON, by name.
pub(crate) fn written(
    scope: &Scope,
    mut tools: Vec<ToolRef>,
    format: Option<Format>,
) -> Result<Bytes, serde_json::Error> {
    tools.sort_by(|a, b| {
        (a.tool().name.as_str(), a.server_name()).cmp(&(b.tool().name.as_str(), b.server_name()))
    });
    Ok(Bytes::from(match format {
        Some(format) => serde_json::to_vec(&formed(format, scope, &tools))?,
        None => serde_json::to_vec(&tools.iter().map(ToolItem::from).collect::<Vec<_>>())?,
    }))
}
