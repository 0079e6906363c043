//! What a server offers, asked page by page.

mod mended;

use std::collections::HashSet;

use dormouse_types::{Features, Json, Prompt, Resource, ResourceTemplate, Tool};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::Inner;
use crate::error::CallError;

/// A server that pages without end is cut here.
const MOST_PAGES: usize = 1_000;
/// The most entries of one kind that are taken from one server.
const MOST_ENTRIES: usize = 20_000;

/// The kinds of what is listed.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Tool,
    Resource,
    Template,
    Prompt,
}

impl Kind {
    fn method(self) -> &'static str {
        match self {
            Self::Tool => "tools/list",
            Self::Resource => "resources/list",
            Self::Template => "resources/templates/list",
            Self::Prompt => "prompts/list",
        }
    }

    /// Where a page has its entries.
    fn member(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Resource => "resources",
            Self::Template => "resourceTemplates",
            Self::Prompt => "prompts",
        }
    }
}

/// A part of a listing that failed, while the rest stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFault {
    /// MCP's method, such as `prompts/list`.
    pub method: &'static str,
    /// What went wrong, in words.
    pub reason: String,
}

/// A finished listing.
pub(super) struct Listed {
    pub(super) features: Features,
    pub(super) faults: Vec<ListFault>,
}

impl Inner {
    /// Lists everything that the server has announced, all kinds at once.
    ///
    /// # Errors
    /// When the tools cannot be listed because the server is gone or silent. Any other failure of
    /// one kind is a fault, and the other kinds stand.
    pub(super) async fn list(&self, until: Instant) -> Result<Listed, CallError> {
        let greeting = self.greeting();
        let announced = |kind: &str| {
            greeting.get("capabilities").is_some_and(|all| all.get(kind).is_some_and(|c| !c.is_null()))
        };
        let (tools, resources, templates, prompts) = tokio::join!(
            self.pages::<Tool>(Kind::Tool, true, until),
            self.pages::<Resource>(Kind::Resource, announced("resources"), until),
            self.pages::<ResourceTemplate>(Kind::Template, announced("resources"), until),
            self.pages::<Prompt>(Kind::Prompt, announced("prompts"), until),
        );
        let mut faults = Vec::new();
        let mut tools = match tools {
            Pages { broken: Some(error), .. } if !matches!(error, CallError::Refused { .. }) => {
                return Err(error);
            }
            // A server without tools need not know the method.
            Pages { broken: Some(CallError::Refused { code: -32601, .. }), .. } if !announced("tools") => {
                Vec::new()
            }
            pages => pages.settle(Kind::Tool, &mut faults),
        };
        let mut names = HashSet::new();
        tools.retain(|tool| {
            let first = names.insert(tool.name.clone());
            if !first {
                let reason = format!("two tools are named `{}`; the first counts", tool.name);
                faults.push(ListFault { method: "tools/list", reason });
            }
            first
        });
        let text = |value: Option<&Value>| {
            value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let info = greeting.get("serverInfo").filter(|info| info.is_object());
        let told = |name: &str| greeting.get(name).filter(|value| value.is_object()).map(Json::from);
        let titled = |name| text(info.and_then(|info| info.get(name)));
        let features = Features {
            title: titled("title").or_else(|| titled("name")),
            instructions: text(greeting.get("instructions")),
            tools,
            resources: resources.settle(Kind::Resource, &mut faults),
            resource_templates: templates.settle(Kind::Template, &mut faults),
            prompts: prompts.settle(Kind::Prompt, &mut faults),
            server_info: told("serverInfo"),
            capabilities: told("capabilities"),
            revision: text(greeting.get("protocolVersion")),
        };
        for fault in &faults {
            tracing::warn!(pid = self.pid, method = fault.method, reason = fault.reason, "listing");
        }
        Ok(Listed { features, faults })
    }

    /// What the server said in its handshake.
    pub(super) fn greeting(&self) -> Value {
        let greeting = self.wire.greeting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        greeting.clone().unwrap_or(Value::Null)
    }

    async fn pages<T: DeserializeOwned>(&self, kind: Kind, wanted: bool, until: Instant) -> Pages<T> {
        let mut pages = Pages { entries: Vec::new(), odd: Vec::new(), mended: None, broken: None };
        if !wanted {
            return pages;
        }
        let mut cursors = HashSet::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let params = cursor
                .as_ref()
                .map(|cursor| Map::from_iter([("cursor".to_owned(), Value::from(cursor.as_str()))]));
            let mut page = match self.request(kind.method(), params.as_ref(), until, None).await {
                Ok(page) => page,
                Err(error) => {
                    pages.broken = Some(error);
                    return pages;
                }
            };
            let member = kind.member();
            match page.get_mut(member).map(Value::take) {
                Some(Value::Array(entries)) => pages.take(kind, entries),
                _ => {
                    pages.odd.push(format!("the answer has no `{member}`"));
                    return pages;
                }
            }
            let next = page.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
            match next {
                None => return pages,
                Some(next) if !cursors.insert(next.clone()) => {
                    pages.odd.push(format!("the cursor `{next}` came twice"));
                    return pages;
                }
                Some(_) if pages.entries.len() >= MOST_ENTRIES => break,
                Some(next) => cursor = Some(next),
            }
        }
        pages.odd.push(format!("cut after {} entries", pages.entries.len()));
        pages
    }
}

/// What was listed of one kind, and what was wrong with it.
struct Pages<T> {
    entries: Vec<T>,
    odd: Vec<String>,
    mended: Option<Mended>,
    broken: Option<CallError>,
}

/// The entries of which something was dropped.
struct Mended {
    /// The first of them, in words.
    first: String,
    others: usize,
}

impl<T: DeserializeOwned> Pages<T> {
    fn take(&mut self, kind: Kind, entries: Vec<Value>) {
        for mut entry in entries {
            let dropped = entry.as_object_mut().map(|entry| mended::mend(kind, entry)).transpose();
            let name = entry.get("name").and_then(Value::as_str).unwrap_or("?");
            let name: String = name.chars().take(80).collect();
            let taken = match dropped {
                Ok(dropped) => {
                    if let Some(words) = dropped.and_then(|dropped| dropped.words()) {
                        self.note_mended(&name, &words);
                    }
                    serde_json::from_value(entry).map_err(|error| error.to_string())
                }
                Err(why) => Err(why),
            };
            match taken {
                Ok(entry) => self.entries.push(entry),
                Err(why) => self.odd.push(format!("`{name}` is left out: {why}")),
            }
        }
    }

    fn note_mended(&mut self, name: &str, words: &str) {
        match &mut self.mended {
            Some(mended) => mended.others += 1,
            None => {
                let first = format!("`{name}` lost what is not as MCP has it: {words}");
                self.mended = Some(Mended { first, others: 0 });
            }
        }
    }

    fn settle(self, kind: Kind, faults: &mut Vec<ListFault>) -> Vec<T> {
        let mended = self.mended.map(|Mended { first, others }| match others {
            0 => first,
            others => format!("{first}; and {others} more"),
        });
        let broken = self.broken.map(|error| error.to_string());
        let reasons = self.odd.into_iter().chain(mended).chain(broken);
        faults.extend(reasons.map(|reason| ListFault { method: kind.method(), reason }));
        self.entries
    }
}
