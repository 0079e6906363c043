//! Which number is for which parameter.
//!
//! Each pair of a number and a parameter gets points for what speaks for it: the counted
//! thing ("3 people" and `people`), the word before ("page 2"), a percent sign, a currency,
//! a unit of time. The best pairs are taken first; what is left goes to the required
//! parameters that are left, in the order of both.

use std::ops::Range;

use serde_json::{Number, Value};

use super::fill::Filling;
use super::numbers::{Figure, is_time_unit, time_unit};
use super::parameters::{Kind, Parameter, Role};
use super::reading::{Thing, overlap};
use crate::search::words::{Word, are_kin, is_filler};

/// What speaks strongly enough to fill a parameter that nobody has to fill.
const CLEAR: i32 = 3;

pub(super) fn assign(filling: &mut Filling<'_>) {
    let reading = filling.reading;
    let figures: Vec<(&Range<usize>, &Figure)> = reading
        .things
        .iter()
        .filter_map(|found| match &found.thing {
            Thing::Figure(figure) => Some((&found.range, figure)),
            _ => None,
        })
        .filter(|(range, _)| filling.is_free(range))
        .collect();
    let takes = |p: &Parameter| !p.is_list() && (p.takes_number() || is_counted_text(p));
    let open = filling.open(takes);
    let mut pairs: Vec<(i32, usize, usize)> = Vec::new();
    for &place in &open {
        for (f, (range, figure)) in figures.iter().enumerate() {
            let points = points(filling, &filling.parameters[place], range, figure);
            pairs.push((points, place, f));
        }
    }
    pairs.sort_by_key(|(points, place, f)| (-points, *place, *f));
    let mut is_taken = vec![false; figures.len()];
    for (points, place, f) in pairs.iter().copied() {
        if points >= CLEAR && filling.values[place].is_none() && !is_taken[f] {
            is_taken[f] = take(filling, place, &figures, f);
        }
    }
    for place in filling.open(|p| p.is_required && !p.is_list() && p.takes_number()) {
        let rest = pairs.iter().filter(|(points, at, f)| *at == place && *points > -CLEAR && !is_taken[*f]);
        if let Some(f) = rest.map(|(.., f)| *f).min() {
            is_taken[f] = take(filling, place, &figures, f);
        }
    }
    for place in filling.open(|p| p.is_list() && p.takes_number()) {
        let free = (0..figures.len()).filter(|&f| !is_taken[f]);
        let values: Vec<Value> = free.clone().map(|f| Value::Number(figures[f].1.value.clone())).collect();
        if !values.is_empty() {
            let ranges: Vec<Range<usize>> = free.map(|f| figures[f].0.clone()).collect();
            filling.values[place] = Some(values.into());
            filling.used.extend(ranges);
            break;
        }
    }
}

/// Texts that numbers may fill: "10 minutes" for a duration, "42" for an id.
fn is_counted_text(parameter: &Parameter) -> bool {
    parameter.kind == Kind::Text
        && (parameter.role == Role::Duration
            || parameter.has_word(&["id", "number", "no", "code", "zip", "amount", "quantity"]))
}

fn points(filling: &Filling<'_>, parameter: &Parameter, range: &Range<usize>, figure: &Figure) -> i32 {
    if parameter.kind == Kind::Integer && !figure.is_whole() && converted(parameter, figure).is_none() {
        return -100;
    }
    let mut points = 0;
    let is_rate = parameter.has_word(&[
        "percent",
        "percentage",
        "rate",
        "tip",
        "interest",
        "discount",
        "tax",
        "apr",
        "vat",
    ]);
    let names_percent = parameter.described.iter().any(|stem| stem == "percent");
    points += match (figure.is_percent, is_rate || names_percent) {
        (true, true) => 6,
        (true, false) => -4,
        (false, true) => -2,
        (false, false) => 0,
    };
    let is_money = parameter.has_word(&[
        "amount",
        "total",
        "price",
        "cost",
        "principal",
        "budget",
        "salary",
        "payment",
        "balance",
        "bill",
        "fee",
    ]);
    if figure.money.is_some() {
        points += if is_money { 4 } else { -2 };
    }
    points + by_unit(parameter, figure) + by_neighbours(filling, parameter, range)
}

/// What the word after the number says.
fn by_unit(parameter: &Parameter, figure: &Figure) -> i32 {
    let Some(unit) = &figure.unit else { return 0 };
    if parameter.stems.contains(&unit.stem) {
        return 8;
    }
    if is_time_unit(&unit.lower) {
        let matches = converted(parameter, figure).is_some() || parameter.role == Role::Duration;
        return if matches { 6 } else { -4 };
    }
    if parameter.described.contains(&unit.stem)
        || parameter.stems.iter().any(|stem| are_kin(stem, &unit.stem))
    {
        return 4;
    }
    let counts = ["limit", "count", "max", "top", "num", "n", "results", "size", "number"];
    if parameter.has_word(&counts)
        && matches!(unit.lower.as_str(), "result" | "results" | "items" | "entries" | "hits")
    {
        return 5;
    }
    if parameter.has_word(&["value", "amount", "quantity", "number"]) { 2 } else { -1 }
}

