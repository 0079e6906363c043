//! The headers that repeat parts of a message from revision 2026-07-28 on, for what stands between.

use std::collections::HashMap;

use reqwest_rmcp::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

/// By tool, the arguments that its calls repeat: where they are, and the header's name.
pub(super) type Repeated = HashMap<String, Vec<(Vec<String>, HeaderName)>>;

/// Puts `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*` on a request.
pub(super) fn repeat(
    method: &str,
    params: Option<&Map<String, Value>>,
    repeated: &Repeated,
    headers: &mut HeaderMap,
) {
    let mut put = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(&encoded(text)) {
            headers.insert(name, value);
        }
    };
    put(HeaderName::from_static("mcp-method"), method);
    let Some(params) = params else { return };
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return,
    };
    let Some(name) = params.get(member).and_then(Value::as_str) else { return };
    put(HeaderName::from_static("mcp-name"), name);
    if method != "tools/call" {
        return;
    }
    let Some(arguments) = params.get("arguments") else { return };
    for (path, header) in repeated.get(name).into_iter().flatten() {
        let value = path.iter().try_fold(arguments, |value, key| value.get(key));
        match value {
            Some(Value::String(text)) => put(header.clone(), text),
            Some(value @ (Value::Bool(_) | Value::Number(_))) => put(header.clone(), &value.to_string()),
            _ => {}
        }
    }
}

/// Learns from a page of tools which arguments their calls repeat (`x-mcp-header`). A tool that marks
/// them wrongly is taken off the page: it could not be called.
pub(super) fn learn(page: &mut Value, repeated: &mut Repeated) {
    let Some(tools) = page.get_mut("tools").and_then(Value::as_array_mut) else { return };
    tools.retain(|tool| {
        let Some(name) = tool.get("name").and_then(Value::as_str) else { return true };
        let mut found = Vec::new();
        if let Err(why) = collect(&tool["inputSchema"]["properties"], &mut Vec::new(), &mut found) {
            let name: String = name.chars().take(80).collect();
            tracing::warn!(tool = name, why, "a tool is left out");
            return false;
        }
        if found.is_empty() {
            repeated.remove(name);
        } else {
            repeated.insert(name.to_owned(), found);
        }
        true
    });
}

/// Finds what is marked; the error says what is wrong with a mark.
fn collect(
    properties: &Value,
    path: &mut Vec<String>,
    found: &mut Vec<(Vec<String>, HeaderName)>,
) -> Result<(), &'static str> {
    for (name, schema) in properties.as_object().into_iter().flatten() {
        path.push(name.clone());
        if let Some(mark) = schema.get("x-mcp-header") {
            let mark = mark.as_str().filter(|mark| !mark.is_empty()).ok_or("a header has no name")?;
            let header = format!("mcp-param-{mark}").parse().map_err(|_| "a header's name is none")?;
            if !matches!(schema["type"].as_str(), Some("string" | "integer" | "boolean")) {
                return Err("only texts, whole numbers and booleans are headers");
            }
            if found.iter().any(|(_, other)| *other == header) {
                return Err("two arguments are one header");
            }
            found.push((path.clone(), header));
        }
        collect(&schema["properties"], path, found)?;
        path.pop();
    }
    Ok(())
}

/// The text as a header carries it: as it is, or else in base 64 with a mark.
fn encoded(text: &str) -> String {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let padded = text.starts_with(' ') || text.ends_with(' ');
    let marked = text.starts_with("=?base64?") && text.ends_with("?=");
    let plain = printable && !padded && !marked;
    if plain { text.to_owned() } else { format!("=?base64?{}?=", base64(text.as_bytes())) }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > three.len() { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_repeats_what_its_schema_marks() {
        let mut repeated = Repeated::new();
        let schema = json!({ "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "deep": { "properties": { "n": { "type": "integer", "x-mcp-header": "N" } } },
        } });
        learn(&mut json!({ "tools": [{ "name": "t", "inputSchema": schema }] }), &mut repeated);
        let arguments = json!({ "region": "Zürich", "deep": { "n": 3 } });
        let params = json!({ "name": "t", "arguments": arguments });
        let mut headers = HeaderMap::new();
        repeat("tools/call", params.as_object(), &repeated, &mut headers);
        let get = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(get("mcp-method"), Some("tools/call"));
        assert_eq!(get("mcp-name"), Some("t"));
        assert_eq!(get("mcp-param-region"), Some("=?base64?WsO8cmljaA==?="));
        assert_eq!(get("mcp-param-n"), Some("3"));
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn a_tool_with_a_wrong_mark_is_left_out_and_the_others_stay() {
        let marked = |name: &str, first: Value, second: Value| json!({ "name": name, "inputSchema": { "properties": { "a": first, "b": second } } });
        let fine = json!({ "type": "string", "x-mcp-header": "Region" });
        let odd = |kind: &str, mark: Value| json!({ "type": kind, "x-mcp-header": mark });
        let mut page = json!({ "tools": [
            marked("fine", fine.clone(), json!({ "type": "number" })),
            marked("empty", fine.clone(), odd("string", json!(""))),
            marked("space", fine.clone(), odd("string", json!("My Region"))),
            marked("object", fine.clone(), odd("object", json!("Data"))),
            marked("number", fine.clone(), odd("number", json!("Score"))),
            marked("no text", fine.clone(), odd("string", json!(3))),
            marked("twice", fine, odd("string", json!("REGION"))),
        ] });
        learn(&mut page, &mut Repeated::new());
        let left: Vec<_> = page["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        assert_eq!(left, ["fine"]);
    }

    #[test]
    fn base_64_is_padded() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
