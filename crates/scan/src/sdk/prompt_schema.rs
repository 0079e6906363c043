//! The schema that fastmcp writes into a prompt argument's description: Python's `json.dumps`
//! of pydantic's schema, whose keys are sorted but for those of properties.

use serde_json::Value;

/// Writes a schema without spaces, keys sorted, everything beyond ASCII escaped.
pub(super) fn compact(schema: &Value) -> String {
    let mut out = String::new();
    write(schema, true, &mut out);
    out
}

fn write(value: &Value, sorted: bool, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            if sorted {
                keys.sort();
            }
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                text(key, out);
                out.push(':');
                write(&map[key.as_str()], key != "properties" && key != "default", out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, true, out);
            }
            out.push(']');
        }
        Value::String(string) => text(string, out),
        other => out.push_str(&other.to_string()),
    }
}

fn text(string: &str, out: &mut String) {
    for c in Value::from(string).to_string().chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}
