//! `servers add` with many servers at once: each counts by itself.

use std::path::Path;

use dormouse_http::wire::AddedServers;
use serde_json::Value;

use super::{Run, or_stdin, path};
use crate::args::{ManyServers, View};
use crate::client::HubClient;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// The text that was handed in, if the servers were.
pub(super) fn handed_in(many: &ManyServers) -> Result<Option<String>, Failure> {
    match (&many.entries, &many.file) {
        (Some(text), _) => or_stdin(text.clone()).map(Some),
        (None, Some(file)) => super::transfer::read(Path::new(file)).map(|(_, text)| Some(text)),
        (None, None) => Ok(None),
    }
}

/// Adds them, and tells of each what became of it.
pub(super) async fn add(run: &Run, hub: &mut HubClient, view: &View, text: String) -> Result<Exit, Failure> {
    // As a text: a parser in between would swallow a name that stands there twice.
    let said: Value = hub.post(&path(view, "/config/servers"), &Value::String(text)).await?;
    // Whether they are servers shows at their first contact.
    run.settled(hub).await?;
    let is_whole = said["failed"].as_array().is_some_and(Vec::is_empty);
    run.show(said, reported).map(|done| if is_whole { done } else { Exit::Refused })
}

fn reported(output: &Output, report: AddedServers) -> Result<(), Failure> {
    let added = report.added.into_iter().map(|server| vec![server.name, "added".to_owned(), String::new()]);
    let failed =
        report.failed.into_iter().map(|server| vec![server.name, "refused".to_owned(), server.reason]);
    output.table(&["server", "outcome", "why"], added.chain(failed).collect())
}
