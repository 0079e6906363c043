//! What a change does to a client's servers, in lines for a person.

use std::fmt;

use serde_json::{Map, Value};

/// One line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// `+` comes, `-` goes, a space stays.
    pub sign: char,
    /// The line.
    pub text: String,
}

impl fmt::Display for DiffLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sign, self.text)
    }
}

/// Beyond so many pairs of lines the longest common part is not looked for.
const PAIRS: usize = 4_000_000;

/// The servers before and after, without secrets.
pub(super) fn diff(before: &Value, after: &Value) -> Vec<DiffLine> {
    let lines = |value: &Value| -> Vec<String> {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    between(&lines(&masked(before, None)), &lines(&masked(after, Some(before))))
}

/// Values of variables and headers, and what else is secret by its name, hidden; a changed one says so.
fn masked(servers: &Value, before: Option<&Value>) -> Value {
    let Value::Object(members) = servers else { return servers.clone() };
    let masked = |(key, value): (&String, &Value)| {
        let before = before.map(|before| before.get(key).unwrap_or(&Value::Null));
        let value = match (key.as_str(), value) {
            ("env" | "headers" | "http_headers", Value::Object(values)) => {
                let hidden = values.iter().map(|(name, value)| {
                    (
                        name.clone(),
                        hidden(value, before.map(|before| before.get(name).unwrap_or(&Value::Null))),
                    )
                });
                Value::Object(hidden.collect::<Map<_, _>>())
            }
            ("token" | "api_key" | "auth" | "client_secret" | "clientSecret" | "bearer_token", value) => {
                hidden(value, before)
            }
            ("url" | "serverUrl", Value::String(url)) => Value::from(without_secrets(url)),
            (_, value) => self::masked(value, before),
        };
        (key.clone(), value)
    };
    Value::Object(members.iter().map(masked).collect())
}

/// An address without its login, and without its query, which often holds a key.
fn without_secrets(url: &str) -> String {
    let (address, query) = match url.split_once('?') {
        Some((address, _)) => (address, "?***"),
        None => (url, ""),
    };
    match address.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (_, host))) => format!("{scheme}://***@{host}{query}"),
        None => format!("{address}{query}"),
    }
}

fn hidden(value: &Value, before: Option<&Value>) -> Value {
    let is_variable = |text: &str| {
        let inner = text.strip_prefix("Bearer ").unwrap_or(text);
        inner.starts_with("${") && inner.ends_with('}') && !inner.contains(":-")
    };
    match value {
        Value::String(text) if is_variable(text) => value.clone(),
        value if before.is_some_and(|before| !before.is_null() && before != value) => {
            Value::from("*** (changed)")
        }
        _ => Value::from("***"),
    }
}

fn between(before: &[String], after: &[String]) -> Vec<DiffLine> {
    let line = |sign| move |text: &String| DiffLine { sign, text: text.clone() };
    let same_start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (start, before) = before.split_at(same_start);
    let after = &after[same_start..];
    let same_end = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    let (before, end) = before.split_at(before.len() - same_end);
    let after = &after[..after.len() - same_end];
    let mut lines: Vec<_> = start.iter().map(line(' ')).collect();
    if before.len() * after.len() > PAIRS {
        lines.extend(before.iter().map(line('-')));
        lines.extend(after.iter().map(line('+')));
    } else {
        changed(before, after, &mut lines);
    }
    lines.extend(end.iter().map(line(' ')));
    lines
}

/// The shortest list of changes, by the longest common part.
fn changed(before: &[String], after: &[String], lines: &mut Vec<DiffLine>) {
    let width = after.len() + 1;
    let mut common = vec![0_u32; (before.len() + 1) * width];
    for a in (0..before.len()).rev() {
        for b in (0..after.len()).rev() {
            common[a * width + b] = if before[a] == after[b] {
                common[(a + 1) * width + b + 1] + 1
            } else {
                common[(a + 1) * width + b].max(common[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    while a < before.len() || b < after.len() {
        let (sign, text) = if a < before.len() && b < after.len() && before[a] == after[b] {
            (a, b) = (a + 1, b + 1);
            (' ', &before[a - 1])
        } else if b == after.len()
            || a < before.len() && common[(a + 1) * width + b] >= common[a * width + b + 1]
        {
            a += 1;
            ('-', &before[a - 1])
        } else {
            b += 1;
            ('+', &after[b - 1])
        };
        lines.push(DiffLine { sign, text: text.clone() });
    }
}
