//! Names of arguments: which one was meant by a name that the tool does not know.

use serde_json::{Map, Value};

use super::schema::{choices, types, variants};
use super::{Rule, Work};
use crate::search::words::identifier_words;

/// How alike two names must be, from 0 to 1, and by how much more than any other.
const ALIKE: f64 = 0.86;
const MARGIN: f64 = 0.04;

/// Words that stand for one another in names of arguments.
const ALIASES: &[&str] = &[
    "query q search term keyword keywords question text input prompt",
    "url uri link href address website",
    "content text body message contents",
    "from src source origin start",
    "to dst dest target destination end",
    "limit count max n num number top size",
    "language lang locale",
    "path file filename filepath",
    "directory dir folder path",
    "title name subject heading",
    "city location place town",
    "value amount quantity number",
    "people persons guests",
    "expression expr formula equation",
    "percent percentage pct",
    "email mail recipient",
    "id identifier",
    "description desc",
    "date day when",
];

/// Renames what stands for another name, in the object at `pointer` whose schema is `schema`.
pub(super) fn fix_names(work: &mut Work<'_>, pointer: &str, schema: &Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    // An open map: any name is a right name.
    if schema.get("patternProperties").is_some()
        || schema.get("additionalProperties").is_some_and(Value::is_object)
    {
        return;
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    for rule in [Rule::Spelling, Rule::Similar, Rule::Position] {
        let Some(object) = work.root.pointer(pointer).and_then(Value::as_object) else { return };
        let root = &work.compiled.schema;
        let unknown: Vec<(&String, &Value)> =
            object.iter().filter(|(name, _)| !properties.contains_key(*name)).collect();
        let open: Vec<&String> = properties.keys().filter(|name| !object.contains_key(*name)).collect();
        let needed: Vec<&String> =
            open.iter().copied().filter(|name| required.contains(&name.as_str())).collect();
        let fits = |value: &Value, name: &str| could_be(value, &properties[name], root);
        let pairs: Vec<(String, String)> = match rule {
            Rule::Spelling => same_spelling(&unknown, &open),
            Rule::Similar => alike(&unknown, if is_closed { &open } else { &needed }, &fits),
            _ => by_position(&unknown, &needed, &fits),
        };
        for (old, new) in pairs {
            rename(work, pointer, &old, &new);
            work.note(&format!("{pointer}/{}", escaped(&new)), rule, old.into(), new.into());
        }
    }
}

/// The name in a pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Renames a member in place, so that the order stays what it was.
fn rename(work: &mut Work<'_>, pointer: &str, old: &str, new: &str) {
    if let Some(Value::Object(object)) = work.root.pointer_mut(pointer) {
        let renamed: Map<String, Value> = std::mem::take(object)
            .into_iter()
            .map(|(name, value)| (if name == old { new.to_owned() } else { name }, value))
            .collect();
        *object = renamed;
    }
}

fn normal(name: &str) -> String {
    identifier_words(name).concat()
}

fn same_spelling(unknown: &[(&String, &Value)], open: &[&String]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, _) in unknown {
        let same: Vec<&&String> = open.iter().filter(|other| normal(other) == normal(name)).collect();
        let rivals = unknown.iter().filter(|(other, _)| normal(other) == normal(name)).count();
        if let ([one], 1) = (same.as_slice(), rivals) {
            pairs.push(((*name).clone(), (**one).clone()));
        }
    }
    pairs
}

/// Pairs of names that are each other's best match by a clear margin.
fn alike(
    unknown: &[(&String, &Value)],
    open: &[&String],
    fits: &dyn Fn(&Value, &str) -> bool,
) -> Vec<(String, String)> {
    let score = |(name, value): &(&String, &Value), other: &str| {
        if fits(value, other) { likeness(name, other) } else { 0.0 }
    };
    let best_is = |scores: &[f64], place: usize| {
        let rival =
            scores.iter().enumerate().filter(|(i, _)| *i != place).map(|(_, s)| *s).fold(0.0, f64::max);
        scores[place] >= ALIKE && scores[place] - rival >= MARGIN
    };
    let mut pairs = Vec::new();
    for (u, given) in unknown.iter().enumerate() {
        let scores: Vec<f64> = open.iter().map(|name| score(given, name)).collect();
        let Some(best) = (0..open.len()).find(|&o| best_is(&scores, o)) else { continue };
        let rivals: Vec<f64> = unknown.iter().map(|other| score(other, open[best])).collect();
        if best_is(&rivals, u) {
            pairs.push((given.0.clone(), open[best].clone()));
        }
    }
    pairs
}

/// How alike two names are: by letters, by words, by words that stand for one another.
fn likeness(one: &str, other: &str) -> f64 {
    let letters = strsim::jaro_winkler(&normal(one), &normal(other));
    let (a, b) = (identifier_words(one), identifier_words(other));
    let matched = |from: &[String], to: &[String]| {
        from.iter().filter(|word| to.iter().any(|other| other == *word || are_aliases(word, other))).count()
    };
    let (forth, back) = (matched(&a, &b), matched(&b, &a));
    let in_words = match () {
        () if forth == a.len() && back == b.len() && !a.is_empty() => 0.95,
        // "unit" of "from_unit": all of one name stands in the other.
        () if forth == a.len() && forth > 0 || back == b.len() && back > 0 => 0.88,
        () => 0.0,
    };
    // Letters alone mislead short names: "to" and "top".
    let letters = if normal(one).len().min(normal(other).len()) < 4 { 0.0 } else { letters };
    letters.max(in_words)
}

fn are_aliases(one: &str, other: &str) -> bool {
    let has = |group: &str, word: &str| group.split_whitespace().any(|alias| alias == word);
    ALIASES.iter().any(|group| has(group, one) && has(group, other))
}

/// Pairs the required names with what is left, in the order of the schema, where types allow it.
/// Only if that serves them all: half a guess is none.
fn by_position(
    unknown: &[(&String, &Value)],
    needed: &[&String],
    fits: &dyn Fn(&Value, &str) -> bool,
) -> Vec<(String, String)> {
    let mut left: Vec<&(&String, &Value)> = unknown.iter().collect();
    let mut pairs = Vec::new();
    for name in needed {
        let Some(at) = left.iter().position(|(_, value)| fits(value, name)) else { return Vec::new() };
        pairs.push((left.remove(at).0.clone(), (*name).clone()));
    }
    pairs
}

/// Whether a value is of the type that a schema wants, or can become so without loss.
fn could_be(value: &Value, schema: &Value, root: &Value) -> bool {
    let variants = variants(schema, root);
    let choices = choices(&variants);
    if !choices.is_empty() {
        return choices.contains(&value)
            || value.as_str().is_some_and(|text| super::values::choice_for(text, &choices).is_some());
    }
    let types = types(&variants);
    types.is_empty()
        || types.iter().any(|wanted| match (*wanted, value) {
            ("string", Value::String(_))
            | ("number", Value::Number(_))
            | ("boolean", Value::Bool(_))
            | ("array", Value::Array(_))
            | ("object", Value::Object(_)) => true,
            ("integer", Value::Number(number)) => number.as_f64().is_some_and(|value| value.fract() == 0.0),
            ("number" | "integer", Value::String(text)) => super::values::number_in(text).is_some(),
            ("boolean", Value::String(text)) => super::values::boolean_in(text).is_some(),
            _ => false,
        })
}
