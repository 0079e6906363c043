//! The hub as an MCP server on standard input and output.

use clap::{Args, ValueEnum};

use super::View;

#[derive(Debug, Args)]
pub(crate) struct Mcp {
    #[command(flatten)]
    pub(crate) view: View,
    /// What is shown: every tool, three tools to find and call the others, or one server
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) mode: Option<Mode>,
    /// The one server that is shown, its names unchanged
    #[arg(long, value_name = "NAME", required_if_eq("mode", "single"))]
    pub(crate) server: Option<String>,
}

/// What an MCP client is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    All,
    Search,
    Single,
}

impl Mode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Search => "search",
            Self::Single => "single",
        }
    }
}
