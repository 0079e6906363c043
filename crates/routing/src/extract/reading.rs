//! What stands in a query: its words, and the things in it that have a type of their own.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::arithmetic;
use super::dates::{self, When};
use super::numbers::{self, Figure};
use crate::search::words::{Word, is_filler, stem, words};

/// Something in a query that has a type of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Thing {
    /// The inside of quotation marks.
    Quote(String),
    /// An address with a scheme, or `www.…`.
    Url(String),
    /// A bare host name, such as `example.com`, perhaps with a path.
    Host(String),
    /// An e-mail address.
    Email(String),
    /// A file or folder.
    Path(String),
    /// A date, a time of day, or both.
    When(When),
    /// A UUID.
    Uuid(String),
    /// A colour as `#rrggbb`.
    Color(String),
    /// A statement of SQL, to the end of the query.
    Sql(String),
    /// A number, perhaps with a unit, as money or as a percentage.
    Figure(Figure),
}

/// A thing and its place in the query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) range: Range<usize>,
    pub(crate) thing: Thing,
}

/// A query as it was read.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) text: &'a str,
    pub(crate) words: Vec<Word>,
    /// In order, without overlap.
    pub(crate) things: Vec<Found>,
    /// Arithmetic, which overlaps the figures that it is made of.
    pub(crate) expression: Option<Expression>,
}

/// The longest piece of arithmetic in a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expression {
    pub(crate) range: Range<usize>,
    /// Whether it can hardly be anything else. `10-3` and `24/7` can.
    pub(crate) is_plain: bool,
}

/// The most things of one text; what has more is data, not a request.
const MAX_THINGS: usize = 200;

/// Compiles a pattern that is part of this program.
pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of ours compiles")
}

