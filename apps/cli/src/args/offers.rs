//! What is shared, offered and configured: agents, resources, prompts, the parts of `mcp.json`.

use clap::{Args, Subcommand};

use super::transfer::{ExportServers, ImportServers};
use super::{OneAgent, View, seconds};

#[derive(Debug, Args)]
pub(crate) struct Agents {
    #[command(flatten)]
    pub(crate) view: View,
    #[command(subcommand)]
    pub(crate) verb: AgentsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentsVerb {
    /// List the agents that have servers, with how many are their own and how many are shared
    List,
    /// Show an agent's servers, and how they fare
    Show(OneAgent),
    /// Remove what an agent has: its own servers, shares, settings of tools, and conversations
    Remove(OneAgent),
}

#[derive(Debug, Args)]
pub(crate) struct Resources {
    #[command(flatten)]
    pub(crate) view: View,
    #[command(subcommand)]
    pub(crate) verb: ResourcesVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ResourcesVerb {
    /// List resources, and the templates of those that have no end
    List,
    /// Read a resource
    Read {
        /// Its address
        uri: String,
        #[command(flatten)]
        from: Whence,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Prompts {
    #[command(flatten)]
    pub(crate) view: View,
    #[command(subcommand)]
    pub(crate) verb: PromptsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PromptsVerb {
    /// List prompts with their arguments
    List,
    /// Print the messages of a prompt
    Get {
        /// The prompt
        name: String,
        /// Its arguments: name=value
        #[arg(value_name = "ARGUMENT")]
        arguments: Vec<String>,
        #[command(flatten)]
        from: Whence,
    },
}

/// From whom, and how soon.
#[derive(Debug, Args)]
pub(crate) struct Whence {
    /// Its server, where several offer it
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<String>,
    /// The whole time that it may take, a wake included, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Show the settings as they hold: file, environment and flags together
    Show,
    /// Show the servers that are configured, in the form of mcp.json, without secrets
    Servers {
        #[command(flatten)]
        view: View,
    },
    /// Take servers from another client's configuration, from MCPStore, or from an mcp.json
    Import(ImportServers),
    /// Put servers into another client's configuration, with a backup
    Export(ExportServers),
    /// Show how closely servers are watched, or change it for good; each setting has its range
    Supervision {
        /// What to change: NAME=NUMBER, or NAME= to go back to its default
        #[arg(value_name = "NAME=NUMBER")]
        settings: Vec<String>,
    },
    /// Check dormouse.toml and mcp.json without starting anything; a hub that runs is asked
    Validate {
        #[command(flatten)]
        view: View,
    },
    /// Make a folder a space: dormouse.toml with every setting, and a drop folder
    Init,
    /// Put every setting back to its default; the old file is kept as dormouse.toml.bak
    Reset,
    /// Remove every server that was added; scripts that were only dropped stay
    Forget {
        #[command(flatten)]
        view: View,
        #[command(flatten)]
        what: Forgotten,
    },
}

/// What else is forgotten.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Forgotten {
    /// The servers of all agents too
    #[arg(long)]
    pub(crate) agents: bool,
    /// Which servers agents share too
    #[arg(long)]
    pub(crate) shares: bool,
    /// Which tools are disabled, renamed or described anew too
    #[arg(long)]
    pub(crate) tools: bool,
    /// The conversations of this view too
    #[arg(long)]
    pub(crate) conversations: bool,
}
