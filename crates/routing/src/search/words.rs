//! Words of queries and of tools: split, lowered, stemmed, and freed of filler.
//!
//! Both sides go through the same functions, so that `splitBill`, `split_bill` and
//! "splitting the bills" meet in the same stems.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

/// One word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Where it stands, in bytes.
    pub(crate) range: Range<usize>,
    /// In lower case.
    pub(crate) lower: String,
    /// Its stem.
    pub(crate) stem: String,
}

impl Word {
    pub(crate) fn is_filler(&self) -> bool {
        is_filler(&self.lower)
    }
}

/// Words that say nothing about which tool is meant.
const FILLERS: &str = "a about above after again all also am among an and any are aren't as at be been before \
    being below between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down \
    during each either else etc few for from further had has have having he hello her here hers hey hi him his \
    how how's i i'd i'll i'm i've if in into is isn't it it's its itself just kindly let let's like may me might \
    more most much must my myself need needs no nor not now of off ok okay on once only or other our ours out \
    over own per please quickly really same shall she should so some such thank thanks than that that's the \
    their theirs them then there there's these they this those through to too under until up us very via want \
    wanna was we were what what's whats when where where's which while who who's whom why will with within \
    without won't would yes you your yours yourself actually maybe gonna got gimme tell give";

static FILLER_SET: LazyLock<HashSet<&'static str>> = LazyLock::new(|| FILLERS.split_whitespace().collect());

/// Whether a lower-case word is filler: articles, pronouns, prepositions, politeness, question words.
pub(crate) fn is_filler(lower: &str) -> bool {
    FILLER_SET.contains(lower.replace('’', "'").as_str())
}

/// Groups of words that people and tools use for one another.
///
/// A match through such a group counts less than the word itself, so the groups may be generous.
const KIN: &[&str] = &[
    "search find lookup look google query",
    "create add make new insert compose draft generate draw paint",
    "move rename",
    "mean average",
    "write save create",
    "save store",
    "delete remove erase drop cancel discard",
    "list show display",
    "get fetch retrieve download",
    "get show display view",
    "read open view show cat",
    "visit open fetch browse",
    "calculate compute evaluate solve math arithmetic calculator sum plus minus times divided multiply",
    "convert conversion exchange",
    "translate translation",
    "summarize summarise summary tldr",
    "send deliver",
    "email mail inbox",
    "message text sms dm",
    "post publish",
    "picture image photo",
    "movie film",
    "meeting event appointment calendar",
    "song music track tune",
    "play listen",
    "folder directory",
    "weather rain raining snow snowing sunny temperature hot cold umbrella",
    "forecast weather rain raining snow snowing sunny",
    "remind reminder",
    "timer countdown",
    "alarm wake",
    "price cost quote worth",
    "stock share",
    "direction route navigate",
    "distance far",
    "repo repository",
    "pr pull",
    "issue bug ticket",
    "task todo",
    "note memo",
    "change edit modify update rename",
    "buy purchase order",
    "book reserve reservation booking",
    "restaurant cafe hotel shop bar dinner lunch place",
    "flight fly plane",
    "loan mortgage instalment installment emi",
    "percentage percent",
    "split divide share",
    "time clock",
    "currency money",
    "define definition meaning dictionary",
    "random dice roll",
    "light lamp",
    "run execute",
    "video clip",
    "transcript caption subtitle",
    "page website site",
    "spell grammar",
];

static KIN_OF: LazyLock<HashMap<String, HashSet<String>>> = LazyLock::new(|| {
    let mut kin: HashMap<String, HashSet<String>> = HashMap::new();
    for group in KIN {
        let stems: Vec<String> = group.split_whitespace().map(stem).collect();
        for one in &stems {
            let others = stems.iter().filter(|other| *other != one).cloned();
            kin.entry(one.clone()).or_default().extend(others);
        }
    }
    kin
});

/// The stems that may stand for a stem, itself not among them.
pub(crate) fn kin(of: &str) -> impl Iterator<Item = &'static str> {
    KIN_OF.get(of).into_iter().flatten().map(String::as_str)
}

/// Whether two stems may stand for one another.
pub(crate) fn are_kin(one: &str, other: &str) -> bool {
    KIN_OF.get(one).is_some_and(|kin| kin.contains(other))
}

/// The stem of a lower-case word. English only: other languages mostly pass unchanged.
pub(crate) fn stem(lower: &str) -> String {
    // The stemmer is a table and a few flags: making one costs nothing.
    Stemmer::create(Algorithm::English).stem(lower).into_owned()
}

/// The words of a text with their places. A run of Han, Kana or Hangul gives its pairs of characters,
/// since nothing between them says where a word ends.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let mut from = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let inside = c.is_alphanumeric() || (is_apostrophe(c) && from.is_some());
        match (from, inside) {
            (None, true) => from = Some(at),
            (Some(start), false) => {
                push_run(text, start..at, &mut found);
                from = None;
            }
            _ => {}
        }
    }
    join_hyphened(&mut found, text);
    found
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’')
}

