//! Things whose type alone says which parameter they are for: addresses, dates, paths, arithmetic.

use std::ops::Range;

use jiff::civil::DateTime;
use serde_json::Value;

use super::dates::When;
use super::fill::Filling;
use super::parameters::{Direction, Kind, Parameter, Role};
use super::reading::{Thing, overlap};
use crate::search::words::is_filler;

/// Gives each typed thing to a parameter of its type, in order.
pub(super) fn things(filling: &mut Filling<'_>, now: DateTime) {
    arithmetic(filling);
    moments(filling, now);
    let reading = filling.reading;
    for found in &reading.things {
        let (role, text) = match &found.thing {
            Thing::Url(url) => (Role::Url, url.clone()),
            Thing::Host(host) => (Role::Url, format!("https://{host}")),
            Thing::Email(email) => (Role::Email, email.clone()),
            Thing::Path(path) => (Role::Path, path.clone()),
            Thing::Color(color) => (Role::Color, color.clone()),
            Thing::Sql(sql) => (Role::Sql, sql.clone()),
            Thing::Uuid(uuid) => (Role::Plain, uuid.clone()),
            Thing::Quote(_) | Thing::When(_) | Thing::Figure(_) => continue,
        };
        if filling.is_free(&found.range) {
            give(filling, role, &text, &found.range);
        }
    }
}

fn give(filling: &mut Filling<'_>, role: Role, text: &str, range: &Range<usize>) {
    let wants = |parameter: &Parameter| {
        parameter.takes_text()
            && (parameter.role == role
                || role == Role::Path
                    && text.matches('/').count() == 1
                    && parameter.has_word(&["repo", "repository"])
                || role == Role::Plain && parameter.has_word(&["id", "uuid", "guid", "key"])
                || role == Role::Email && is_recipient(parameter))
            && suits_site(parameter, text)
    };
    let from_or_to = opener_before(filling, range);
    let mut open = filling.open(wants);
    // "copy a.txt to b.txt": the opener says which end a thing is.
    open.sort_by_key(|&i| match (filling.parameters[i].direction, from_or_to) {
        (Some(end), Some(opener)) if end == opener => 0,
        (Some(_), Some(_)) => 2,
        _ => 1,
    });
    if let Some(&place) = open.first() {
        let value = if filling.parameters[place].is_list() { Value::from(vec![text]) } else { text.into() };
        filling.is_special |= site(&filling.parameters[place]).is_some();
        let range = with_opener(filling, range);
        filling.set(place, value, range);
        return;
    }
    // More of them: a list takes them all.
    let list = (0..filling.parameters.len()).find(|&i| {
        filling.parameters[i].is_list() && wants(&filling.parameters[i]) && filling.values[i].is_some()
    });
    if let Some(Some(Value::Array(items))) = list.and_then(|i| filling.values.get_mut(i)) {
        items.push(text.into());
        filling.used.push(range.clone());
    }
}

/// `to` of a tool that sends something takes an e-mail address although its name does not say so.
fn is_recipient(parameter: &Parameter) -> bool {
    parameter.has_word(&["to", "recipient", "recipients", "address", "invitee", "invitees", "guests"])
        || parameter.description.contains("email")
        || parameter.description.contains("e-mail")
}

const SITES: [&str; 6] = ["youtube", "github", "gitlab", "reddit", "spotify", "vimeo"];

/// The site that a parameter names.
fn site(parameter: &Parameter) -> Option<&'static str> {
    SITES.into_iter().find(|site| parameter.has_word(&[site]))
}

fn suits_site(parameter: &Parameter, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    site(parameter).is_none_or(|site| text.contains(site) || site == "youtube" && text.contains("youtu.be"))
}

/// Whether "from" or "to" stands right before a place.
pub(super) fn opener_before(filling: &Filling<'_>, range: &Range<usize>) -> Option<Direction> {
    let before = filling.reading.words.iter().rev().find(|word| word.range.end <= range.start)?;
    match before.lower.as_str() {
        "from" | "since" | "between" => Some(Direction::From),
        "to" | "into" | "until" | "till" | "as" | "and" => Some(Direction::To),
        _ => None,
    }
}