static URL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?i)\b(?:(?:https?|ftp|file)://|www\.)[^\s<>"'`“”]+"#));
static EMAIL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b[a-z0-9][a-z0-9._%+-]*@[a-z0-9-]+(?:\.[a-z0-9-]+)+\b"));
static HOST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:[a-z0-9][a-z0-9-]*\.)+(?:com|org|net|io|dev|edu|gov|ai|app|info|co|eu|uk|de|fr|es|it|nl|ch|at|us|ca|jp|tv|xyz)\b(?:/[^\s<>]*)?",
    )
});
static UUID: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"));
static COLOR: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)#(?:[0-9a-f]{6}|[0-9a-f]{3})\b"));
/// In capitals: people who type SQL type it so, and "select a gift from the list" is none.
static SQL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?s)\b(?:SELECT\s.+|INSERT\s+INTO\s.+|UPDATE\s+\S+\s+SET\s.+|DELETE\s+FROM\s.+|(?:CREATE|ALTER|DROP)\s+TABLE\s.+|WITH\s+\w+\s+AS\s.+)",
    )
});
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?:^|[\s(=:])((?:~|\.{1,2})?/[\w.@+~-][^\s"'`<>|]*|[A-Za-z]:\\[^\s"'`<>|]*|[\w.@+-]+(?:/[\w.@+-]+)+/?|[\w.@+-]*[\w-]\.(?:txt|md|csv|tsv|json|jsonl|yaml|yml|toml|xml|html?|css|jsx?|tsx?|py|rs|go|java|kt|rb|php|c|h|cpp|hpp|cs|swift|sh|sql|log|ini|cfg|conf|env|pdf|docx?|xlsx?|pptx?|odt|png|jpe?g|gif|svg|webp|bmp|mp3|mp4|wav|flac|mov|avi|mkv|zip|tar|gz|tgz|7z|db|sqlite|ipynb|tex|bak|lock))(?:$|[\s),;:!?"'`]|\.(?:$|\s))"#,
    )
});

impl<'a> Reading<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let mut things: Vec<Found> = Vec::new();
        let mut add = |range: Range<usize>, thing: Thing| {
            let free =
                things.iter().all(|other| other.range.end <= range.start || range.end <= other.range.start);
            if free && !range.is_empty() && things.len() < MAX_THINGS {
                things.push(Found { range, thing });
            }
        };
        for (range, inside) in quotes(text) {
            add(range, quoted(inside));
        }
        for found in URL.find_iter(text) {
            let url = without_final_marks(found.as_str());
            add(found.start()..found.start() + url.len(), Thing::Url(url.to_owned()));
        }
        for found in EMAIL.find_iter(text) {
            add(found.range(), Thing::Email(found.as_str().to_owned()));
        }
        if let Some(found) = SQL.find(text) {
            let sql = found.as_str().trim_end();
            add(found.start()..found.start() + sql.len(), Thing::Sql(sql.to_owned()));
        }
        for found in UUID.find_iter(text) {
            add(found.range(), Thing::Uuid(found.as_str().to_owned()));
        }
        for found in COLOR.find_iter(text).filter(|found| is_color(found.as_str())) {
            add(found.range(), Thing::Color(found.as_str().to_owned()));
        }
        for (range, when) in dates::find(text) {
            add(range, Thing::When(when));
        }
        for found in HOST.find_iter(text) {
            let host = without_final_marks(found.as_str());
            add(found.start()..found.start() + host.len(), Thing::Host(host.to_owned()));
        }
        for range in paths(text) {
            add(range.clone(), Thing::Path(text[range].to_owned()));
        }
        let mut words = words(text);
        read_meaning(&mut words);
        for (range, figure) in numbers::find(text, &words) {
            add(range, Thing::Figure(figure));
        }
        things.sort_by_key(|found| found.range.start);
        let expression = arithmetic::expression(text).filter(|expression| {
            let inside = |found: &Found| {
                !matches!(found.thing, Thing::Figure(_)) && overlap(&found.range, &expression.range)
            };
            !things.iter().any(inside)
        });
        Self { text, words, things, expression }
    }

    /// The stems of its words, without filler and without what stands in things: an address says
    /// nothing about the tool. When nothing is left, the things' words count after all.
    pub(crate) fn stems(&self) -> Vec<String> {
        let mut outside: Vec<String> = self.telling_words().map(|word| word.stem.clone()).collect();
        if outside.is_empty() && self.expression.is_none() {
            let inside = self.words.iter().filter(|word| !word.is_filler() && !is_number(&word.lower));
            outside.extend(inside.map(|word| word.stem.clone()));
        }
        outside
    }

    /// The words that may tell which tool is meant.
    pub(crate) fn telling_words(&self) -> impl Iterator<Item = &Word> {
        self.words
            .iter()
            .filter(|word| !word.is_filler() && !is_number(&word.lower) && !self.is_in_thing(&word.range))
    }

    /// "how many miles are 5 km": a measured number and another unit.
    fn is_conversion(&self) -> bool {
        let measured = self.things.iter().find_map(|found| match &found.thing {
            Thing::Figure(figure) => figure.unit.as_ref().filter(|unit| numbers::is_measure(&unit.lower)),
            _ => None,
        });
        measured.is_some_and(|unit| {
            let other = |word: &Word| {
                word.range != unit.range && word.lower.len() > 1 && numbers::is_measure(&word.lower)
            };
            self.words.iter().any(other)
        })
    }

    fn is_in_thing(&self, range: &Range<usize>) -> bool {
        self.things
            .iter()
            .any(|found| overlap(&found.range, range) && !matches!(found.thing, Thing::Figure(_)))
    }

    /// Stems that its things stand for: who writes an address and nothing else means "fetch".
    pub(crate) fn implied_stems(&self) -> Vec<String> {
        let mut implied: Vec<&str> = Vec::new();
        for found in &self.things {
            match &found.thing {
                Thing::Url(url) if is_video(url) => implied.extend(["url", "video", "youtube"]),
                Thing::Url(_) | Thing::Host(_) => implied.extend(["url", "page", "website"]),
                Thing::Email(_) => implied.push("email"),
                Thing::Path(_) => implied.extend(["file", "path"]),
                Thing::Sql(_) => implied.extend(["sql", "query", "database"]),
                Thing::Color(_) => implied.push("color"),
                Thing::Figure(figure) => implied.extend(figure.implied()),
                Thing::Quote(_) | Thing::When(_) | Thing::Uuid(_) => {}
            }
        }
        if self.is_conversion() {
            implied.extend(["convert", "unit"]);
        }
        if self.expression.as_ref().is_some_and(|expression| expression.is_plain) {
            implied.extend(["calculate", "expression"]);
        }
        let mut stems: Vec<String> = implied.into_iter().map(stem).collect();
        stems.sort();
        stems.dedup();
        stems
    }
}

/// In "what does X mean" the word asks for a definition and is no average.
fn read_meaning(words: &mut [Word]) {
    let asks = words.iter().take(3).any(|word| matches!(word.lower.as_str(), "does" | "do" | "did"));
    if let Some(mean) = words.iter_mut().find(|word| asks && word.lower == "mean") {
        mean.stem = stem("define");
    }
}

/// The paths in a text.
fn paths(text: &str) -> Vec<Range<usize>> {
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(found) = PATH.captures_at(text, at).and_then(|groups| groups.get(1)) {
        // The mark after one path may be the mark before the next.
        at = found.end();
        let path = without_final_marks(found.as_str());
        if is_path(path) {
            paths.push(found.start()..found.start() + path.len());
        }
        if paths.len() >= MAX_THINGS {
            break;
        }
    }
    paths
}

pub(crate) fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

fn is_number(lower: &str) -> bool {
    lower.bytes().all(|b| b.is_ascii_digit())
}

fn is_video(url: &str) -> bool {
    let url = url.to_ascii_lowercase();
    ["youtube.com", "youtu.be", "vimeo.com"].iter().any(|host| url.contains(host))
}

/// `#123` is a number of something, `#a1b2c3` a colour.
fn is_color(text: &str) -> bool {
    text.len() == 7 || text[1..].bytes().any(|b| b.is_ascii_alphabetic())
}

/// `and/or`, `24/7` and `km/h` are no paths; `src/main.rs`, `feature/login` and `/tmp` are.
fn is_path(path: &str) -> bool {
    if !path.chars().any(char::is_alphabetic) {
        return false;
    }
    if path.starts_with(['/', '~', '.']) || path.contains('\\') || path.contains('.') {
        return true;
    }
    path.split('/').all(|part| part.len() > 2 && !is_filler(&part.to_lowercase()))
}

fn without_final_marks(text: &str) -> &str {
    let mut text = text.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '"']);
    while text.ends_with(')') && text.matches(')').count() > text.matches('(').count() {
        text = text[..text.len() - 1].trim_end_matches(['.', ',', ';', ':', '!', '?']);
    }
    text
}

