//! How a tool shows in a view: disabled, under another name, in other words.
//!
//! # Invariants
//!
//! * A command changes the one thing that it names; what was said of the tool before stays.

use dormouse_types::Arguments;
use serde_json::Value;

use super::{Run, brief, path, text};
use crate::args::{OneTool, View};
use crate::client::{HubClient, segment, value};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Says one thing of a tool, or takes it back.
pub(super) async fn change(
    run: &Run,
    hub: &mut HubClient,
    view: &View,
    tool: &OneTool,
    member: &str,
    said: Option<Value>,
) -> Result<Exit, Failure> {
    run.settled(hub).await?;
    let query = tool.server.as_deref().map(|name| format!("?server_name={}", value(name)));
    let path = path(view, &format!("/tools/{}/settings{}", segment(&tool.name), query.unwrap_or_default()));
    let mut settings: Arguments = hub.get(&path).await?;
    match said {
        Some(said) => settings.insert(member.to_owned(), said),
        None => settings.remove(member),
    };
    run.show(hub.put(&path, &settings).await?, shows)
}

fn shows(output: &Output, tool: Value) -> Result<(), Failure> {
    let of = |member| text(&tool, member).to_owned();
    let state = if tool["disabled"] == true { "disabled" } else { "enabled" };
    output.table(
        &["tool", "server", "state", "what it does"],
        vec![vec![of("full_name"), of("server_name"), state.to_owned(), brief(text(&tool, "description"))]],
    )
}
