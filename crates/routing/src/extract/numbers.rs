//! Numbers in a query: with units, as money, as percentages, in words.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Number;

use super::reading::pattern;
use crate::search::words::{Word, is_filler, stem};

/// A number as it stands in a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    /// Its value; whole numbers stay whole.
    pub(crate) value: Number,
    pub(crate) is_percent: bool,
    /// The currency of a sign before or after it.
    pub(crate) money: Option<&'static str>,
    /// The word that follows: a unit, or what is counted.
    pub(crate) unit: Option<Unit>,
}

/// The word after a number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unit {
    pub(crate) range: Range<usize>,
    pub(crate) lower: String,
    pub(crate) stem: String,
}

impl Figure {
    pub(crate) fn is_whole(&self) -> bool {
        self.value.is_i64()
            || self.value.is_u64()
            || self.value.as_f64().is_some_and(|value| value.fract() == 0.0)
    }

    pub(crate) fn seconds(&self) -> Option<f64> {
        time_unit(&self.unit.as_ref()?.lower)
    }

    /// What a tool that wants it may be called.
    pub(super) fn implied(&self) -> Vec<&'static str> {
        let unit = self.unit.as_ref().map(|unit| unit.lower.as_str());
        if self.is_percent {
            vec!["percent", "percentage"]
        } else if self.money.is_some() || unit.is_some_and(|unit| currency(unit).is_some()) {
            vec!["currency"]
        } else if unit.is_some_and(is_measure) {
            vec!["unit"]
        } else {
            Vec::new()
        }
    }
}

/// The most numbers of one text; what has more is data, not a request.
const MAX_FIGURES: usize = 64;

/// Seconds in a unit of time.
pub(crate) fn time_unit(word: &str) -> Option<f64> {
    Some(match word {
        "ms" | "millisecond" | "milliseconds" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}

/// Whether a word is a unit of time, also of those whose length differs.
pub(crate) fn is_time_unit(word: &str) -> bool {
    time_unit(word).is_some() || matches!(word, "month" | "months" | "year" | "years" | "yr" | "yrs")
}

const MEASURES: &str = "km kms kilometer kilometers kilometre kilometres mile miles mi meter meters metre metres cm mm \
    centimeter centimeters inch inches foot feet ft yard yards kg kgs kilogram kilograms kilo kilos gram grams g lb lbs \
    pound pounds ounce ounces oz stone ton tons tonne tonnes celsius fahrenheit kelvin c f liter liters litre litres l ml \
    milliliter milliliters gallon gallons pint pints cup cups quart quarts tablespoon tablespoons teaspoon teaspoons mph \
    kmh kph knots acre acres hectare hectares joule joules calories kcal watt watts kwh hp psi bar gb mb tb kb degrees";

/// Whether a word is a unit of measure.
pub(super) fn is_measure(word: &str) -> bool {
    MEASURES.split_whitespace().any(|measure| measure == word)
}

const CODES: &str = "USD EUR GBP JPY INR CHF CAD AUD NZD CNY HKD SGD KRW SEK NOK DKK PLN CZK HUF RUB BRL MXN ZAR TRY THB \
    IDR MYR PHP VND ILS AED SAR EGP NGN KES UAH RON BTC ETH";

/// The code of a currency that a word or sign names.
pub(crate) fn currency(word: &str) -> Option<&'static str> {
    Some(match word.to_lowercase().as_str() {
        "$" | "dollar" | "dollars" | "bucks" => "USD",
        "€" | "euro" | "euros" => "EUR",
        "£" | "sterling" | "quid" => "GBP",
        "¥" | "yen" => "JPY",
        "₹" | "rupee" | "rupees" => "INR",
        "franc" | "francs" => "CHF",
        "yuan" | "renminbi" => "CNY",
        "bitcoin" | "bitcoins" => "BTC",
        other => CODES.split_whitespace().find(|code| code.eq_ignore_ascii_case(other))?,
    })
}

static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)(?P<sign>[$€£¥₹]\s?)?(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)
          (?:(?P<scale>k\b|\s*(?:thousand|million|billion)\b))?
          (?P<percent>\s*(?:%|percent(?:age)?\b|per\s?cent\b|pct\b))?(?P<after>\s?[$€£¥₹])?",
    )
});

