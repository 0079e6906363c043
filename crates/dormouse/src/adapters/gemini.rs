//! Gemini's part of OpenAPI: the few members of a schema that its API takes.
//!
//! It refuses a request with `$ref`, `additionalProperties`, `const`, `oneOf`, `allOf`, formats
//! that it does not know, choices that are no texts, lists without `items`, and objects without
//! properties. Whatever it cannot say becomes wider, and the words say the rest.

use serde_json::{Map, Value, json};

use super::schema::{fields, inlined};

/// The declaration's `parameters`; `None` for a tool without arguments, which is how Gemini
/// wants them.
pub(super) fn parameters(schema: &Value) -> Option<Value> {
    let schema = inlined(schema);
    let members = schema.as_object()?;
    let (properties, required) = fields(members, 0);
    (!properties.is_empty()).then(|| Value::Object(object(&properties, &required)))
}

/// A function's name must begin with a letter or `_` there. Every other one gets a `_`, also
/// those that have one, so that the way back is clear.
pub(super) fn name(full_name: &str) -> String {
    let begins_well = full_name.starts_with(|first: char| first.is_ascii_alphabetic());
    if begins_well { full_name.to_owned() } else { format!("_{full_name}") }
}

/// The way back of [`name`].
pub(super) fn full_name(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

fn object(properties: &Map<String, Value>, required: &[String]) -> Map<String, Value> {
    let properties: Map<String, Value> =
        properties.iter().map(|(name, schema)| (name.clone(), Value::Object(narrow(schema)))).collect();
    let mut object = Map::new();
    object.insert("type".to_owned(), json!("OBJECT"));
    object.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        object.insert("required".to_owned(), json!(required));
    }
    object
}

/// One schema in Gemini's words.
fn narrow(schema: &Value) -> Map<String, Value> {
    let Some(members) = schema.as_object() else { return text(None) };
    let description = members.get("description").and_then(Value::as_str);
    let mut narrowed = shape(members, description);
    if let Some(description) = description {
        narrowed.entry("description").or_insert_with(|| json!(description));
    }
    narrowed
}

fn shape(members: &Map<String, Value>, description: Option<&str>) -> Map<String, Value> {
    if let Some((options, or_null)) = options(members) {
        let mut narrowed = match &options[..] {
            [one] => narrow(one),
            several => Map::from_iter([(
                "anyOf".to_owned(),
                several.iter().map(|option| Value::Object(narrow(option))).collect(),
            )]),
        };
        if or_null {
            narrowed.insert("nullable".to_owned(), json!(true));
        }
        return narrowed;
    }
    match one_type(members) {
        "object" => {
            let (properties, required) = fields(members, 0);
            match properties.is_empty() {
                // The hub reads the text, and its receipt says so.
                true => text(Some(&said(description, "A JSON object, written as text."))),
                false => object(&properties, &required),
            }
        }
        "array" => {
            let item = members.get("items").filter(|items| items.is_object());
            let item = item.map_or_else(|| text(None), narrow);
            let mut list = Map::from_iter([
                ("type".to_owned(), json!("ARRAY")),
                ("items".to_owned(), Value::Object(item)),
            ]);
            keep(members, &["minItems", "maxItems"], &mut list);
            list
        }
        "integer" => number("INTEGER", members),
        "number" => number("NUMBER", members),
        "boolean" => Map::from_iter([("type".to_owned(), json!("BOOLEAN"))]),
        "string" => {
            let mut text = text(None);
            if let Some(choices) = choices(members) {
                text.insert("enum".to_owned(), json!(choices));
            } else if members.get("format").and_then(Value::as_str) == Some("date-time") {
                text.insert("format".to_owned(), json!("date-time"));
            }
            text
        }
        _ => text(Some(&said(description, "Any value; what is no text is written as JSON."))),
    }
}

/// The alternatives of a schema, and whether null is one; `None` where there is only one.
fn options(members: &Map<String, Value>) -> Option<(Vec<Value>, bool)> {
    let is_null = |option: &Value| option.get("type").is_some_and(|kind| kind == "null");
    if let Some(Value::Array(kinds)) = members.get("type") {
        let of = |kind: &Value| {
            let mut one = members.clone();
            one.insert("type".to_owned(), kind.clone());
            Value::Object(one)
        };
        let or_null = kinds.iter().any(|kind| kind == "null");
        let options: Vec<Value> = kinds.iter().filter(|kind| **kind != "null").map(of).collect();
        return (!options.is_empty()).then_some((options, or_null));
    }
    for group in ["anyOf", "oneOf"] {
        let Some(options) = members.get(group).and_then(Value::as_array) else { continue };
        let or_null = options.iter().any(is_null);
        let options: Vec<Value> = options.iter().filter(|option| !is_null(option)).cloned().collect();
        if !options.is_empty() {
            return Some((options, or_null));
        }
    }
    let all = members.get("allOf").and_then(Value::as_array)?;
    match &all[..] {
        [one] if !members.contains_key("type") => Some((vec![one.clone()], false)),
        _ => None,
    }
}

/// The type of a schema, said or to be seen by its members.
fn one_type(members: &Map<String, Value>) -> &str {
    if let Some(kind) = members.get("type").and_then(Value::as_str) {
        return kind;
    }
    let value = members.get("const").or_else(|| members.get("enum")?.as_array()?.first());
    match value {
        Some(Value::String(_)) => "string",
        Some(Value::Number(number)) if number.is_f64() => "number",
        Some(Value::Number(_)) => "integer",
        Some(Value::Bool(_)) => "boolean",
        _ if members.contains_key("properties") || members.contains_key("allOf") => "object",
        _ if members.contains_key("items") => "array",
        _ => "any",
    }
}

/// The texts that are allowed. Gemini refuses empty ones, so with one of them all are allowed.
fn choices(members: &Map<String, Value>) -> Option<Vec<&str>> {
    let listed = match (members.get("enum"), members.get("const")) {
        (Some(Value::Array(listed)), _) => listed.iter().collect(),
        (_, Some(one)) => vec![one],
        _ => return None,
    };
    let texts: Option<Vec<&str>> =
        listed.into_iter().map(|value| value.as_str().filter(|text| !text.is_empty())).collect();
    texts.filter(|texts| !texts.is_empty())
}

fn number(kind: &str, members: &Map<String, Value>) -> Map<String, Value> {
    let mut number = Map::from_iter([("type".to_owned(), json!(kind))]);
    keep(members, &["minimum", "maximum"], &mut number);
    if let Some(Value::Array(choices)) = members.get("enum") {
        let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
        let description = members.get("description").and_then(Value::as_str);
        let description = said(description, &format!("One of {}.", choices.join(", ")));
        number.insert("description".to_owned(), json!(description));
    }
    number
}

fn keep(members: &Map<String, Value>, names: &[&str], into: &mut Map<String, Value>) {
    for name in names {
        if let Some(value) = members.get(*name).filter(|value| value.is_number()) {
            into.insert((*name).to_owned(), value.clone());
        }
    }
}

fn text(description: Option<&str>) -> Map<String, Value> {
    let mut text = Map::from_iter([("type".to_owned(), json!("STRING"))]);
    if let Some(description) = description {
        text.insert("description".to_owned(), json!(description));
    }
    text
}

fn said(description: Option<&str>, more: &str) -> String {
    match description.map(str::trim_end) {
        Some(description) if !description.is_empty() => format!("{description} {more}"),
        _ => more.to_owned(),
    }
}
