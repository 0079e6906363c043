//! The search index over all tools: BM25 over names, titles, descriptions and parameters.
//!
//! # Invariants
//!
//! * A sync touches only the servers whose features changed; the catalogue's sharing
//!   (`Arc::ptr_eq`) says which.
//! * Filler words are in neither the index nor a query, so "the" finds nothing.
//! * The order of equal scores is that of the names: the same query gives the same list.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bm25::{Embedding, Scorer, TokenEmbedder, TokenEmbedding};
use dormouse_registry::{Catalog, ToolRef};
use dormouse_types::{Features, Scope, ServerKey, Tool, ToolKey, ToolName};
use serde_json::Value;

use super::words::{identifier_stems, kin, text_stems};
use crate::extract::Reading;

/// The most candidates that a plan is made from: small models lose their way in longer lists.
pub const MAX_CANDIDATES: usize = 8;

/// What of a query is searched for. Nobody types so much; what is longer is pasted material.
const MAX_QUERY_BYTES: usize = 4_000;
/// The most different words of a query that are searched for.
const MAX_QUERY_STEMS: usize = 48;
/// What of a description is indexed: some are whole manuals, whose first lines say what the tool does.
const MAX_DESCRIPTION_BYTES: usize = 2_000;

// Measured on the queries of `plan/tests.rs`, 54 tools: of 53 queries the right tool is first for 47 with
// names at 1, for 48 with 2 to 5; parameters below 0.6 and kin above 0.4 cost one each. The curve is flat.
const NAME_WEIGHT: f32 = 3.0;
const TITLE_WEIGHT: f32 = 1.0;
const DESCRIPTION_WEIGHT: f32 = 1.0;
const PARAMETER_WEIGHT: f32 = 0.6;
const SERVER_WEIGHT: f32 = 0.8;
/// What a word counts that only stands for one of the query's.
const KIN_WEIGHT: f64 = 0.3;
/// BM25's saturation and its discount for long texts, which descriptions deserve only in part.
const K1: f32 = 1.2;
const B: f32 = 0.5;
/// A usual tool's weighted length; fixed, so that a sync of one server leaves the others' scores alone.
const USUAL_LENGTH: f32 = 30.0;

/// A tool that a query may mean.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Which tool.
    pub key: ToolKey,
    /// Its name in lists for models.
    pub full_name: String,
    /// The tool itself.
    pub tool: Arc<Tool>,
    /// How well it fits the query's words; comparable within one search only.
    pub score: f64,
}

/// Finds the tools that a query may mean.
#[derive(Default)]
pub struct SearchIndex {
    state: RwLock<State>,
}

impl fmt::Debug for SearchIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        write!(f, "SearchIndex({} tools of {} servers)", state.documents.len(), state.servers.len())
    }
}

#[derive(Default)]
struct State {
    scorer: Scorer<u32, u64>,
    servers: HashMap<ServerKey, Indexed>,
    documents: HashMap<u32, Document>,
    next: u32,
}

struct Indexed {
    features: Arc<Features>,
    documents: Vec<u32>,
}

struct Document {
    server: ServerKey,
    features: Arc<Features>,
    place: usize,
    store_name: Box<str>,
    /// Its name in the context of the agent whose server it is on.
    agent_name: Option<Box<str>>,
}

/// The full names of one server's tools.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) in_store: HashMap<ToolName, Box<str>>,
    /// In the context of the agent whose server it is.
    pub(crate) in_agent: HashMap<ToolName, Box<str>>,
}

/// One thing that the hub can do, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// The tool's name in lists for models.
    pub full_name: String,
    /// The first line of its description.
    pub description: String,
}

impl SearchIndex {
    /// An index of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Brings the index to a version of the catalogue. What did not change costs nothing.
    pub fn sync(&self, catalog: &Catalog) {
        let servers: Vec<(ServerKey, Arc<Features>)> = catalog
            .servers(&Scope::Store)
            .map(|entry| (entry.key.clone(), Arc::clone(&entry.features)))
            .collect();
        self.sync_servers(servers, &|key| {
            let name = |tool: ToolRef| (tool.tool().name.clone(), tool.full_name().into());
            let in_store = catalog.tools_of(&Scope::Store, key).map(name).collect();
            let in_agent = match &key.scope {
                Scope::Store => HashMap::new(),
                scope @ Scope::Agent(_) => catalog.tools_of(scope, key).map(name).collect(),
            };
            Names { in_store, in_agent }
        });
    }

