//! Query to plan, results to answer: search, model clients, argument repair.
//!
//! [`SearchIndex`] finds the tools that a query may mean, [`Repairer`] corrects the
//! arguments of a call, and the planner makes calls out of both.
//!
//! # Invariants
//!
//! * This crate decides and never acts: it calls no tool and knows no process. What it plans
//!   is a [`Plan`], which the context walks.
//! * A plan never fails. Whatever a model does, the outcome is a truthful [`Plan`] with its reasons.
//! * Bad input from a person or a model is a value, never a panic.

mod answer;
mod extract;
mod model;
mod plan;
mod prompt;
mod repair;
mod router;
mod search;

pub use answer::Answer;
pub use model::{
    Choice, Endpoint, Model, ModelChoice, ModelError, ModelSettings, Offer, Prompt, Speaker, Tokens,
    UnknownModel,
};
pub use plan::{Plan, Planned, PlannedCall};
pub use repair::{InvalidArguments, Problem, Receipt, Repairer, Rule};
pub use router::{Question, Router, StepDone};
pub use search::{Ability, Candidate, MAX_CANDIDATES, SearchIndex};
