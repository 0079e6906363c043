//! JSON out of what a model writes: bare, fenced, or within prose.

use serde_json::Value;

/// How many places a value may begin at that are tried.
const MAX_STARTS: usize = 64;

/// The first JSON object or array in a text.
pub(super) fn from_text(text: &str) -> Option<Value> {
    let text = without_thoughts(text);
    if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text.trim()) {
        return Some(value);
    }
    // Of several, the last fenced block is the answer: what stands before explains it.
    if let Some(value) = text.split("```").skip(1).step_by(2).take(MAX_STARTS).filter_map(first_value).last()
    {
        return Some(value);
    }
    first_value(&text)
}

fn first_value(text: &str) -> Option<Value> {
    text.match_indices(['{', '[']).take(MAX_STARTS).find_map(|(at, _)| {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        values.next()?.ok().filter(|value| match value {
            Value::Object(members) => !members.is_empty(),
            Value::Array(items) => items.is_empty() || items.iter().all(Value::is_object),
            _ => false,
        })
    })
}

/// A text without what reasoning models think aloud.
pub(super) fn without_thoughts(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("<think") {
        kept.push_str(&rest[..open]);
        rest = match rest[open..].find("</think") {
            Some(close) => {
                let after = &rest[open + close..];
                after.find('>').map_or("", |end| &after[end + 1..])
            }
            None => "",
        };
    }
    // Some templates open the thought by themselves, and only its end is in the text.
    if let Some(close) = rest.find("</think>") {
        rest = &rest[close + "</think>".len()..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_found_wherever_models_put_it() {
        let plan = json!({"calls": [{"tool": "t", "arguments": {"xs": [1, [2]]}}]});
        for text in [
            plan.to_string(),
            format!("Sure! Here it is:\n```json\n{plan:#}\n```\nLet me know."),
            format!("```\n{plan}\n```"),
            format!("The plan is {plan} as you {{asked}}."),
            format!("<think>maybe {{\"calls\": []}}?</think>\n{plan}"),
            format!("so [1, 2] it is</think>{plan}"),
            format!("First ```python\nx = 1\n``` then ```json\n{plan}```"),
        ] {
            assert_eq!(from_text(&text), Some(plan.clone()), "{text}");
        }
        for text in ["", "no", "{", "{\"a\": ", "<think>{\"a\": 1}", "{}", "[1, 2]"] {
            assert!(from_text(text).is_none_or(|v| v == json!({}) || v == json!([1, 2])), "{text}");
        }
    }

    #[test]
    fn deep_or_long_garbage_ends() {
        assert_eq!(from_text(&"[".repeat(100_000)), None);
        assert_eq!(from_text(&"{\"a\":".repeat(100_000)), None);
        assert_eq!(from_text(&"```".repeat(10_000)), None);
    }
}
