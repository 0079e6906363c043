//! Arguments of a call as they are typed: `name=value`, read by the tool's schema.
//!
//! # Invariants
//!
//! * Where the schema allows a text, the value is that text: `00713` stays `00713`.
//! * A value that cannot be read as the schema wants stays a text. The hub repairs what can be
//!   repaired without loss and refuses the rest, with the place; here nothing is guessed.

use dormouse_types::Arguments;
use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::failure::Failure;

/// How deep references are followed; a schema may refer to itself.
const DEPTH: usize = 16;

/// Reads the words after the tool's name: one JSON object, or `name=value` and `name:=JSON`.
/// A name that comes again makes a list, where the schema wants one.
pub(crate) fn arguments(words: &[String], schema: &Value) -> Result<Arguments, Failure> {
    if let Some(object) = whole_object(words)? {
        return Ok(object);
    }
    let mut given: Vec<(String, Vec<Value>)> = Vec::new();
    for word in words {
        let (name, value) = pair(word, schema)?;
        match given.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => given.push((name, vec![value])),
        }
    }
    let mut arguments = Map::new();
    for (name, mut values) in given {
        let list = takes(property(schema, &name), schema, &|s| is_type(s, "array"), DEPTH);
        let value = match values.len() {
            // Alone, it is the list itself, or its only item.
            1 if !list || values[0].is_array() || values[0].is_null() => values.remove(0),
            1 if takes(property(schema, &name), schema, &|s| is_type(s, "string"), DEPTH) => values.remove(0),
            _ if list => Value::Array(values),
            _ => {
                let why = format!("the argument `{name}` is given {} times", values.len());
                return Err(Failure::new(Exit::Usage, why));
            }
        };
        arguments.insert(name, value);
    }
    Ok(arguments)
}

fn whole_object(words: &[String]) -> Result<Option<Arguments>, Failure> {
    let [word] = words else { return Ok(None) };
    if !word.trim_start().starts_with('{') {
        return Ok(None);
    }
    serde_json::from_str(word)
        .map(Some)
        .map_err(|error| Failure::new(Exit::Usage, "the arguments are no JSON object").caused_by(&error))
}

fn pair(word: &str, schema: &Value) -> Result<(String, Value), Failure> {
    let Some((name, text)) = word.split_once('=') else {
        let why = format!("`{word}` is no argument");
        return Err(
            Failure::new(Exit::Usage, why).hint("write `name=value`, `name:=JSON`, or one JSON object")
        );
    };
    if let Some(name) = name.strip_suffix(':') {
        let value = serde_json::from_str(text).map_err(|error| {
            Failure::new(Exit::Usage, format!("the value of `{name}` is no JSON")).caused_by(&error)
        })?;
        return Ok((name.to_owned(), value));
    }
    let of = property(schema, name);
    // An item of a list that is given one by one, unless the text is the whole list.
    let value = match (read(text, of, schema), items(of, schema)) {
        (Value::String(text), Some(items)) => read(&text, Some(items), schema),
        (value, _) => value,
    };
    Ok((name.to_owned(), value))
}

fn property<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema
        .get("properties")?
        .get(name)
        .or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()))
}

fn items<'a>(of: Option<&'a Value>, root: &'a Value) -> Option<&'a Value> {
    let list = find(of, root, &|s| is_type(s, "array"), DEPTH)?;
    list.get("items")
}

