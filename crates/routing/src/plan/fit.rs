//! How well a query fits one tool, from 0 to 1 and independent of all other tools.
//!
//! BM25's scores order the tools of one search, but say nothing across hubs with 15 or
//! 10,000 tools. This measure can be held against a fixed threshold:
//!
//! * *named*: how much of the tool's name the query says. Words that many names share
//!   ("get", "list", "data") count less.
//! * *covered*: how much of the query the tool explains, by its words or as arguments.
//! * *filled*: whether its required arguments stand in the query.

use std::collections::HashSet;

use jiff::civil::DateTime;

use crate::extract::{Filled, Parameters, Reading, ToolWords, fill, overlap};
use crate::search::Candidate;
use crate::search::words::{Word, are_kin, identifier_stems, identifier_words, stem, text_stems};

const NAMED_SHARE: f64 = 0.45;
const COVERED_SHARE: f64 = 0.35;
const FILLED_SHARE: f64 = 0.2;
/// For a value made for this very tool, such as a YouTube address for `youtube_url`.
const SPECIAL_BONUS: f64 = 0.1;
/// What a question for instructions loses ("how do I delete a file?"): it wants an explanation, not the deed.
const HOW_TO_COST: f64 = 0.35;
/// What a tool loses when the query wants another deed done to the same thing: "delete my notes" is not for `list_notes`.
const OTHER_DEED_COST: f64 = 0.25;
/// What a word counts that only stands for one of the tool's.
const KIN: f64 = 0.7;
/// What a word counts that stands in the description only.
const DESCRIBED: f64 = 0.7;
/// What a name counts that the query does not say, while it says what the description says.
const DESCRIBED_NAME: f64 = 0.6;
/// What a leading verb counts that only stands for the tool's: "google" for `search`.
const LEADING_KIN: f64 = 0.8;
/// What a word counts that became free text: any word can.
const FREE: f64 = 0.4;
/// What a word of a name counts that many names share.
const COMMON: f64 = 0.4;

const COMMON_WORDS: &str = "get list set create add make update delete remove read write show open find send run do use \
    new all text data info information detail item tool value content string result url web page by from with to api \
    query search manage handle fetch current";
/// Among the common words these name a deed so well that they count in full when they lead the query.
const CLEAR_VERBS: &str = "search fetch query";

/// How a query and a tool fit.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    pub(crate) confidence: f64,
    /// How much of the tool's name the query says, from 0 to 1.
    pub(crate) named: f64,
    /// How much of the query the tool explains, from 0 to 1.
    pub(crate) covered: f64,
    /// Whether a word of the query itself, not only what it implies, names the tool.
    pub(crate) is_said: bool,
    pub(crate) filled: Filled,
}

/// Measures how well a query fits a tool, and takes the arguments from it on the way.
pub(crate) fn fit(reading: &Reading<'_>, candidate: &Candidate, now: DateTime) -> Fit {
    let tool = &candidate.tool;
    let name = identifier_stems(tool.name.as_str());
    let name_words = identifier_words(tool.name.as_str());
    let title = text_stems(tool.title.as_deref().unwrap_or_default());
    let said: Vec<&Word> = reading.telling_words().collect();
    let resembles = |word: &Word| name.iter().any(|stem| *stem == word.stem || are_kin(stem, &word.stem));
    let names = |word: &Word| {
        name.contains(&word.stem)
            || said.first().is_some_and(|first| first.range == word.range) && resembles(word)
    };
    let schema = tool.input_schema.value();
    let parameters = Parameters::of(&schema);
    let filled = fill(reading, &parameters, now, ToolWords { names: &names, resembles: &resembles });

    let implied = reading.implied_stems();
    let server = identifier_stems(candidate.key.server.name.as_str());
    let (by_name, is_said) = named(&name, &said, &implied, &server);
    let by_name = if is_chance(&said, &name, &name_words) { by_name * KIN } else { by_name };
    let (by_title, _) = named(&title, &said, &implied, &server);
    let named = by_name.max(0.9 * by_title);

    let mut known: HashSet<String> = title.into_iter().collect();
    known.extend(text_stems(tool.description.as_deref().unwrap_or_default()));
    for parameter in &parameters.list {
        known.extend(parameter.stems.iter().chain(&parameter.described).cloned());
    }
    let named = named.max(DESCRIBED_NAME * by_description(&said, &name, &known, &filled));
    let covered = covered(reading, &said, &name, &known, &filled);

    let all_typed = filled.missing.is_empty() && filled.rest.is_empty();
    let fullness = match () {
        () if !filled.missing.is_empty() => 0.0,
        () if all_typed || parameters.required().next().is_none() => 1.0,
        () => 0.65,
    };
    let mut confidence = NAMED_SHARE * named + COVERED_SHARE * covered + FILLED_SHARE * fullness;
    if filled.is_special {
        confidence += SPECIAL_BONUS;
    }
    if asks_how_to(reading) && (!all_typed || filled.arguments.is_empty()) {
        confidence -= HOW_TO_COST;
    }
    if wants_other_deed(&said, &name, &known) {
        confidence -= OTHER_DEED_COST;
    }
    Fit { confidence, named, covered, is_said, filled }
}