fn push_run(text: &str, range: Range<usize>, found: &mut Vec<Word>) {
    let run = text[range.clone()].trim_end_matches(is_apostrophe);
    if run.chars().any(is_unspaced) {
        push_pairs(run, range.start, found);
        return;
    }
    let range = range.start..range.start + run.len();
    let lower = run.to_lowercase();
    let stem = stem(lower.trim_end_matches("'s").trim_end_matches("’s"));
    found.push(Word { range, lower, stem });
}

fn push_pairs(run: &str, start: usize, found: &mut Vec<Word>) {
    let places: Vec<(usize, char)> = run.char_indices().collect();
    let last = places.len().saturating_sub(1).max(1);
    for (i, (at, _)) in places.iter().enumerate().take(last) {
        let end = places.get(i + 2).map_or(run.len(), |(at, _)| *at);
        // Each stands for its first character, so that the ranges of words never overlap.
        let own_end = places.get(i + 1).filter(|_| i + 1 < last).map_or(run.len(), |(at, _)| *at);
        let lower = run[*at..end].to_lowercase();
        found.push(Word { range: start + at..start + own_end, stem: lower.clone(), lower });
    }
}

fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7af | 0x0e00..=0x0e7f)
}

/// `e-mail` and `to-do` are one word, everywhere.
fn join_hyphened(found: &mut Vec<Word>, text: &str) {
    let mut i = 0;
    while i + 1 < found.len() {
        let (one, other) = (&found[i], &found[i + 1]);
        let is_one = one.lower == "e" && other.lower.starts_with("mail")
            || one.lower == "to" && matches!(other.lower.as_str(), "do" | "dos");
        if is_one && &text[one.range.end..other.range.start] == "-" {
            let next = found.remove(i + 1);
            let lower = format!("{}{}", found[i].lower, next.lower);
            found[i] = Word { range: found[i].range.start..next.range.end, stem: stem(&lower), lower };
        }
        i += 1;
    }
}

/// The words of an identifier: `getUserByID`, `get_user-by id` and `GET_USER` all split.
pub(crate) fn identifier_words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (i, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            continue;
        }
        let before = i.checked_sub(1).map(|i| chars[i]);
        let hump = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase()
                    || b.is_ascii_digit()
                    || (b.is_uppercase() && chars.get(i + 1).is_some_and(|n| n.is_lowercase()))
            });
        if hump && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        word.extend(c.to_lowercase());
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The stems of an identifier, filler left out.
pub(crate) fn identifier_stems(name: &str) -> Vec<String> {
    identifier_words(name).iter().filter(|word| !is_filler(word)).map(|word| stem(word)).collect()
}

/// The stems of a text for the index, filler left out; identifiers within it are split too.
pub(crate) fn text_stems(text: &str) -> Vec<String> {
    let mut stems = Vec::new();
    for word in words(text) {
        if word.is_filler() {
            continue;
        }
        let parts = identifier_words(&text[word.range.clone()]);
        if parts.len() > 1 {
            stems.extend(parts.iter().filter(|part| !is_filler(part)).map(|part| stem(part)));
        }
        stems.push(word.stem);
    }
    stems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_split_at_humps_and_separators() {
        for (name, words) in [
            ("getUserByID", "get user by id"),
            ("HTTPServer", "http server"),
            ("split_bill", "split bill"),
            ("list-all.files", "list all files"),
            ("mp3ToWav", "mp3 to wav"),
            ("ÜberTool", "über tool"),
        ] {
            assert_eq!(identifier_words(name).join(" "), words, "{name}");
        }
    }

    #[test]
    fn inflected_words_meet_in_one_stem() {
        for (one, other) in
            [("splitting", "split"), ("calculator", "calculate"), ("reminder", "remind"), ("notes", "note")]
        {
            assert_eq!(stem(one), stem(other), "{one} {other}");
        }
    }

    #[test]
    fn filler_never_reaches_the_index() {
        assert!(text_stems("the a of what's I'll you").is_empty());
    }

    #[test]
    fn e_mail_is_one_word() {
        let lower: Vec<String> = words("an E-mail to e-mails").into_iter().map(|w| w.lower).collect();
        assert_eq!(lower, ["an", "email", "to", "emails"]);
    }

    #[test]
    fn unspaced_scripts_give_pairs_and_ranges_are_on_characters() {
        let text = "天気予報 für Zürich’s 🦀";
        for word in words(text) {
            assert!(text.get(word.range.clone()).is_some());
        }
        assert_eq!(text_stems("天気予報"), ["天気", "気予", "予報"]);
    }
}