/// The text as the value that the schema wants, or as the text that it is.
fn read(text: &str, of: Option<&Value>, root: &Value) -> Value {
    let as_text = || Value::String(text.to_owned());
    if let Some(choice) = choice(text, of, root) {
        return choice;
    }
    if takes(of, root, &|s| is_type(s, "string"), DEPTH) {
        return as_text();
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else { return as_text() };
    let wanted = |kind: &str| takes(of, root, &|s| is_type(s, kind), DEPTH);
    let fits = match &value {
        Value::Null => wanted("null"),
        Value::Bool(_) => wanted("boolean"),
        Value::Number(number) => wanted("number") || (wanted("integer") && !number.is_f64()),
        Value::Array(_) => wanted("array"),
        Value::Object(_) => wanted("object"),
        Value::String(_) => false,
    };
    // A schema that says nothing of types takes anything that reads the same when written again.
    let free = is_free(of, root) && (value.is_array() || value.is_object() || is_written(&value, text));
    if fits || free { value } else { as_text() }
}

/// The word of an enumeration that reads like the text.
fn choice(text: &str, of: Option<&Value>, root: &Value) -> Option<Value> {
    let reads = |value: &Value| match value {
        Value::String(word) => word == text,
        other => is_written(other, text),
    };
    let named = |schema: &Value| schema.get("enum").is_some() || schema.get("const").is_some();
    let schema = find(of, root, &named, DEPTH)?;
    let words = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    words.iter().chain(schema.get("const")).find(|value| reads(value)).cloned()
}

/// Whether the value as JSON is this very text.
fn is_written(value: &Value, text: &str) -> bool {
    serde_json::to_string(value).is_ok_and(|written| written == text)
}

fn is_type(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

fn is_free(of: Option<&Value>, root: &Value) -> bool {
    let typed = |s: &Value| s.get("type").is_some() || s.get("enum").is_some() || s.get("const").is_some();
    !takes(of, root, &typed, DEPTH)
}

fn takes(of: Option<&Value>, root: &Value, test: &dyn Fn(&Value) -> bool, depth: usize) -> bool {
    find(of, root, test, depth).is_some()
}

/// The first alternative of a schema for which the test holds.
fn find<'a>(
    of: Option<&'a Value>,
    root: &'a Value,
    test: &dyn Fn(&Value) -> bool,
    depth: usize,
) -> Option<&'a Value> {
    let schema = of?;
    if test(schema) {
        return Some(schema);
    }
    let depth = depth.checked_sub(1)?;
    let referred =
        schema.get("$ref").and_then(Value::as_str).and_then(|to| root.pointer(to.strip_prefix('#')?));
    let alternatives = ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .filter_map(|word| schema.get(word)?.as_array())
        .flatten()
        .chain(referred);
    alternatives.into_iter().find_map(|schema| find(Some(schema), root, test, depth))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "zip": {"type": "string"},
                "people": {"type": "integer"},
                "rate": {"type": "number"},
                "deep": {"type": "boolean"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "years": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "unit": {"$ref": "#/$defs/Unit"},
                "level": {"enum": [1, 2, "high"]},
                "where": {"type": "object"},
                "any": {},
            },
            "$defs": {"Unit": {"enum": ["km", "miles"], "type": "string"}},
        })
    }

    fn check(words: &[&str], expected: Value) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let read = arguments(&words, &schema()).map(Value::Object);
        assert_eq!(read, Ok(expected), "{words:?}");
    }

    fn refused(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let failure = arguments(&words, &schema()).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        failure.to_string()
    }

    #[test]
    fn a_text_stays_the_text_that_was_typed() {
        check(&["zip=00713"], json!({"zip": "00713"}));
        check(&["zip=7", "note=null"], json!({"zip": "7", "note": "null"}));
        check(&["zip="], json!({"zip": ""}));
        check(&["zip=a=b"], json!({"zip": "a=b"}));
        check(&["zip=true"], json!({"zip": "true"}));
    }

    #[test]
    fn the_schema_says_what_else_a_word_is() {
        check(
            &["people=3", "rate=7.5", "deep=true", "limit=null", "unit=km", "level=2"],
            json!({"people": 3, "rate": 7.5, "deep": true, "limit": null, "unit": "km", "level": 2}),
        );
        check(&[r#"where={"x": [1]}"#], json!({"where": {"x": [1]}}));
        check(&["rate=3"], json!({"rate": 3}));
        check(&["level=high"], json!({"level": "high"}));
    }

    #[test]
    fn what_does_not_fit_is_left_for_the_hub_to_judge() {
        check(&["people=00713"], json!({"people": "00713"}));
        check(&["people=three", "deep=yes"], json!({"people": "three", "deep": "yes"}));
        check(&["people=1.5"], json!({"people": "1.5"}));
        check(&["stranger=5"], json!({"stranger": 5}));
    }

    #[test]
    fn a_schema_without_a_type_takes_what_reads_the_same_again() {
        check(&["any=5"], json!({"any": 5}));
        check(&["any=05"], json!({"any": "05"}));
        check(&["any=1e3"], json!({"any": "1e3"}));
        check(&["any=[1, 2]"], json!({"any": [1, 2]}));
        check(&["any=word"], json!({"any": "word"}));
    }

    #[test]
    fn a_list_is_one_text_or_several_words() {
        check(&["tags=a", "tags=07"], json!({"tags": ["a", "07"]}));
        check(&["tags=a"], json!({"tags": ["a"]}));
        check(&[r#"tags=["a", "b"]"#], json!({"tags": ["a", "b"]}));
        check(&["years=1", "years=2"], json!({"years": [1, 2]}));
        check(&["years=null"], json!({"years": null}));
    }

    #[test]
    fn json_is_taken_as_it_is() {
        check(&["zip:=713"], json!({"zip": 713}));
        check(&[r#" {"zip": "a", "people": "3"}"#], json!({"zip": "a", "people": "3"}));
        check(&[], json!({}));
    }

    #[test]
    fn what_is_no_argument_is_named() {
        insta::assert_snapshot!(refused(&["people"]), @r"
        error: `people` is no argument
        hint: write `name=value`, `name:=JSON`, or one JSON object
        ");
        insta::assert_snapshot!(refused(&["people=1", "people=2"]), @"error: the argument `people` is given 2 times");
        insta::assert_snapshot!(refused(&["people:=x"]), @r"
        error: the value of `people` is no JSON
          because expected value at line 1 column 1
        ");
        insta::assert_snapshot!(refused(&["{people"]), @r"
        error: the arguments are no JSON object
          because key must be a string at line 1 column 2
        ");
    }
}
