//! Changes one member of a JSON text and leaves every other byte as it is.
//!
//! Everything here takes a text that was parsed before: it finds places, it does not validate.

use std::collections::HashSet;
use std::ops::Range;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value};

/// One member of an object in a text.
struct Member {
    key: String,
    /// Where the key's quote stands.
    start: usize,
    value: Range<usize>,
}

/// An object in a text.
struct Object {
    /// With its braces.
    place: Range<usize>,
    members: Vec<Member>,
}

/// What stands instead of a part of a text.
pub(crate) type Edit = (Range<usize>, String);

/// Puts a value at a path, over the one there or as a new last member; makes objects that are missing.
pub(super) fn put(text: &str, path: &[&str], value: &Value) -> String {
    applied(text, put_edit(text, path, value))
}

/// As [`put`], but only says what would change.
pub(crate) fn put_edit(text: &str, path: &[&str], value: &Value) -> Edit {
    let root = object_at(text, first_byte(text));
    put_into(text, &root, path, value)
}

fn put_into(text: &str, object: &Object, path: &[&str], value: &Value) -> Edit {
    let (key, deeper) = path.split_first().expect("a path has a key");
    // Of doubled keys the last one counts.
    match (object.members.iter().rfind(|member| member.key == *key), deeper) {
        (Some(member), []) => {
            let written = written(value, line_indent(text, member.start), text);
            (member.value.clone(), written)
        }
        (Some(member), deeper) => put_into(text, &object_at(text, member.value.start), deeper, value),
        (None, deeper) => {
            let wrap =
                |inner: Value, key: &&str| Value::Object([((*key).to_owned(), inner)].into_iter().collect());
            let value = deeper.iter().rev().fold(value.clone(), wrap);
            added(text, object, key, &value)
        }
    }
}

/// Removes the member at a path, if it is there.
pub(super) fn remove(text: &str, path: &[&str]) -> String {
    let mut text = text.to_owned();
    // All of a doubled key, or an older one would come to light.
    while let Some(edit) = remove_edit(&text, path) {
        text = applied(&text, edit);
    }
    text
}

/// As [`remove`] for the first of a doubled key, but only says what would change.
pub(crate) fn remove_edit(text: &str, path: &[&str]) -> Option<Edit> {
    let (object, index) = found(text, path)?;
    Some((place_of(&object, index), String::new()))
}

/// Where the member at a path stands, from its key to the end of its value; the first one of a
/// doubled key.
pub(crate) fn member_at(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let (object, index) = found(text, path)?;
    let member = &object.members[index];
    Some(member.start..member.value.end)
}

/// The object that holds the member at a path, and which of its members that is.
fn found(text: &str, path: &[&str]) -> Option<(Object, usize)> {
    let mut object = object_at(text, first_byte(text));
    let (key, parents) = path.split_last().expect("a path has a key");
    for parent in parents {
        let member = object.members.iter().rfind(|member| member.key == **parent)?;
        object = object_at(text, member.value.start);
    }
    let index = object.members.iter().position(|member| member.key == *key)?;
    Some((object, index))
}

/// Puts a merge patch (RFC 7396) over the value at a path, which is `now`.
pub(super) fn merge(text: &str, path: &[&str], now: &Value, patch: &Map<String, Value>) -> String {
    let Value::Object(now) = now else {
        let value = Value::Object(patch.clone());
        return put(text, path, &without_nulls(&value));
    };
    let mut merged = text.to_owned();
    for (key, value) in patch {
        let path = [path, &[key.as_str()]].concat();
        merged = match (value, now.get(key)) {
            (Value::Null, _) => remove(&merged, &path),
            (Value::Object(deeper), Some(now @ Value::Object(_))) => merge(&merged, &path, now, deeper),
            (value, Some(now)) if value == now => merged,
            (value, _) => put(&merged, &path, &without_nulls(value)),
        };
    }
    merged
}

/// What a patch makes of nothing: its nulls take away what is not there.
fn without_nulls(patch: &Value) -> Value {
    match patch {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        other => other.clone(),
    }
}

/// The value under a key of the root, as it is written.
pub(crate) fn value_at<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let root = object_at(text, first_byte(text));
    root.members.iter().rfind(|member| member.key == key).map(|member| &text[member.value.clone()])
}