/// The numbers of a text, with digits and in words.
pub(super) fn find(text: &str, words: &[Word]) -> Vec<(Range<usize>, Figure)> {
    let mut found = Vec::new();
    for groups in NUMBER.captures_iter(text).take(4 * MAX_FIGURES) {
        let (Some(whole), Some(digits)) = (groups.get(0), groups.name("number")) else { continue };
        let before = text[..whole.start()].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.') {
            continue;
        }
        let letters: String = text[whole.end()..].chars().take_while(|c| c.is_alphanumeric()).collect();
        if letters.chars().any(|c| c.is_ascii_digit()) {
            continue; // part of an identifier, such as 4f9c2
        }
        let scale = groups.name("scale").map_or(1, |scale| scale_of(scale.as_str().trim()));
        let mut start = whole.start();
        let negative = before == Some('-') && is_sign(&text[..start - 1]);
        if negative {
            start -= 1;
        }
        let Some(value) = number(&digits.as_str().replace(',', ""), scale, negative) else { continue };
        let sign = groups.name("sign").or_else(|| groups.name("after"));
        let is_percent = groups.name("percent").is_some();
        let end = if sign.is_some() || is_percent { whole.end() } else { whole.end().max(digits.end()) };
        let unit = if is_percent { None } else { unit_after(text, end, words) };
        let money = sign.and_then(|sign| currency(sign.as_str().trim()));
        found.push((start..end, Figure { value, is_percent, money, unit }));
    }
    found.extend(in_words(text, words));
    found.truncate(MAX_FIGURES);
    found
}

/// A minus sign belongs to the number when nothing that could be subtracted from stands before it.
fn is_sign(before: &str) -> bool {
    before.chars().next_back().is_none_or(|c| c.is_whitespace() || c == '(')
        && !before.trim_end().ends_with(|c: char| c.is_ascii_digit() || c == ')')
}

fn scale_of(word: &str) -> i64 {
    match word.to_ascii_lowercase().as_str() {
        "k" | "thousand" => 1_000,
        "million" => 1_000_000,
        "billion" => 1_000_000_000,
        _ => 1,
    }
}

fn number(digits: &str, scale: i64, negative: bool) -> Option<Number> {
    let sign = if negative { -1 } else { 1 };
    if let Ok(whole) = digits.parse::<i64>() {
        return whole.checked_mul(scale * sign).map(Number::from);
    }
    #[expect(clippy::cast_precision_loss, reason = "a scale is at most a billion")]
    let value = digits.parse::<f64>().ok()? * (scale * sign) as f64;
    if value.fract() == 0.0 && value.abs() < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within what f64 holds exactly")]
        return if digits.contains('.') && scale == 1 {
            Number::from_f64(value)
        } else {
            Some(Number::from(value as i64))
        };
    }
    Number::from_f64(value)
}

/// The word right after a number: `100 km`, `100km`, `10-year`.
fn unit_after(text: &str, end: usize, words: &[Word]) -> Option<Unit> {
    let rest = &text[end..];
    let gap = rest.len() - rest.trim_start_matches([' ', '-', '°', '\u{a0}']).len();
    if gap > 2 + '°'.len_utf8() {
        return None;
    }
    let word = words.get(words.partition_point(|word| word.range.end <= end + gap))?;
    let range = word.range.start.max(end + gap)..word.range.end;
    if range.start != end + gap || matches!(&text[range.clone()], "st" | "nd" | "rd" | "th") {
        return None;
    }
    let lower = text[range.clone()].to_lowercase();
    let is_word = lower.chars().all(|c| c.is_alphabetic() || c == '\'') && !is_filler(&lower);
    is_word.then(|| Unit { range, stem: stem(&lower), lower })
}

/// The value of a small number in words or digits.
pub(crate) fn small_number(word: &str) -> Option<i64> {
    const SMALL: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let place =
        |list: &[&str]| list.iter().position(|name| *name == word).and_then(|at| i64::try_from(at).ok());
    place(&SMALL)
        .or_else(|| place(&TENS).map(|tens| (tens + 2) * 10))
        .or_else(|| (word == "dozen").then_some(12))
        .or_else(|| word.parse().ok())
}

/// Numbers in words: "three people", "twenty five", "two hundred".
fn in_words(text: &str, words: &[Word]) -> Vec<(Range<usize>, Figure)> {
    let mut found = Vec::new();
    let mut i = 0;
    while i < words.len() {
        let start = i;
        let spelled =
            |word: &Word| small_number(&word.lower).filter(|_| word.lower.starts_with(char::is_alphabetic));
        let Some(mut value) = spelled(&words[i]) else {
            i += 1;
            continue;
        };
        // "one" is mostly a pronoun.
        if value == 1
            && !words
                .get(i + 1)
                .is_some_and(|next| time_unit(&next.lower).is_some() || is_measure(&next.lower))
        {
            i += 1;
            continue;
        }
        i += 1;
        if value >= 20
            && value % 10 == 0
            && let Some(ones) = words.get(i).and_then(spelled).filter(|ones| (1..10).contains(ones))
        {
            value += ones;
            i += 1;
        }
        for (word, factor) in [("hundred", 100), ("thousand", 1_000), ("million", 1_000_000)] {
            if words.get(i).is_some_and(|next| next.lower == word) {
                value = value.saturating_mul(factor);
                i += 1;
            }
        }
        let mut end = words[i - 1].range.end;
        let is_percent = words.get(i).is_some_and(|next| next.lower.starts_with("percent"));
        if is_percent {
            end = words[i].range.end;
        }
        let unit = if is_percent { None } else { unit_after(text, end, words) };
        found.push((
            words[start].range.start..end,
            Figure { value: value.into(), is_percent, money: None, unit },
        ));
    }
    found
}
