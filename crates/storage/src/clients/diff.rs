//! What a change does to a client's servers, in lines for a person.

use std::fmt;

use serde_json::Value;

use crate::mcp_json::{MASK, servers_masked};

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
    let shown = marked(servers_masked(after), after, Some(before));
    between(&lines(&servers_masked(before)), &lines(&shown))
}

/// What shows of servers, where each hidden value that differs from the one before says so.
fn marked(shown: Value, value: &Value, before: Option<&Value>) -> Value {
    match (shown, value) {
        (Value::Object(members), Value::Object(values)) => {
            let marked = members.into_iter().map(|(name, shown)| {
                let before = before.and_then(|before| before.get(&name));
                let shown = match values.get(&name) {
                    Some(value) => marked(shown, value, before),
                    None => shown,
                };
                (name, shown)
            });
            Value::Object(marked.collect())
        }
        (Value::Array(items), Value::Array(values)) => {
            let marked = items.into_iter().zip(values).enumerate().map(|(index, (shown, value))| {
                marked(shown, value, before.and_then(|before| before.get(index)))
            });
            Value::Array(marked.collect())
        }
        (Value::String(text), value) if text.contains(MASK) && before.is_some_and(|it| it != value) => {
            Value::from(format!("{text} (changed)"))
        }
        (shown, _) => shown,
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
