//! Brings what stands in a query to the parameters of one tool.
//!
//! The surest goes first: named values, things with a type, enum words, numbers, phrases.
//! Only what is then still free can become free text.

use std::ops::Range;

use dormouse_types::Arguments;
use jiff::civil::DateTime;
use serde_json::Value;

use super::figures;
use super::numbers::currency;
use super::parameters::{Direction, Kind, Parameter, Parameters, Role};
use super::phrases::{phrases, suits, value_of, without_parameter_word};
use super::reading::{Found, Reading, Thing, overlap};
use super::remainder::{FreeText, remainder};
use super::typed;
use crate::search::words::{Word, is_filler};

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

/// Takes a tool's arguments from a query. `names_tool` says whether a word stands for the tool itself.
pub(crate) fn fill(
    reading: &Reading<'_>,
    parameters: &Parameters,
    now: DateTime,
    names_tool: &dyn Fn(&Word) -> bool,
) -> Filled {
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
    named_quotes(&mut filling);
    by_phrase(&mut filling, parameters, names_tool);
    units(&mut filling);
    let quotes_took = quotes(&mut filling);
    let rest = free_text(&mut filling, names_tool, quotes_took);
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
fn text_value(text: String, parameter: &Parameter) -> Value {
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

/// `title "Shopping"`: a quotation right after the name of a parameter.
fn named_quotes(filling: &mut Filling<'_>) {
    for place in filling.open(Parameter::takes_text) {
        let parameter = &filling.parameters[place];
        let found = filling.reading.things.iter().find_map(|found| {
            let Thing::Quote(inside) = &found.thing else { return None };
            let mut before =
                filling.reading.words.iter().rev().filter(|word| word.range.end <= found.range.start);
            let word = before.find(|word| !matches!(word.lower.as_str(), "is" | "of" | "the" | "as"))?;
            let near = filling.reading.text[word.range.end..found.range.start].len() <= 8;
            (near && parameter.stems.contains(&word.stem) && filling.is_free(&found.range))
                .then(|| (inside.clone(), word.range.start..found.range.end))
        });
        if let Some((inside, range)) = found {
            let value = text_value(inside, &filling.parameters[place]);
            filling.set(place, value, range);
        }
    }
}

/// What prepositions say: "from X to Y", "in X", "by X", "saying X".
fn by_phrase(filling: &mut Filling<'_>, parameters: &Parameters, names_tool: &dyn Fn(&Word) -> bool) {
    let mut phrases = phrases(filling.reading);
    between(filling, &mut phrases);
    let open_texts = filling.open(|parameter| parameter.is_required && is_free_text(parameter)).len();
    let mut offers: Vec<(u32, usize, usize, Range<usize>)> = Vec::new();
    for (p, phrase) in phrases.iter_mut().enumerate() {
        phrase.content = unused_part(filling, &phrase.content);
        if is_only_tool(filling, &phrase.content, names_tool) {
            continue;
        }
        for place in filling.open(Parameter::takes_text) {
            let parameter = &parameters.list[place];
            let named = without_parameter_word(filling.reading, &phrase.content, parameter);
            let score = suits(&phrase.opener, parameter);
            let (score, content) = match named {
                Some(content) => (score.max(4) + 6, content),
                None => (score, phrase.content.clone()),
            };
            // The one free text takes the rest of the query as a whole, not the part after a preposition.
            let takes_rest = parameter.is_required && is_free_text(parameter) && open_texts == 1;
            let reads_on =
                takes_rest && matches!(parameter.role, Role::Query | Role::Body | Role::Topic | Role::Name);
            let enough = if parameter.is_required && !reads_on { 2 } else { 5 };
            if score >= enough && !(takes_rest && parameter.role == Role::Query && score < 10) {
                offers.push((score, place, p, content));
            }
        }
    }
    offers.sort_by_key(|(score, place, p, _)| {
        (u32::MAX - score, !parameters.list[*place].is_required, *place, *p)
    });
    for (_, place, p, content) in offers {
        if filling.values[place].is_some() || !filling.is_free(&content) {
            continue;
        }
        if let Some(text) = value_of(filling.reading, &content, &parameters.list[place]) {
            let value = text_value(text, &parameters.list[place]);
            filling.set(place, value, phrases[p].whole.clone());
        }
    }
}

/// A phrase without the words at its end that other arguments took: "to the station walking".
fn unused_part(filling: &Filling<'_>, content: &Range<usize>) -> Range<usize> {
    let inside = |word: &&Word| content.start <= word.range.start && word.range.end <= content.end;
    let last_free = filling.reading.words.iter().filter(inside).rfind(|word| filling.is_free(&word.range));
    let has_used = filling.used.iter().any(|used| overlap(used, content));
    match last_free {
        Some(last) if has_used => content.start..last.range.end,
        _ => content.clone(),
    }
}

/// "between Paris and Rome" is from one to the other.
fn between(filling: &mut Filling<'_>, phrases: &mut Vec<super::phrases::Phrase>) {
    let ends = filling.open(|parameter| {
        parameter.takes_text() && parameter.role == Role::Place || parameter.direction.is_some()
    });
    let Some(at) = phrases.iter().position(|phrase| phrase.opener == "between") else { return };
    let content = phrases[at].content.clone();
    let text = &filling.reading.text[content.clone()];
    if let ([first, second, ..], Some(and)) = (ends.as_slice(), text.find(" and ")) {
        let (first, second) = ((*first).min(*second), (*first).max(*second));
        let (one, other) = (text[..and].trim().to_owned(), text[and + 5..].trim().to_owned());
        if filling.is_free(&content) && !one.is_empty() && !other.is_empty() {
            filling.set(first, one.into(), phrases[at].whole.clone());
            filling.set(second, other.into(), phrases[at].whole.clone());
        }
    }
    phrases.remove(at);
}

fn is_only_tool(filling: &Filling<'_>, content: &Range<usize>, names_tool: &dyn Fn(&Word) -> bool) -> bool {
    let inside = filling.reading.words.iter().filter(|word| overlap(&word.range, content));
    let mut inside = inside.peekable();
    inside.peek().is_some() && inside.all(|word| names_tool(word) || word.is_filler())
}

/// The unit of the number is where a conversion starts: "convert 100 km to miles".
fn units(filling: &mut Filling<'_>) {
    let is_unit = |parameter: &Parameter| {
        parameter.kind == Kind::Text
            && matches!(parameter.role, Role::Unit | Role::Currency)
            && parameter.direction != Some(Direction::To)
    };
    counted_in(filling);
    for place in filling.open(is_unit) {
        let of_money = filling.parameters[place].role == Role::Currency;
        let found = filling.reading.things.iter().find_map(|found| {
            let Thing::Figure(figure) = &found.thing else { return None };
            if let Some(code) = figure.money.filter(|_| of_money) {
                return Some((code.to_owned(), found.range.clone()));
            }
            let unit = figure.unit.as_ref()?;
            let range = unit.range.start..end_of_unit(filling, unit.range.end);
            let text = filling.reading.text[range.clone()].to_owned();
            if of_money { currency(&text).map(|code| (code.to_owned(), range)) } else { Some((text, range)) }
        });
        if let Some((text, range)) = found {
            filling.set(place, text.into(), range);
        }
    }
}

/// "how many miles are 5 km": the counted unit is where the conversion goes to.
fn counted_in(filling: &mut Filling<'_>) {
    let is_target = |parameter: &Parameter| {
        parameter.kind == Kind::Text
            && parameter.role == Role::Unit
            && parameter.direction == Some(Direction::To)
    };
    let words = &filling.reading.words;
    let counted = words
        .windows(3)
        .find(|run| run[0].lower == "how" && matches!(run[1].lower.as_str(), "many" | "much"));
    if let (Some(place), Some(run)) = (filling.open(is_target).first().copied(), counted)
        && filling.is_free(&run[2].range)
    {
        let unit = filling.reading.text[run[2].range.clone()].to_owned();
        filling.set(place, unit.into(), run[0].range.start..run[2].range.end);
    }
}

/// Units may be two or three words: "100 square meters to acres".
fn end_of_unit(filling: &Filling<'_>, end: usize) -> usize {
    let after = filling.reading.words.iter().filter(|word| word.range.start >= end);
    let more = after.take(2).take_while(|word| !word.is_filler() && filling.is_free(&word.range));
    more.filter(|word| !filling.reading.text[end..word.range.start].contains([',', '.', '?']))
        .last()
        .map_or(end, |word| word.range.end)
}

/// Whether a parameter can take any text.
fn is_free_text(parameter: &Parameter) -> bool {
    let typed = [
        Role::Url,
        Role::Email,
        Role::When,
        Role::Duration,
        Role::Expression,
        Role::Unit,
        Role::Currency,
        Role::Sql,
        Role::Color,
    ];
    parameter.takes_text() && !typed.contains(&parameter.role)
}

/// "the folder src": a bare word is a path only after a word that says so.
fn is_path_text(filling: &Filling<'_>, free: &FreeText) -> bool {
    let start = free.ranges.first().map_or(0, |range| range.start);
    let before = filling.reading.words.iter().rev().find(|word| word.range.end <= start);
    let says_so =
        before.is_some_and(|word| matches!(word.stem.as_str(), "file" | "folder" | "directori" | "path"));
    says_so && !free.text.contains(char::is_whitespace)
}

/// Quotations that nothing has taken go to the required texts, in order.
fn quotes(filling: &mut Filling<'_>) -> bool {
    let mut took = false;
    let quotes: Vec<Found> = filling.reading.things.to_vec();
    for found in quotes {
        let Thing::Quote(inside) = found.thing else { continue };
        if !filling.is_free(&found.range) {
            continue;
        }
        let open = filling.open(|parameter| {
            is_free_text(parameter) && (parameter.is_required || parameter.role == Role::Query)
        });
        if let Some(place) = open.into_iter().next() {
            let value = text_value(inside, &filling.parameters[place]);
            filling.set(place, value, found.range);
            took = true;
        }
    }
    took
}

/// The free rest of the query becomes the first required text that is still open, or an optional question.
fn free_text(
    filling: &mut Filling<'_>,
    names_tool: &dyn Fn(&Word) -> bool,
    quotes_took: bool,
) -> Vec<Range<usize>> {
    let open = filling.open(|parameter| {
        is_free_text(parameter) && (parameter.is_required || parameter.role == Role::Query && !quotes_took)
    });
    let Some(place) = open.first().copied() else { return Vec::new() };
    let parameter = filling.parameters[place].clone();
    let Some(free) = remainder(filling.reading, &filling.used, parameter.role, names_tool) else {
        return Vec::new();
    };
    // "title: text" is both at once.
    if let ([title, body, ..], Some((head, tail))) = (open.as_slice(), free.text.split_once(": ")) {
        if filling.parameters[*body].is_required {
            filling.values[*title] = Some(head.trim().into());
            filling.values[*body] = Some(tail.trim().into());
            return free.ranges;
        }
    }
    let fits = parameter.role != Role::Path || is_path_text(filling, &free);
    let says_something =
        free.text.chars().any(char::is_alphanumeric) && !is_filler(&free.text.to_lowercase());
    if !fits || !says_something {
        return Vec::new();
    }
    filling.values[place] = Some(text_value(free.text, &parameter));
    free.ranges
}
