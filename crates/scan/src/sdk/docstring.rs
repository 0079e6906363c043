//! Docstrings as fastmcp reads them since its third generation: the text before the first
//! section is the description, and documented parameters get their words.
//!
//! Three styles are tried in turn (Google, NumPy, Sphinx); the first that finds any section wins.

/// A docstring taken apart.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Docstring {
    pub(super) description: Option<String>,
    pub(super) parameters: Vec<(String, String)>,
}

/// What one style makes of a text; `found` if any section was seen.
#[derive(Debug, Default)]
struct Sections {
    description: Option<String>,
    parameters: Vec<(String, String)>,
    found: bool,
}

impl Sections {
    fn close_text(&mut self, lines: &mut Vec<&str>) {
        if self.description.is_none() && lines.iter().any(|line| !line.is_empty()) {
            self.description = Some(lines.join("\n").trim_end_matches('\n').to_owned());
        }
        lines.clear();
    }
}

/// What makes a text a structured one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Any section (fastmcp 4).
    AnySection,
    /// Documented parameters (fastmcp 3).
    Parameters,
}

/// Reads a docstring without its indentation.
pub(super) fn parse(doc: &str, needs: Needs) -> Docstring {
    if doc.is_empty() {
        return Docstring::default();
    }
    let trimmed = doc.trim_end();
    let lines: Vec<&str> = trimmed.split('\n').collect();
    for style in [google, numpy, sphinx] {
        let sections = style(&lines);
        if sections.found && (needs == Needs::AnySection || !sections.parameters.is_empty()) {
            return Docstring { description: sections.description, parameters: sections.parameters };
        }
    }
    Docstring { description: Some(doc.to_owned()), parameters: Vec::new() }
}

fn is_empty(line: &str) -> bool {
    line.chars().all(char::is_whitespace)
}

fn indent_of(line: &str) -> usize {
    // Only what takes one byte: lines are cut at multiples of this.
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

const GOOGLE_PARAMETERS: [&str; 4] = ["args", "arguments", "params", "parameters"];
const GOOGLE_ITEMS: [&str; 23] = [
    "keyword args",
    "keyword arguments",
    "other args",
    "other arguments",
    "other params",
    "other parameters",
    "type args",
    "type arguments",
    "type params",
    "type parameters",
    "raises",
    "exceptions",
    "returns",
    "yields",
    "receives",
    "attributes",
    "functions",
    "methods",
    "classes",
    "type aliases",
    "modules",
    "warns",
    "warnings",
];

fn google(lines: &[&str]) -> Sections {
    let mut sections = Sections::default();
    let mut text: Vec<&str> = Vec::new();
    let mut in_code = false;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let fence = line.trim_start_matches(' ').starts_with("```");
        if in_code || fence {
            in_code ^= fence;
            text.push(line);
        } else if let Some(heading) = heading(line).filter(|_| opens_section(lines, at)) {
            let kind = heading.to_lowercase();
            if GOOGLE_PARAMETERS.contains(&kind.as_str()) || GOOGLE_ITEMS.contains(&kind.as_str()) {
                sections.close_text(&mut text);
                let (items, end) = google_items(lines, at + 1);
                if GOOGLE_PARAMETERS.contains(&kind.as_str()) {
                    sections.parameters.extend(items.into_iter().filter_map(google_parameter));
                }
                sections.found = true;
                at = end;
            } else {
                match google_block(lines, at + 1) {
                    Some(end) => {
                        sections.close_text(&mut text);
                        sections.found = true;
                        at = end;
                    }
                    None => text.push(line),
                }
            }
        } else {
            text.push(line);
        }
        at += 1;
    }
    sections.close_text(&mut text);
    sections
}

/// `Words:` or `Words: title`, at the margin.
fn heading(line: &str) -> Option<&str> {
    let (kind, title) = line.split_once(':')?;
    let starts_well = kind.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_');
    let all_well = kind.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-' || c.is_whitespace());
    let title_well = title.is_empty() || title.starts_with(char::is_whitespace);
    (starts_well && all_well && title_well).then_some(kind)
}

/// A heading counts with a blank line above and an indented one below.
fn opens_section(lines: &[&str], at: usize) -> bool {
    let above = at == 0 || is_empty(lines[at - 1]);
    let below = lines.get(at + 1);
    let blank_below = below.is_some_and(|line| is_empty(line));
    let indented = below.is_some_and(|line| !is_empty(line) && line.starts_with(' '));
    let next_indented = lines.get(at + 2).is_some_and(|line| !is_empty(line) && line.starts_with(' '));
    if !(indented || next_indented) {
        return false;
    }
    above && !(next_indented && blank_below)
}

