//! Arguments that stand in headers too: `x-mcp-header` in a tool's input schema.

use ::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::accept::single;

/// How deep properties in properties are looked at; clients stop earlier.
const DEEPEST: usize = 16;

/// What a header's value stands for; `None` if it is no valid base64 though it says so.
pub(super) fn decoded(said: &str) -> Option<String> {
    match said.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(said.to_owned()),
    }
}

/// Checks the header of each property that has one, against the arguments.
pub(super) fn check_params(
    headers: &HeaderMap,
    schema: &Value,
    arguments: Option<&Value>,
) -> Result<(), String> {
    check_within(headers, schema, arguments, DEEPEST)
}

fn check_within(
    headers: &HeaderMap,
    schema: &Value,
    value: Option<&Value>,
    deeper: usize,
) -> Result<(), String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Ok(()) };
    for (property, schema) in properties {
        let value = value.and_then(|value| value.get(property));
        if let Some(header) = header_of(schema) {
            check_one(headers, &header, value)?;
        }
        if deeper > 0 {
            check_within(headers, schema, value, deeper - 1)?;
        }
    }
    Ok(())
}

/// The header of a property. One that no client can send is none.
fn header_of(schema: &Value) -> Option<HeaderName> {
    let name = schema.get("x-mcp-header")?.as_str().filter(|name| !name.is_empty())?;
    HeaderName::from_bytes(format!("mcp-param-{name}").as_bytes()).ok()
}

fn check_one(headers: &HeaderMap, header: &HeaderName, value: Option<&Value>) -> Result<(), String> {
    let said = single(headers, header)?;
    let value = value.filter(|value| value.is_string() || value.is_number() || value.is_boolean());
    match (said, value) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(format!("{header} is there, but the body has no value for it")),
        (None, Some(_)) => Err(format!("the header {header} is missing")),
        (Some(said), Some(value)) => {
            let said = decoded(said).ok_or_else(|| format!("{header} is not valid base64"))?;
            if is_same(&said, value) { Ok(()) } else { Err(format!("{header} is not the value in the body")) }
        }
    }
}

/// Numbers are compared as numbers: `42.0` is `42`.
fn is_same(said: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => said == text,
        Value::Bool(true) => said == "true",
        Value::Bool(false) => said == "false",
        Value::Number(number) => match (said.parse::<i64>(), number.as_i64()) {
            (Ok(said), Some(number)) => said == number,
            _ => said.parse::<f64>().is_ok_and(|said| Some(said) == number.as_f64()),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}
