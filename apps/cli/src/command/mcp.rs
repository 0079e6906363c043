//! `mcp`: the hub as an MCP server on standard input and output.

use super::{Run, path};
use crate::args::{Mcp, Mode};
use crate::bridge::Bridge;
use crate::client::value;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::join;

pub(super) async fn run(run: &Run, mcp: Mcp) -> Result<Exit, Failure> {
    let path = endpoint(&mcp)?;
    let space = run.place.space()?;
    let bridge = Bridge::begin();
    let hub = async |session: Option<String>| {
        join::link(&run.place, &space, &path, session.as_deref(), run.output).await
    };
    run.unless_stopped(bridge.run(hub)).await
}

/// The path of the stream that shows what was asked for.
fn endpoint(mcp: &Mcp) -> Result<String, Failure> {
    let mut endpoint = path(&mcp.view, "/mcp/lines");
    match (mcp.mode, &mcp.server) {
        (None | Some(Mode::Single), Some(server)) => {
            endpoint.push_str(&format!("?mode=single&server={}", value(server)));
        }
        (Some(mode), Some(_)) => {
            let message = format!("--mode {} shows more than one server", mode.as_str());
            return Err(Failure::new(Exit::Usage, message).hint("leave out --server, or --mode"));
        }
        (Some(mode), None) => endpoint.push_str(&format!("?mode={}", mode.as_str())),
        // As the space's settings say.
        (None, None) => {}
    }
    Ok(endpoint)
}