    /// Brings the index to the given servers. A server whose features are the same shared value is not looked at.
    pub(crate) fn sync_servers(
        &self,
        servers: Vec<(ServerKey, Arc<Features>)>,
        names: &dyn Fn(&ServerKey) -> Names,
    ) {
        if self.holds(&servers) {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let present: HashSet<&ServerKey> = servers.iter().map(|(key, _)| key).collect();
        let gone: Vec<ServerKey> =
            state.servers.keys().filter(|key| !present.contains(key)).cloned().collect();
        for key in gone {
            state.remove(&key);
        }
        for (key, features) in servers {
            if !state.servers.get(&key).is_some_and(|known| Arc::ptr_eq(&known.features, &features)) {
                let names = names(&key);
                state.remove(&key);
                state.insert(key, features, &names);
            }
        }
    }

    fn holds(&self, servers: &[(ServerKey, Arc<Features>)]) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.servers.len() == servers.len()
            && servers.iter().all(|(key, features)| {
                state.servers.get(key).is_some_and(|known| Arc::ptr_eq(&known.features, features))
            })
    }

    /// Some tools of a scope, one of each server in turn: what the hub can do, in a few lines.
    pub fn abilities(&self, scope: &Scope, limit: usize) -> Vec<Ability> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut documents: Vec<&Document> =
            state.documents.values().filter(|document| sees(scope, &document.server)).collect();
        documents.sort_by_key(|document| (document.place, &document.server));
        documents.into_iter().take(limit).map(|document| document.ability(scope)).collect()
    }

    /// The tools of a scope that a query may mean, best first, at most `limit`.
    pub fn search(&self, query: &str, scope: &Scope, limit: usize) -> Vec<Candidate> {
        let (words, implied) = terms(cut(query, MAX_QUERY_BYTES));
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut scores: HashMap<u32, f64> = HashMap::new();
        for (terms, weight) in [(words, 1.0), (implied, KIN_WEIGHT)] {
            for found in state.scorer.matches(&embedding(terms.into_iter().map(|term| (term, 1.0)))) {
                let visible = state.documents.get(&found.id).is_some_and(|d| sees(scope, &d.server));
                if visible {
                    *scores.entry(found.id).or_default() += weight * f64::from(found.score);
                }
            }
        }
        let mut ranked: Vec<(&Document, f64)> =
            scores.into_iter().filter_map(|(id, score)| Some((state.documents.get(&id)?, score))).collect();
        ranked.sort_by(|(one, a), (other, b)| {
            b.total_cmp(a).then_with(|| one.store_name.cmp(&other.store_name))
        });
        ranked.into_iter().take(limit).map(|(document, score)| document.candidate(scope, score)).collect()
    }
}

/// The store sees every server, an agent its own.
fn sees(scope: &Scope, server: &ServerKey) -> bool {
    *scope == Scope::Store || server.scope == *scope
}

/// The words of a query, and the words that only stand for them.
fn terms(query: &str) -> (Vec<String>, Vec<String>) {
    let reading = Reading::of(query);
    let mut words: Vec<String> = Vec::new();
    for stem in reading.stems() {
        if words.len() < MAX_QUERY_STEMS && !words.contains(&stem) {
            words.push(stem);
        }
    }
    let mut implied: Vec<String> = Vec::new();
    let of_words = words.iter().flat_map(|word| kin(word)).map(str::to_owned);
    for stem in of_words.chain(reading.implied_stems()) {
        if !words.contains(&stem) && !implied.contains(&stem) {
            implied.push(stem);
        }
    }
    (words, implied)
}

/// At most the given bytes of a text, cut between characters.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