/// What a quotation is, by its inside.
fn quoted(inside: &str) -> Thing {
    let whole = |pattern: &Regex| pattern.find(inside).is_some_and(|found| found.len() == inside.len());
    if whole(&URL) {
        Thing::Url(inside.to_owned())
    } else if whole(&EMAIL) {
        Thing::Email(inside.to_owned())
    } else {
        Thing::Quote(inside.to_owned())
    }
}

/// The quotations in a text: the range with its marks, and the inside.
fn quotes(text: &str) -> Vec<(Range<usize>, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut unclosed: Vec<char> = Vec::new();
    while let Some(open) = text[at..].chars().next() {
        let start = at;
        at += open.len_utf8();
        let Some(closing) = closing_mark(open).filter(|_| !unclosed.contains(&open)) else { continue };
        let before = text[..start].chars().next_back();
        // An apostrophe stands after a letter, an opening mark does not.
        if open == '\'' && before.is_some_and(char::is_alphanumeric) {
            continue;
        }
        let end = text[at..].char_indices().find(|&(offset, c)| {
            let after = text[at + offset + c.len_utf8()..].chars().next();
            closing.contains(&c) && !(c == '\'' && after.is_some_and(char::is_alphanumeric))
        });
        if end.is_none() {
            unclosed.push(open);
        }
        if let Some((length, mark)) = end {
            let inside = &text[at..at + length];
            at += length + mark.len_utf8();
            if !inside.trim().is_empty() {
                found.push((start..at, inside));
            }
        }
    }
    found
}

fn closing_mark(open: char) -> Option<&'static [char]> {
    match open {
        '"' => Some(&['"']),
        '“' => Some(&['”', '"']),
        '„' => Some(&['“', '”']),
        '«' => Some(&['»']),
        '‘' => Some(&['’']),
        '`' => Some(&['`']),
        '\'' => Some(&['\'']),
        '「' => Some(&['」']),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let reading = Reading::of(text);
        let found: Vec<String> = reading
            .things
            .iter()
            .map(|found| match &found.thing {
                Thing::Figure(_) | Thing::When(_) => text[found.range.clone()].to_owned(),
                Thing::Quote(inside) => format!("quote:{inside}"),
                Thing::Url(url) => format!("url:{url}"),
                Thing::Host(host) => format!("host:{host}"),
                Thing::Email(email) => format!("email:{email}"),
                Thing::Path(path) => format!("path:{path}"),
                Thing::Uuid(_) => "uuid".to_owned(),
                Thing::Color(color) => format!("color:{color}"),
                Thing::Sql(sql) => format!("sql:{sql}"),
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn things_are_found_with_their_types() {
        check("open (https://example.com/a?b=1).", &["url:https://example.com/a?b=1"]);
        check("mail bob.m@mail.example.org, please", &["email:bob.m@mail.example.org"]);
        check("what's on example.com today", &["host:example.com", "today"]);
        check("read /tmp/a b.txt and src/main.rs.", &["path:/tmp/a", "path:b.txt", "path:src/main.rs"]);
        check("and/or 24/7 km/h", &["24", "7"]);
        check("set it to #ff0080, issue #123", &["color:#ff0080", "123"]);
        check("run SELECT * FROM users WHERE id = 3", &["sql:SELECT * FROM users WHERE id = 3"]);
        check("say 'I'll be late' or “no” it's fine", &["quote:I'll be late", "quote:no"]);
    }

    #[test]
    fn an_unclosed_quote_is_no_quote() {
        check("the 5\" screen and rock 'n roll", &["5"]);
        check("\"", &[]);
    }

    #[test]
    fn arithmetic_is_found_where_it_can_be_nothing_else() {
        for (text, expected, plain) in [
            ("calculate 42 * 58", Some("42 * 58"), true),
            ("what is 15% of 8500?", Some("15% of 8500"), true),
            ("calculate (3 + 4) * sqrt(16), please", Some("(3 + 4) * sqrt(16)"), true),
            ("12 divided by 4", Some("12 divided by 4"), true),
            ("the square root of 144", Some("square root of 144"), true),
            ("what is 2^10", Some("2^10"), true),
            ("open 24/7", Some("24/7"), false),
            ("calculate 10-3", Some("10-3"), false),
            ("split a bill of 2400 among 3 people with 15 percent tip", None, false),
            ("convert 100 km to miles", None, false),
            ("on 2026-05-01 at 10:30", None, false),
        ] {
            let reading = Reading::of(text);
            let found = reading.expression.as_ref().map(|e| (&text[e.range.clone()], e.is_plain));
            assert_eq!(found, expected.map(|text| (text, plain)), "{text}");
        }
    }
}
