//! A question, its answer, and what happens in between.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::plan::receipts;
use super::{CandidateItem, PlanItem, ReceiptItem, ms, shown};
use crate::domain::{Outcome, QueryAnswer, QueryEvent, Scope, Step};
use crate::problem::Problem;

/// A question. Other members are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueryAsked {
    /// The question in plain words.
    #[schema(example = "calculate 42 * 58")]
    pub query: String,
    /// The conversation that it belongs to: 1 to 256 characters.
    #[serde(default = "default_session")]
    #[schema(default = "default")]
    pub session_id: String,
}

fn default_session() -> String {
    "default".to_owned()
}

/// What became of one call of a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolOutcome {
    /// The tool's own name.
    pub tool: String,
    /// What it was called with.
    #[schema(value_type = Object)]
    pub params: Map<String, Value>,
    /// Its result as text, or why there is none.
    pub result: String,
    /// From the request to the answer, a wake included, to 0.1 ms.
    pub duration_ms: f64,
    /// Whether its server was woken for this query.
    pub hotplugged: bool,
    /// Its server's name in this context.
    pub server_name: String,
    /// `ok`, `tool_error`, `failed` (certainly not executed) or `unknown` (may have been).
    #[schema(value_type = String, example = "ok")]
    pub outcome: Outcome,
    /// What was corrected in its arguments.
    pub receipts: Vec<ReceiptItem>,
}

impl From<Step> for ToolOutcome {
    fn from(step: Step) -> Self {
        Self {
            tool: step.key.tool.to_string(),
            params: step.arguments,
            result: step.text,
            duration_ms: ms(step.duration),
            hotplugged: step.woke,
            server_name: step.server_name,
            outcome: step.outcome,
            receipts: receipts(step.receipts),
        }
    }
}

/// The answer to a question, and how it came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueryAnswered {
    /// The question.
    pub query: String,
    /// The tools that were called, by their own names.
    pub tools_used: Vec<String>,
    /// What became of the calls, in the plan's order.
    pub tool_results: Vec<ToolOutcome>,
    /// The answer, for people.
    pub answer: String,
    /// From the question to the answer, to 0.1 ms.
    pub total_duration_ms: f64,
    /// The servers that were woken for it.
    pub hotplugged_servers: Vec<String>,
    /// The model that wrote plan or answer; `null` when none did.
    pub model: Option<String>,
    /// What the router decided.
    pub plan: PlanItem,
    /// What it decided once it had results, a round each.
    pub later_plans: Vec<PlanItem>,
    /// What a person should know beside the answer.
    pub notes: Vec<String>,
}

impl QueryAnswered {
    pub(crate) fn of(scope: &Scope, answer: QueryAnswer) -> Self {
        let QueryAnswer { query, answer, steps, woken, rounds, model, notes, duration } = answer;
        let mut plans = rounds.into_iter().map(|round| PlanItem::of(scope, round));
        Self {
            query,
            tools_used: steps.iter().map(|step| step.key.tool.to_string()).collect(),
            tool_results: steps.into_iter().map(ToolOutcome::from).collect(),
            answer,
            total_duration_ms: ms(duration),
            hotplugged_servers: woken,
            model,
            plan: plans.next().expect("a query plans at least once"),
            later_plans: plans.collect(),
            notes,
        }
    }
}

/// A call of a query begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallBegun {
    /// The tool's full name.
    pub name: String,
    /// Its server's name in this context.
    pub server_name: String,
    /// Its own name.
    pub tool_name: String,
}

/// A server is being woken, or prepared first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Waking {
    /// Its name in this context.
    pub server_name: String,
    /// What is being done, in words.
    pub step: String,
}

/// A tool says how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Its server's name in this context.
    pub server_name: String,
    /// Its own name.
    pub tool_name: String,
    /// The part done, in the tool's own unit.
    pub progress: f64,
    /// The whole, if the tool knows it.
    pub total: Option<f64>,
    /// What it is doing.
    pub message: Option<String>,
}

/// A piece of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// The piece.
    pub text: String,
}

/// What a streamed query says, in the order in which it happens. Over the wire `event` is the
/// event's name and `data` its data. The last one is `answer` or `problem`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum QueryNews {
    /// The tools among which the router chooses.
    Candidates(Vec<CandidateItem>),
    /// What it decided.
    Plan(PlanItem),
    /// A call begins.
    Call(CallBegun),
    /// A server is being woken.
    Waking(Waking),
    /// A tool says how far it is.
    Progress(Progress),
    /// A call ended.
    Result(ToolOutcome),
    /// A piece of the answer.
    Token(Token),
    /// The listener was too slow, and this many events were left out. The answer is complete.
    Lagged(super::Lagged),
    /// The whole answer, as the plain request would get it.
    Answer(Box<QueryAnswered>),
    /// There is no answer.
    Problem(Problem),
}

impl QueryNews {
    /// `None` for what the last event says better.
    pub(crate) fn of(scope: &Scope, event: QueryEvent) -> Option<Self> {
        Some(match event {
            QueryEvent::Candidates(candidates) => Self::Candidates(CandidateItem::list(scope, &candidates)),
            QueryEvent::Planned(planned) => Self::Plan(PlanItem::of(scope, planned)),
            QueryEvent::CallStarted { key, full_name } => Self::Call(CallBegun {
                name: full_name,
                server_name: shown(scope, &key.server),
                tool_name: key.tool.to_string(),
            }),
            QueryEvent::Waking { server, step } => {
                Self::Waking(Waking { server_name: shown(scope, &server), step })
            }
            QueryEvent::Progress { key, progress, total, message } => Self::Progress(Progress {
                server_name: shown(scope, &key.server),
                tool_name: key.tool.to_string(),
                progress,
                total,
                message,
            }),
            QueryEvent::CallEnded(step) => Self::Result(ToolOutcome::from(*step)),
            QueryEvent::Token(text) => Self::Token(Token { text }),
            QueryEvent::Answered { .. } => return None,
        })
    }
}
