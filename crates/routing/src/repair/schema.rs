//! Looks into schemas: what stands behind references and alternatives.

use serde_json::{Map, Value, json};

/// How deep references and alternatives are followed.
const MAX_DEPTH: usize = 12;

/// The schemas that a value may be meant for: behind `$ref`, and each of `anyOf`, `oneOf`, `allOf`.
pub(super) fn variants<'a>(schema: &'a Value, root: &'a Value) -> Vec<&'a Value> {
    let mut found = Vec::new();
    collect(schema, root, &mut found, 0);
    found
}

fn collect<'a>(schema: &'a Value, root: &'a Value, found: &mut Vec<&'a Value>, depth: usize) {
    if depth > MAX_DEPTH || found.len() > 64 {
        return;
    }
    if let Some(target) = target(schema, root) {
        collect(target, root, found, depth + 1);
    }
    let mut is_group = false;
    for member in ["anyOf", "oneOf", "allOf"] {
        for option in schema.get(member).and_then(Value::as_array).into_iter().flatten() {
            is_group = true;
            collect(option, root, found, depth + 1);
        }
    }
    if !is_group && schema.get("$ref").is_none() || schema.get("type").is_some() {
        found.push(schema);
    }
}

fn target<'a>(schema: &'a Value, root: &'a Value) -> Option<&'a Value> {
    root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
}

/// The first variant that describes an object with properties.
pub(super) fn object_of<'a>(schema: &'a Value, root: &'a Value) -> Option<&'a Value> {
    variants(schema, root).into_iter().find(|variant| variant.get("properties").is_some_and(Value::is_object))
}

/// The types that a schema names.
pub(super) fn types<'a>(variants: &[&'a Value]) -> Vec<&'a str> {
    let mut types: Vec<&str> = Vec::new();
    for variant in variants {
        let named: Vec<&str> = match variant.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        types.extend(named);
    }
    types
}

/// The values that a schema allows by name.
pub(super) fn choices<'a>(variants: &[&'a Value]) -> Vec<&'a Value> {
    let listed =
        variants.iter().filter_map(|variant| variant.get("enum").and_then(Value::as_array)).flatten();
    listed.chain(variants.iter().filter_map(|variant| variant.get("const"))).collect()
}

/// A schema with every local reference replaced by what it refers to, for models whose servers know no `$ref`.
/// What refers to itself, or outside, becomes "any value".
pub(crate) fn inlined(schema: &Value) -> Value {
    let mut budget = 5_000;
    inline(schema, schema, &mut Vec::new(), &mut budget)
}

fn inline<'a>(schema: &'a Value, root: &'a Value, open: &mut Vec<&'a str>, budget: &mut usize) -> Value {
    if *budget == 0 {
        return json!({});
    }
    *budget -= 1;
    match schema {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let Some(target) =
                    target(schema, root).filter(|_| !open.contains(&reference) && open.len() < MAX_DEPTH)
                else {
                    return json!({});
                };
                open.push(reference);
                let mut inlined = inline(target, root, open, budget);
                open.pop();
                if let Some(object) = inlined.as_object_mut() {
                    for (name, value) in members.iter().filter(|(name, _)| *name != "$ref") {
                        object.insert(name.clone(), value.clone());
                    }
                }
                return inlined;
            }
            let kept = members
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "$defs" | "definitions" | "$schema"));
            let members: Map<String, Value> =
                kept.map(|(name, value)| (name.clone(), inline(value, root, open, budget))).collect();
            Value::Object(members)
        }
        Value::Array(items) => items.iter().map(|item| inline(item, root, open, budget)).collect(),
        other => other.clone(),
    }
}