/// The items of a section, each with its continuation lines, and the last line that belongs to it.
fn google_items(lines: &[&str], from: usize) -> (Vec<Vec<String>>, usize) {
    let mut at = from;
    while lines.get(at).is_some_and(|line| is_empty(line)) {
        at += 1;
    }
    let Some(first) = lines.get(at) else { return (Vec::new(), from) };
    let indent = indent_of(first);
    if indent == 0 {
        return (Vec::new(), at - 1);
    }
    let mut items = Vec::new();
    let mut current = vec![first[indent..].to_owned()];
    at += 1;
    while let Some(line) = lines.get(at) {
        let own = indent_of(line);
        if is_empty(line) {
            current.push(String::new());
        } else if own >= indent * 2 {
            current.push(line[indent * 2..].to_owned());
        } else if own > indent {
            current.push(line[own..].to_owned());
        } else if own == indent {
            items.push(std::mem::replace(&mut current, vec![line[indent..].to_owned()]));
        } else {
            break;
        }
        at += 1;
    }
    items.push(current);
    (items, at - 1)
}

fn google_parameter(item: Vec<String>) -> Option<(String, String)> {
    let (name, first) = item.first()?.split_once(':')?;
    let name = match name.split_once('(') {
        Some((bare, _)) if name.ends_with(')') => bare.trim(),
        _ => name,
    };
    let mut words = first.trim_start().to_owned();
    for line in &item[1..] {
        words.push('\n');
        words.push_str(line);
    }
    Some((name.to_owned(), words.trim_end_matches('\n').to_owned()))
}

/// The last line of an indented block; `None` if there is none.
fn google_block(lines: &[&str], from: usize) -> Option<usize> {
    let mut at = from;
    while lines.get(at).is_some_and(|line| is_empty(line)) {
        at += 1;
    }
    let indent = indent_of(lines.get(at)?);
    if indent == 0 {
        return None;
    }
    at += 1;
    while lines.get(at).is_some_and(|line| is_empty(line) || indent_of(line) >= indent) {
        at += 1;
    }
    Some(at - 1)
}

const NUMPY: [&str; 16] = [
    "deprecated",
    "parameters",
    "other parameters",
    "type parameters",
    "returns",
    "yields",
    "receives",
    "raises",
    "warns",
    "examples",
    "attributes",
    "functions",
    "methods",
    "classes",
    "type aliases",
    "modules",
];

fn is_dashes(line: &str) -> bool {
    line.contains('-') && line.chars().all(|c| c == '-' || c.is_whitespace())
}

fn numpy(lines: &[&str]) -> Sections {
    let mut sections = Sections::default();
    let mut text: Vec<&str> = Vec::new();
    let mut admonition = false;
    let mut in_code = false;
    let mut at = 0;
    let close = |sections: &mut Sections, text: &mut Vec<&str>, admonition: bool| {
        if admonition {
            sections.found = true;
            text.clear();
        } else {
            sections.close_text(text);
        }
    };
    while let Some(line) = lines.get(at) {
        let fence = line.trim_start_matches(' ').starts_with("```");
        if in_code || fence {
            in_code ^= fence;
            text.push(line);
        } else if is_empty(line) {
            text.push("");
        } else if at + 1 == lines.len() {
            text.push(line);
            close(&mut sections, &mut text, admonition);
            admonition = false;
        } else if is_dashes(lines[at + 1]) {
            close(&mut sections, &mut text, admonition);
            let kind = line.to_lowercase();
            if NUMPY.contains(&kind.as_str()) {
                admonition = false;
                let (items, end) = numpy_items(lines, at + 2);
                if kind == "parameters" {
                    sections.parameters.extend(items.iter().flat_map(|item| numpy_parameter(item)));
                }
                sections.found |= !items.is_empty();
                at = end;
            } else {
                admonition = true;
                at += 1;
            }
        } else {
            text.push(line);
        }
        at += 1;
    }
    close(&mut sections, &mut text, admonition);
    sections
}

fn numpy_items(lines: &[&str], from: usize) -> (Vec<Vec<String>>, usize) {
    let mut at = from;
    while lines.get(at).is_some_and(|line| is_empty(line)) {
        at += 1;
    }
    let Some(first) = lines.get(at) else { return (Vec::new(), from) };
    let mut items = Vec::new();
    let mut current = vec![(*first).to_owned()];
    at += 1;
    while let Some(line) = lines.get(at) {
        if is_empty(line) {
            current.push(String::new());
        } else if let Some(rest) = line.strip_prefix("    ") {
            current.push(rest.to_owned());
        } else if line.starts_with(' ') {
            current.push(line.trim_start().to_owned());
        } else if lines.get(at + 1).is_some_and(|next| is_dashes(next)) {
            break;
        } else {
            items.push(std::mem::replace(&mut current, vec![(*line).to_owned()]));
        }
        at += 1;
    }
    items.push(current);
    (items, at - 1)
}

