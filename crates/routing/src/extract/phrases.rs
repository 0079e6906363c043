//! Phrases that a preposition opens, and which parameters they speak of.
//!
//! "from Berlin to Munich", "in the general channel", "saying I'll be late".

use std::ops::Range;

use super::numbers::currency;
use super::parameters::{Direction, Kind, Parameter, Role};
use super::reading::{Found, Reading, Thing};
use crate::search::words::{Word, is_filler};

/// A preposition and what follows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Phrase {
    pub(super) opener: String,
    /// With the opener.
    pub(super) whole: Range<usize>,
    /// Without opener and article.
    pub(super) content: Range<usize>,
}

const OPENERS: &str = "from to into in at on for with about regarding by of near around named called titled saying says \
    as between until via using than";
/// These open a text that goes on to the end of the query.
const SPEECH: &str = "saying says reading";
const ARTICLES: &str = "the a an my our this that your";

fn is_one_of(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|one| one == word)
}

/// The phrases of a query, in order.
pub(super) fn phrases(reading: &Reading<'_>) -> Vec<Phrase> {
    let words = &reading.words;
    let mut found = Vec::new();
    for (i, word) in words.iter().enumerate() {
        if !is_one_of(OPENERS, &word.lower) && !is_one_of(SPEECH, &word.lower) || in_text_thing(reading, word)
        {
            continue;
        }
        let mut start = i + 1;
        while words.get(start).is_some_and(|next| is_one_of(ARTICLES, &next.lower) || next.lower == "says") {
            start += 1;
        }
        if let Some(content) = content_from(reading, start, is_one_of(SPEECH, &word.lower)) {
            let whole = word.range.start..content.end;
            found.push(Phrase { opener: word.lower.clone(), whole, content });
        }
    }
    found
}

/// What stands from a word on, up to the next opener, date, separator or the end.
fn content_from(reading: &Reading<'_>, start: usize, to_the_end: bool) -> Option<Range<usize>> {
    let words = &reading.words;
    let first = words.get(start)?;
    if let Some(quote) = thing_around(reading, &first.range, |thing| matches!(thing, Thing::Quote(_))) {
        return Some(quote.range.clone());
    }
    if to_the_end {
        return Some(first.range.start..reading.text.trim_end().len());
    }
    let mut end = start;
    while let Some(word) = words.get(end) {
        let is_first = end == start;
        if !is_first && is_one_of(OPENERS, &word.lower) && word.lower != "of" && !in_text_thing(reading, word)
        {
            break;
        }
        if thing_around(reading, &word.range, |thing| matches!(thing, Thing::When(_))).is_some() {
            break;
        }
        let between =
            &reading.text[words[end.saturating_sub(1)].range.end.min(word.range.start)..word.range.start];
        if !is_first && is_separator(between) {
            break;
        }
        end += 1;
    }
    while end > start + 1 && matches!(words[end - 1].lower.as_str(), "please" | "thanks" | "now" | "right") {
        end -= 1;
    }
    let last = words.get(end.checked_sub(1)?)?;
    // A thing such as a path may reach beyond its last word.
    let reach = thing_around(reading, &last.range, |_| true).map_or(last.range.end, |found| found.range.end);
    (end > start).then_some(first.range.start..reach.max(last.range.end)).map(|range| {
        let start = thing_around(reading, &range, |_| true)
            .map_or(range.start, |found| found.range.start.min(range.start));
        start..range.end
    })
}

fn is_separator(between: &str) -> bool {
    between.contains([',', ';', '!', '?', '\n', ':']) || between.contains(". ")
}

/// The thing that a place lies in.
pub(super) fn thing_around<'r>(
    reading: &'r Reading<'_>,
    range: &Range<usize>,
    is: fn(&Thing) -> bool,
) -> Option<&'r Found> {
    reading
        .things
        .iter()
        .find(|found| found.range.start <= range.start && range.start < found.range.end && is(&found.thing))
}

fn in_text_thing(reading: &Reading<'_>, word: &Word) -> bool {
    thing_around(reading, &word.range, |thing| !matches!(thing, Thing::Figure(_) | Thing::When(_))).is_some()
}

