//! The search index over all tools: BM25 over names, titles, descriptions and parameters.
//!
//! # Invariants
//!
//! * A sync touches only the servers whose features changed; the catalogue's sharing
//!   (`Arc::ptr_eq`) says which.
//! * What a scope sees, and by which names, only the catalogue says: the index finds words.
//! * Filler words are in neither the index nor a query, so "the" finds nothing.
//! * The order of equal scores is that of the names: the same query gives the same list.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bm25::{Embedding, Scorer, TokenEmbedder, TokenEmbedding};
use dormouse_registry::{Catalog, ToolRef};
use dormouse_types::{Features, Scope, ServerKey, Tool, ToolKey, ToolSettings};
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
    /// What the rest is made from.
    catalog: Arc<Catalog>,
    scorer: Scorer<u32, u64>,
    servers: HashMap<ServerKey, Indexed>,
    own_words: HashMap<(Scope, ToolKey), OwnWords>,
    documents: HashMap<u32, Document>,
    next: u32,
}

struct Indexed {
    features: Arc<Features>,
    documents: Vec<u32>,
}

/// A tool that has another name or description in one scope, and so other words.
struct OwnWords {
    settings: Arc<ToolSettings>,
    features: Arc<Features>,
    document: u32,
}

struct Document {
    key: ToolKey,
    /// The only scope in which it counts; `None` is all that have no words of their own for the tool.
    only: Option<Scope>,
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

    /// Brings the index to a version of the catalogue, unless it has a later one. What did not
    /// change costs nothing.
    pub fn sync(&self, catalog: &Arc<Catalog>) {
        self.read_anew(catalog);
    }

    /// Syncs, and says how many servers were read anew.
    pub(crate) fn read_anew(&self, catalog: &Arc<Catalog>) -> usize {
        let is_new = |state: &State| {
            !Arc::ptr_eq(&state.catalog, catalog) && state.catalog.version() <= catalog.version()
        };
        if !is_new(&self.state.read().unwrap_or_else(PoisonError::into_inner)) {
            return 0;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if is_new(&state) { state.sync(catalog) } else { 0 }
    }

    /// Some tools of a scope, one of each server in turn: what the hub can do, in a few lines.
    pub fn abilities(&self, scope: &Scope, limit: usize) -> Vec<Ability> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let catalog = &state.catalog;
        let of_server = |server: &ServerKey| catalog.tools_of(scope, server).take(limit).enumerate();
        let mut tools: Vec<(usize, ToolRef)> =
            catalog.servers(scope).flat_map(|entry| of_server(&entry.key)).collect();
        tools.sort_by_key(|(place, _)| *place);
        tools.into_iter().take(limit).map(|(_, tool)| ability(&tool)).collect()
    }

    /// The tools of a scope that a query may mean, best first, at most `limit`.
    pub fn search(&self, query: &str, scope: &Scope, limit: usize) -> Vec<Candidate> {
        let (words, implied) = terms(cut(query, MAX_QUERY_BYTES));
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut scores: HashMap<u32, f64> = HashMap::new();
        for (terms, weight) in [(words, 1.0), (implied, KIN_WEIGHT)] {
            for found in state.scorer.matches(&embedding(terms.into_iter().map(|term| (term, 1.0)))) {
                if state.may_show(found.id, scope) {
                    *scores.entry(found.id).or_default() += weight * f64::from(found.score);
                }
            }
        }
        let mut ranked: Vec<(u32, f64)> = scores.into_iter().collect();
        ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let mut found: Vec<Candidate> = Vec::new();
        // Names are looked up for the best only, and for all that score like the last of them.
        for same_score in ranked.chunk_by(|(_, a), (_, b)| a == b) {
            if found.len() >= limit {
                break;
            }
            let tools = same_score.iter().filter_map(|&(id, score)| Some((state.tool(id, scope)?, score)));
            let mut tools: Vec<(ToolRef, f64)> = tools.collect();
            tools.sort_by(|(one, _), (other, _)| one.full_name().cmp(other.full_name()));
            let room = limit - found.len();
            found.extend(tools.into_iter().take(room).map(|(tool, score)| candidate(&tool, score)));
        }
        found
    }
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

fn ability(tool: &ToolRef) -> Ability {
    let text = tool.description().or(tool.tool().title.as_deref()).unwrap_or_default();
    let description = cut(text.trim().lines().next().unwrap_or_default(), 160).to_owned();
    Ability { full_name: tool.full_name().to_owned(), description }
}

fn candidate(tool: &ToolRef, score: f64) -> Candidate {
    let description = tool.description().map(str::to_owned);
    Candidate {
        key: tool.key(),
        full_name: tool.full_name().to_owned(),
        tool: Arc::new(Tool { description, ..tool.tool().clone() }),
        score,
    }
}

/// Whether settings change the words by which a tool is found.
fn has_own_words(settings: &ToolSettings) -> bool {
    !settings.disabled && (settings.name.is_some() || settings.description.is_some())
}

impl State {
    /// Whether a scope can see a document's tool; what is disabled there is sorted out later.
    fn may_show(&self, id: u32, scope: &Scope) -> bool {
        let Some(Document { key, only }) = self.documents.get(&id) else { return false };
        match only {
            Some(only) => only == scope,
            // The store sees everything, and an agent its own: no need to look.
            None => {
                *scope == Scope::Store || key.server.scope == *scope || self.catalog.sees(scope, &key.server)
            }
        }
    }