/// How much of what is not an argument stands in the tool's description; nothing for a single word, which may be chance.
fn by_description(said: &[&Word], name: &[String], known: &HashSet<String>, filled: &Filled) -> f64 {
    let is_argument =
        |word: &&&Word| filled.used.iter().chain(&filled.rest).any(|range| overlap(range, &word.range));
    let is_known = |word: &&&Word| known.contains(&word.stem) || name.contains(&word.stem);
    let matched = said.iter().filter(is_known).count();
    let strange = said.iter().filter(|word| !is_known(word) && !is_argument(word)).count();
    if matched < 2 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few words")]
    let share = matched as f64 / (matched + strange) as f64;
    share
}

/// "meaning" and "mean" share a stem and no sense: a short name is only said by the word itself.
fn is_chance(said: &[&Word], name: &[String], name_words: &[String]) -> bool {
    let [only] = name_words else { return false };
    only.len() <= 4
        && said
            .iter()
            .filter(|word| name.contains(&word.stem))
            .all(|word| word.lower != *only && word.lower.trim_end_matches('s') != *only)
}

/// How much of a name is said, and whether a word of the query itself says some of it.
fn named(name: &[String], said: &[&Word], implied: &[String], server: &[String]) -> (f64, bool) {
    let (mut whole, mut matched, mut is_said) = (0.0, 0.0, false);
    let common: HashSet<String> = COMMON_WORDS.split_whitespace().map(stem).collect();
    let clear: HashSet<String> = CLEAR_VERBS.split_whitespace().map(stem).collect();
    let mut distinct: Vec<&String> = Vec::new();
    for part in name {
        if !distinct.contains(&part) {
            distinct.push(part);
        }
    }
    for (place, part) in distinct.iter().enumerate() {
        let leads = said.first().is_some_and(|word| word.stem == **part);
        let leads_in_kin = said.first().is_some_and(|word| are_kin(part, &word.stem));
        let weight = match () {
            // A prefix that repeats the server's name, as in `git_commit` of `git`.
            () if place == 0 && distinct.len() > 1 && server.contains(part) && !leads => 0.3,
            () if common.contains(*part) && !((leads || leads_in_kin) && clear.contains(*part)) => COMMON,
            () => 1.0,
        };
        whole += weight;
        let share = match () {
            () if said.iter().any(|word| word.stem == **part) => 1.0,
            () if leads_in_kin => LEADING_KIN,
            () if said.iter().any(|word| are_kin(part, &word.stem)) => KIN,
            () if implied.contains(part) => KIN,
            () => 0.0,
        };
        matched += weight * share;
        is_said |= said.iter().any(|word| word.stem == **part || are_kin(part, &word.stem));
    }
    (if whole > 0.0 { matched / whole } else { 0.0 }, is_said)
}

/// How much of the query the tool explains.
fn covered(
    reading: &Reading<'_>,
    said: &[&Word],
    name: &[String],
    known: &HashSet<String>,
    filled: &Filled,
) -> f64 {
    let is_in = |ranges: &[std::ops::Range<usize>], word: &std::ops::Range<usize>| {
        ranges.iter().any(|range| overlap(range, word))
    };
    let mut shares: Vec<f64> = Vec::new();
    for word in said {
        shares.push(match () {
            () if name.contains(&word.stem) || is_in(&filled.used, &word.range) => 1.0,
            () if name.iter().any(|part| are_kin(part, &word.stem)) => 0.9,
            () if known.contains(&word.stem) => DESCRIBED,
            () if is_in(&filled.rest, &word.range) => FREE,
            () => 0.0,
        });
    }
    for thing in &reading.things {
        shares.push(match () {
            () if is_in(&filled.used, &thing.range) => 1.0,
            () if is_in(&filled.rest, &thing.range) => FREE,
            () => 0.0,
        });
    }
    if shares.is_empty() {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few words")]
    let count = shares.len() as f64;
    shares.iter().sum::<f64>() / count
}

const DEEDS: &str = "create add make write save delete remove erase list show read open send update edit change rename \
    move copy search find start stop play set cancel close upload download install build draw paint sing buy sell clean \
    print sort count compare merge share call";

/// Whether the query begins with a deed that the tool does not know.
fn wants_other_deed(said: &[&Word], name: &[String], known: &HashSet<String>) -> bool {
    said.first().is_some_and(|word| {
        DEEDS.split_whitespace().any(|deed| stem(deed) == word.stem)
            && !known.contains(&word.stem)
            && !name.iter().any(|part| *part == word.stem || are_kin(part, &word.stem))
    })
}

fn asks_how_to(reading: &Reading<'_>) -> bool {
    let first: Vec<&str> = reading.words.iter().take(3).map(|word| word.lower.as_str()).collect();
    matches!(
        first.as_slice(),
        ["how", "to" | "do" | "can" | "does" | "should" | "would", ..]
            | ["why", ..]
            | ["explain", "how" | "why", ..]
    )
}