/// How well a phrase's opener suits a parameter; 0 is not at all.
pub(super) fn suits(opener: &str, parameter: &Parameter) -> u32 {
    use Role::{
        Body, Currency, Duration, Email, Expression, Language, Name, Path, Person, Place, Plain, Query,
        Topic, Unit,
    };
    if !matches!(parameter.kind, Kind::Text | Kind::List(_)) {
        return 0;
    }
    let role = parameter.role;
    match (opener, parameter.direction) {
        ("from", Some(Direction::From)) | ("to" | "into", Some(Direction::To)) => return 9,
        ("in" | "as", Some(Direction::To)) if matches!(role, Unit | Currency | Language) => return 6,
        ("for", Some(Direction::To)) if role == Place => return 4,
        ("in" | "at" | "near", Some(_)) if role == Place => return 3,
        (_, Some(_)) if !matches!(role, Person | Email) => return 0,
        _ => {}
    }
    // A title is given as one, not as what something is for or in.
    let is_given = matches!(opener, "named" | "called" | "titled" | "about" | "as");
    if role == Name
        && parameter.has_word(&["title", "name", "label", "heading"])
        && parameter.words.len() == 1
        && !is_given
    {
        return 0;
    }
    match (opener, role) {
        ("near" | "around", Place) => 9,
        ("in", Place)
        | ("by", Person)
        | ("about" | "regarding", Topic)
        | ("named" | "called" | "titled", Name) => 8,
        ("saying" | "says" | "reading", Body) => 10,
        ("saying" | "says" | "reading", Query)
        | ("named" | "called" | "titled", Path | Person)
        | ("to" | "into" | "in", Language) => 7,
        ("at", Place) | ("with" | "to", Person) => 6,
        ("for" | "of", Place) => 5,
        ("from" | "to" | "into" | "in" | "of" | "on", Path) | ("in" | "as", Unit | Currency) => 4,
        ("for" | "of" | "from", Person | Name | Topic)
        | ("for" | "about" | "of" | "on", Query)
        | ("with", Body) => 4,
        ("on" | "to" | "in", Name) | ("on", Topic) | ("to" | "from", Place) => 3,
        ("for" | "of" | "in" | "at" | "on" | "to" | "from", Plain) => 2,
        (_, Duration | Expression) => 0,
        _ => 0,
    }
}

/// The phrase's text without the word that names the parameter: "the general channel" → "general".
pub(super) fn without_parameter_word(
    reading: &Reading<'_>,
    content: &Range<usize>,
    parameter: &Parameter,
) -> Option<Range<usize>> {
    let inside: Vec<&Word> = reading
        .words
        .iter()
        .filter(|word| content.start <= word.range.start && word.range.end <= content.end)
        .collect();
    let names = |word: &Word| parameter.stems.contains(&word.stem) && !is_filler(&word.lower);
    match inside.as_slice() {
        [rest @ .., last] if !rest.is_empty() && names(last) => Some(content.start..rest.last()?.range.end),
        [first, rest @ ..] if !rest.is_empty() && names(first) => {
            let start = rest.first()?.range.start;
            let quoted = reading
                .things
                .iter()
                .find(|found| found.range.contains(&start) && found.range.end <= content.end);
            Some(quoted.map_or(start, |found| found.range.start)..content.end)
        }
        _ => None,
    }
}

/// The text of a phrase as the value of a parameter; `None` when it cannot be one.
pub(super) fn value_of(
    reading: &Reading<'_>,
    content: &Range<usize>,
    parameter: &Parameter,
) -> Option<String> {
    let exact = reading.things.iter().find(|found| found.range == *content);
    let text = match exact.map(|found| &found.thing) {
        Some(Thing::Quote(inside)) => inside.clone(),
        _ => reading.text[content.clone()].trim().trim_end_matches(['.', '?', '!', ',']).to_owned(),
    };
    match parameter.role {
        Role::Currency => {
            currency(&text).map(str::to_owned).or_else(|| (text.len() == 3).then(|| text.to_uppercase()))
        }
        Role::Unit => (text.split_whitespace().count() <= 3).then_some(text),
        Role::Url
        | Role::Email
        | Role::When
        | Role::Duration
        | Role::Expression
        | Role::Sql
        | Role::Color => None,
        // "a file in Linux" is in no file of that name, "the files in Documents" may be.
        Role::Path => {
            let is_folder = parameter.has_word(&["directory", "dir", "folder"]);
            let is_path = exact.is_some() || text.contains(['/', '.', '\\']) || is_folder;
            (is_path && (exact.is_some() || !text.contains(char::is_whitespace))).then_some(text)
        }
        _ => (!text.is_empty()).then_some(text),
    }
}
