//! Python's ways with text: string literals, docstrings, titles.

/// What a string literal stands for.
#[derive(Debug, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Bytes(Vec<u8>),
    /// An f-string with holes, or an escape that we do not know.
    Unknown,
}

/// Reads a string literal as written, quotes and prefix included.
pub(crate) fn literal(raw: &str) -> Literal {
    let start = raw.find(['"', '\'']).unwrap_or(raw.len());
    let prefix = raw[..start].to_ascii_lowercase();
    let quoted = &raw[start..];
    // After a syntax error a string may lack its end.
    let Some(body) = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find_map(|quote| quoted.strip_prefix(quote).map(|rest| rest.strip_suffix(quote)))
        .flatten()
    else {
        return Literal::Unknown;
    };
    if (prefix.contains('f') || prefix.contains('t')) && body.contains(['{', '}']) {
        return Literal::Unknown;
    }
    let text = if prefix.contains('r') || !body.contains('\\') {
        Some(body.to_owned())
    } else {
        unescape(body, prefix.contains('b'))
    };
    match text {
        None => Literal::Unknown,
        Some(text) if prefix.contains('b') => {
            // One char is one byte here: literals of bytes hold ASCII and escapes below 256.
            text.chars()
                .map(|c| u8::try_from(u32::from(c)).ok())
                .collect::<Option<Vec<u8>>>()
                .map_or(Literal::Unknown, Literal::Bytes)
        }
        Some(text) => Literal::Text(text),
    }
}

fn unescape(body: &str, bytes: bool) -> Option<String> {
    let mut text = String::with_capacity(body.len());
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        let code = match chars.next()? {
            '\n' => continue,
            '\\' => '\\',
            '\'' => '\'',
            '"' => '"',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => hex(&mut chars, 2)?,
            'u' if !bytes => hex(&mut chars, 4)?,
            'U' if !bytes => hex(&mut chars, 8)?,
            'N' if !bytes => return None,
            first @ '0'..='7' => {
                let mut value = first.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else { break };
                    value = value * 8 + digit;
                    chars.next();
                }
                char::from_u32(value)?
            }
            // Python keeps the backslash of an escape that it does not know.
            other => {
                text.push('\\');
                other
            }
        };
        text.push(code);
    }
    Some(text)
}

fn hex(chars: &mut impl Iterator<Item = char>, digits: usize) -> Option<char> {
    let mut value = 0;
    for _ in 0..digits {
        value = value * 16 + chars.next()?.to_digit(16)?;
    }
    char::from_u32(value)
}

/// A docstring without its indentation: what `inspect.cleandoc` makes of it.
pub(crate) fn clean_doc(doc: &str) -> String {
    let expanded = doc.replace('\t', "        ");
    let mut lines: Vec<&str> = expanded.split('\n').collect();
    let margin = lines
        .iter()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start_matches(' ').len())
        .min();
    for (number, line) in lines.iter_mut().enumerate() {
        *line = if number == 0 {
            line.trim_start_matches(' ')
        } else {
            let cut = margin.unwrap_or(0).min(line.len() - line.trim_start_matches(' ').len());
            &line[cut..]
        };
    }
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let blank = lines.iter().take_while(|line| line.is_empty()).count();
    lines[blank..].join("\n")
}

/// The title that pydantic gives to a field by its name: `str.title()` with spaces for underscores.
pub(crate) fn title_of(name: &str) -> String {
    let mut title = String::with_capacity(name.len());
    let mut after_letter = false;
    for c in name.chars() {
        if after_letter {
            title.extend(c.to_lowercase());
        } else {
            title.extend(c.to_uppercase());
        }
        after_letter = c.is_alphabetic();
    }
    title.replace('_', " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_read_as_python_reads_them() {
        let text = |raw: &str| match literal(raw) {
            Literal::Text(text) => text,
            other => panic!("{raw}: {other:?}"),
        };
        assert_eq!(text(r#""a\n\x41\u00e4\101\q""#), "a\nAäA\\q");
        assert_eq!(text(r"r'\d+'"), r"\d+");
        assert_eq!(text("'''a\\\nb'''"), "ab");
        assert_eq!(text("f'plain'"), "plain");
        assert_eq!(literal("f'{x}'"), Literal::Unknown);
        assert_eq!(literal(r"b'\xff'"), Literal::Bytes(vec![255]));
        for broken in ["'", "\"\"\"ä", "'a", "\"\"\"", "r", ""] {
            assert_eq!(literal(broken), Literal::Unknown, "{broken}");
        }
        assert_eq!(text("''"), "");
    }

    #[test]
    fn clean_doc_takes_the_common_margin_of_later_lines() {
        assert_eq!(clean_doc("  One.\n\n    Two\n      three\n    "), "One.\n\nTwo\n  three");
        assert_eq!(clean_doc("\n    Only.\n"), "Only.");
        assert_eq!(clean_doc(""), "");
    }

    #[test]
    fn titles_follow_python() {
        for (name, title) in
            [("max_results", "Max Results"), ("userID", "Userid"), ("x2y", "X2Y"), ("_a", "A")]
        {
            assert_eq!(title_of(name), title);
        }
    }
}
