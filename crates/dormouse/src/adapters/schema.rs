//! Schemas of arguments as other libraries want them.

use serde_json::{Map, Value, json};

/// How many nested references are followed, and how large a schema without references may grow.
const MAX_DEPTH: usize = 16;
const MAX_NODES: usize = 5_000;

/// What combines schemas.
const GROUPS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// A schema without local references. What refers to itself, or outside, allows any value.
pub(super) fn inlined(schema: &Value) -> Value {
    let mut left = MAX_NODES;
    inline(schema, schema, &mut Vec::new(), &mut left)
}

fn inline<'a>(schema: &'a Value, root: &'a Value, open: &mut Vec<&'a str>, left: &mut usize) -> Value {
    if *left == 0 {
        return json!({});
    }
    *left -= 1;
    match schema {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            let mut result = match reference {
                Some(reference) => {
                    let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
                    let Some(target) =
                        target.filter(|_| !open.contains(&reference) && open.len() < MAX_DEPTH)
                    else {
                        return described(members);
                    };
                    open.push(reference);
                    let target = inline(target, root, open, left);
                    open.pop();
                    target.as_object().cloned().unwrap_or_default()
                }
                None => Map::new(),
            };
            for (name, value) in members {
                match name.as_str() {
                    "$ref" | "$defs" | "definitions" | "$schema" | "$id" => {}
                    // Not schemas: nothing in them is a reference.
                    "enum" | "const" | "default" | "examples" | "example" | "required" => {
                        result.insert(name.clone(), value.clone());
                    }
                    // Its keys are names of arguments, whatever they look like.
                    "properties" if value.is_object() => {
                        let properties = value.as_object().into_iter().flatten();
                        let properties: Map<String, Value> = properties
                            .map(|(name, schema)| (name.clone(), inline(schema, root, open, left)))
                            .collect();
                        result.insert(name.clone(), Value::Object(properties));
                    }
                    _ => {
                        result.insert(name.clone(), inline(value, root, open, left));
                    }
                }
            }
            Value::Object(result)
        }
        Value::Array(items) => items.iter().map(|item| inline(item, root, open, left)).collect(),
        other => other.clone(),
    }
}

/// Any value, with the words that stood beside what it should have been.
fn described(members: &Map<String, Value>) -> Value {
    let mut any = Map::new();
    if let Some(description) = members.get("description") {
        any.insert("description".to_owned(), description.clone());
    }
    Value::Object(any)
}

/// The schema as one plain object: `type`, `properties`, and nothing at the top that libraries
/// refuse there (`anyOf`, `$ref`, …). Of alternatives every property is allowed, and required is
/// only what all of them require.
pub(super) fn plain_object(schema: &Value) -> Map<String, Value> {
    let refused = |name: &str| GROUPS.contains(&name) || matches!(name, "$ref" | "enum" | "const" | "not");
    let Some(members) = schema.as_object() else { return empty_object() };
    if !members.keys().any(|name| refused(name)) {
        let mut object = members.clone();
        object.insert("type".to_owned(), json!("object"));
        object.entry("properties").or_insert_with(|| json!({}));
        return object;
    }
    let whole = inlined(schema);
    let members = whole.as_object().cloned().unwrap_or_default();
    let (properties, required) = fields(&members, 0);
    let mut object: Map<String, Value> =
        members.into_iter().filter(|(name, _)| !refused(name) && name != "additionalProperties").collect();
    object.insert("type".to_owned(), json!("object"));
    object.insert("properties".to_owned(), Value::Object(properties));
    if required.is_empty() {
        object.shift_remove("required");
    } else {
        object.insert("required".to_owned(), json!(required));
    }
    object
}

fn empty_object() -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), json!("object")), ("properties".to_owned(), json!({}))])
}

/// The properties that an object may have and those that it must, through its groups.
pub(super) fn fields(members: &Map<String, Value>, depth: usize) -> (Map<String, Value>, Vec<String>) {
    let mut properties = members.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut required = names(members.get("required"));
    if depth > MAX_DEPTH {
        return (properties, required);
    }
    for group in GROUPS {
        let options = members.get(group).and_then(Value::as_array).into_iter().flatten();
        let options: Vec<_> =
            options.filter_map(Value::as_object).map(|option| fields(option, depth + 1)).collect();
        let mut all = options.iter().map(|(_, required)| required.clone());
        let must: Vec<String> = match group {
            "allOf" => all.flatten().collect(),
            _ => all
                .next()
                .map(|first| all.fold(first, |a, b| a.into_iter().filter(|name| b.contains(name)).collect()))
                .unwrap_or_default(),
        };
        for (name, schema) in options.into_iter().flat_map(|(properties, _)| properties) {
            properties.entry(name).or_insert(schema);
        }
        for name in must {
            if !required.contains(&name) {
                required.push(name);
            }
        }
    }
    required.retain(|name| properties.contains_key(name));
    (properties, required)
}

fn names(required: Option<&Value>) -> Vec<String> {
    let names = required.and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}
