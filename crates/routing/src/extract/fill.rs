//! Brings what stands in a query to the parameters of one tool.
//!
//! The surest goes first: named values, things with a type, enum words, numbers, phrases.
//! Only what is then still free can become free text.

use std::ops::Range;

use dormouse_types::Arguments;
use jiff::civil::DateTime;
use serde_json::Value;

use super::figures;
use super::parameters::{Kind, Parameter, Parameters};
use super::reading::{Reading, Thing, overlap};
use super::{texts, typed};
use crate::search::words::Word;

/// What extraction found for one tool.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Filled {
    pub(crate) arguments: Arguments,
    /// The required parameters without a value, in their order.
    pub(crate) missing: Vec<String>,
    /// What of the query went into arguments by type, name or phrase.
    pub(crate) used: Vec<Range<usize>>,
    /// What of the query went into an argument as the free rest.
    pub(crate) rest: Vec<Range<usize>>,
    /// Whether a value fits this tool especially, such as a YouTube address for `youtube_url`.
    pub(crate) is_special: bool,
}

/// The work in progress.
pub(super) struct Filling<'q> {
    pub(super) reading: &'q Reading<'q>,
    pub(super) parameters: &'q [Parameter],
    pub(super) values: Vec<Option<Value>>,
    pub(super) used: Vec<Range<usize>>,
    pub(super) is_special: bool,
}

impl Filling<'_> {
    pub(super) fn is_free(&self, range: &Range<usize>) -> bool {
        !self.used.iter().any(|used| overlap(used, range))
    }

    pub(super) fn set(&mut self, place: usize, value: Value, range: Range<usize>) {
        self.values[place] = Some(value);
        self.used.push(range);
    }

    /// A value's range with the words beside it that belong to it: those that name the parameter
    /// ("sorted by stars", "high priority"), "turn" before "on", and the opener before all.
    pub(super) fn with_belongings(&self, place: usize, range: Range<usize>) -> Range<usize> {
        let parameter = &self.parameters[place];
        let names = |word: &Word| parameter.stems.contains(&word.stem) && self.is_free(&word.range);
        let words = &self.reading.words;
        let mut range = range;
        if let Some(next) = words.iter().find(|word| word.range.start >= range.end)
            && names(next)
            && is_gap(&self.reading.text[range.end..next.range.start])
        {
            range.end = next.range.end;
        }
        let mut start = range.start;
        let first = start;
        let mut before = words.iter().rev().filter(|word| word.range.end <= first).take(3);
        while let Some(word) = before.next().filter(|word| is_gap(&self.reading.text[word.range.end..start]))
        {
            let is_turn = is_turn(&word.lower) && matches!(&self.reading.text[range.clone()], "on" | "off");
            let is_tie =
                matches!(word.lower.as_str(), "by" | "to" | "at" | "with" | "of" | "in" | "as" | "is");
            start = word.range.start;
            if names(word) || is_turn || is_tie && self.is_free(&word.range) {
                range.start = start;
            }
            if !is_tie {
                break;
            }
        }
        range
    }

    /// The parameters without a value that pass a test, required ones first.
    pub(super) fn open(&self, wants: impl Fn(&Parameter) -> bool) -> Vec<usize> {
        let mut open: Vec<usize> = (0..self.parameters.len())
            .filter(|&i| self.values[i].is_none() && wants(&self.parameters[i]))
            .collect();
        open.sort_by_key(|&i| !self.parameters[i].is_required);
        open
    }
}

/// Which words of a query stand for the tool itself.
#[derive(Clone, Copy)]
pub(crate) struct ToolWords<'w> {
    /// Those of its name, and the leading word if it stands for one.
    pub(crate) names: &'w dyn Fn(&Word) -> bool,
    /// Also all others that stand for one of its name.
    pub(crate) resembles: &'w dyn Fn(&Word) -> bool,
}

