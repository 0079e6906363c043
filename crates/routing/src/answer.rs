//! What the person hears: one result as it is, several in one text, faults as they were.

use dormouse_types::Outcome;

use crate::plan::Plan;
use crate::router::{Question, StepDone};
use crate::search::Ability;

/// An answer and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The answer, for people.
    pub text: String,
    /// The model that wrote it; `None` when it is the tools' own words or the hub's.
    pub model: Option<String>,
    /// What a person should know beside it, such as why no model wrote it.
    pub reasons: Vec<String>,
}

/// One step in its own words.
pub(crate) fn step_text(step: &StepDone) -> String {
    let text = step.text.trim();
    match step.outcome {
        Outcome::Ok if text.is_empty() => format!("`{}` is done and said nothing.", step.full_name),
        Outcome::Ok => step.text.clone(),
        Outcome::ToolError => format!("`{}` reports an error: {}", step.full_name, or_nothing(text)),
        Outcome::Failed => format!("`{}` could not be called: {}", step.full_name, or_nothing(text)),
        Outcome::Unknown => {
            format!("`{}` may or may not have been carried out: {}", step.full_name, or_nothing(text))
        }
    }
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "it gave no reason" } else { text }
}

/// All steps in their own words, one after the other.
pub(crate) fn concatenation(done: &[StepDone]) -> String {
    match done {
        [only] => step_text(only),
        steps => {
            let part = |step: &StepDone| match step.outcome {
                Outcome::Ok => format!("**{}**: {}", step.full_name, step.text.trim()),
                _ => format!("**{}**: {}", step.full_name, step_text(step)),
            };
            steps.iter().map(part).collect::<Vec<_>>().join("\n\n")
        }
    }
}

/// What is said when no tool was called and no model writes.
pub(crate) fn without_model(question: &Question<'_>, plan: &Plan) -> String {
    match plan {
        Plan::AskBack { question, .. } => question.clone(),
        Plan::Calls(_) | Plan::NoTool { .. } => what_it_can_do(question),
    }
}

fn what_it_can_do(question: &Question<'_>) -> String {
    let line = |name: &str, description: &str| match description {
        "" => format!("- {name}"),
        text => format!("- {name}: {text}"),
    };
    let mut lines: Vec<String> = question
        .abilities
        .iter()
        .map(|Ability { full_name, description }| line(full_name, description))
        .collect();
    if lines.is_empty() {
        lines = question
            .candidates
            .iter()
            .map(|candidate| {
                let description = candidate.tool.description.as_deref().unwrap_or_default();
                line(&candidate.full_name, description.lines().next().unwrap_or_default())
            })
            .collect();
    }
    if lines.is_empty() {
        return "No tool here fits this, and there are no tools to offer yet.".to_owned();
    }
    format!("No tool here fits this. What I can do:\n{}", lines.join("\n"))
}