impl Document {
    fn full_name(&self, scope: &Scope) -> &str {
        match (scope, &self.agent_name) {
            (Scope::Agent(_), Some(name)) => name,
            _ => &self.store_name,
        }
    }

    fn ability(&self, scope: &Scope) -> Ability {
        let tool = &self.features.tools[self.place];
        let text = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
        let description = cut(text.trim().lines().next().unwrap_or_default(), 160).to_owned();
        Ability { full_name: self.full_name(scope).to_owned(), description }
    }

    fn candidate(&self, scope: &Scope, score: f64) -> Candidate {
        let tool = self.features.tools[self.place].clone();
        Candidate {
            key: ToolKey { server: self.server.clone(), tool: tool.name.clone() },
            full_name: self.full_name(scope).to_owned(),
            tool: Arc::new(tool),
            score,
        }
    }
}

impl State {
    fn remove(&mut self, key: &ServerKey) {
        for id in self.servers.remove(key).map(|known| known.documents).unwrap_or_default() {
            self.scorer.remove(&id);
            self.documents.remove(&id);
        }
    }

    fn insert(&mut self, key: ServerKey, features: Arc<Features>, names: &Names) {
        let mut documents = Vec::with_capacity(features.tools.len());
        let mut seen = HashSet::new();
        for (place, tool) in features.tools.iter().enumerate() {
            // What the registry does not list is not there: a doubled name, for one.
            let Some(store_name) = names.in_store.get(&tool.name).filter(|_| seen.insert(&tool.name)) else {
                continue;
            };
            let id = self.next;
            self.next = self.next.wrapping_add(1);
            self.scorer.upsert(&id, tool_embedding(&key, tool));
            let document = Document {
                server: key.clone(),
                features: Arc::clone(&features),
                place,
                store_name: store_name.clone(),
                agent_name: names.in_agent.get(&tool.name).cloned(),
            };
            self.documents.insert(id, document);
            documents.push(id);
        }
        self.servers.insert(key, Indexed { features, documents });
    }
}

fn tool_embedding(server: &ServerKey, tool: &Tool) -> Embedding<u64> {
    let mut terms: Vec<(String, f32)> = Vec::new();
    let mut add = |stems: Vec<String>, weight: f32| {
        terms.extend(stems.into_iter().map(|stem| (stem, weight)));
    };
    add(identifier_stems(tool.name.as_str()), NAME_WEIGHT);
    add(identifier_stems(server.name.as_str()), SERVER_WEIGHT);
    add(text_stems(tool.title.as_deref().unwrap_or_default()), TITLE_WEIGHT);
    let description = tool.description.as_deref().unwrap_or_default();
    add(text_stems(cut(description, MAX_DESCRIPTION_BYTES)), DESCRIPTION_WEIGHT);
    let parameters = tool.input_schema.get("properties").and_then(Value::as_object);
    for (name, schema) in parameters.into_iter().flatten() {
        add(identifier_stems(name), PARAMETER_WEIGHT);
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        add(text_stems(cut(description, MAX_DESCRIPTION_BYTES)), PARAMETER_WEIGHT);
    }
    embedding(terms)
}

/// BM25's weight of each term within one text; how rare the terms are is the scorer's part.
fn embedding(terms: impl IntoIterator<Item = (String, f32)>) -> Embedding<u64> {
    let mut frequencies: Vec<(u64, f32)> = Vec::new();
    let mut places: HashMap<u64, usize> = HashMap::new();
    let mut length = 0.0;
    for (term, weight) in terms {
        let index = <u64 as TokenEmbedder>::embed(&term);
        let place = *places.entry(index).or_insert_with(|| {
            frequencies.push((index, 0.0));
            frequencies.len() - 1
        });
        frequencies[place].1 += weight;
        length += weight;
    }
    let discount = K1 * (1.0 - B + B * length / USUAL_LENGTH);
    let weigh = |(index, frequency): (u64, f32)| TokenEmbedding {
        index,
        value: frequency * (K1 + 1.0) / (frequency + discount),
    };
    Embedding(frequencies.into_iter().map(weigh).collect())
}
