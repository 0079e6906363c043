//! What goes in and out: servers of other clients, and what the hub remembers.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use dormouse::clients::Client;

use super::View;

#[derive(Debug, Clone, Args)]
pub(crate) struct ImportServers {
    /// From whom: claude-desktop, claude-code, cursor, vscode, codex, mcpstore, or mcp.json for a
    /// file of our own form
    #[arg(value_name = "CLIENT", value_parser = Whose::read)]
    pub(crate) from: Whose,
    #[command(flatten)]
    pub(crate) view: View,
    /// Its file; `-` is standard input; MCPStore's folder [default: where the client keeps it]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) file: Option<PathBuf>,
    /// The project whose file is meant, rather than the user's own
    #[arg(long, value_name = "DIR", conflicts_with = "file", value_hint = ValueHint::DirPath)]
    pub(crate) project: Option<PathBuf>,
    /// Change nothing, and say what would become of each entry
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Replace servers that are configured otherwise here
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ExportServers {
    /// For whom: claude-desktop, claude-code, cursor, vscode or codex
    #[arg(value_name = "CLIENT")]
    pub(crate) client: Client,
    /// These servers only
    #[arg(value_name = "SERVER", conflicts_with = "undo")]
    pub(crate) servers: Vec<String>,
    #[command(flatten)]
    pub(crate) view: View,
    /// Its file [default: where the client keeps it]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// The project whose file is meant, rather than the user's own
    #[arg(long, value_name = "DIR", conflicts_with = "file", value_hint = ValueHint::DirPath)]
    pub(crate) project: Option<PathBuf>,
    /// Change nothing, and show what would be different
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take the last export into the file back
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) undo: bool,
}

/// Whose servers are imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Another client's.
    Client(Client),
    /// MCPStore's.
    McpStore,
    /// Those of a file in our own form.
    McpJson,
}

impl Whose {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "mcpstore" => Ok(Self::McpStore),
            "mcp.json" => Ok(Self::McpJson),
            text => text.parse().map(Self::Client).map_err(|_| {
                let names: Vec<&str> = Client::ALL.iter().map(|client| client.as_str()).collect();
                format!("{}, mcpstore and mcp.json are known", names.join(", "))
            }),
        }
    }

    /// Its name, as it is typed.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Client(client) => client.as_str(),
            Self::McpStore => "mcpstore",
            Self::McpJson => "mcp.json",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Storage {
    #[command(subcommand)]
    pub(crate) verb: StorageVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StorageVerb {
    /// Write all that the hub remembers to a new file, as lines of JSON
    Export {
        /// The file; `-` is standard output
        #[arg(value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Take in all that a dump holds, over what is there; no hub may serve the space
    Import {
        /// The dump; `-` is standard input
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Copy all that is remembered into another storage; no hub may serve the space
    Migrate {
        /// The other storage: embedded, or an address such as redis://127.0.0.1:6379; `-` reads it
        /// from standard input, since an address may hold a password
        #[arg(long, value_name = "WHERE")]
        to: String,
    },
}
