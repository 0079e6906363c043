//! A temporary space whose `mcp.json` names one small server, `echo`, for the other examples.

use std::error::Error;
use std::path::Path;

use dormouse::{Config, Hub, HubBuilder};
use serde_json::json;
use tempfile::TempDir;

pub(crate) type Done = Result<(), Box<dyn Error>>;

/// A space with the server.
pub(crate) fn space() -> Result<TempDir, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/support/echo.py");
    let echo = json!({ "command": "python3", "args": [script] });
    let servers = json!({ "mcpServers": { "echo": echo } });
    std::fs::write(folder.path().join("mcp.json"), servers.to_string())?;
    Ok(folder)
}

/// The builder of a hub over it, without a model.
pub(crate) fn builder(folder: &TempDir) -> HubBuilder {
    let config = Config { model: "none".to_owned(), ..Config::default() };
    Hub::builder().space(folder.path()).config(config)
}
