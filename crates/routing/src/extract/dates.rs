//! Dates and times of day in a query.

use std::ops::Range;
use std::sync::LazyLock;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time, Weekday};
use regex::{Captures, Regex};

use super::numbers::small_number;
use super::reading::pattern;

/// A date, a time of day, or both, as a person says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct When {
    pub(crate) day: Option<Day>,
    pub(crate) time: Option<Time>,
    /// Where the day stands.
    pub(crate) day_range: Range<usize>,
    /// Where the time stands.
    pub(crate) time_range: Range<usize>,
}

/// A day as a person says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Day {
    On(Date),
    /// Days from today.
    In(i64),
    /// The next such day after today.
    Next(Weekday),
    /// This day of the year, this year or the next.
    Yearly {
        month: i8,
        day: i8,
    },
    /// `03/04/2026`: nobody can say which is the month.
    Unclear,
}

impl When {
    /// The date that is meant, as seen from `now`; `None` when it is not said or not clear.
    pub(crate) fn date(&self, now: DateTime) -> Option<Date> {
        let today = now.date();
        match self.day.as_ref()? {
            Day::On(date) => Some(*date),
            Day::In(days) => today.checked_add((*days).days()).ok(),
            Day::Next(weekday) => today.nth_weekday(1, *weekday).ok(),
            Day::Yearly { month, day } => {
                let this_year = Date::new(today.year(), *month, *day).ok()?;
                if this_year >= today {
                    Some(this_year)
                } else {
                    Date::new(today.year() + 1, *month, *day).ok()
                }
            }
            Day::Unclear => None,
        }
    }

    /// Date and time; a time alone is the next such time, a date alone is none.
    pub(crate) fn date_time(&self, now: DateTime) -> Option<DateTime> {
        let time = self.time?;
        match self.day {
            Some(_) => Some(self.date(now)?.to_datetime(time)),
            None if now.date().to_datetime(time) > now => Some(now.date().to_datetime(time)),
            None => Some(now.date().tomorrow().ok()?.to_datetime(time)),
        }
    }
}

const MONTHS: &str = "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?";
/// In full: "sun" and "sat" are words of their own.
const WEEKDAYS: &str = "monday|tues(?:day)?|wednesday|thurs(?:day)?|friday|saturday|sunday";

static DAY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?ix)\b(?:
          (?P<iso>\d{{4}}-\d{{2}}-\d{{2}})
        | (?P<dotted>\d{{1,2}}\.\d{{1,2}}\.\d{{4}})
        | (?P<slashed>\d{{1,2}}/\d{{1,2}}/\d{{4}})
        | (?:(?P<m1>{MONTHS})\.?\s+(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(?P<y1>\d{{4}}))?)
        | (?:(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m2>{MONTHS})(?:,?\s+(?P<y2>\d{{4}}))?)
        | (?P<named>the\s+day\s+after\s+tomorrow|day\s+after\s+tomorrow|today|tomorrow|yesterday|tonight)
        | (?:in\s+(?P<count>\d{{1,4}}|an?|one|two|three|four|five|six|seven|eight|nine|ten)\s+(?P<unit>days?|weeks?))
        | (?:(?:next|this|coming)\s+)?(?P<weekday>{WEEKDAYS})
        )\b"
    ))
});
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)\b(?:
          (?P<h>[01]?\d|2[0-3]):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?(?:\s*(?P<half>[ap]\.?m\b))?
        | (?P<h12>1[0-2]|0?[1-9])\s*(?P<half12>[ap]\.?m)\b
        | (?P<named>noon|midday|midnight)\b
        | (?P<oclock>1[0-2]|0?[1-9])\s*o['’]clock
        )",
    )
});
/// What may stand between a day and a time of one appointment.
static JOINT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)^(?:\s*,)?\s*(?:at|T|on|from|by)?\s*$"));

/// The most dates of one text.
const MAX_MOMENTS: usize = 32;

/// All dates and times in a text; a day and a time side by side are one.
pub(super) fn find(text: &str) -> Vec<(Range<usize>, When)> {
    let mut found: Vec<(Range<usize>, When)> = Vec::new();
    for groups in DAY.captures_iter(text).take(MAX_MOMENTS) {
        if let (Some(whole), Some(day)) = (groups.get(0), day(&groups)) {
            found.push((
                whole.range(),
                When { day: Some(day), time: None, day_range: whole.range(), time_range: 0..0 },
            ));
        }
    }
    for groups in TIME.captures_iter(text).take(MAX_MOMENTS) {
        if let (Some(whole), Some(time)) = (groups.get(0), time(&groups)) {
            found.push((
                whole.range(),
                When { day: None, time: Some(time), day_range: 0..0, time_range: whole.range() },
            ));
        }
    }
    found.sort_by_key(|(range, _)| range.start);
    let mut joined: Vec<(Range<usize>, When)> = Vec::new();
    for (range, when) in found {
        match joined.last_mut() {
            Some((last, _)) if last.end > range.start => {}
            Some((last, before)) if fits(before, &when) && JOINT.is_match(&text[last.end..range.start]) => {
                last.end = range.end;
                if when.day.is_some() {
                    (before.day, before.day_range) = (when.day, when.day_range);
                } else {
                    (before.time, before.time_range) = (when.time, when.time_range);
                }
            }
            _ => joined.push((range, when)),
        }
    }
    joined
}