/// What the words around the number say: "page 2", "a bill of 2400", "top 5", "15 percent tip".
fn by_neighbours(filling: &Filling<'_>, parameter: &Parameter, range: &Range<usize>) -> i32 {
    let words = &filling.reading.words;
    let text = filling.reading.text;
    let near = |from: usize, to: usize| {
        to.saturating_sub(from) <= 12 && !text[from.min(to)..to].contains([',', ';', '.'])
    };
    let mut before =
        words.iter().rev().filter(|word| word.range.end <= range.start && near(word.range.end, range.start));
    let mut points = 0;
    let closest: Vec<&Word> = before.by_ref().take(3).collect();
    let telling =
        closest.iter().take_while(|w| is_filler(&w.lower) || !w.lower.bytes().all(|b| b.is_ascii_digit()));
    if let Some(word) = telling.into_iter().find(|word| !is_filler(&word.lower)) {
        if parameter.stems.contains(&word.stem) {
            points += 6;
        } else if parameter.described.contains(&word.stem) {
            points += 2;
        }
        let counts = ["limit", "count", "max", "top", "num", "n", "results", "size"];
        if parameter.has_word(&counts) && matches!(word.lower.as_str(), "top" | "first" | "last" | "latest") {
            points += 5;
        }
    }
    let after = words.iter().find(|word| word.range.start >= range.end && near(range.end, word.range.start));
    let is_unit = filling.reading.things.iter().any(|found| {
        matches!(&found.thing, Thing::Figure(figure) if found.range == *range && figure.unit.is_some())
    });
    if let Some(word) = after.filter(|word| !is_unit && !is_filler(&word.lower)) {
        points += if parameter.stems.contains(&word.stem) { 5 } else { 0 };
    }
    points
}

/// The number in the unit of time that a parameter's name or description asks for; `None` when it asks for none.
fn converted(parameter: &Parameter, figure: &Figure) -> Option<Number> {
    let seconds = figure.seconds()?;
    let by_name = parameter.words.iter().find_map(|word| time_unit(word).filter(|_| word.len() > 1));
    let by_description = || {
        let mut words = parameter.description.split(|c: char| !c.is_alphanumeric());
        words.find_map(|word| time_unit(word).filter(|_| word.len() > 3))
    };
    let is_time = parameter.role == Role::Duration
        || parameter.has_word(&["time", "delay", "timeout", "length", "duration", "ttl"]);
    let unit = by_name.or_else(|| by_description().filter(|_| is_time || parameter.is_required))?;
    let value = figure.value.as_f64()? * seconds / unit;
    if value.fract() == 0.0 && value.abs() < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within what f64 holds exactly")]
        return Some(Number::from(value as i64));
    }
    (parameter.kind == Kind::Number).then(|| Number::from_f64(value)).flatten()
}

/// Sets a parameter to a number; durations in several parts add up ("1 hour 30 minutes").
fn take(filling: &mut Filling<'_>, place: usize, figures: &[(&Range<usize>, &Figure)], f: usize) -> bool {
    let (range, figure) = figures[f];
    let parameter = &filling.parameters[place];
    let with_unit = |range: &Range<usize>, figure: &Figure| match &figure.unit {
        Some(unit) if parameter.kind == Kind::Text || is_consumed(parameter, figure, unit.stem.as_str()) => {
            range.start..unit.range.end
        }
        _ => range.clone(),
    };
    let whole = with_unit(range, figure);
    if parameter.kind == Kind::Text {
        let text = if parameter.role == Role::Duration { whole.clone() } else { range.clone() };
        let value = Value::from(filling.reading.text[text].trim_start_matches('#').to_owned());
        filling.set(place, value, whole);
        return true;
    }
    let value = match converted(parameter, figure) {
        Some(first) => {
            let more = figures[f + 1..].iter().find(|(next, second)| {
                second.seconds().is_some()
                    && filling.reading.text[whole.end..next.start]
                        .trim_matches([' ', ','])
                        .replace("and", "")
                        .trim()
                        .is_empty()
            });
            let second = more
                .and_then(|(range, second)| Some((converted(parameter, second)?, with_unit(range, second))));
            match second
                .and_then(|(number, range)| Some((first.as_i64()?.checked_add(number.as_i64()?)?, range)))
            {
                Some((sum, range)) => {
                    filling.used.push(range);
                    Number::from(sum)
                }
                None => first,
            }
        }
        None => whole_if_needed(figure, &parameter.kind),
    };
    if !filling.used.iter().any(|used| overlap(used, &whole)) {
        let whole = filling.with_belongings(place, whole);
        filling.set(place, Value::Number(value), whole);
        return true;
    }
    false
}

/// Whether the word after the number belongs to the argument and not to the free text.
fn is_consumed(parameter: &Parameter, figure: &Figure, unit_stem: &str) -> bool {
    parameter.stems.iter().any(|stem| stem == unit_stem || are_kin(stem, unit_stem))
        || parameter.described.iter().any(|stem| stem == unit_stem)
        || figure.seconds().is_some()
        || figure.unit.as_ref().is_some_and(|unit| is_time_unit(&unit.lower))
}

/// `3.0` for an integer is 3.
fn whole_if_needed(figure: &Figure, kind: &Kind) -> Number {
    match (kind, figure.value.as_f64()) {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within what f64 holds exactly")]
        (Kind::Integer, Some(value))
            if figure.value.is_f64() && value.fract() == 0.0 && value.abs() < 1e15 =>
        {
            Number::from(value as i64)
        }
        _ => figure.value.clone(),
    }
}
