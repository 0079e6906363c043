//! Takes out function bodies that say nothing, before the parser sees them.
//!
//! Parsing is most of a scan's work, and most of a script is function bodies. A small lexer
//! finds where each body ends; its lines become blank, so that line numbers stay. Where the
//! lexer is not sure, nothing is cut.

/// Words in a body that the scan must see: registrations, servers, imports, what a decorator copies.
const TELLING: [&str; 17] = [
    "import",
    ".tool",
    ".resource",
    ".prompt",
    "add_tool",
    "add_resource",
    "add_prompt",
    "add_template",
    "FastMCP",
    "MCPServer",
    "Server(",
    "Tool(",
    "wraps",
    ".run",
    "mount(",
    "remove_tool",
    "mcp",
];

/// One logical line: it runs over brackets, triple quotes and backslashes.
#[derive(Debug)]
struct Line {
    indent: usize,
    start: usize,
    end: usize,
    /// Its last byte that is no blank or comment.
    last: u8,
}

/// The source without the bodies that do not matter; `None` when nothing can be cut.
pub(super) fn without_bodies(source: &str) -> Option<String> {
    // Handlers of a low-level server may have any name.
    if source.contains("on_list_") {
        return None;
    }
    let lines = logical_lines(source)?;
    let mut out = String::with_capacity(source.len());
    let mut copied = 0;
    let mut index = 0;
    while let Some(line) = lines.get(index) {
        index += 1;
        let text = &source[line.start..line.end];
        if line.last != b':' || !(text.starts_with("def ") || text.starts_with("async def ")) {
            continue;
        }
        // What a low-level server lists stands in the body of its handler.
        let above = lines[..index - 1].last().map(|above| &source[above.start..above.end]);
        if text.split('(').next().is_some_and(|name| name.contains("list"))
            || above.is_some_and(|above| above.starts_with('@') && above.contains(".list_"))
        {
            continue;
        }
        let length = lines[index..].iter().take_while(|inner| inner.indent > line.indent).count();
        let body = &lines[index..index + length];
        let Some(first) = body.first() else { continue };
        let has_doc = is_string(&source[first.start..first.end], first.last);
        let rest = if has_doc { &body[1..] } else { body };
        let (Some(from), Some(to)) = (rest.first(), rest.last()) else { continue };
        if TELLING.iter().any(|word| source[from.start..to.end].contains(word)) {
            continue;
        }
        let kept_to = if has_doc { first.end } else { line.end };
        out.push_str(&source[copied..kept_to]);
        let mut blank = source[kept_to..to.end].bytes().filter(|byte| *byte == b'\n').count();
        if !has_doc {
            out.push('\n');
            blank = blank.saturating_sub(1);
            out.extend(std::iter::repeat_n(' ', first.indent));
            out.push_str("pass");
        }
        out.extend(std::iter::repeat_n('\n', blank));
        copied = to.end;
        index += length;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&source[copied..]);
    Some(out)
}

/// Whether a logical line is one string and nothing else (or several, side by side).
fn is_string(text: &str, last: u8) -> bool {
    let unprefixed = text.trim_start_matches(['r', 'R', 'u', 'U']);
    text.len() - unprefixed.len() <= 1
        && unprefixed.starts_with(['"', '\''])
        && (last == b'"' || last == b'\'')
}

fn logical_lines(source: &str) -> Option<Vec<Line>> {
    let bytes = source.as_bytes();
    let mut lines = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let mut indent = 0;
        while let Some(blank) = bytes.get(at).filter(|byte| matches!(byte, b' ' | b'\t' | b'\x0c')) {
            // Tabs advance to the next multiple of eight, as in CPython.
            indent = if *blank == b'\t' { indent / 8 * 8 + 8 } else { indent + 1 };
            at += 1;
        }
        match bytes.get(at) {
            None => break,
            Some(b'\n') => at += 1,
            Some(b'#') => at = end_of_line(bytes, at) + 1,
            Some(_) => {
                let (end, last) = logical_end(bytes, at)?;
                lines.push(Line { indent, start: at, end, last });
                at = end + 1;
            }
        }
    }
    Some(lines)
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| from + length)
}

/// Where the logical line that starts here ends, and its last byte that counts.
fn logical_end(bytes: &[u8], start: usize) -> Option<(usize, u8)> {
    let mut at = start;
    let mut open = 0usize;
    let mut last = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\n' if open == 0 => return Some((at, last)),
            b'#' => {
                at = end_of_line(bytes, at);
                continue;
            }
            b'\\' => at += 1,
            b'"' | b'\'' => at = string_end(bytes, at)?,
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.checked_sub(1)?,
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            last = *byte;
        }
        at += 1;
    }
    (open == 0).then_some((bytes.len(), last))
}

/// The index of the last byte of the string that starts here; `None` if it does not end.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = bytes[start];
    let triple = bytes.get(start + 1) == Some(&quote) && bytes.get(start + 2) == Some(&quote);
    let mut at = start + if triple { 3 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'\n' if !triple => return None,
            byte if *byte == quote => {
                if !triple {
                    return Some(at);
                }
                if bytes.get(at + 1) == Some(&quote) && bytes.get(at + 2) == Some(&quote) {
                    return Some(at + 2);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_go_and_lines_stay() {
        let source = "import x\n\ndef f(a,\n      b):\n    \"\"\"Doc: (\n    more\n    \"\"\"\n    y = [\n  1]\n    return y\n\ndef g(): return 1\n\nclass A:\n    def h(self):\n        # nothing\n        return \"}\"\n\nz = 2\n";
        let cut = without_bodies(source).unwrap();
        assert_eq!(
            cut,
            "import x\n\ndef f(a,\n      b):\n    \"\"\"Doc: (\n    more\n    \"\"\"\n\n\n\n\ndef g(): return 1\n\nclass A:\n    def h(self):\n        pass\n\n\nz = 2\n"
        );
        assert_eq!(cut.lines().count(), source.lines().count());
    }

    #[test]
    fn telling_bodies_and_unsure_text_stay_whole() {
        for source in [
            "def f():\n    import yaml\n    return yaml\n",
            "def f():\n    return 'open\n",
            "def f():\n    return (1\n",
            "x = 1\n",
        ] {
            assert_eq!(without_bodies(source), None, "{source}");
        }
    }
}
