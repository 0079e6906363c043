//! How a start and a call fail.

use std::fmt;
use std::time::Duration;

use dormouse_types::Outcome;
use serde_json::Value;

use crate::launch::{Exit, LaunchError};
use crate::wire::Noise;

/// What a start was busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Making the process.
    Launch,
    /// MCP's `initialize`.
    Handshake,
    /// Asking for tools, resources and prompts.
    Listing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Launch => "its launch",
            Self::Handshake => "its handshake",
            Self::Listing => "the listing of its tools",
        })
    }
}

/// Why a server did not start. Its process and all that it started are gone.
#[derive(Debug, thiserror::Error)]
#[error("{}", described(*phase, fault, *exit))]
pub struct StartError {
    /// What the start was busy with.
    pub phase: Phase,
    /// What went wrong.
    #[source]
    pub fault: StartFault,
    /// How the process ended by itself; `None` when it had to be killed, or never was.
    pub exit: Option<Exit>,
    /// The last lines of its standard error, oldest first.
    pub stderr: Vec<String>,
    /// What it wrote on its standard output that was no MCP.
    pub noise: Noise,
}

impl StartError {
    /// The last line that the server wrote on its standard error: with Python, the error itself.
    pub fn last_words(&self) -> Option<&str> {
        self.stderr.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty())
    }
}

fn described(phase: Phase, fault: &StartFault, exit: Option<Exit>) -> String {
    match (fault, exit) {
        (StartFault::Launch(_), _) => "the server could not be launched".to_owned(),
        (_, Some(exit)) => format!("the server ended during {phase} ({exit})"),
        (_, None) => format!("the server failed during {phase}"),
    }
}

/// What went wrong with a start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// There never was a process.
    #[error(transparent)]
    Launch(LaunchError),
    /// The process ended, or closed its standard output.
    #[error("it closed its output")]
    Ended,
    /// It did not answer in time.
    #[error("it did not answer within {} ms", after.as_millis())]
    TimedOut {
        /// The deadline, from the launch on.
        after: Duration,
    },
    /// It answered by an error or by something that is no answer.
    #[error("it answered: {answer}")]
    Answer {
        /// What, in a few words.
        answer: String,
    },
}

/// Why a call has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The server was gone, or stopped reading, before it got the request.
    #[error("the server was not there to take the call")]
    NotSent,
    /// The server ended, or closed its output, while it had the request.
    #[error("the server ended in the middle of the call{}", exit.map(|e| format!(" ({e})")).unwrap_or_default())]
    Died {
        /// How, if it ended at all.
        exit: Option<Exit>,
        /// The last lines of its standard error, oldest first.
        stderr: Vec<String>,
    },
    /// No answer in time. The server was told that nobody waits any more.
    #[error("the server did not answer within {} ms", after.as_millis())]
    TimedOut {
        /// The deadline.
        after: Duration,
        /// Whether the server had got the request.
        sent: bool,
    },
    /// The server answered by a JSON-RPC error.
    #[error("the server refused: {message} ({code})")]
    Refused {
        /// JSON-RPC's code.
        code: i64,
        /// The server's words.
        message: String,
        /// What it added.
        data: Option<Value>,
    },
    /// The answer came and cannot be read.
    #[error("the server's answer cannot be read: {why}")]
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
}

/// JSON-RPC's codes for "I could not even begin": no JSON, no request, no such method, and
/// arguments that the method does not take.
const NOT_BEGUN: [i64; 4] = [-32700, -32600, -32601, -32602];

impl CallError {
    /// What may have become of the call.
    ///
    /// `Failed`, and so free to be tried again, only where the server cannot have begun: the
    /// request was not sent as a whole, or the server says by JSON-RPC's own codes that it did
    /// not take it. A tool that forwards such a code from elsewhere after it has acted lies by
    /// the protocol's terms, and we believe it. All else is `Unknown`.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::NotSent | Self::TimedOut { sent: false, .. } => Outcome::Failed,
            Self::Refused { code, .. } if NOT_BEGUN.contains(code) => Outcome::Failed,
            Self::Refused { .. }
            | Self::Died { .. }
            | Self::TimedOut { sent: true, .. }
            | Self::Unreadable { .. } => Outcome::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_certainly_did_not_run_has_failed() {
        let after = Duration::from_secs(1);
        let refused = |code| CallError::Refused { code, message: "no".to_owned(), data: None };
        for error in [
            CallError::NotSent,
            CallError::TimedOut { after, sent: false },
            refused(-32700),
            refused(-32600),
            refused(-32601),
            refused(-32602),
        ] {
            assert_eq!(error.outcome(), Outcome::Failed, "{error}");
        }
        for error in [
            CallError::Died { exit: None, stderr: vec![] },
            CallError::TimedOut { after, sent: true },
            CallError::Unreadable { why: "NaN".to_owned() },
            refused(-32603),
            refused(-32000),
            refused(1),
        ] {
            assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        }
    }
}
