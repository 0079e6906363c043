//! What a server serves otherwise than its source promised.
//!
//! Only what a client could notice counts: the order of a schema's members, `1` for `1.0` and the
//! indentation of a description do not.

use dormouse_types::{Drift, DriftKind, Features};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::source::clean_doc;

/// Compares what was promised with what is served, feature by feature.
pub fn drift(promised: &Features, served: &Features) -> Vec<Drift> {
    let mut found = Vec::new();
    compare("tool", &promised.tools, &served.tools, |tool| tool.name.to_string(), &mut found);
    compare("resource", &promised.resources, &served.resources, |it| it.uri.clone(), &mut found);
    compare(
        "template",
        &promised.resource_templates,
        &served.resource_templates,
        |it| it.uri_template.clone(),
        &mut found,
    );
    compare("prompt", &promised.prompts, &served.prompts, |it| it.name.clone(), &mut found);
    found
}

fn compare<T: Serialize>(
    kind: &str,
    promised: &[T],
    served: &[T],
    key: impl Fn(&T) -> String,
    found: &mut Vec<Drift>,
) {
    // Tools go by their bare names; what else might be called the same says what it is.
    let label = |key: &str| if kind == "tool" { key.to_owned() } else { format!("{kind} {key}") };
    for item in promised {
        let name = key(item);
        match served.iter().find(|other| key(other) == name) {
            None => found.push(Drift { feature: label(&name), kind: DriftKind::Removed }),
            Some(other) => {
                let promised = serde_json::to_value(item).unwrap_or_default();
                let served = serde_json::to_value(other).unwrap_or_default();
                let mut changes = Vec::new();
                differ(&promised, &served, &mut String::new(), &mut changes);
                found.extend(changes.into_iter().map(|kind| Drift { feature: label(&name), kind }));
            }
        }
    }
    for other in served {
        let name = key(other);
        if !promised.iter().any(|item| key(item) == name) {
            found.push(Drift { feature: label(&name), kind: DriftKind::Added });
        }
    }
}

/// Members whose text is for people: their indentation is no difference.
fn is_prose(at: &str) -> bool {
    at.ends_with("/description")
}

/// Members whose order means nothing.
fn is_set(at: &str) -> bool {
    at.ends_with("/required")
}

fn differ(promised: &Value, served: &Value, at: &mut String, changes: &mut Vec<DriftKind>) {
    match (promised, served) {
        (Value::Object(a), Value::Object(b)) => objects(a, b, at, changes),
        (Value::Array(a), Value::Array(b)) if is_set(at) && same_set(a, b) => {}
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                let length = at.len();
                at.push_str(&format!("/{index}"));
                differ(a, b, at, changes);
                at.truncate(length);
            }
        }
        (a, b) if same(a, b, at) => {}
        (a, b) => changes.push(DriftKind::Changed { at: at.clone(), promised: a.clone(), served: b.clone() }),
    }
}

fn objects(a: &Map<String, Value>, b: &Map<String, Value>, at: &mut String, changes: &mut Vec<DriftKind>) {
    let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
    for key in keys {
        let length = at.len();
        at.push('/');
        at.push_str(&key.replace('~', "~0").replace('/', "~1"));
        match (a.get(key), b.get(key)) {
            (Some(a), Some(b)) => differ(a, b, at, changes),
            (a, b) if nothing(a, at) && nothing(b, at) => {}
            (a, b) => changes.push(DriftKind::Changed {
                at: at.clone(),
                promised: a.cloned().unwrap_or_default(),
                served: b.cloned().unwrap_or_default(),
            }),
        }
        at.truncate(length);
    }
}

/// A missing member, and what stands for one: an empty description.
fn nothing(value: Option<&Value>, at: &str) -> bool {
    match value {
        None => true,
        Some(Value::String(text)) => is_prose(at) && text.is_empty(),
        Some(Value::Null) => !at.contains("/default"),
        Some(_) => false,
    }
}

fn same_set(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().all(|item| b.contains(item))
}

fn same(a: &Value, b: &Value, at: &str) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(b)) => {
            a == b || (is_prose(at) && clean_doc(a).trim() == clean_doc(b).trim())
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn features(schema: Value, description: &str) -> Features {
        serde_json::from_value(
            json!({"tools": [{"name": "add", "description": description, "inputSchema": schema}]}),
        )
        .unwrap()
    }

    #[test]
    fn only_what_a_client_notices_is_drift() {
        let promised = features(
            json!({"type": "object", "required": ["a", "b"], "properties": {"a": {"default": 1}}}),
            "Adds.\n\n    Twice.\n    ",
        );
        let served = features(
            json!({"properties": {"a": {"default": 1.0}}, "required": ["b", "a"], "type": "object"}),
            "Adds.\n\nTwice.",
        );
        assert_eq!(drift(&promised, &served), []);
    }

    #[test]
    fn a_difference_says_where() {
        let promised = features(json!({"properties": {"a/b": {"type": "string"}}}), "");
        let served = features(json!({"properties": {"a/b": {"type": "integer"}}}), "");
        let expected = DriftKind::Changed {
            at: "/inputSchema/properties/a~1b/type".to_owned(),
            promised: json!("string"),
            served: json!("integer"),
        };
        assert_eq!(drift(&promised, &served), [Drift { feature: "add".to_owned(), kind: expected }]);
        assert_eq!(drift(&promised, &Features::default())[0].kind, DriftKind::Removed);
        assert_eq!(drift(&Features::default(), &served)[0].kind, DriftKind::Added);
    }
}
