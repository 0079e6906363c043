//! What an endpoint lists, made once a version of the hub's catalog.
//!
//! In [`Mode::Single`] names are the server's own. Else a tool has the full name that the context
//! gave it, a prompt its server's name before its own, and a resource's address stands behind
//! `dormouse://SERVER/`. Addresses are taken apart at the first slash, which no server's name has;
//! all other names are looked up.

mod kept;
mod wrapped;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dormouse::{Features, Scope, ServerKey, ToolRef, Version};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::endpoint::Endpoint;
use crate::mode::Mode;
use crate::revision::Revision;

pub(crate) use self::kept::Catalogues;
pub(crate) use self::wrapped::wrap;

/// How many entries a page holds. Many clients never ask for a second one.
pub(crate) const PAGE: usize = 1_000;
/// What an address begins with where several servers share an endpoint.
const SCHEME: &str = "dormouse://";
/// The longest name of a prompt, as for tools.
const LONGEST_NAME: usize = 64;

/// What lists belong to.
pub(crate) type Place = (Scope, Mode);

/// What one endpoint lists.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    version: Version,
    pub(crate) tools: List,
    pub(crate) resources: List,
    pub(crate) templates: List,
    pub(crate) prompts: List,
    /// The tools, by their names in the list, that may become tasks without saying so.
    may_be_tasks: HashSet<String>,
    /// By a tool's name: the schema of its results for clients with a session, where theirs must be
    /// another. Mode *search* has those of the tools behind it.
    wrapped: HashMap<String, Value>,
    /// By the name in the list: the server and its own name.
    prompt_names: HashMap<String, (ServerKey, String)>,
}

/// One list, sorted.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// The key by which it is sorted, and the entry.
    entries: Vec<(String, Value)>,
    /// The hash of all entries.
    digest: String,
}

/// What lists read like, to see whether they read otherwise later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) struct Digests {
    pub(crate) tools: String,
    pub(crate) resources: String,
    pub(crate) prompts: String,
}

/// The lists whose changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tools,
    Resources,
    Prompts,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Tools, Self::Resources, Self::Prompts];

    /// What says that it reads otherwise.
    pub(crate) fn changed(self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Resources => "notifications/resources/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
        }
    }
}

impl Digests {
    pub(crate) fn of(&self, list: Kind) -> &String {
        match list {
            Kind::Tools => &self.tools,
            Kind::Resources => &self.resources,
            Kind::Prompts => &self.prompts,
        }
    }

    pub(crate) fn of_mut(&mut self, list: Kind) -> &mut String {
        match list {
            Kind::Tools => &mut self.tools,
            Kind::Resources => &mut self.resources,
            Kind::Prompts => &mut self.prompts,
        }
    }
}

impl List {
    fn of(mut entries: Vec<(String, Value)>) -> Self {
        // Stable: what has one name keeps its server's order.
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut hasher = blake3::Hasher::new();
        for (_, entry) in &entries {
            hash(entry, &mut hasher);
        }
        let digest = hasher.finalize().to_hex()[..16].to_owned();
        Self { entries, digest }
    }

    /// The page behind a cursor, and the cursor of the next one. `None`: the cursor is none of ours.
    pub(crate) fn page(&self, cursor: Option<&str>) -> Option<(Vec<Value>, Option<String>)> {
        let from = match cursor {
            None => 0,
            Some(cursor) => {
                let (after, skip) = read_cursor(cursor)?;
                // By name, so that a list that changes between two pages shows nothing twice.
                self.entries.partition_point(|(key, _)| *key < after) + skip
            }
        };
        let from = from.min(self.entries.len());
        let to = (from + PAGE).min(self.entries.len());
        let page = self.entries[from..to].iter().map(|(_, entry)| entry.clone()).collect();
        let next = (to < self.entries.len()).then(|| {
            let key = &self.entries[to].0;
            let first = self.entries.partition_point(|(other, _)| other < key);
            cursor_of(key, to - first)
        });
        Some((page, next))
    }
}