/// The keys that stand more than once in the object under a key of the root.
pub(crate) fn doubled_keys(text: &str, key: &str) -> Vec<String> {
    let root = object_at(text, first_byte(text));
    let Some(member) = root.members.iter().rfind(|member| member.key == key) else {
        return Vec::new();
    };
    let mut seen = HashSet::new();
    let members = object_at(text, member.value.start).members.into_iter();
    members.filter(|member| !seen.insert(member.key.clone())).map(|member| member.key).collect()
}

/// What goes when a member goes.
fn place_of(object: &Object, index: usize) -> Range<usize> {
    let members = &object.members;
    match (index.checked_sub(1).map(|before| &members[before]), members.get(index + 1)) {
        // With its comma and the space up to the next one's key.
        (_, Some(next)) => members[index].start..next.start,
        (Some(before), None) => before.value.end..members[index].value.end,
        (None, None) => object.place.start + 1..object.place.end - 1,
    }
}

fn added(text: &str, object: &Object, key: &str, value: &Value) -> Edit {
    let key = Value::from(key).to_string();
    match object.members.last() {
        Some(last) => {
            let before = object.members.iter().rev().nth(1).map_or(object.place.start + 1, |it| it.value.end);
            let space = text[before..last.start].trim_start_matches([',', ' ', '\t']);
            if space.contains('\n') {
                let indent = line_indent(text, last.start);
                let written = written(value, indent, text);
                (last.value.end..last.value.end, format!(",{}{indent}{key}: {written}", newline(text)))
            } else {
                (last.value.end..last.value.end, format!(", {key}: {value}"))
            }
        }
        None => {
            let outer = line_indent(text, object.place.start).to_owned();
            let (inner, newline) = (format!("{outer}{}", unit(text)), newline(text));
            let written = written(value, &inner, text);
            let new = format!("{{{newline}{inner}{key}: {written}{newline}{outer}}}");
            (object.place.clone(), new)
        }
    }
}

pub(crate) fn applied(text: &str, (place, new): Edit) -> String {
    [&text[..place.start], &new, &text[place.end..]].concat()
}

/// A value over several lines, in the style of the text it goes into; the first one without an indent.
fn written(value: &Value, indent: &str, into: &str) -> String {
    let mut bytes = Vec::new();
    let unit = unit(into);
    let formatter = PrettyFormatter::with_indent(unit.as_bytes());
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
        .expect("a JSON value can be written to memory");
    let text = String::from_utf8(bytes).expect("JSON is UTF-8");
    // A text's own line ends are escaped, so these are all between values.
    text.replace('\n', &format!("{}{indent}", newline(into)))
}

/// The white space at the beginning of the line of a place.
fn line_indent(text: &str, place: usize) -> &str {
    let line = &text[text[..place].rfind('\n').map_or(0, |end| end + 1)..place];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// One step of indentation: that of the root's first member, or two spaces.
fn unit(text: &str) -> String {
    let root = object_at(text, first_byte(text));
    let indent = root.members.first().map(|member| line_indent(text, member.start));
    indent.filter(|indent| !indent.is_empty()).unwrap_or("  ").to_owned()
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn first_byte(text: &str) -> usize {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    skip_space(text, start)
}

fn skip_space(text: &str, place: usize) -> usize {
    let rest = &text[place..];
    place + (rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len())
}

/// The object whose brace stands at a place; without members if it is no object.
fn object_at(text: &str, start: usize) -> Object {
    let mut members = Vec::new();
    if !text[start..].starts_with('{') {
        return Object { place: start..start, members };
    }
    let mut at = skip_space(text, start + 1);
    while !text[at..].starts_with('}') {
        let key_end = end_of_value(text, at);
        let key = serde_json::from_str(&text[at..key_end]).expect("a key of a parsed text is a text");
        let colon = skip_space(text, key_end);
        let value_start = skip_space(text, colon + 1);
        let value = value_start..end_of_value(text, value_start);
        let after = skip_space(text, value.end);
        members.push(Member { key, start: at, value });
        at = if text[after..].starts_with(',') { skip_space(text, after + 1) } else { after };
    }
    Object { place: start..at + 1, members }
}

/// Where the value that begins at a place ends.
fn end_of_value(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut in_text, mut at) = (0_usize, false, start);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_text => at += 1,
            b'"' => {
                in_text = !in_text;
                if !in_text && depth == 0 {
                    return at + 1;
                }
            }
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            // The end of what a number or a word stands in.
            b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}
