//! What is to be done for a query, as a value.

mod aided;
mod fit;
mod unaided;

use dormouse_types::{Arguments, ToolKey};

use crate::repair::Receipt;
use crate::search::Candidate;

#[cfg(test)]
mod tests;

pub(crate) use aided::{Aided, read};
pub(crate) use unaided::{Unaided, decide};

/// The most calls of one plan: what is beyond is a model gone wild.
pub(crate) const MAX_CALLS: usize = 8;

/// What the router decided for a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Calls to make, all at once.
    Calls(Vec<PlannedCall>),
    /// No tool is called.
    NoTool {
        /// Why, in words for a person.
        reason: String,
    },
    /// The hub needs to know something first.
    AskBack {
        /// The question, in words for a person.
        question: String,
        /// The tool that wants to know it.
        tool: Option<ToolKey>,
        /// The names of the arguments that are missing.
        missing: Vec<String>,
    },
}

/// One call of a plan; its arguments are valid by the tool's schema.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedCall {
    /// Which tool.
    pub key: ToolKey,
    /// Its name in lists for models.
    pub full_name: String,
    /// What it is called with.
    pub arguments: Arguments,
    /// What was corrected in them.
    pub receipts: Vec<Receipt>,
}

/// A plan and how it came about.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What is to be done.
    pub plan: Plan,
    /// What it was chosen from, best first.
    pub candidates: Vec<Candidate>,
    /// The model that wrote the plan; `None` when the search alone did.
    pub model: Option<String>,
    /// Whether the model wants to see the results of these calls and plan again.
    pub more: bool,
    /// What led to the plan, in order, in words for a person.
    pub reasons: Vec<String>,
}
