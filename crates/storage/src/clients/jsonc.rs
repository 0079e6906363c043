//! JSON with comments and trailing commas, as VS Code writes it.

/// The same text with spaces for comments and trailing commas: every other byte keeps its place.
pub(super) fn blanked(text: &str) -> String {
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
            b',' => comma = Some(at),
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
}
