//! JSON with comments and trailing commas, as VS Code writes it.

use std::ops::Range;

/// The same text with spaces for comments and trailing commas: every other byte keeps its place.
pub(super) fn blanked(text: &str) -> String {
    blank(text, true)
}

/// The text without a member of an object, whose place is from its key to the end of its value.
/// The comment on its last line goes with it; every other one stays.
pub(super) fn without_member(text: &str, place: Range<usize>) -> String {
    let blank = blank(text, false);
    let space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let behind = place.end + blank[place.end..].len() - blank[place.end..].trim_start_matches(space).len();
    let comma_before = blank[..place.start].trim_end_matches(space).strip_suffix(',').map(str::len);
    let (mut start, mut end) = (place.start, place.end);
    let mut comma = None;
    if blank[behind..].starts_with(',') {
        end = behind + 1;
    } else if let Some(before) = comma_before {
        match text[before + 1..place.start].chars().all(space) {
            true => start = before,
            // Between the comma and the member stand comments of others.
            false => comma = Some(before),
        }
    }
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[end..].find('\n').map(|at| end + at);
    let is_own_line = text[line_start..start].chars().all(space);
    match line_end {
        // Nothing but comments follows on its line.
        Some(line_end) if blank[end..line_end].chars().all(space) && (is_own_line || comma.is_none()) => {
            let is_comment_only = !text[end..line_end].trim().is_empty();
            match is_own_line {
                true => (start, end) = (line_start, line_end + 1),
                // What stood before it on the line stays, with the line's end.
                false if is_comment_only && start != place.start => {
                    end = line_end - usize::from(text[..line_end].ends_with('\r'));
                }
                false => {}
            }
        }
        _ => end += text[end..].len() - text[end..].trim_start_matches([' ', '\t']).len(),
    }
    let kept = match comma {
        Some(comma) => [&text[..comma], &text[comma + 1..start]].concat(),
        None => text[..start].to_owned(),
    };
    kept + &text[end..]
}

/// Spaces for comments, and for trailing commas where they are to go too.
fn blank(text: &str, with_commas: bool) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let blank = |bytes: &mut Vec<u8>, from: usize, to: usize| {
        bytes[from..to].iter_mut().filter(|b| !matches!(b, b'\n' | b'\r')).for_each(|b| *b = b' ');
    };
    let (mut at, mut in_text) = (0, false);
    let mut comma = None;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_text => at += 1,
            b'"' => {
                in_text = !in_text;
                comma = None;
            }
            _ if in_text => {}
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                let end = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |end| at + end);
                blank(&mut bytes, at, end);
                at = end;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let rest = &bytes[at + 2..];
                let end = rest.windows(2).position(|it| it == b"*/").map_or(bytes.len(), |end| at + end + 4);
                blank(&mut bytes, at, end);
                at = end;
                continue;
            }
            b',' if with_commas => comma = Some(at),
            b'}' | b']' => {
                if let Some(comma) = comma.take() {
                    bytes[comma] = b' ';
                }
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => comma = None,
        }
        at += 1;
    }
    String::from_utf8(bytes).expect("whole characters are blanked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_become_space_of_their_length() {
        for (text, expected) in [
            ("{\"a\": 1, // ü\n}", "{\"a\": 1       \n}"),
            ("[1,/* , ] */2,]", "[1,         2 ]"),
            ("{\"a//b\": \"/* \\\" */\"}", "{\"a//b\": \"/* \\\" */\"}"),
            ("[1, \"x\"] /* open", "[1, \"x\"]        "),
            ("[[1,], {},]", "[[1 ], {} ]"),
        ] {
            assert_eq!(blanked(text), expected);
            assert_eq!(blanked(text).len(), text.len());
        }
    }

    /// The member is `"b": {}`.
    #[test]
    fn a_member_goes_with_its_comma_and_its_own_comment() {
        for (text, expected) in [
            (r#"{"b": {}}"#, "{}"),
            (r#"{ "b": {}, }"#, "{ }"),
            (r#"{"a": 1, "b": {}}"#, r#"{"a": 1}"#),
            (r#"{"b": {}, "c": 1}"#, r#"{"c": 1}"#),
            ("{\n  \"b\": {}\n}\n", "{\n}\n"),
            ("{\n  \"a\": 1,\n  \"b\": {}\n}\n", "{\n  \"a\": 1\n}\n"),
            ("{\r\n  \"a\": 1,\r\n  \"b\": {} // b\r\n}", "{\r\n  \"a\": 1\r\n}"),
            ("{\n  \"a\": 1, // a\n  \"b\": {}, // b\n  // c\n}\n", "{\n  \"a\": 1, // a\n  // c\n}\n"),
            ("{\n  \"a\": 1, // a\n  \"b\": {} // b\n}\n", "{\n  \"a\": 1 // a\n}\n"),
            ("{\n  // b\n  \"b\": {}, /* b */\n  // c\n  \"c\": 1\n}", "{\n  // b\n  // c\n  \"c\": 1\n}"),
            ("{ // here\n  \"b\": {},\n\n  \"c\": 1\n}", "{ // here\n\n  \"c\": 1\n}"),
        ] {
            let start = text.find("\"b\"").unwrap();
            let end = start + "\"b\": {}".len();
            assert_eq!(without_member(text, start..end), expected, "of {text}");
        }
    }
}