/// Hashes a value so that the order of an object's members does not count: a schema that was read
/// from the source and the same one as it was served differ in nothing else.
fn hash(value: &Value, hasher: &mut blake3::Hasher) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            hasher.update(b"{");
            for (name, member) in members {
                hasher.update(&(name.len() as u64).to_le_bytes());
                hasher.update(name.as_bytes());
                hash(member, hasher);
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            items.iter().for_each(|item| hash(item, hasher));
            hasher.update(b"]");
        }
        plain => {
            let text = plain.to_string();
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
}

fn cursor_of(key: &str, skip: usize) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{skip}:{key}"))
}

fn read_cursor(cursor: &str) -> Option<(String, usize)> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (skip, key) = text.split_once(':')?;
    Some((key.to_owned(), skip.parse().ok()?))
}

impl Lists {
    pub(crate) fn digests(&self) -> Digests {
        Digests {
            tools: self.tools.digest.clone(),
            resources: format!("{}{}", self.resources.digest, self.templates.digest),
            prompts: self.prompts.digest.clone(),
        }
    }

    /// The server of a prompt and its own name there.
    pub(crate) fn prompt(&self, name: &str) -> Option<&(ServerKey, String)> {
        self.prompt_names.get(name)
    }

    /// Says of the tools of a page, for a client of 2025-11-25, which may be called as tasks: there a
    /// tool says it, while a server of 2026-07-28 decides call by call.
    pub(crate) fn mark_tasks(&self, page: &mut [Value]) {
        if self.may_be_tasks.is_empty() {
            return;
        }
        for tool in page {
            if tool["name"].as_str().is_some_and(|name| self.may_be_tasks.contains(name)) {
                tool["execution"]["taskSupport"] = Value::from("optional");
            }
        }
    }

    /// Shows the tools of a page as clients with a session know them.
    pub(crate) fn fit_to_session(&self, page: &mut [Value]) {
        if self.wrapped.is_empty() {
            return;
        }
        for tool in page {
            if let Some(schema) = tool["name"].as_str().and_then(|name| self.wrapped.get(name)) {
                tool["outputSchema"] = schema.clone();
            }
        }
    }

    /// Whether clients with a session get the structured results of a tool in an object.
    pub(crate) fn is_wrapped(&self, name: &str) -> bool {
        self.wrapped.contains_key(name)
    }

    fn make(endpoint: &Endpoint, version: Version) -> Self {
        let catalog = endpoint.context().registry().snapshot();
        let (mut resources, mut templates, mut prompts) = (Vec::new(), Vec::new(), Vec::new());
        let mut prompt_names = HashMap::new();
        for entry in catalog.servers(endpoint.scope()) {
            if endpoint.only().is_some_and(|only| *only != entry.key) {
                continue;
            }
            let shown = endpoint.context().shown(&entry.key);
            let Features { resources: theirs, resource_templates, prompts: texts, .. } = &*entry.features;
            for resource in theirs {
                let mut it = as_value(resource);
                let uri = endpoint.uri_shown(&shown, &resource.uri);
                it["uri"] = Value::from(uri.as_str());
                resources.push((uri, it));
            }
            for template in resource_templates {
                let mut it = as_value(template);
                let uri = endpoint.uri_shown(&shown, &template.uri_template);
                it["uriTemplate"] = Value::from(uri.as_str());
                templates.push((uri, it));
            }
            for prompt in texts {
                let name = match endpoint.mode() {
                    Mode::Single(_) => prompt.name.clone(),
                    Mode::All | Mode::Search => prompt_name(&shown, &prompt.name, &prompt_names),
                };
                let mut it = as_value(prompt);
                it["name"] = Value::from(name.as_str());
                prompt_names.insert(name.clone(), (entry.key.clone(), prompt.name.clone()));
                prompts.push((name, it));
            }
        }
        Self {
            version,
            tools: List::of(tools(endpoint, &catalog)),
            resources: List::of(resources),
            templates: List::of(templates),
            prompts: List::of(prompts),
            may_be_tasks: may_be_tasks(endpoint, &catalog),
            wrapped: wrapped_schemas(endpoint, &catalog),
            prompt_names,
        }
    }
}