/// Takes a tool's arguments from a query.
pub(crate) fn fill(
    reading: &Reading<'_>,
    parameters: &Parameters,
    now: DateTime,
    tool_words: ToolWords<'_>,
) -> Filled {
    let names_tool = tool_words.names;
    let mut filling = Filling {
        reading,
        parameters: &parameters.list,
        values: vec![None; parameters.list.len()],
        used: Vec::new(),
        is_special: false,
    };
    named_values(&mut filling);
    typed::things(&mut filling, now);
    choices(&mut filling, names_tool);
    switches(&mut filling, names_tool);
    figures::assign(&mut filling);
    texts::before_names(&mut filling);
    texts::named_quotes(&mut filling);
    texts::after_names(&mut filling);
    texts::by_phrase(&mut filling, parameters, tool_words.resembles);
    texts::units(&mut filling);
    let quotes_took = texts::quotes(&mut filling);
    let rest = texts::free_text(&mut filling, tool_words, quotes_took);
    finish(filling, rest)
}

fn finish(filling: Filling<'_>, rest: Vec<Range<usize>>) -> Filled {
    let mut filled = Filled { used: filling.used, rest, is_special: filling.is_special, ..Filled::default() };
    for (parameter, value) in filling.parameters.iter().zip(filling.values) {
        match value {
            Some(value) => drop(filled.arguments.insert(parameter.name.clone(), value)),
            None if parameter.is_required => filled.missing.push(parameter.name.clone()),
            None => {}
        }
    }
    filled
}

/// `city=Paris`, `title: Shopping list, …`: the name of a parameter, a mark, and its value.
fn named_values(filling: &mut Filling<'_>) {
    let text = filling.reading.text;
    let words = &filling.reading.words;
    for place in 0..filling.parameters.len() {
        let parameter = &filling.parameters[place];
        for (i, word) in words.iter().enumerate() {
            let length = parameter.words.len();
            let named = words
                .get(i..i + length)
                .is_some_and(|run| run.iter().zip(&parameter.words).all(|(word, name)| word.lower == *name))
                || word.lower == parameter.name.to_lowercase();
            let Some(last) = words.get(i + length - 1).filter(|_| named) else { continue };
            let after = &text[last.range.end..];
            let Some(mark) = after.chars().next().filter(|c| matches!(c, '=' | ':')) else { continue };
            let body = &after[mark.len_utf8()..];
            if body.starts_with("//") {
                continue;
            }
            let start = text.len() - body.trim_start().len();
            let quote = filling.reading.things.iter().find(|found| found.range.start == start);
            let end = match quote {
                Some(found) => found.range.end,
                None => start + text[start..].find([',', ';', '\n']).unwrap_or(text.len() - start),
            };
            // `a=1 b=2`: with an equals sign a value is one word.
            let end = match quote {
                None if mark == '=' => {
                    start + text[start..end].find(char::is_whitespace).unwrap_or(end - start)
                }
                _ => end,
            };
            let inside = match quote.map(|found| &found.thing) {
                Some(Thing::Quote(inside)) => inside.as_str(),
                _ => text[start..end].trim(),
            };
            if let Some(value) = parsed(inside, &parameter.kind).filter(|_| start < end) {
                filling.set(place, value, word.range.start..end);
                break;
            }
        }
    }
}

/// A text as a value of a type; `None` when it is none.
fn parsed(text: &str, kind: &Kind) -> Option<Value> {
    match kind {
        Kind::Text => (!text.is_empty()).then(|| text.into()),
        Kind::Integer => text.parse::<i64>().ok().map(Value::from),
        Kind::Number => serde_json::from_str::<serde_json::Number>(text).ok().map(Value::Number),
        Kind::Boolean => text.to_lowercase().parse::<bool>().ok().map(Value::from),
        Kind::Choice(values) => {
            values.iter().find(|value| value.as_str().is_some_and(|v| v.eq_ignore_ascii_case(text))).cloned()
        }
        Kind::List(item) if **item == Kind::Text => Some(list(text)),
        Kind::List(_) | Kind::Other => serde_json::from_str(text).ok(),
    }
}

/// "milk, eggs and bread" as three.
fn list(text: &str) -> Value {
    let parts =
        text.split([',', ';']).flat_map(|part| part.split(" and ")).flat_map(|part| part.split(" & "));
    let trimmed =
        parts.map(|part| part.trim().trim_start_matches("and ").trim()).filter(|part| !part.is_empty());
    trimmed.map(Value::from).collect()
}

