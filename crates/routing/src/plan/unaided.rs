//! A plan without a model: the search picks, the query's own words fill the arguments.
//!
//! # Invariants
//!
//! * Nothing is called below [`THRESHOLD`], and nothing with an argument missing or invalid.
//! * A call that lacks an argument asks for it by name; it is never filled with a guess.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use regex::Regex;

use super::fit::{Fit, fit};
use super::{Plan, PlannedCall};
use crate::extract::Reading;
use crate::repair::Repairer;
use crate::search::{Candidate, cut};

/// What a tool must fit to be called. On the queries of this crate's tests every right call
/// has more, and every query that no tool can answer has less.
pub(crate) const THRESHOLD: f64 = 0.55;
/// What a tool that can destroy something must fit on top.
const CARE: f64 = 0.15;
/// How much of its name must be said before a tool asks for what it lacks: a question back is
/// only welcome from the right tool.
const NAMED_TO_ASK: f64 = 0.5;
/// From here on, and with the margin, the search's choice stands against a small model.
const CLEAR: f64 = 0.7;
const CLEAR_MARGIN: f64 = 0.1;
/// A tool that can be called at once goes before a better one that lacks an argument, if it is this near.
const NEARLY: f64 = 0.15;
/// Fits closer than this are the same.
const SAME: f64 = 1e-6;
/// What of a query is read for arguments. A pasted text of this size is the most that a line of a call may hold.
const MAX_READ_BYTES: usize = 32_768;
/// The most calls that one query makes without a model.
const MAX_PARTS: usize = super::MAX_CALLS;

/// A plan without a model, with the places of the tools it is sure of.
#[derive(Debug)]
pub(crate) struct Unaided {
    pub(crate) plan: Plan,
    pub(crate) reasons: Vec<String>,
    /// The candidate that the search found so clearly that a small model shall not overrule it.
    pub(crate) clear: Option<usize>,
    /// Whether the search leaves nothing for a model to decide: the tool is clear, every word of the
    /// query is explained, and every argument has a type that the query gives it.
    pub(crate) is_sure: bool,
    /// How well the best tool fits, from 0 to 1.
    pub(crate) best_fit: f64,
}

/// What the search makes of one part of a query.
#[derive(Debug)]
pub(crate) enum Decision {
    Call(Box<PlannedCall>, f64),
    Ask { question: String, tool: usize, missing: Vec<String> },
    Choose { question: String },
    Nothing { best: f64 },
}

/// Plans a query from its candidates.
pub(crate) fn decide(query: &str, candidates: &[Candidate], repairer: &Repairer, now: DateTime) -> Unaided {
    let text = cut(query, MAX_READ_BYTES);
    let mut reasons = Vec::new();
    if text.len() < query.len() {
        reasons.push(format!(
            "only the first {} of {} bytes of the query were read",
            text.len(),
            query.len()
        ));
    }
    if let Some(calls) = in_parts(text, candidates, repairer, now) {
        reasons.push(format!("the query has {} parts, each with a tool of its own", calls.len()));
        return Unaided { plan: Plan::Calls(calls), reasons, clear: None, is_sure: false, best_fit: 1.0 };
    }
    let fits = ranked(text, candidates, now);
    let clear = clear(&fits);
    let is_sure = clear.is_some()
        && fits.first().is_some_and(|(_, fit)| {
            fit.covered > 0.99 && fit.filled.missing.is_empty() && fit.filled.rest.is_empty()
        });
    // Who does not say a word of the name hardly means the tool, however well an argument fits.
    let meant = |fit: &Fit| if fit.named > 0.0 { fit.confidence } else { fit.confidence / 2.0 };
    let best_fit = fits.iter().map(|(_, fit)| meant(fit)).fold(0.0, f64::max);
    let plan = match decision(&fits, candidates, repairer) {
        Decision::Call(call, confidence) => {
            reasons.push(format!("`{}` fits best ({confidence:.2})", call.full_name));
            Plan::Calls(vec![*call])
        }
        Decision::Ask { question, tool, missing } => {
            reasons.push(format!("`{}` fits best, but lacks an argument", candidates[tool].full_name));
            Plan::AskBack { question, tool: Some(candidates[tool].key.clone()), missing }
        }
        Decision::Choose { question } => {
            reasons.push("two tools fit equally well".to_owned());
            Plan::AskBack { question, tool: None, missing: Vec::new() }
        }
        Decision::Nothing { best } => {
            reasons.push(match candidates.first() {
                Some(_) => format!("no tool fits well enough (the best {best:.2}, needed {THRESHOLD:.2})"),
                None => "no tool has a word of the query".to_owned(),
            });
            Plan::NoTool { reason: "no tool here fits this query".to_owned() }
        }
    };
    let is_sure = is_sure && matches!(plan, Plan::Calls(_));
    Unaided { plan, reasons, clear, is_sure, best_fit }
}

/// The candidates' fits, best first.
fn ranked(text: &str, candidates: &[Candidate], now: DateTime) -> Vec<(usize, Fit)> {
    let reading = Reading::of(text);
    let mut fits: Vec<(usize, Fit)> = candidates
        .iter()
        .enumerate()
        .map(|(place, candidate)| (place, fit(&reading, candidate, now)))
        .collect();
    // The candidates come in the order of the search, which a stable sort keeps among equals.
    fits.sort_by(|(_, one), (_, other)| other.confidence.total_cmp(&one.confidence));
    fits
}

