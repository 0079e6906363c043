//! What a query says beyond the tool's name and the arguments that were taken from it.

use std::ops::Range;

use super::fill::ToolWords;
use super::parameters::Role;
use super::reading::{Reading, Thing, overlap};
use crate::search::words::Word;

/// Filler that only ties the tool's name to what it should work on.
const TIES: &str = "for about the a an of to up me my some that on with named called titled please us our any by into in \
    from at saying new is as";
const POLITE: &str = "please thanks thank you";

fn is_one_of(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|one| one == word)
}

/// The free text of a query: without the leading command, without what arguments took.
pub(super) fn remainder(
    reading: &Reading<'_>,
    used: &[Range<usize>],
    role: Role,
    tool_words: ToolWords<'_>,
) -> Option<FreeText> {
    let names_tool = tool_words.names;
    let free: Vec<&Word> =
        reading.words.iter().filter(|word| !used.iter().any(|range| overlap(range, &word.range))).collect();
    let quoted = |word: &Word| {
        reading.things.iter().any(|f| matches!(f.thing, Thing::Quote(_)) && overlap(&f.range, &word.range))
    };
    let mut first = command_length(&free, role, tool_words, &quoted);
    let mut last = free.len();
    // "what does X mean" asks for X.
    if let ([what, does, ..], Some(mean)) =
        (free.as_slice(), free.iter().position(|word| word.lower == "mean"))
        && what.lower == "what"
        && matches!(does.lower.as_str(), "does" | "do")
    {
        (first, last) = (2, mean);
    }
    while first < last && is_one_of(TIES, &free[first].lower) && !quoted(free[first]) {
        first += 1;
    }
    while first < last && is_trailing(free[last - 1], role, names_tool) && !quoted(free[last - 1]) {
        last -= 1;
    }
    last = without_closing_phrase(&free[first..last], tool_words.resembles) + first;
    if first >= last {
        return None;
    }
    Some(pieces(reading, used, &free[first..last]))
}

/// The ranges that make up a free text, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FreeText {
    pub(super) ranges: Vec<Range<usize>>,
    pub(super) text: String,
}

/// How many words the command takes: "please create a new note" in "please create a new note titled X".
fn command_length(
    free: &[&Word],
    role: Role,
    tool_words: ToolWords<'_>,
    quoted: &dyn Fn(&Word) -> bool,
) -> usize {
    let mut length = 0;
    let mut is_named = false;
    let mut i = 0;
    while let Some(word) = free.get(i) {
        // "find mails about X", "draw a picture of X": what resembles the tool's name and has its object behind it.
        let next_opens = free
            .get(i + 1)
            .is_some_and(|next| is_one_of("about of for called named titled that", &next.lower));
        let is_like = is_named && next_opens && (tool_words.resembles)(word);
        let is_tool = ((tool_words.names)(word) || is_like) && !quoted(word);
        let tied = i > 0 && is_one_of(TIES, &free[i - 1].lower);
        let next_ties = free.get(i + 1).is_none_or(|next| is_one_of(TIES, &next.lower) || quoted(next));
        if is_tool {
            // "search web development tutorials": the second word belongs to what is searched.
            if is_named && role == Role::Query && !tied && !next_ties {
                break;
            }
            is_named = true;
            length = i + 1;
        } else if !(is_named && is_one_of(TIES, &word.lower) || !is_named && word.is_filler()) || quoted(word)
        {
            break;
        }
        i += 1;
    }
    length
}

fn is_trailing(word: &Word, role: Role, names_tool: &dyn Fn(&Word) -> bool) -> bool {
    is_one_of(POLITE, &word.lower)
        || is_one_of("for to in on at of with from by about the", &word.lower)
        || (!matches!(role, Role::Query | Role::Body | Role::Topic) && (names_tool(word) || word.is_filler()))
}

/// Where "on the web" begins, when a text ends with such a phrase of nothing but words for the tool.
fn without_closing_phrase(words: &[&Word], names_tool: &dyn Fn(&Word) -> bool) -> usize {
    let mut start = words.len();
    let mut says_tool = false;
    while start > 0 {
        let word = words[start - 1];
        if is_one_of("on in from to", &word.lower) && says_tool {
            return start - 1;
        }
        if names_tool(word) {
            says_tool = true;
        } else if word.lower == "list" && start == words.len() {
            // "to my to-do list"
        } else if !is_one_of("the my", &word.lower) {
            break;
        }
        start -= 1;
    }
    words.len()
}

/// The text from the first to the last word, marks at its ends included where they belong to it.
fn pieces(reading: &Reading<'_>, used: &[Range<usize>], words: &[&Word]) -> FreeText {
    let text = reading.text;
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for word in words {
        let thing = reading.things.iter().find(|found| overlap(&found.range, &word.range));
        let range = thing.map_or(word.range.clone(), |found| {
            found.range.start.min(word.range.start)..found.range.end.max(word.range.end)
        });
        match ranges.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            Some(last) if !used.iter().any(|u| overlap(u, &(last.end..range.start))) => last.end = range.end,
            _ => ranges.push(range),
        }
    }
    // Marks that cling to the text: "C++", "#general", "@bob", "...)".
    if let Some(first) = ranges.first_mut() {
        let before = &text[..first.start];
        let clings =
            before.chars().next_back().filter(|c| matches!(c, '#' | '@' | '$' | '(' | '.' | '-' | '+'));
        first.start -= clings.map_or(0, char::len_utf8);
    }
    if let Some(last) = ranges.last_mut() {
        let clings = text[last.end..].chars().take_while(|c| matches!(c, '+' | '#' | ')' | '*' | '%'));
        last.end += clings.map(char::len_utf8).sum::<usize>();
    }
    let parts: Vec<&str> = ranges.iter().map(|range| text[range.clone()].trim()).collect();
    let joined = parts.join(" ");
    let text = match reading.things.iter().find(|found| ranges.len() == 1 && found.range == ranges[0]) {
        Some(found) => match &found.thing {
            Thing::Quote(inside) => inside.clone(),
            _ => joined,
        },
        None => joined,
    };
    FreeText { ranges, text }
}
