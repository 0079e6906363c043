//! What fastmcp does to pydantic's schemas before it serves them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::DEFS;

/// Which fastmcp's habits to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// fastmcp 2: prunes titles by a rough rule, drops `additionalProperties: false`.
    Two,
    /// fastmcp 3 and later: prunes titles only where a schema stands.
    Later,
}

/// Members that show that a map is a schema.
const STRUCTURE: [&str; 8] = ["type", "properties", "$ref", "items", "allOf", "oneOf", "anyOf", "required"];
/// Members that only describe.
const METADATA: [&str; 5] = ["title", "description", "deprecated", "readOnly", "writeOnly"];
const LITERALS: [&str; 5] = ["default", "const", "examples", "example", "enum"];
const MAPS: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
const SINGLES: [&str; 12] = [
    "items",
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "if",
    "then",
    "else",
    "not",
];

/// Prunes titles and the like, in place.
pub(crate) fn prune(schema: &mut Value, habit: Habit) {
    match habit {
        Habit::Two => prune_roughly(schema, 0),
        Habit::Later => prune_schemas(schema, 0),
    }
}

fn prune_roughly(node: &mut Value, depth: usize) {
    if depth > 50 {
        return;
    }
    match node {
        Value::Object(map) => {
            if map.contains_key("title") && STRUCTURE.iter().any(|key| map.contains_key(*key)) {
                map.shift_remove("title");
            }
            if map.get("additionalProperties") == Some(&Value::Bool(false)) {
                map.shift_remove("additionalProperties");
            }
            map.values_mut().for_each(|value| prune_roughly(value, depth + 1));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prune_roughly(item, depth + 1)),
        _ => {}
    }
}

fn prune_schemas(node: &mut Value, depth: usize) {
    let Value::Object(map) = node else { return };
    if depth > 50 {
        return;
    }
    if map.get("title").is_some_and(Value::is_string)
        && (STRUCTURE.iter().any(|key| map.contains_key(*key))
            || map.keys().all(|key| METADATA.contains(&key.as_str())))
    {
        map.shift_remove("title");
    }
    for (key, value) in map.iter_mut() {
        let key = key.as_str();
        match value {
            Value::Object(inner) if MAPS.contains(&key) => {
                inner.values_mut().for_each(|schema| prune_schemas(schema, depth + 1));
            }
            _ if LITERALS.contains(&key) => {}
            Value::Array(items) if LISTS.contains(&key) => {
                items.iter_mut().for_each(|schema| prune_schemas(schema, depth + 1));
            }
            value if SINGLES.contains(&key) => prune_schemas(value, depth + 1),
            _ => {}
        }
    }
}

/// Puts definitions in the place of references, unless they are recursive: then only the root's.
pub(crate) fn inline(schema: Value, habit: Habit) -> Value {
    let Some(Value::Object(defs)) = schema.get("$defs").cloned() else {
        return schema;
    };
    if defs.keys().any(|name| reaches(name, &defs)) {
        return with_root(schema);
    }
    // fastmcp 4 has this very limit; the second generation has none and dies of such a schema.
    let mut budget = 100_000;
    let Some(mut whole) = expand(&schema, &defs, 0, &mut budget) else { return with_root(schema) };
    if let Value::Object(map) = &mut whole {
        map.shift_remove("$defs");
    }
    drop_discriminators(&mut whole, habit, 0);
    whole
}

/// Whether a definition leads back to itself.
fn reaches(name: &str, defs: &Map<String, Value>) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![name.to_owned()];
    while let Some(current) = next.pop() {
        let mut found = Vec::new();
        if let Some(definition) = defs.get(&current) {
            super::references(definition, &mut found);
        }
        for reference in found {
            if reference == name {
                return true;
            }
            if seen.insert(reference.clone()) {
                next.push(reference);
            }
        }
    }
    false
}

/// Recursive schemas still need an object for a root.
pub(crate) fn with_root(schema: Value) -> Value {
    let target = match (&schema, schema.get("type")) {
        (Value::Object(map), None) => map
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| path.strip_prefix(DEFS))
            .and_then(|name| map.get("$defs")?.get(name))
            .and_then(Value::as_object)
            .cloned(),
        _ => None,
    };
    match (target, schema) {
        (Some(mut target), Value::Object(mut map)) => {
            map.shift_remove("$ref");
            target.extend(map);
            Value::Object(target)
        }
        (_, schema) => schema,
    }
}

fn expand(node: &Value, defs: &Map<String, Value>, depth: usize, budget: &mut usize) -> Option<Value> {
    *budget = budget.checked_sub(1)?;
    if depth > 128 {
        return None;
    }
    Some(match node {
        Value::Object(map) => {
            let target = map
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|path| path.strip_prefix(DEFS))
                .and_then(|name| defs.get(name));
            let mut whole = Map::new();
            if let Some(target) = target
                && let Value::Object(expanded) = expand(target, defs, depth + 1, budget)?
            {
                whole = expanded;
            }
            for (key, value) in map {
                if key == "$defs" || (key == "$ref" && target.is_some()) {
                    continue;
                }
                whole.insert(key.clone(), expand(value, defs, depth + 1, budget)?);
            }
            Value::Object(whole)
        }
        Value::Array(items) => Value::Array(
            items.iter().map(|item| expand(item, defs, depth + 1, budget)).collect::<Option<_>>()?,
        ),
        other => other.clone(),
    })
}

/// The mapping of a discriminator points at definitions that are gone now.
fn drop_discriminators(node: &mut Value, habit: Habit, depth: usize) {
    if depth > 128 {
        return;
    }
    match node {
        Value::Object(map) => {
            match habit {
                Habit::Two => {
                    if let Some(Value::Object(discriminator)) = map.get_mut("discriminator") {
                        discriminator.shift_remove("mapping");
                    }
                }
                Habit::Later if map.contains_key("oneOf") || map.contains_key("anyOf") => {
                    let property = map
                        .shift_remove("discriminator")
                        .and_then(|discriminator| discriminator.get("propertyName").cloned());
                    if let Some(property) = property {
                        for key in ["anyOf", "oneOf"] {
                            if let Some(Value::Array(variants)) = map.get_mut(key) {
                                variants.iter_mut().for_each(|variant| require(variant, &property));
                            }
                        }
                    }
                }
                Habit::Later => {}
            }
            for (key, value) in map.iter_mut() {
                if !LITERALS.contains(&key.as_str()) {
                    drop_discriminators(value, habit, depth + 1);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_discriminators(item, habit, depth + 1)),
        _ => {}
    }
}

fn require(variant: &mut Value, property: &Value) {
    let Value::Object(map) = variant else { return };
    let required = map.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(names) = required
        && !names.contains(property)
    {
        names.push(property.clone());
    }
}
