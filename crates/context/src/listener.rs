//! Who watches a query while it runs.

use std::fmt;
use std::time::Duration;

use dormouse_routing::{Candidate, Planned};
use dormouse_types::{ServerKey, ToolKey};

use crate::query::Step;

/// Something that happens while a query runs.
#[derive(Debug, Clone)]
pub enum QueryEvent {
    /// The tools among which the router chooses.
    Candidates(Vec<Candidate>),
    /// What the router decided, once a round.
    Planned(Planned),
    /// A call of the plan begins.
    CallStarted {
        /// The tool.
        key: ToolKey,
        /// Its name in this context.
        full_name: String,
    },
    /// A server is being woken for a call, or prepared first.
    Waking {
        /// The server.
        server: ServerKey,
        /// What is being done, in words.
        step: String,
    },
    /// A tool says how far it is.
    Progress {
        /// The tool.
        key: ToolKey,
        /// The part done, in the tool's own unit.
        progress: f64,
        /// The whole, if the tool knows it.
        total: Option<f64>,
        /// What it is doing.
        message: Option<String>,
    },
    /// A call of the plan ended.
    CallEnded(Box<Step>),
    /// A piece of the answer.
    Token(String),
    /// The answer is complete; servers that were woken may sleep now.
    Answered {
        /// From the question to the answer.
        took: Duration,
    },
}

/// Takes the events of one query. Must return at once.
pub trait QueryListener: Send + Sync + fmt::Debug {
    /// Takes an event.
    fn notify(&self, event: QueryEvent);
}

/// For those who only want the answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoListener;

impl QueryListener for NoListener {
    fn notify(&self, _event: QueryEvent) {}
}