fn fits(one: &When, other: &When) -> bool {
    one.day.is_some() != other.day.is_some() && one.time.is_some() != other.time.is_some()
}

fn day(groups: &Captures<'_>) -> Option<Day> {
    let text = |name| groups.name(name).map(|found| found.as_str().to_ascii_lowercase());
    if let Some(iso) = text("iso") {
        return iso.parse().ok().map(Day::On);
    }
    if let Some(dotted) = text("dotted") {
        let [day, month, year] = parts(&dotted, '.')?;
        return date(year, month, day);
    }
    if let Some(slashed) = text("slashed") {
        let [one, other, year] = parts(&slashed, '/')?;
        return match (one > 12, other > 12) {
            (false, true) => date(year, one, other),
            (true, false) => date(year, other, one),
            _ => Some(Day::Unclear),
        };
    }
    for (month, day, year) in [("m1", "d1", "y1"), ("m2", "d2", "y2")] {
        if let (Some(month), Some(day)) = (text(month), text(day)) {
            let (month, day) = (month_number(&month)?, day.parse().ok()?);
            return match text(year) {
                Some(year) => date(year.parse().ok()?, month.into(), i32::from(day)),
                None => Some(Day::Yearly { month, day }),
            };
        }
    }
    if let Some(named) = text("named") {
        return Some(Day::In(match named.as_str() {
            "today" | "tonight" => 0,
            "tomorrow" => 1,
            "yesterday" => -1,
            _ => 2,
        }));
    }
    if let (Some(count), Some(unit)) = (text("count"), text("unit")) {
        let count = small_number(&count).or_else(|| count.starts_with('a').then_some(1))?;
        return Some(Day::In(if unit.starts_with('w') { count * 7 } else { count }));
    }
    text("weekday").and_then(|name| weekday(&name)).map(Day::Next)
}

fn parts(text: &str, separator: char) -> Option<[i32; 3]> {
    let numbers: Vec<i32> = text.split(separator).map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

fn date(year: i32, month: i32, day: i32) -> Option<Day> {
    let date = Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?);
    date.ok().map(Day::On)
}

fn month_number(name: &str) -> Option<i8> {
    let names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let place = names.iter().position(|month| name.starts_with(month))?;
    i8::try_from(place + 1).ok()
}

fn weekday(name: &str) -> Option<Weekday> {
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let place = names.iter().position(|day| name.starts_with(day))?;
    Weekday::from_monday_one_offset(i8::try_from(place + 1).ok()?).ok()
}

fn time(groups: &Captures<'_>) -> Option<Time> {
    let number = |name| groups.name(name).and_then(|found| found.as_str().parse::<i8>().ok());
    let is_afternoon =
        |name| groups.name(name).map(|half| half.as_str().to_ascii_lowercase().starts_with('p'));
    if let Some(named) = groups.name("named") {
        let hour = if named.as_str().eq_ignore_ascii_case("midnight") { 0 } else { 12 };
        return Time::new(hour, 0, 0, 0).ok();
    }
    let hour = number("h").or_else(|| number("h12")).or_else(|| number("oclock"))?;
    let hour = match is_afternoon("half").or_else(|| is_afternoon("half12")) {
        Some(true) if hour < 12 => hour + 12,
        Some(false) if hour == 12 => 0,
        _ => hour,
    };
    Time::new(hour, number("m").unwrap_or(0), number("s").unwrap_or(0), 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn check(text: &str, expected: &str) {
        let now = date(2026, 11, 21).at(9, 0, 0, 0); // a Saturday
        let found = find(text);
        let said: Vec<String> = found
            .iter()
            .map(|(range, when)| match (when.date_time(now), when.date(now)) {
                (Some(at), _) => format!("{}={at}", &text[range.clone()]),
                (None, Some(date)) => format!("{}={date}", &text[range.clone()]),
                (None, None) => format!("{}=?", &text[range.clone()]),
            })
            .collect();
        assert_eq!(said.join(" "), expected, "{text}");
    }

    #[test]
    fn days_and_times_are_read_as_people_write_them() {
        check("on 2026-12-24", "2026-12-24=2026-12-24");
        check("at 24.12.2026 18:30", "24.12.2026 18:30=2026-12-24T18:30:00");
        check("tomorrow at 9am", "tomorrow at 9am=2026-11-22T09:00:00");
        check("at 3:15 pm on Friday", "3:15 pm on Friday=2026-11-27T15:15:00");
        check("December 5th", "December 5th=2026-12-05");
        check("on 3 March, 2027", "3 March, 2027=2027-03-03");
        check("jan 2", "jan 2=2027-01-02");
        check("next monday", "next monday=2026-11-23");
        check("in two weeks", "in two weeks=2026-12-05");
        check("at noon", "noon=2026-11-21T12:00:00");
        check("at 8:00", "8:00=2026-11-22T08:00:00");
        check("by 03/04/2026 or 25/12/2026", "03/04/2026=? 25/12/2026=2026-12-25");
    }

    #[test]
    fn impossible_dates_are_none() {
        check("on 2026-13-45 or 31.02.2026 at 25:61", "");
    }
}
