//! Which tools are listed.

use clap::Args;
use dormouse::adapters::Format;

#[derive(Debug, Clone, Args)]
pub(crate) struct ListTools {
    /// Those too that are disabled in this view
    #[arg(long, conflicts_with = "format")]
    pub(crate) all: bool,
    /// The tools of this server only
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<String>,
    /// As JSON in the form of a library: openai, openai_responses, anthropic, gemini, ollama or
    /// langchain
    #[arg(long, value_name = "LIBRARY")]
    pub(crate) format: Option<Format>,
}
