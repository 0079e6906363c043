//! Making the hub known to other MCP clients.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use dormouse::clients::Client;
use dormouse_types::ServerName;
use hyper::Uri;

use super::{Mode, View};

#[derive(Debug, Clone, Args)]
pub(crate) struct Connect {
    /// Which client: claude-desktop, claude-code, cursor, vscode or codex; without one, all are
    /// listed, with the file of each and whether the hub is in it
    #[arg(value_name = "CLIENT")]
    pub(crate) client: Option<Client>,
    #[command(flatten)]
    pub(crate) view: View,
    /// What the hub is called there
    #[arg(long, value_name = "NAME", default_value = "dormouse")]
    pub(crate) name: ServerName,
    /// What the client sees: all tools, search (three that find and call the others) or single
    /// [default: as the settings of the space say]
    #[arg(long, value_enum, value_name = "MODE", requires = "client")]
    pub(crate) mode: Option<Mode>,
    /// The one server that the client sees, with its own names
    #[arg(long, value_name = "SERVER", requires = "client")]
    pub(crate) server: Option<ServerName>,
    /// Over HTTP, at the address where `dormouse serve` listens, rather than by `dormouse mcp`
    /// [default URL: by the settings of the space]
    #[arg(long, value_name = "URL", num_args = 0..=1, value_parser = address, requires = "client")]
    pub(crate) http: Option<Option<String>>,
    /// The variable of the client's environment that holds a token of the hub
    #[arg(long, value_name = "VARIABLE", value_parser = variable, requires = "http")]
    pub(crate) token_env: Option<String>,
    /// A token of the hub, to be written into the file as it is; `-` reads it from standard input
    #[arg(long, value_name = "TOKEN", requires = "http", conflicts_with = "token_env")]
    pub(crate) token: Option<String>,
    /// Its file [default: where the client keeps it]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "client")]
    pub(crate) file: Option<PathBuf>,
    /// The project whose file is meant, rather than the user's own
    #[arg(long, value_name = "DIR", conflicts_with = "file", value_hint = ValueHint::DirPath)]
    pub(crate) project: Option<PathBuf>,
    /// Move the servers that are in the file into the hub; what it cannot take stays there
    #[arg(long, requires = "client")]
    pub(crate) take_over: bool,
    /// Take the hub out of the file again, and leave all else as it is
    #[arg(long, requires = "client", conflicts_with_all = ["undo", "take_over", "http", "mode", "server"])]
    pub(crate) remove: bool,
    /// Also where the entry of its name is somebody else's
    #[arg(long, requires = "client")]
    pub(crate) force: bool,
    /// Change nothing, and show what would be different
    #[arg(long, requires = "client")]
    pub(crate) dry_run: bool,
    /// Make the file what it was before the last time
    #[arg(long, requires = "client", conflicts_with_all = ["dry_run", "take_over", "http", "mode", "server"])]
    pub(crate) undo: bool,
}

fn address(text: &str) -> Result<String, String> {
    let is_address = |uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    };
    match text.parse::<Uri>() {
        Ok(uri) if is_address(&uri) && !text.contains('#') => Ok(text.to_owned()),
        _ => Err("an address such as http://127.0.0.1:18200".to_owned()),
    }
}

fn variable(text: &str) -> Result<String, String> {
    let is_name = !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match is_name {
        true => Ok(text.to_owned()),
        false => Err("the name of a variable, such as DORMOUSE_TOKEN, and not the token itself".to_owned()),
    }
}