fn tools(endpoint: &Endpoint, catalog: &dormouse::Catalog) -> Vec<(String, Value)> {
    let listed = |tool: ToolRef| {
        let name = endpoint.tool_shown(&tool).to_owned();
        (name.clone(), tool_value(&tool, &name))
    };
    match (endpoint.mode(), endpoint.only()) {
        (Mode::Search, _) => crate::search::tools(),
        (_, Some(only)) => catalog.tools_of(endpoint.scope(), only).map(listed).collect(),
        (_, None) => catalog.tools(endpoint.scope()).map(listed).collect(),
    }
}

/// The schemas of results that clients with a session get otherwise, by the names of their tools.
fn wrapped_schemas(endpoint: &Endpoint, catalog: &dormouse::Catalog) -> HashMap<String, Value> {
    let mut schemas = HashMap::new();
    let mut look = |tool: ToolRef| {
        let Some(schema) = &tool.tool().output_schema else { return };
        let schema = schema.value();
        if wrapped::is_to_wrap(&schema) {
            schemas.insert(endpoint.tool_shown(&tool).to_owned(), wrapped::schema(schema));
        }
    };
    match endpoint.only() {
        Some(only) => catalog.tools_of(endpoint.scope(), only).for_each(&mut look),
        None => catalog.tools(endpoint.scope()).for_each(&mut look),
    }
    schemas
}

/// The tools of servers that begin tasks by themselves, if they do not say of it what 2025-11-25 has.
fn may_be_tasks(endpoint: &Endpoint, catalog: &dormouse::Catalog) -> HashSet<String> {
    let mut names = HashSet::new();
    if *endpoint.mode() == Mode::Search {
        return names;
    }
    for entry in catalog.servers(endpoint.scope()) {
        let announced = entry.features.capabilities.as_ref();
        // Most say nothing of it, and their text is not parsed.
        let announced = announced.filter(|announced| announced.text().contains(crate::tasks::EXTENSION));
        if endpoint.only().is_some_and(|only| *only != entry.key)
            || !announced.is_some_and(|it| it.value()["extensions"][crate::tasks::EXTENSION].is_object())
        {
            continue;
        }
        for tool in catalog.tools_of(endpoint.scope(), &entry.key) {
            let execution = tool.tool().rest.get("execution");
            if execution.is_none_or(|it| it.is_object() && it.get("taskSupport").is_none()) {
                names.insert(endpoint.tool_shown(&tool).to_owned());
            }
        }
    }
    names
}

/// A tool as clients get it.
pub(crate) fn tool_value(tool: &ToolRef, name: &str) -> Value {
    let mut it = as_value(tool.tool());
    it["name"] = Value::from(name);
    if let Some(description) = &tool.settings().description {
        it["description"] = Value::from(description.as_str());
    }
    it
}

fn as_value(it: &impl Serialize) -> Value {
    serde_json::to_value(it).unwrap_or_else(|_| Value::Object(Map::new()))
}

/// A prompt's name among those of several servers: of the characters that all clients take, and
/// with a hash where that alone would not be clear.
fn prompt_name(server: &str, own: &str, taken: &HashMap<String, (ServerKey, String)>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let whole = format!("{server}_{own}");
    let slugged: String = whole.chars().map(plain).collect();
    if slugged == whole && slugged.len() <= LONGEST_NAME && !taken.contains_key(&slugged) {
        return slugged;
    }
    let hash = blake3::hash(format!("{server}\0{own}").as_bytes()).to_hex();
    let head: String = slugged.chars().take(LONGEST_NAME - 9).collect();
    format!("{head}_{}", &hash[..8])
}

impl Endpoint {
    /// Its lists as they are now.
    pub(crate) fn lists(&self) -> Arc<Lists> {
        self.gateway().catalogues().of(self)
    }

    /// What its lists belong to.
    pub(crate) fn place(&self) -> Place {
        (self.scope().clone(), self.mode().clone())
    }

