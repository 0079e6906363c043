//! Servers that are handed in as they are, one or many.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// What `servers add` takes in place of one server's parts.
#[derive(Debug, Args)]
pub(crate) struct ManyServers {
    /// One server or many, as JSON: with its `name`, a list, a map of names, an mcp.json, or names
    /// of servers of the store for an agent; `-` reads it from standard input
    #[arg(long, value_name = "JSON", conflicts_with_all = ["name", "script", "entry", "url", "program", "file"])]
    pub(crate) entries: Option<String>,
    /// The same from a file; `-` is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["name", "script", "entry", "url", "program"])]
    pub(crate) file: Option<PathBuf>,
}
