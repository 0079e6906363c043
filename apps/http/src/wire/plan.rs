//! What the router decided, and what it corrected.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::shown;
use crate::domain::{Candidate, Plan, Planned, PlannedCall, Receipt, Scope};

/// One correction of arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptItem {
    /// The argument that it is about.
    pub argument: String,
    /// The rule by which it was made.
    #[schema(example = "similar_name")]
    pub rule: String,
    /// What stood there.
    #[schema(value_type = Value)]
    pub from: Value,
    /// What stands there now.
    #[schema(value_type = Value)]
    pub to: Value,
}

impl From<Receipt> for ReceiptItem {
    fn from(receipt: Receipt) -> Self {
        let Receipt { argument, rule, from, to } = receipt;
        Self { argument, rule: rule.as_str().to_owned(), from, to }
    }
}

pub(crate) fn receipts(receipts: Vec<Receipt>) -> Vec<ReceiptItem> {
    receipts.into_iter().map(ReceiptItem::from).collect()
}

/// A tool among which the router chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CandidateItem {
    /// Its full name.
    pub name: String,
    /// Its server's name in this context.
    pub server_name: String,
    /// Its own name.
    pub tool_name: String,
    /// How well it fits; comparable within one query only.
    pub score: f64,
}

impl CandidateItem {
    pub(crate) fn of(scope: &Scope, candidate: &Candidate) -> Self {
        Self {
            name: candidate.full_name.to_string(),
            server_name: shown(scope, &candidate.key.server),
            tool_name: candidate.key.tool.to_string(),
            score: candidate.score,
        }
    }

    pub(crate) fn list(scope: &Scope, candidates: &[Candidate]) -> Vec<Self> {
        candidates.iter().map(|candidate| Self::of(scope, candidate)).collect()
    }
}

/// A call that the router planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedItem {
    /// The tool's full name.
    pub name: String,
    /// Its server's name in this context.
    pub server_name: String,
    /// Its own name.
    pub tool_name: String,
    /// What it is called with.
    #[schema(value_type = Object)]
    pub params: Map<String, Value>,
    /// What was corrected in them.
    pub receipts: Vec<ReceiptItem>,
}

impl PlannedItem {
    fn of(scope: &Scope, call: PlannedCall) -> Self {
        let PlannedCall { key, full_name, arguments, receipts: corrected } = call;
        Self {
            name: full_name.to_string(),
            server_name: shown(scope, &key.server),
            tool_name: key.tool.to_string(),
            params: arguments,
            receipts: receipts(corrected),
        }
    }
}

/// What the router decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// These calls, all at once.
    Calls {
        /// The calls.
        calls: Vec<PlannedItem>,
    },
    /// No tool.
    NoTool {
        /// Why.
        reason: String,
    },
    /// A question back.
    AskBack {
        /// The question.
        question: String,
        /// The tool that wants to know it.
        tool: Option<String>,
        /// The arguments that are missing.
        missing: Vec<String>,
    },
}

/// A plan, and how it came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanItem {
    /// What was decided.
    #[serde(flatten)]
    pub decision: Decision,
    /// Among what it was chosen, best first.
    pub candidates: Vec<CandidateItem>,
    /// The model that wrote the plan; `null` when the search alone did.
    pub model: Option<String>,
    /// What led to it, in words.
    pub reasons: Vec<String>,
}

impl PlanItem {
    pub(crate) fn of(scope: &Scope, planned: Planned) -> Self {
        let Planned { plan, candidates, model, reasons, more: _ } = planned;
        let decision = match plan {
            Plan::Calls(calls) => Decision::Calls {
                calls: calls.into_iter().map(|call| PlannedItem::of(scope, call)).collect(),
            },
            Plan::NoTool { reason } => Decision::NoTool { reason },
            Plan::AskBack { question, tool, missing } => {
                let tool = tool.map(|key| key.tool.to_string());
                Decision::AskBack { question, tool, missing }
            }
        };
        Self { decision, candidates: CandidateItem::list(scope, &candidates), model, reasons }
    }
}