    /// The name under which it lists a tool.
    pub(crate) fn tool_shown<'a>(&self, tool: &'a ToolRef) -> &'a str {
        match self.mode() {
            Mode::Single(_) => match &tool.settings().name {
                Some(chosen) => chosen.as_str(),
                None => tool.tool().name.as_str(),
            },
            Mode::All | Mode::Search => tool.full_name(),
        }
    }

    /// The address under which it lists a resource or a family of them.
    pub(crate) fn uri_shown(&self, server: &str, uri: &str) -> String {
        match self.mode() {
            Mode::Single(_) => uri.to_owned(),
            Mode::All | Mode::Search => format!("{SCHEME}{server}/{uri}"),
        }
    }

    /// The server of an address and its own address there. A server's own address is found too, as
    /// results may name it.
    pub(crate) fn resource(&self, uri: &str) -> Result<(ServerKey, String), String> {
        if let Some(only) = self.only() {
            return Ok((only.clone(), uri.to_owned()));
        }
        if let Some((server, own)) = uri.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')) {
            let catalog = self.context().registry().snapshot();
            let entry = catalog.find_server(self.scope(), server).map_err(|error| error.to_string())?;
            return Ok((entry.key.clone(), own.to_owned()));
        }
        match self.context().server_of_resource(None, uri) {
            Ok(entry) => Ok((entry.key.clone(), uri.to_owned())),
            Err(error) => match self.server_that_named(uri) {
                Some(server) => Ok((server, uri.to_owned())),
                None => Err(error.to_string()),
            },
        }
    }

    /// The server that named an address in a result, if it is still one of this context.
    fn server_that_named(&self, uri: &str) -> Option<ServerKey> {
        let server = self.gateway().links().server_of(self.scope(), uri)?;
        let catalog = self.context().registry().snapshot();
        catalog.servers(self.scope()).any(|entry| entry.key == server).then_some(server)
    }

    /// Remembers which addresses a result of a server names. With one server there is no question.
    pub(crate) fn learn_links(&self, server: &ServerKey, result: &Value) {
        if self.only().is_none() {
            self.gateway().links().learn(self.scope(), server, result);
        }
    }

    /// What it can do, for a client of the one or the other life.
    pub(crate) fn capabilities(&self, stateless: bool) -> Value {
        let changing = json!({ "listChanged": true });
        let mut all = match (self.mode(), self.announced()) {
            (Mode::Single(_), Some(Value::Object(announced))) => {
                let mut announced = announced;
                for kind in ["tools", "resources", "prompts"] {
                    if let Some(it) = announced.get_mut(kind).filter(|it| it.is_object()) {
                        it["listChanged"] = Value::Bool(true);
                    }
                }
                announced
            }
            (mode, _) => {
                let mut all = Map::new();
                let tools = if *mode == Mode::Search { json!({}) } else { changing.clone() };
                all.insert("tools".to_owned(), tools);
                all.insert("resources".to_owned(), json!({ "listChanged": true, "subscribe": true }));
                all.insert("prompts".to_owned(), changing);
                all.insert("completions".to_owned(), json!({}));
                all.insert("logging".to_owned(), json!({}));
                self.add_tasks(&mut all);
                all
            }
        };
        // They are other things in the two lives, and are translated.
        crate::tasks::announce(&mut all, stateless);
        Value::Object(all)
    }

    /// Whether a server spoke 2026-07-28 when it was asked last what it offers.
    pub(crate) fn is_modern(&self, server: &ServerKey) -> bool {
        let catalog = self.context().registry().snapshot();
        let revision = catalog.get(server).and_then(|entry| entry.features.revision.as_deref());
        revision == Some(Revision::V2026_07_28.as_str())
    }

    /// What the one server has announced, if it ever spoke.
    fn announced(&self) -> Option<Value> {
        let catalog = self.context().registry().snapshot();
        Some(catalog.get(self.only()?)?.features.capabilities.as_ref()?.value())
    }

    /// Announces tasks if a server that can be called here has.
    fn add_tasks(&self, all: &mut Map<String, Value>) {
        if *self.mode() == Mode::Search {
            return;
        }
        let catalog = self.context().registry().snapshot();
        for entry in catalog.servers(self.scope()) {
            let Some(announced) = entry.features.capabilities.as_ref() else { continue };
            // Most say nothing of it, and their text is not parsed.
            if !announced.text().contains("tasks") {
                continue;
            }
            let announced = announced.value();
            if announced["tasks"].is_object() {
                all.insert("tasks".to_owned(), crate::tasks::announcement());
            }
            if announced["extensions"][crate::tasks::EXTENSION].is_object() {
                all.insert("extensions".to_owned(), json!({ crate::tasks::EXTENSION: {} }));
            }
        }
    }

    /// Who it is.
    pub(crate) fn server_info(&self) -> Value {
        let version = env!("CARGO_PKG_VERSION");
        let catalog = self.context().registry().snapshot();
        match (self.only(), self.mode()) {
            (Some(only), Mode::Single(name)) => catalog
                .get(only)
                .and_then(|entry| entry.features.server_info.as_ref().map(dormouse::Json::value))
                .filter(|info| info["name"].is_string() && info["version"].is_string())
                .unwrap_or_else(|| json!({ "name": name, "version": version })),
            _ => json!({ "name": "dormouse", "title": "Dormouse", "version": version }),
        }
    }

    /// How a model should use it.
    pub(crate) fn instructions(&self) -> Option<String> {
        let catalog = self.context().registry().snapshot();
        match (self.mode(), self.only()) {
            (_, Some(only)) => catalog.get(only)?.features.instructions.clone(),
            (Mode::Search, _) => Some(crate::search::INSTRUCTIONS.to_owned()),
            (_, None) => several(self, &catalog),
        }
    }
}