    /// A document's tool, if the scope offers it and the document has its words there.
    fn tool(&self, id: u32, scope: &Scope) -> Option<ToolRef> {
        let Document { key, only } = self.documents.get(&id)?;
        let tool = self.catalog.tool(scope, key)?;
        let settings = tool.settings();
        (!settings.disabled && has_own_words(settings) == only.is_some()).then_some(tool)
    }

    fn sync(&mut self, catalog: &Arc<Catalog>) -> usize {
        let gone: Vec<ServerKey> =
            self.servers.keys().filter(|key| catalog.get(key).is_none()).cloned().collect();
        for key in gone {
            self.remove(&key);
        }
        let mut read = 0;
        for entry in catalog.servers(&Scope::Store) {
            let known = self.servers.get(&entry.key);
            if !known.is_some_and(|known| Arc::ptr_eq(&known.features, &entry.features)) {
                self.remove(&entry.key);
                self.insert(catalog, &entry.key, &entry.features);
                read += 1;
            }
        }
        self.sync_own_words(catalog);
        self.catalog = Arc::clone(catalog);
        read
    }

    fn remove(&mut self, key: &ServerKey) {
        for id in self.servers.remove(key).map(|known| known.documents).unwrap_or_default() {
            self.scorer.remove(&id);
            self.documents.remove(&id);
        }
    }

    fn insert(&mut self, catalog: &Catalog, key: &ServerKey, features: &Arc<Features>) {
        // What the registry does not list is not there: a doubled name, for one.
        let tools = catalog.all_tools_of(&Scope::Store, key);
        let documents =
            tools.map(|tool| self.add(tool.key(), None, embedding_of(key, tool.tool(), None))).collect();
        self.servers.insert(key.clone(), Indexed { features: Arc::clone(features), documents });
    }

    fn add(&mut self, key: ToolKey, only: Option<Scope>, words: Embedding<u64>) -> u32 {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.scorer.upsert(&id, words);
        self.documents.insert(id, Document { key, only });
        id
    }

    fn sync_own_words(&mut self, catalog: &Catalog) {
        let mut before = std::mem::take(&mut self.own_words);
        for (scope, key, settings) in catalog.tool_settings().filter(|(_, _, s)| has_own_words(s)) {
            let Some(tool) = catalog.tool(scope, &key) else { continue };
            let features = &tool.entry().features;
            let place = (scope.clone(), key.clone());
            let known = before.remove(&place).filter(|known| {
                let same = Arc::ptr_eq(&known.settings, settings) && Arc::ptr_eq(&known.features, features);
                if !same {
                    self.scorer.remove(&known.document);
                    self.documents.remove(&known.document);
                }
                same
            });
            let known = known.unwrap_or_else(|| {
                let words = embedding_of(&key.server, tool.tool(), Some(settings));
                let document = self.add(key, Some(scope.clone()), words);
                OwnWords { settings: Arc::clone(settings), features: Arc::clone(features), document }
            });
            self.own_words.insert(place, known);
        }
        for gone in before.into_values() {
            self.scorer.remove(&gone.document);
            self.documents.remove(&gone.document);
        }
    }
}

/// The words by which a tool is found, where a scope has words of its own for it by these.
fn embedding_of(server: &ServerKey, tool: &Tool, settings: Option<&ToolSettings>) -> Embedding<u64> {
    let mut terms: Vec<(String, f32)> = Vec::new();
    let mut add = |stems: Vec<String>, weight: f32| {
        terms.extend(stems.into_iter().map(|stem| (stem, weight)));
    };
    add(identifier_stems(tool.name.as_str()), NAME_WEIGHT);
    if let Some(name) = settings.and_then(|settings| settings.name.as_ref()) {
        add(identifier_stems(name.as_str()), NAME_WEIGHT);
    }
    add(identifier_stems(server.name.as_str()), SERVER_WEIGHT);
    add(text_stems(tool.title.as_deref().unwrap_or_default()), TITLE_WEIGHT);
    let description = settings.and_then(|settings| settings.description.as_deref());
    let description = description.or(tool.description.as_deref()).unwrap_or_default();
    add(text_stems(cut(description, MAX_DESCRIPTION_BYTES)), DESCRIPTION_WEIGHT);
    let schema = tool.input_schema.value();
    let parameters = schema.get("properties").and_then(Value::as_object);
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
