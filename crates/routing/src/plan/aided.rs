//! Reads the plan that a model wrote.
//!
//! # Invariants
//!
//! * Only tools that were offered are called; a name is matched, never guessed.
//! * Arguments are repaired and valid, or the plan is refused with what is wrong.
//! * What the model filled though it is optional and nobody asked for it is dropped.

use dormouse_types::Arguments;
use serde_json::Value;

use super::{MAX_CALLS, Plan, PlannedCall};
use crate::prompt::{ASK_BACK, NO_TOOL};
use crate::repair::{Receipt, Repairer, Rule};
use crate::router::Question;
use crate::search::Candidate;
use crate::search::words::{identifier_stems, identifier_words, stem, text_stems};

/// A plan as a model meant it.
#[derive(Debug)]
pub(crate) struct Aided {
    pub(crate) plan: Plan,
    /// Whether the model wants to see the results and go on.
    pub(crate) more: bool,
    pub(crate) reasons: Vec<String>,
}

/// Reads a model's plan over the tools that it was offered; the error is what the model should hear.
pub(crate) fn read(
    value: &Value,
    offered: &[&Candidate],
    question: &Question<'_>,
    repairer: &Repairer,
) -> Result<Aided, String> {
    let mut reasons = Vec::new();
    let more = value.get("more") == Some(&Value::Bool(true));
    let entries = entries(value).ok_or("it has no list of calls")?;
    let mut calls: Vec<PlannedCall> = Vec::new();
    let mut faults: Vec<String> = Vec::new();
    let (mut reason, mut asked) = (None, None);
    for entry in &entries {
        let Some((name, arguments)) = call_in(entry) else {
            faults.push("an entry is no call".to_owned());
            continue;
        };
        let said = |member: &str| arguments.get(member).and_then(Value::as_str).map(str::to_owned);
        match named(&name, offered) {
            Some(candidate) => match call(candidate, arguments, question, repairer) {
                Ok(call) if calls.iter().any(|c| c.key == call.key && c.arguments == call.arguments) => {}
                Ok(_) if calls.len() == MAX_CALLS => {
                    reasons.push(format!("a call beyond {MAX_CALLS} was left out"))
                }
                Ok(call) => calls.push(call),
                Err(fault) => faults.push(fault),
            },
            None if name.eq_ignore_ascii_case(ASK_BACK) => {
                asked = said("question").filter(|q| !q.trim().is_empty())
            }
            None if name.eq_ignore_ascii_case(NO_TOOL) || name.eq_ignore_ascii_case("none") => {
                reason = said("reason").or(Some(String::new()));
            }
            None => faults.push(format!("there is no tool `{}`", crate::search::cut(&name, 80))),
        }
    }
    reasons.dedup();
    if !faults.is_empty() && (calls.is_empty() || faults.len() >= calls.len()) {
        return Err(faults.join("; "));
    }
    // What is right of a plan is done; what is wrong is said.
    reasons.extend(faults.into_iter().map(|fault| format!("left out: {fault}")));
    let plan = match (calls.is_empty(), asked) {
        (false, _) => Plan::Calls(calls),
        (true, Some(question)) => Plan::AskBack { question, tool: None, missing: Vec::new() },
        (true, None) if reason.is_some() || entries.is_empty() => Plan::NoTool {
            reason: reason
                .filter(|r| !r.trim().is_empty())
                .unwrap_or_else(|| "the model needs no tool".to_owned()),
        },
        (true, None) => return Err("it calls nothing and asks nothing".to_owned()),
    };
    Ok(Aided { more: more && matches!(plan, Plan::Calls(_)), plan, reasons })
}

/// The entries of a plan in the shapes that models write: `{"calls": […]}`, a bare list, one bare call.
fn entries(value: &Value) -> Option<Vec<Value>> {
    if let Value::Array(entries) = value {
        return Some(entries.clone());
    }
    for member in ["calls", "tool_calls", "tools", "plan", "actions"] {
        if let Some(Value::Array(entries)) = value.get(member) {
            return Some(entries.clone());
        }
    }
    call_in(value).map(|_| vec![value.clone()])
}

/// Name and arguments of one call, whatever a model calls them.
fn call_in(entry: &Value) -> Option<(String, Arguments)> {
    let entry = entry.get("function").filter(|function| function.is_object()).unwrap_or(entry);
    let name =
        ["tool", "name", "tool_name", "function"].iter().find_map(|member| entry.get(member)?.as_str())?;
    let arguments =
        ["arguments", "params", "parameters", "args", "input"].iter().find_map(|member| entry.get(member));
    let arguments = match arguments {
        Some(Value::Object(arguments)) => arguments.clone(),
        Some(Value::String(text)) => serde_json::from_str(text).ok()?,
        Some(Value::Null) | None => Arguments::new(),
        Some(_) => return None,
    };
    Some((name.trim().to_owned(), arguments))
}

