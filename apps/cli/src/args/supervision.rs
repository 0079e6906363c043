//! How servers fare, and what people want of them: checks, wishes, waits, alerts, events, numbers.

use clap::{Args, Subcommand};
use dormouse_types::{AgentId, AlertLevel, ServerState};

use super::{View, seconds, state};

/// The verbs of `servers` that watch over them.
#[derive(Debug, Subcommand)]
pub(crate) enum SupervisedVerb {
    /// Ask servers that are awake whether they answer; one that sleeps is not woken
    Check {
        /// The server; without one, all of them
        name: Option<String>,
    },
    /// Wait until it is in a state; whoever waits for healthy wakes it
    Wait {
        /// The server
        name: String,
        /// The states, any of which will do [default: healthy]
        #[arg(
            long = "status",
            alias = "state",
            value_name = "STATE",
            value_parser = state,
            value_delimiter = ',',
            conflicts_with = "change"
        )]
        states: Vec<ServerState>,
        /// Until it is in another state than now
        #[arg(long)]
        change: bool,
        /// How long, in seconds
        #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60")]
        timeout: f64,
    },
    /// Let it run again after it was disconnected, and wake it
    Connect {
        /// The server
        name: String,
    },
    /// Stop it until it is connected again, also over a restart of the hub
    Disconnect {
        /// The server
        name: String,
        /// Why, for those who see it stopped
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Read anew what it offers, waking it if need be
    Refresh {
        /// The server
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Alerts {
    #[command(flatten)]
    pub(crate) view: View,
    #[command(subcommand)]
    pub(crate) verb: AlertsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsVerb {
    /// List what a person should look at, oldest first
    List,
    /// Raise an alert: whoever listens is told
    Raise {
        /// What it is about, in a few words
        title: String,
        /// What happened
        #[arg(default_value = "")]
        message: String,
        /// How bad it is: info, warning or error
        #[arg(long, value_name = "LEVEL", value_parser = level, default_value = "warning")]
        level: AlertLevel,
        /// The server that it is about; an agent must name one
        #[arg(long, value_name = "SERVER")]
        server: Option<String>,
    },
    /// Forget all alerts; only in the store
    Clear,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    #[command(flatten)]
    pub(crate) view: View,
    /// Go on and tell what happens, until told to end
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// At most so many of those that were, the newest ones; from 1 to 1024
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    pub(crate) view: View,
}

/// An agent by its id.
#[derive(Debug, Args)]
pub(crate) struct OneAgent {
    /// The agent
    #[arg(value_name = "AGENT")]
    pub(crate) agent: AgentId,
}

fn level(text: &str) -> Result<AlertLevel, String> {
    match text {
        "info" => Ok(AlertLevel::Info),
        "warning" => Ok(AlertLevel::Warning),
        "error" => Ok(AlertLevel::Error),
        _ => Err("the levels are info, warning, error".to_owned()),
    }
}
