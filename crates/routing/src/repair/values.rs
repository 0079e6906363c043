//! Values of arguments: of the wrong type, but clear.

use serde_json::{Number, Value};

use super::names::escaped;
use super::schema::{choices, types, variants};
use super::{MAX_DEPTH, Rule, Work};

/// How alike a text and an allowed value must be, from 0 to 1, and by how much more than any other.
const ALIKE: f64 = 0.88;
const MARGIN: f64 = 0.04;

/// Corrects the values of the object at `pointer`, then drops what it may not hold.
pub(super) fn fix_values(work: &mut Work<'_>, pointer: &str, schema: &Value, depth: usize) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let names: Vec<String> = match work.root.pointer(pointer) {
        Some(Value::Object(object)) => object.keys().cloned().collect(),
        _ => return,
    };
    for name in names {
        let at = format!("{pointer}/{}", escaped(&name));
        match properties.get(&name) {
            Some(property) if work.is_wrong(&at) => {
                let is_required = schema
                    .get("required")
                    .and_then(Value::as_array)
                    .is_some_and(|required| required.iter().any(|r| r.as_str() == Some(&name)));
                if !is_required && drop_empty(work, pointer, &name, &at) {
                    continue;
                }
                fix_value(work, &at, property, depth + 1);
            }
            None if is_forbidden(schema, &name) => remove(work, pointer, &name, &at, Rule::Unknown),
            _ => {}
        }
    }
}

/// Whether a schema allows no member of a name that it does not know.
fn is_forbidden(schema: &Value, _name: &str) -> bool {
    schema.get("additionalProperties") == Some(&Value::Bool(false))
        && schema.get("patternProperties").is_none()
}

fn remove(work: &mut Work<'_>, pointer: &str, name: &str, at: &str, rule: Rule) {
    if let Some(Value::Object(object)) = work.root.pointer_mut(pointer)
        && let Some(value) = object.shift_remove(name)
    {
        work.note(at, rule, value, Value::Null);
    }
}

/// Small models write null or "" for "nothing": for an optional argument that is the same as leaving it out.
fn drop_empty(work: &mut Work<'_>, pointer: &str, name: &str, at: &str) -> bool {
    let is_empty = match work.root.pointer(at) {
        Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        _ => false,
    };
    if is_empty {
        remove(work, pointer, name, at, Rule::Empty);
    }
    is_empty
}

/// Corrects one value: the first conversion that the schema accepts stays.
fn fix_value(work: &mut Work<'_>, at: &str, schema: &Value, depth: usize) {
    let Some(before) = work.root.pointer(at).cloned() else { return };
    let root = work.compiled;
    let variants = variants(schema, &root.schema);
    for (value, rule) in conversions(&before, &variants) {
        set(work, at, value.clone());
        if !work.is_wrong(at) {
            work.note(at, rule, before, value);
            return;
        }
        // What came out of a text may itself need a correction within.
        if rule == Rule::JsonText {
            let receipts = work.receipts.len();
            work.note(at, rule, before.clone(), value);
            fix_inside(work, at, schema, depth);
            if !work.is_wrong(at) {
                return;
            }
            work.receipts.truncate(receipts);
        }
    }
    set(work, at, before);
    fix_inside(work, at, schema, depth);
}

/// Corrects what an object or a list holds.
fn fix_inside(work: &mut Work<'_>, at: &str, schema: &Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    let length = match work.root.pointer(at) {
        Some(Value::Object(_)) => return work.fix(at, schema, depth),
        Some(Value::Array(items)) => items.len(),
        _ => return,
    };
    let root = work.compiled;
    let items = variants(schema, &root.schema).into_iter().find_map(|variant| variant.get("items"));
    let Some(items) = items else { return };
    // Each item is checked against the whole: keep that affordable.
    for index in 0..length.min(200) {
        let item = format!("{at}/{index}");
        if work.is_wrong(&item) {
            fix_value(work, &item, items, depth + 1);
        }
    }
}

fn set(work: &mut Work<'_>, at: &str, value: Value) {
    if let Some(place) = work.root.pointer_mut(at) {
        *place = value;
    }
}