/// The offered tool of a name: the full name, else the bare one, else the same words; only if it is one.
fn named<'c>(name: &str, offered: &[&'c Candidate]) -> Option<&'c Candidate> {
    let normal = |name: &str| identifier_words(name).concat();
    let only = |is: &dyn Fn(&Candidate) -> bool| {
        let mut found = offered.iter().filter(|candidate| is(candidate));
        match (found.next(), found.next()) {
            (Some(one), None) => Some(*one),
            _ => None,
        }
    };
    only(&|candidate| candidate.full_name == name)
        .or_else(|| only(&|candidate| candidate.key.tool.as_str() == name))
        .or_else(|| only(&|candidate| normal(&candidate.full_name) == normal(name)))
        .or_else(|| only(&|candidate| normal(candidate.key.tool.as_str()) == normal(name)))
}

fn call(
    candidate: &Candidate,
    arguments: Arguments,
    question: &Question<'_>,
    repairer: &Repairer,
) -> Result<PlannedCall, String> {
    let (arguments, receipts) = repairer
        .repair(&candidate.tool, arguments)
        .map_err(|invalid| format!("`{}`: {invalid}", candidate.full_name))?;
    let (arguments, dropped) = without_unasked(candidate, arguments, question, repairer);
    let receipts = receipts.into_iter().chain(dropped).collect();
    Ok(PlannedCall {
        key: candidate.key.clone(),
        full_name: candidate.full_name.clone(),
        arguments,
        receipts,
    })
}

/// Drops optional arguments that nobody asked for: the typical error of small models.
fn without_unasked(
    candidate: &Candidate,
    arguments: Arguments,
    question: &Question<'_>,
    repairer: &Repairer,
) -> (Arguments, Vec<Receipt>) {
    let schema = candidate.tool.input_schema.value();
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let material = Material::of(question);
    let mut kept = Arguments::new();
    let mut receipts = Vec::new();
    for (name, value) in &arguments {
        let property = schema.pointer(&format!("/properties/{}", name.replace('~', "~0").replace('/', "~1")));
        let Some(property) =
            property.filter(|_| !required.contains(&name.as_str()) && !material.says(name, value))
        else {
            kept.insert(name.clone(), value.clone());
            continue;
        };
        let describes = property.get("description").and_then(Value::as_str).unwrap_or_default();
        // "replace it" asks for `overwrite: true`, by the description's words.
        let name_stems = identifier_stems(candidate.key.tool.as_str());
        let is_meant = |stem: &String| material.stems.contains(stem) && !name_stems.contains(stem);
        if value.is_boolean() && text_stems(describes).iter().any(is_meant) {
            kept.insert(name.clone(), value.clone());
            continue;
        }
        receipts.push(Receipt {
            argument: name.clone(),
            rule: Rule::Unasked,
            from: value.clone(),
            to: Value::Null,
        });
    }
    match repairer.repair(&candidate.tool, kept.clone()) {
        Ok((_, more)) if more.is_empty() => (kept, receipts),
        // Together they were valid, so they stay together.
        _ => (arguments, Vec::new()),
    }
}

/// What a value may come from: the query, the conversation, earlier results.
struct Material {
    text: String,
    stems: Vec<String>,
}

impl Material {
    fn of(question: &Question<'_>) -> Self {
        let mut text = question.query.to_lowercase();
        let history = question.history.iter().map(|message| message.content.as_str());
        for more in history.chain(question.done.iter().map(|step| step.text.as_str())) {
            text.push('\n');
            text.push_str(&more.to_lowercase());
        }
        let stems = text_stems(&text);
        Self { text, stems }
    }

    /// Whether the material gives a reason for a value.
    fn says(&self, name: &str, value: &Value) -> bool {
        match value {
            Value::String(said) if said.trim().is_empty() => false,
            Value::String(said) => {
                let stems = text_stems(said);
                self.text.contains(&said.trim().to_lowercase())
                    || !stems.is_empty() && stems.iter().any(|stem| self.stems.contains(stem))
            }
            Value::Number(number) => {
                let digits = number.to_string();
                let whole = digits.trim_end_matches(".0");
                let mut numbers = self.text.split(|c: char| !c.is_ascii_digit() && c != '.');
                numbers.any(|n| n.trim_end_matches('.') == whole) || self.spelled(number.as_i64())
            }
            Value::Bool(_) => identifier_words(name).iter().any(|word| self.stems.contains(&stem(word))),
            Value::Array(items) => items.iter().any(|item| self.says(name, item)),
            Value::Object(members) => members.iter().any(|(name, item)| self.says(name, item)),
            Value::Null => false,
        }
    }

    fn spelled(&self, number: Option<i64>) -> bool {
        number.is_some_and(|number| {
            self.text
                .split(|c: char| !c.is_alphabetic())
                .any(|word| !word.is_empty() && crate::extract::small_number(word) == Some(number))
        })
    }
}