fn numpy_parameter(item: &[String]) -> Vec<(String, String)> {
    let Some(first) = item.first() else { return Vec::new() };
    let names = first.split(" :").next().unwrap_or_default();
    let words = item[1..].join("\n").trim_end().to_owned();
    names
        .split(", ")
        .map(str::trim)
        .take_while(|name| {
            let bare = name.trim_start_matches('*');
            !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
        .map(|name| (name.to_owned(), words.clone()))
        .collect()
}

const SPHINX_PARAMETERS: [&str; 6] = ["param", "parameter", "arg", "argument", "key", "keyword"];
/// Directives that are sections too; types of parameters and results are none by themselves.
const SPHINX_SECTIONS: [&str; 9] =
    ["var", "ivar", "cvar", "raises", "raise", "except", "exception", "return", "returns"];
const SPHINX_TYPES: [&str; 3] = ["type", "vartype", "rtype"];

fn sphinx(lines: &[&str]) -> Sections {
    let mut sections = Sections::default();
    let mut text: Vec<&str> = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let starts = |names: &[&str]| {
            names.iter().any(|name| line.strip_prefix(':').is_some_and(|rest| rest.starts_with(name)))
        };
        let is_parameter = !starts(&SPHINX_TYPES) && starts(&SPHINX_PARAMETERS);
        if !(is_parameter || starts(&SPHINX_TYPES) || starts(&SPHINX_SECTIONS)) {
            text.push(line);
            at += 1;
            continue;
        }
        let mut whole = line.trim_start().to_owned();
        at += 1;
        while let Some(more) = lines.get(at).filter(|more| !more.starts_with(':')) {
            whole.push('\n');
            whole.push_str(more);
            at += 1;
        }
        let whole = crate::source::clean_doc(&whole);
        let mut parts = whole.splitn(3, ':').skip(1);
        let (Some(directive), Some(value)) = (parts.next(), parts.next()) else { continue };
        if is_parameter {
            let words: Vec<&str> = directive.split(' ').collect();
            if let Some(name) = words.last().filter(|_| words.len() > 1)
                && !sections.parameters.iter().any(|(known, _)| known == name)
            {
                sections.parameters.push(((*name).to_owned(), value.trim().to_owned()));
                sections.found = true;
            }
        } else if starts(&SPHINX_SECTIONS) {
            sections.found = true;
        }
    }
    let first = text.iter().position(|line| !is_empty(line)).unwrap_or(text.len());
    let last = text.iter().rposition(|line| !is_empty(line)).map_or(first, |last| last + 1);
    sections.description = Some(text[first..last].join("\n"));
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(doc: &str, description: &str, parameters: &[(&str, &str)]) {
        let parsed = parse(doc, Needs::AnySection);
        assert_eq!(parsed.description.as_deref(), Some(description), "{doc}");
        let found: Vec<(&str, &str)> =
            parsed.parameters.iter().map(|(name, words)| (name.as_str(), words.as_str())).collect();
        assert_eq!(found, parameters, "{doc}");
    }

    #[test]
    fn each_style_gives_its_parameters() {
        check(
            "Adds.\n\nArgs:\n    a (int): First.\n    b: Second\n        line.\n\nReturns:\n    The sum.",
            "Adds.",
            &[("a", "First."), ("b", "Second\nline.")],
        );
        check(
            "Adds.\n\nParameters\n----------\na : int\n    First.\nb, c\n    Others.\n",
            "Adds.",
            &[("a", "First."), ("b", "Others."), ("c", "Others.")],
        );
        check(
            "Adds.\n\n:param a: First.\n:param int b: Second.\n:returns: The sum.",
            "Adds.",
            &[("a", "First."), ("b", "Second.")],
        );
    }

    #[test]
    fn any_section_ends_the_description_and_none_leaves_it_whole() {
        check("Adds.\n\nNote:\n    Slow.\n\nMore.", "Adds.", &[]);
        check("Adds.\nArgs:\n    a: no blank line above", "Adds.\nArgs:\n    a: no blank line above", &[]);
        let wide = "A.\n\nArgs:\n  a: b\n \u{3000}\u{3000}\u{3000}c: d";
        assert_eq!(parse(wide, Needs::AnySection).description.as_deref(), Some("A."));
        check("Just words: here.\n", "Just words: here.\n", &[]);
    }
}