/// The ways to read a value as something that a schema wants, best first; none loses anything.
fn conversions(value: &Value, variants: &[&Value]) -> Vec<(Value, Rule)> {
    let types = types(variants);
    let wants = |name: &str| types.contains(&name);
    let choices = choices(variants);
    let mut ways: Vec<(Value, Rule)> = Vec::new();
    match value {
        Value::String(text) => {
            ways.extend(choice_for(text, &choices).map(|choice| (choice.clone(), Rule::Choice)));
            if wants("integer") || wants("number") || choices.iter().any(|choice| choice.is_number()) {
                ways.extend(number_in(text).map(|number| (Value::Number(number), Rule::Type)));
            }
            if wants("boolean") {
                ways.extend(boolean_in(text).map(|value| (Value::Bool(value), Rule::Type)));
            }
            if wants("array") || wants("object") {
                let parsed = serde_json::from_str::<Value>(text).ok();
                ways.extend(
                    parsed.filter(|v| v.is_array() || v.is_object()).map(|parsed| (parsed, Rule::JsonText)),
                );
            }
        }
        Value::Number(number) => {
            let whole = number.as_f64().filter(|v| v.fract() == 0.0 && v.abs() < 9e15);
            if let Some(whole) = whole.filter(|_| wants("integer") && number.is_f64()) {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "whole, and within what f64 holds exactly"
                )]
                ways.push((Value::from(whole as i64), Rule::Type));
            }
            if wants("string") {
                ways.push((Value::String(number.to_string()), Rule::Type));
            }
        }
        Value::Bool(flag) if wants("string") => ways.push((Value::String(flag.to_string()), Rule::Type)),
        Value::Array(items) if !wants("array") => {
            if let [only] = items.as_slice() {
                ways.push((only.clone(), Rule::Type));
            }
        }
        _ => {}
    }
    if wants("array") && !value.is_array() && !value.is_null() {
        ways.push((Value::Array(vec![value.clone()]), Rule::Type));
        let inner = ways.iter().filter(|(way, rule)| *rule == Rule::Type && !way.is_array());
        let wrapped: Vec<_> = inner.map(|(way, rule)| (Value::Array(vec![way.clone()]), *rule)).collect();
        ways.extend(wrapped);
        // A number in a text, for a list of numbers.
        if let Value::String(text) = value {
            ways.extend(
                number_in(text).map(|number| (Value::Array(vec![Value::Number(number)]), Rule::Type)),
            );
        }
    }
    ways
}

/// The number that a text writes in its one canonical way; `"00713"`, `"+3"` and `"1,000"` are none.
pub(super) fn number_in(text: &str) -> Option<Number> {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let leads_with_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if leads_with_zero || !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number: Number = serde_json::from_str(text).ok()?;
    // More digits than a number holds would be rounded.
    if number.is_f64() && digits.bytes().filter(u8::is_ascii_digit).count() > 15 {
        return None;
    }
    Some(number)
}

pub(super) fn boolean_in(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

/// The allowed value that a text means: the same but for case and separators, or the only one near.
pub(super) fn choice_for<'c>(text: &str, choices: &[&'c Value]) -> Option<&'c Value> {
    let normal = |text: &str| {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>()
    };
    let wanted = normal(text);
    if wanted.is_empty() {
        return None;
    }
    let texts: Vec<(&Value, String)> =
        choices.iter().filter_map(|choice| Some((*choice, normal(choice.as_str()?)))).collect();
    let same: Vec<_> = texts.iter().filter(|(_, choice)| *choice == wanted).collect();
    if let [(one, _)] = same.as_slice() {
        return Some(*one);
    }
    if !same.is_empty() {
        return None;
    }
    let mut scored: Vec<(f64, &Value)> =
        texts.iter().map(|(choice, text)| (strsim::jaro_winkler(text, &wanted), *choice)).collect();
    scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let rival = scored.get(1).map_or(0.0, |(score, _)| *score);
    scored.first().filter(|(score, _)| *score >= ALIKE && *score - rival >= MARGIN).map(|(_, choice)| *choice)
}