/// How much servers may say to a model before it has asked anything, in characters.
const MOST_INSTRUCTIONS: usize = 4_000;

/// The instructions of several servers, as far as they are short.
fn several(endpoint: &Endpoint, catalog: &dormouse::Catalog) -> Option<String> {
    let mut text = String::new();
    for entry in catalog.servers(endpoint.scope()) {
        let Some(own) = &entry.features.instructions else { continue };
        let part = format!("## {}\n{}\n\n", endpoint.context().shown(&entry.key), own.trim());
        if text.len() + part.len() <= MOST_INSTRUCTIONS {
            text.push_str(&part);
        }
    }
    (!text.is_empty()).then(|| text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(keys: &[String]) -> List {
        List::of(keys.iter().map(|key| (key.clone(), json!(key))).collect())
    }

    #[test]
    fn pages_show_everything_once_also_where_names_repeat() {
        let mut keys: Vec<String> = (0..2_500).map(|n| format!("k{n:05}")).collect();
        keys.extend(vec!["k01000".to_owned(); 1_500]);
        let list = list(&keys);
        let (mut seen, mut cursor, mut pages) = (Vec::new(), None, 0);
        loop {
            let (page, next) = list.page(cursor.as_deref()).unwrap();
            seen.extend(page);
            pages += 1;
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!((seen.len(), pages), (4_000, 4));
        keys.sort();
        assert_eq!(seen, keys.iter().map(|key| json!(key)).collect::<Vec<_>>());
        assert!(list.page(Some("no cursor")).is_none());
    }

    #[test]
    fn the_order_of_arrival_does_not_show() {
        let (a, b) = (list(&["b".to_owned(), "a".to_owned()]), list(&["a".to_owned(), "b".to_owned()]));
        assert_eq!(a.digest, b.digest);
    }

    #[test]
    fn the_order_of_members_is_no_change_and_everything_else_is() {
        let digest = |value: Value| List::of(vec![("a".to_owned(), value)]).digest;
        let one = digest(json!({ "a": [1, { "x": "y", "z": null }], "b": true }));
        assert_eq!(one, digest(json!({ "b": true, "a": [1, { "z": null, "x": "y" }] })));
        for other in [
            json!({ "b": true, "a": [{ "z": null, "x": "y" }, 1] }),
            json!({ "b": "true", "a": [1, { "z": null, "x": "y" }] }),
            json!({ "b": true, "a": [1, { "z": null, "xy": "" }] }),
        ] {
            assert_ne!(one, digest(other.clone()), "{other}");
        }
    }

    #[test]
    fn prompts_of_two_servers_never_share_a_name() {
        let mut taken = HashMap::new();
        let key = ServerKey::store(dormouse::ServerName::try_new("a").unwrap());
        let first = prompt_name("a", "b_c", &taken);
        assert_eq!(first, "a_b_c");
        taken.insert(first, (key.clone(), String::new()));
        let second = prompt_name("a_b", "c", &taken);
        assert!(second.starts_with("a_b_c_") && second != "a_b_c", "{second}");
        let odd = prompt_name("a", &"ü/".repeat(100), &taken);
        assert!(odd.len() <= LONGEST_NAME && odd.is_ascii(), "{odd}");
    }
}
