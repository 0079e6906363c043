//! Texts: quotations, phrases, units, and what is left of the query.

use std::ops::Range;

use super::fill::{Filling, ToolWords, text_value};
use super::numbers::currency;
use super::parameters::{Direction, Kind, Parameter, Parameters, Role};
use super::phrases::{phrases, suits, value_of, without_parameter_word};
use super::reading::{Found, Thing, overlap};
use super::remainder::{FreeText, remainder};
use crate::search::words::{Word, is_filler};

/// `title "Shopping"`: a quotation right after the name of a parameter.
pub(super) fn named_quotes(filling: &mut Filling<'_>) {
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

/// "with the subject Lunch and the body See you": the name of a parameter, and its value behind it.
pub(super) fn after_names(filling: &mut Filling<'_>) {
    let words = &filling.reading.words;
    let mentions: Vec<(usize, usize, usize)> = filling
        .open(|parameter| {
            parameter.kind == Kind::Text && parameter.words.len() == 1 && is_free_text(parameter)
        })
        .into_iter()
        .filter_map(|place| {
            let at = words.iter().position(|word| word.lower == filling.parameters[place].words[0])?;
            let lead = words[..at]
                .iter()
                .rev()
                .take_while(|w| matches!(w.lower.as_str(), "the" | "a" | "with" | "and" | "as"));
            let lead = lead.count();
            let introduced =
                lead > 0 && words[at - lead..at].iter().any(|w| matches!(w.lower.as_str(), "with" | "and"));
            introduced.then_some((place, at - lead, at))
        })
        .collect();
    for &(place, start, at) in &mentions {
        let Some(first) = words
            .get(at + 1)
            .filter(|word| !matches!(word.lower.as_str(), "of" | "for" | "to" | "and" | "from"))
        else {
            continue;
        };
        let next = mentions.iter().map(|(_, start, _)| *start).filter(|start| *start > at).min();
        let last = next
            .map_or(words.last(), |next| words.get(next - 1))
            .filter(|last| last.range.start >= first.range.start);
        let Some(last) = last else { continue };
        let content = first.range.start..last.range.end;
        let whole = words[start].range.start..content.end;
        if filling.is_free(&content)
            && let Some(text) = value_of(filling.reading, &content, &filling.parameters[place])
        {
            filling.set(place, text.into(), whole);
        }
    }
}

/// "the orders table", "the #random channel": one word between an article and the name of a parameter.
pub(super) fn before_names(filling: &mut Filling<'_>) {
    let words = &filling.reading.words;
    let wants = |parameter: &Parameter| {
        parameter.kind == Kind::Text
            && is_free_text(parameter)
            && !matches!(parameter.role, Role::Query | Role::Body | Role::Topic | Role::Place)
    };
    for place in filling.open(wants) {
        let stems = &filling.parameters[place].stems;
        let found = words.windows(3).find(|run| {
            let names = stems.contains(&run[2].stem) && !run[1].is_filler() && !stems.contains(&run[1].stem);
            let near =
                filling.reading.text[run[0].range.end..run[2].range.start].len() <= run[1].range.len() + 3;
            names && near && matches!(run[0].lower.as_str(), "the" | "my" | "our")
        });
        if let Some(run) = found.filter(|run| filling.is_free(&run[1].range)) {
            let text = filling.reading.text[run[1].range.clone()].to_owned();
            filling.set(place, text.into(), run[0].range.start..run[2].range.end);
        }
    }
}

/// What prepositions say: "from X to Y", "in X", "by X", "saying X".
pub(super) fn by_phrase(
    filling: &mut Filling<'_>,
    parameters: &Parameters,
    names_tool: &dyn Fn(&Word) -> bool,
) {
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
    inside.peek().is_some() && inside.all(|word| names_tool(word) || word.is_filler() || word.lower == "list")
}

/// The unit of the number is where a conversion starts: "convert 100 km to miles".
pub(super) fn units(filling: &mut Filling<'_>) {
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
pub(super) fn quotes(filling: &mut Filling<'_>) -> bool {
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
pub(super) fn free_text(
    filling: &mut Filling<'_>,
    tool_words: ToolWords<'_>,
    quotes_took: bool,
) -> Vec<Range<usize>> {
    let open = filling.open(|parameter| {
        is_free_text(parameter) && (parameter.is_required || parameter.role == Role::Query && !quotes_took)
    });
    let Some(place) = open.first().copied() else { return Vec::new() };
    let parameter = filling.parameters[place].clone();
    let Some(free) = remainder(filling.reading, &filling.used, parameter.role, tool_words) else {
        return Vec::new();
    };
    // "title: text" is both at once.
    if let ([title, body, ..], Some((head, tail))) = (open.as_slice(), free.text.split_once(": "))
        && filling.parameters[*body].is_required
    {
        filling.values[*title] = Some(head.trim().into());
        filling.values[*body] = Some(tail.trim().into());
        return free.ranges;
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
