//! What the tests of servers at URLs share.

use std::sync::Arc;
use std::time::Duration;

use dormouse::{Hub, ServerName, ServerState, ServerStatus};
use dormouse_testing::scripted::Scripted;
use dormouse_tests::{TestSpace, until};
use serde_json::{Map, Value, json};

/// Writes an `mcp.json` of these entries.
pub(crate) fn configure(space: &TestSpace, servers: &[(&str, Value)]) {
    let entries: Map<_, _> =
        servers.iter().map(|(name, entry)| ((*name).to_owned(), entry.clone())).collect();
    space.write("mcp.json", json!({ "mcpServers": entries }).to_string());
}

/// A hub whose probes come all the time, and whose back-off is short.
pub(crate) async fn hasty(space: &TestSpace) -> Hub {
    let hub = space.hub(|_| {}).await;
    let orchestrator = hub.store().orchestrator().clone();
    let mut supervision = orchestrator.supervision();
    let soon = Duration::from_millis(200);
    (supervision.probe, supervision.probe_in_warning) = (soon, soon);
    (supervision.first_delay, supervision.longest_delay, supervision.long_retry) = (soon, soon, soon);
    orchestrator.set_supervision(supervision);
    hub
}

pub(crate) fn name(text: &str) -> ServerName {
    ServerName::try_new(text).unwrap()
}

pub(crate) fn status(hub: &Hub, server: &str) -> Arc<ServerStatus> {
    hub.store().server(&name(server)).unwrap().status
}

pub(crate) fn reason(hub: &Hub, server: &str) -> String {
    status(hub, server).reason.clone().unwrap_or_default()
}

pub(crate) async fn becomes(hub: &Hub, server: &str, wanted: ServerState) {
    let waited = hub.store().wait(&name(server), &[wanted], Duration::from_secs(30)).await;
    if let Err(error) = waited {
        panic!("{error}: {:?}", status(hub, server));
    }
}

/// Waits until a server is well and its tools are known.
pub(crate) async fn comes(hub: &Hub, server: &str) {
    becomes(hub, server, ServerState::Healthy).await;
    until(&format!("the tools of {server} are known"), || !tools(hub, server).is_empty()).await;
}

/// Waits until a server has failed, and gives the reason.
pub(crate) async fn fails(hub: &Hub, server: &str) -> String {
    until(&format!("{server} has failed"), || status(hub, server).failures > 0).await;
    reason(hub, server)
}

/// The names of a server's tools, in its order.
pub(crate) fn tools(hub: &Hub, server: &str) -> Vec<String> {
    let server = hub.store().server(&name(server)).unwrap();
    server.tools.iter().map(|tool| tool.tool().name.to_string()).collect()
}

/// A server that answers as a good one does.
pub(crate) fn well() -> Scripted {
    Scripted::calls(|asked| asked.result(&json!({ "content": [{ "type": "text", "text": "well" }] })))
}
