//! Structured results for clients that know only objects there.
//!
//! In 2026-07-28 a tool's structured result may be any value, and its schema have any root. In the
//! revisions before both are objects, and clients refuse what is not: a whole list for one schema.
//! So a client with a session gets any other value as the member `result` of an object, and a schema
//! that says so. The SDK for TypeScript does the same for a server of its own.

use serde_json::{Map, Value, json};

/// The member of the object.
const MEMBER: &str = "result";
/// Where the schema of that member is in the schema of the object.
const PLACE: &str = "#/properties/result";

/// Whether clients with a session get a schema of results otherwise.
pub(super) fn is_to_wrap(schema: &Value) -> bool {
    schema["type"] != "object"
}

/// The schema of the object that has such a result as its member.
pub(super) fn schema(natural: Value) -> Value {
    let dialect = natural.get("$schema").filter(|dialect| dialect.is_string()).cloned();
    let natural = if has_own_base(&natural) { natural } else { moved(natural, false) };
    let mut outer = Map::new();
    if let Some(dialect) = dialect {
        outer.insert("$schema".to_owned(), dialect);
    }
    outer.insert("type".to_owned(), Value::from("object"));
    outer.insert("properties".to_owned(), json!({ MEMBER: natural }));
    outer.insert("required".to_owned(), json!([MEMBER]));
    Value::Object(outer)
}

/// Makes an object of the structured part of a result, if its schema was wrapped or it is none.
pub(crate) fn wrap(result: &mut Value, is_wrapped: bool) {
    if let Some(structured) = result.get_mut("structuredContent").filter(|it| is_wrapped || !it.is_object()) {
        let natural = structured.take();
        *structured = json!({ MEMBER: natural });
    }
}

/// Whether what a schema refers to in itself is looked up from another place than the document's
/// root. A name that is a fragment only is an anchor.
fn has_own_base(schema: &Value) -> bool {
    schema.get("$id").is_some_and(|id| id.as_str().is_none_or(|id| !id.starts_with('#')))
}

/// The schema with its references into its own document as they must be at [`PLACE`]. In a map of
/// `named` schemas the members' names are no keywords.
fn moved(schema: Value, named: bool) -> Value {
    match schema {
        Value::Array(items) => items.into_iter().map(|item| moved(item, false)).collect(),
        Value::Object(_) if !named && has_own_base(&schema) => schema,
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| {
                let value = if named { moved(value, false) } else { moved_member(&name, value) };
                (name, value)
            });
            Value::Object(members.collect())
        }
        plain => plain,
    }
}

fn moved_member(keyword: &str, value: Value) -> Value {
    match (keyword, value) {
        ("$ref" | "$dynamicRef", Value::String(to)) => match to.strip_prefix('#') {
            Some(pointer) if pointer.is_empty() || pointer.starts_with('/') => {
                Value::String(format!("{PLACE}{pointer}"))
            }
            _ => Value::String(to),
        },
        // Values, not schemas.
        ("const" | "enum" | "default" | "examples", value) => value,
        (
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas"
            | "dependencies",
            value,
        ) => moved(value, true),
        (_, value) => moved(value, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_into_the_schema_lead_to_the_same_place_in_the_wrapped_one() {
        let natural = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "array", "items": { "$ref": "#/$defs/Node" }, "not": { "$ref": "#" },
            "default": [{ "$ref": "#/$defs/Node" }],
            "$defs": {
                "Node": { "type": "object", "properties": {
                    "$ref": { "$dynamicRef": "#/$defs/Node" }, "default": { "$ref": "#/$defs/Leaf" },
                    "next": { "anyOf": [{ "$ref": "#anchor" }, { "$ref": "other.json#/a" }] },
                } },
                "Leaf": { "$anchor": "anchor", "$id": "#old", "items": { "$ref": "#" } },
                "Other": { "$id": "https://example.com/other", "$ref": "#/$defs/Own" },
            },
        });
        let wrapped = schema(natural.clone());
        assert_eq!(wrapped["$schema"], natural["$schema"]);
        assert_eq!((&wrapped["type"], &wrapped["required"]), (&json!("object"), &json!(["result"])));
        let mut expected = natural;
        expected["items"]["$ref"] = json!("#/properties/result/$defs/Node");
        expected["not"]["$ref"] = json!("#/properties/result");
        let node = &mut expected["$defs"]["Node"]["properties"];
        node["$ref"]["$dynamicRef"] = json!("#/properties/result/$defs/Node");
        node["default"]["$ref"] = json!("#/properties/result/$defs/Leaf");
        expected["$defs"]["Leaf"]["items"]["$ref"] = json!("#/properties/result");
        assert_eq!(wrapped["properties"], json!({ "result": expected }));
    }

    #[test]
    fn a_schema_with_a_base_of_its_own_is_wrapped_as_it_is() {
        let natural = json!({ "$id": "https://example.com/a", "items": { "$ref": "#/$defs/A" } });
        assert_eq!(schema(natural.clone())["properties"]["result"], natural);
    }

    #[test]
    fn results_are_objects() {
        for (structured, is_wrapped, shown) in [
            (json!([1]), true, json!({ "result": [1] })),
            (json!([1]), false, json!({ "result": [1] })),
            (json!(null), false, json!({ "result": null })),
            (json!({ "a": 1 }), true, json!({ "result": { "a": 1 } })),
            (json!({ "a": 1 }), false, json!({ "a": 1 })),
        ] {
            let mut result = json!({ "content": [], "structuredContent": structured });
            wrap(&mut result, is_wrapped);
            assert_eq!(result, json!({ "content": [], "structuredContent": shown }));
        }
        let mut plain = json!({ "content": [] });
        wrap(&mut plain, true);
        assert_eq!(plain, json!({ "content": [] }));
    }
}
