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
    /// Nothing answers at its URL.
    #[error("it cannot be reached: {why}")]
    Unreachable {
        /// Why, without anything that could be a secret.
        why: String,
    },
    /// It wants to know who asks.
    #[error(transparent)]
    SignIn(SignInError),
}

/// Why a server at a URL does not let the hub in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// No grant is kept, or the one that was kept does not count any more.
    #[error("it needs a person to sign in")]
    PersonNeeded,
    /// The grant that is kept does not cover what was asked; the next sign-in asks for more.
    #[error("it needs a person to sign in for more ({})", scopes.join(", "))]
    MoreNeeded {
        /// What is missing.
        scopes: Vec<String>,
    },
    /// The person, or the authorisation server in their place, said no.
    #[error("the sign-in was denied ({code})")]
    Denied {
        /// OAuth's word for it, such as `access_denied`.
        code: String,
    },
    /// Nobody came back from the browser.
    #[error("nobody signed in within {} s", after.as_secs())]
    TimedOut {
        /// How long the hub waited.
        after: Duration,
    },
    /// There is no way to sign in as it is configured.
    #[error("there is no way to sign in: {why}")]
    NotOffered {
        /// Why.
        why: String,
    },
    /// It refused what it was given, and there is no other way to sign in.
    #[error("it refused the credentials (status {status})")]
    Refused {
        /// 401 or 403.
        status: u16,
    },
    /// The authorisation server did not do its part.
    #[error("the authorisation server failed: {why}")]
    Failed {
        /// What, in a few words, without secrets.
        why: String,
    },
    /// Grants cannot be read or kept.
    #[error("sign-ins cannot be kept: {why}")]
    Store {
        /// Why.
        why: String,
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
    /// Nothing answers at the server's URL, so it did not get the request.
    #[error("the server cannot be reached: {why}")]
    Unreachable {
        /// Why, without anything that could be a secret.
        why: String,
    },
    /// The connection ended before the answer came.
    #[error("the connection broke in the middle of the call: {why}")]
    Broken {
        /// How.
        why: String,
    },
    /// The server, or something before it, answered by an HTTP error.
    #[error("the server answered with HTTP status {status}{}", colon(why))]
    Status {
        /// The status.
        status: u16,
        /// What it said, cut short; may be empty.
        why: String,
    },
    /// The server wants to know who asks, and did not take the request.
    #[error("the server wants a sign-in")]
    SignIn(#[source] SignInError),
    /// The answer came and cannot be read.
    #[error("the server's answer cannot be read: {why}")]
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
}

fn colon(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
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
            Self::Unreachable { .. } | Self::SignIn(_) => Outcome::Failed,
            Self::Refused { code, .. } if NOT_BEGUN.contains(code) => Outcome::Failed,
            // By HTTP's terms a request that is sent elsewhere or refused so was not acted on. 408
            // says that it came too slowly, and from a proxy it may mean the answer.
            Self::Status { status: 300..=407 | 409..=499, .. } => Outcome::Failed,
            Self::Refused { .. }
            | Self::Died { .. }
            | Self::Broken { .. }
            | Self::Status { .. }
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
            CallError::Unreachable { why: "refused".to_owned() },
            CallError::SignIn(SignInError::PersonNeeded),
            CallError::Status { status: 429, why: String::new() },
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
            CallError::Broken { why: "reset".to_owned() },
            CallError::Status { status: 502, why: String::new() },
            CallError::Status { status: 408, why: String::new() },
        ] {
            assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        }
    }
}