fn clear(fits: &[(usize, Fit)]) -> Option<usize> {
    let (place, best) = fits.first()?;
    let second = fits.get(1).map_or(0.0, |(_, fit)| fit.confidence);
    let is_clear = best.is_said && best.confidence >= CLEAR && best.confidence - second >= CLEAR_MARGIN;
    is_clear.then_some(*place)
}

fn decision(fits: &[(usize, Fit)], candidates: &[Candidate], repairer: &Repairer) -> Decision {
    let Some((place, best)) = chosen(fits) else { return Decision::Nothing { best: 0.0 } };
    let candidate = &candidates[*place];
    let care = if candidate.tool.hint("destructiveHint") == Some(true) { CARE } else { 0.0 };
    if best.confidence < THRESHOLD + care {
        return Decision::Nothing { best: best.confidence };
    }
    if !best.filled.missing.is_empty() {
        if best.named < NAMED_TO_ASK {
            return Decision::Nothing { best: best.confidence };
        }
        let missing = best.filled.missing.clone();
        return Decision::Ask { question: question(candidate, &missing), tool: *place, missing };
    }
    if let Some((other, fit)) = fits.iter().find(|(other, _)| other != place) {
        let other = &candidates[*other];
        let same = best.confidence - fit.confidence < SAME && (candidate.score - other.score).abs() < SAME;
        if same && fit.filled.missing.is_empty() {
            let question = format!(
                "`{}` and `{}` fit equally well. Which one do you mean?",
                candidate.full_name, other.full_name
            );
            return Decision::Choose { question };
        }
    }
    match repairer.repair(&candidate.tool, best.filled.arguments.clone()) {
        Ok((arguments, receipts)) => {
            let (key, full_name) = (candidate.key.clone(), candidate.full_name.clone());
            Decision::Call(Box::new(PlannedCall { key, full_name, arguments, receipts }), best.confidence)
        }
        Err(invalid) => {
            let missing = invalid.arguments();
            let question =
                format!("`{}` cannot take that: {invalid}. What do you mean instead?", candidate.full_name);
            Decision::Ask { question, tool: *place, missing }
        }
    }
}

/// The best fit; but when that one lacks an argument, the next that lacks none and is nearly as good.
fn chosen(fits: &[(usize, Fit)]) -> Option<&(usize, Fit)> {
    let best = fits.first()?;
    if best.1.filled.missing.is_empty() {
        return Some(best);
    }
    let is_complete = |fit: &&(usize, Fit)| {
        let (_, fit) = fit;
        fit.filled.missing.is_empty()
            && fit.confidence >= THRESHOLD
            && best.1.confidence - fit.confidence < NEARLY
    };
    fits.iter().find(is_complete).or(Some(best))
}

/// Asks for arguments by name, with what the tool says about them.
fn question(candidate: &Candidate, missing: &[String]) -> String {
    let schema = candidate.tool.input_schema.value();
    let describe = |name: &String| {
        let description = schema.pointer(&format!("/properties/{}/description", escaped(name)));
        match description.and_then(serde_json::Value::as_str) {
            Some(text) => format!("`{name}` ({})", cut(text.trim(), 200).trim_end_matches('.')),
            None => format!("`{name}`"),
        }
    };
    let names: Vec<String> = missing.iter().map(describe).collect();
    format!("`{}` needs {}. What should I use?", candidate.full_name, names.join(" and "))
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

static SEPARATOR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:\s*;\s*|[.?!]\s+|,?\s+and\s+then\s+|,?\s+then\s+|,?\s+and\s+also\s+|,?\s+and\s+|,\s+also\s+|,\s+|\n+)")
        .expect("a pattern of ours compiles")
});

/// The calls of a query that asks for several things, each of them clearly.
fn in_parts(
    text: &str,
    candidates: &[Candidate],
    repairer: &Repairer,
    now: DateTime,
) -> Option<Vec<PlannedCall>> {
    let whole = Reading::of(text);
    let cuts: Vec<_> = SEPARATOR
        .find_iter(text)
        .filter(|found| {
            !whole.things.iter().any(|thing| crate::extract::overlap(&thing.range, &found.range()))
        })
        .collect();
    if cuts.is_empty() || cuts.len() > 4 * MAX_PARTS {
        return None;
    }
    let mut starts = vec![0];
    for found in &cuts {
        let next = cuts.iter().find(|cut| cut.start() >= found.end()).map_or(text.len(), |cut| cut.start());
        if begins_part(&text[found.end()..next], candidates, repairer, now) {
            starts.push(found.end());
        }
    }
    if starts.len() < 2 || starts.len() > MAX_PARTS {
        return None;
    }
    let mut calls = Vec::new();
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).map_or(text.len(), |next| {
            cuts.iter().find(|cut| cut.end() == *next).map_or(*next, |cut| cut.start())
        });
        match decision(&ranked(&text[*start..end], candidates, now), candidates, repairer) {
            Decision::Call(call, _) => calls.push(*call),
            _ => return None,
        }
    }
    calls.dedup();
    (calls.len() > 1).then_some(calls)
}

/// Whether a piece of a query is a request of its own: it names a tool and fills it.
fn begins_part(piece: &str, candidates: &[Candidate], repairer: &Repairer, now: DateTime) -> bool {
    let fits = ranked(piece, candidates, now);
    let is_said = fits.first().is_some_and(|(_, fit)| fit.is_said);
    is_said && matches!(decision(&fits, candidates, repairer), Decision::Call(..))
}
