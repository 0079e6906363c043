//! How the command ends: one number for each kind of end.
//!
//! # Invariants
//!
//! * The numbers are a promise to scripts, and a table in `docs/cli.md`: added to, never changed.
//! * A problem of the hub is told by its `code`, never by its words.

use dormouse_types::Outcome;

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked.
    Ok = 0,
    /// It failed in a way that has no number of its own.
    Unexpected = 1,
    /// The command line was wrong.
    Usage = 2,
    /// No server, tool or token has that name, or the name is ambiguous.
    Unknown = 3,
    /// The arguments do not fit the tool, or the request is not valid.
    Arguments = 4,
    /// The server did not start, or the call certainly did not run.
    ServerDown = 5,
    /// The tool answered that it failed.
    ToolError = 6,
    /// The tool may have run; nobody can say.
    OutcomeUnknown = 7,
    /// There is no hub, and none could be started.
    NoHub = 8,
    /// The settings or the space cannot be used.
    Configuration = 9,
    /// A deadline passed before what was waited for.
    Late = 10,
    /// The hub refuses: the name is taken, the path is not allowed, the address is in use.
    Refused = 11,
    /// A person ended it (SIGINT) before it was done, by the shell's rule of 128 and the signal's number.
    Interrupted = 130,
    /// A program ended it (SIGTERM) before it was done.
    Terminated = 143,
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The end that an outcome of a call means.
    pub(crate) fn of_outcome(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Ok,
            Outcome::ToolError => Self::ToolError,
            Outcome::Failed => Self::ServerDown,
            Outcome::Unknown => Self::OutcomeUnknown,
        }
    }
}