/// A text as the value of a text parameter, which may be a list of texts.
pub(super) fn text_value(text: String, parameter: &Parameter) -> Value {
    if parameter.is_list() { list(&text) } else { text.into() }
}

/// Enum values whose words stand in the query; the longest match wins.
fn choices(filling: &mut Filling<'_>, names_tool: &dyn Fn(&Word) -> bool) {
    for place in filling.open(|parameter| matches!(parameter.kind, Kind::Choice(_))) {
        let Kind::Choice(values) = &filling.parameters[place].kind else { continue };
        let found = values.iter().filter_map(|value| {
            let range = choice_in(filling, value.as_str()?, names_tool)?;
            Some((range.len(), value.clone(), range))
        });
        if let Some((_, value, range)) = found.max_by_key(|(length, ..)| *length) {
            let is_switch = matches!(&filling.reading.text[range.clone()], "on" | "off");
            let turn = filling.reading.words.iter().find(|word| is_switch && is_turn(&word.lower));
            filling.used.extend(turn.map(|word| word.range.clone()));
            let range = filling.with_belongings(place, range);
            filling.set(place, value, range);
        }
    }
}

fn choice_in(filling: &Filling<'_>, value: &str, names_tool: &dyn Fn(&Word) -> bool) -> Option<Range<usize>> {
    let wanted = crate::search::words::words(&value.replace(['_', '-'], " "));
    let words = &filling.reading.words;
    (0..words.len()).find_map(|i| {
        let run = words.get(i..i + wanted.len()).filter(|run| !run.is_empty())?;
        let same = run
            .iter()
            .zip(&wanted)
            .all(|(word, wanted)| word.lower == wanted.lower || word.stem == wanted.stem);
        let range = run[0].range.start..run[run.len() - 1].range.end;
        let [only] = run else { return (same && filling.is_free(&range)).then_some(range) };
        // "on" is an enum value in "turn the lamp on" and a preposition in "on Monday".
        let is_switch = !only.is_filler() || i + 1 == words.len() || i > 0 && is_turn(&words[i - 1].lower);
        (same
            && is_switch
            && filling.is_free(&range)
            && (only.is_filler() || !names_tool(only) || wanted[0].lower == only.lower))
            .then_some(range)
    })
}

fn is_gap(between: &str) -> bool {
    between.trim().is_empty()
}

fn is_turn(lower: &str) -> bool {
    matches!(lower, "turn" | "switch" | "put" | "set" | "is" | "be")
}

/// Booleans that the query names: "recursively", "without shuffle", "turn it off".
fn switches(filling: &mut Filling<'_>, names_tool: &dyn Fn(&Word) -> bool) {
    for place in filling.open(|parameter| parameter.kind == Kind::Boolean) {
        let parameter = &filling.parameters[place];
        let words = &filling.reading.words;
        let generic = ["is", "enable", "enabled", "include", "use", "with", "on", "state", "active"];
        let telling: Vec<&String> =
            parameter.stems.iter().filter(|stem| !generic.contains(&stem.as_str())).collect();
        let named = words.iter().position(|word| telling.contains(&&word.stem) && !names_tool(word));
        if let Some(at) = named {
            let before = words[..at].iter().rev().take(2);
            let denied = before
                .clone()
                .any(|w| matches!(w.lower.as_str(), "no" | "not" | "without" | "don't" | "disable"));
            let range = words[at].range.clone();
            filling.set(place, Value::Bool(!denied), range);
        } else if parameter.is_required || parameter.has_word(&["on", "enabled", "state", "active"]) {
            let says = |list: &[&str]| {
                words.iter().enumerate().find(|(i, word)| {
                    list.contains(&word.lower.as_str())
                        && (word.lower.len() > 3
                            || i + 1 == words.len()
                            || *i > 0 && is_turn(&words[i - 1].lower))
                })
            };
            let value = says(&["off", "disable", "deactivate"]).map(|found| (false, found.1));
            if let Some((value, word)) =
                value.or_else(|| says(&["on", "enable", "activate"]).map(|found| (true, found.1)))
            {
                filling.set(place, Value::Bool(value), word.range.clone());
            }
        }
    }
}