fn arithmetic(filling: &mut Filling<'_>) {
    let Some(expression) = &filling.reading.expression else { return };
    let place = filling.open(|p| p.kind == Kind::Text && p.role == Role::Expression).first().copied();
    if let Some(place) = place.filter(|_| filling.is_free(&expression.range)) {
        let text = filling.reading.text[expression.range.clone()].trim();
        filling.set(place, text.into(), expression.range.clone());
    }
}

/// What of a moment a parameter wants.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Day,
    Time,
    Both,
}

fn part(parameter: &Parameter) -> Part {
    match parameter.format.as_deref() {
        Some("date") => return Part::Day,
        Some("time") => return Part::Time,
        Some("date-time") => return Part::Both,
        _ => {}
    }
    let says = |words: &[&str]| parameter.has_word(words);
    match (says(&["date", "day"]), says(&["time", "hour"])) {
        (true, false) => Part::Day,
        (false, true) if !parameter.description.contains("date") => Part::Time,
        _ => Part::Both,
    }
}

fn moments(filling: &mut Filling<'_>, now: DateTime) {
    let reading = filling.reading;
    let is_moment = |p: &Parameter| p.kind == Kind::Text && p.role == Role::When;
    let has_both_parts = {
        let parts: Vec<Part> = filling.parameters.iter().filter(|p| is_moment(p)).map(part).collect();
        parts.contains(&Part::Day) && parts.contains(&Part::Time)
    };
    for found in &reading.things {
        let Thing::When(when) = &found.thing else { continue };
        let end = opener_before(filling, &found.range);
        let mut taken = false;
        let mut open = filling.open(is_moment);
        open.sort_by_key(|&i| match (filling.parameters[i].direction, end) {
            (Some(wants), Some(is)) if wants != is => 1,
            (Some(Direction::To), None) => 1,
            _ => 0,
        });
        for place in open {
            let parameter = &filling.parameters[place];
            let wanted = part(parameter);
            if taken && !(has_both_parts && wanted != Part::Both) {
                continue;
            }
            if let Some(text) = written(when, wanted, parameter, now, reading.text, &found.range) {
                filling.values[place] = Some(text.into());
                taken = true;
            }
        }
        if taken {
            let range = with_opener(filling, &found.range);
            filling.used.push(range);
        }
    }
}

/// A moment as a parameter wants it written: ISO where the schema says so, else in the person's words.
fn written(
    when: &When,
    wanted: Part,
    parameter: &Parameter,
    now: DateTime,
    text: &str,
    range: &Range<usize>,
) -> Option<String> {
    let describes = |hint: &str| parameter.description.contains(hint);
    let iso = parameter.format.is_some()
        || describes("iso")
        || describes("yyyy")
        || describes("hh:mm")
        || describes("rfc 3339");
    match wanted {
        Part::Day if iso => when.date(now).map(|date| date.to_string()),
        Part::Day => when.day.as_ref().map(|_| text[when.day_range.clone()].to_owned()),
        Part::Time if iso => when.time.map(|time| {
            let seconds = parameter.format.is_some();
            time.strftime(if seconds { "%H:%M:%S" } else { "%H:%M" }).to_string()
        }),
        Part::Time => when.time.map(|_| text[when.time_range.clone()].to_owned()),
        Part::Both if iso => match when.date_time(now) {
            Some(moment) => Some(moment.to_string()),
            // A day alone is a moment for nobody, unless the parameter takes days too.
            None if parameter.format.is_none() => when.date(now).map(|date| date.to_string()),
            None => None,
        },
        Part::Both => Some(text[range.clone()].to_owned()),
    }
}

/// A thing's range with "on", "at" or "from" before it.
fn with_opener(filling: &Filling<'_>, range: &Range<usize>) -> Range<usize> {
    let before = filling.reading.words.iter().rev().find(|word| word.range.end <= range.start);
    match before {
        Some(word)
            if is_filler(&word.lower)
                && matches!(
                    word.lower.as_str(),
                    "on" | "at" | "for" | "by" | "from" | "to" | "until" | "in" | "this"
                )
                && !filling.used.iter().any(|used| overlap(used, &word.range)) =>
        {
            word.range.start..range.end
        }
        _ => range.clone(),
    }
}
