//! `agents`: who has servers of its own, or shares those of the store.

use dormouse_http::wire::{ResetReport, ServerStatItem, StatsReport, TokenItem};
use dormouse_types::AgentId;
use serde_json::{Value, json};

use super::{Run, path, text};
use crate::args::{Agents, AgentsVerb, View};
use crate::client::HubClient;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

pub(super) async fn run(run: &Run, Agents { view, verb }: Agents) -> Result<Exit, Failure> {
    run.with_hub(async |hub| match &verb {
        AgentsVerb::List => {
            run.settled(hub).await?;
            run.show(hub.get(&path(&view, "/agents")).await?, listed)
        }
        AgentsVerb::Show(of) => show(run, hub, &of.agent).await,
        AgentsVerb::Remove(of) => remove(run, hub, &of.agent).await,
    })
    .await
}

fn listed(output: &Output, agents: Vec<Value>) -> Result<(), Failure> {
    if agents.is_empty() {
        output.talk("no agent has a server: give one with --agent, or share one with `servers share`");
    }
    let row = |agent: &Value| {
        let count = |member: &str| agent[member].to_string();
        vec![text(agent, "agent").to_owned(), count("own"), count("shared"), count("tools")]
    };
    output.table(&["agent", "own servers", "shared servers", "tools"], agents.iter().map(row).collect())
}

/// The agent's own view.
fn of(agent: &AgentId) -> View {
    View { agent: Some(agent.clone()) }
}

async fn show(run: &Run, hub: &mut HubClient, agent: &AgentId) -> Result<Exit, Failure> {
    run.settled(hub).await?;
    let known: Vec<Value> = hub.get(&path(&of(agent), "/agents")).await?;
    let Some(summary) = known.into_iter().next() else {
        return Err(Failure::new(Exit::Unknown, format!("agent `{agent}` has no servers"))
            .hint("`dormouse agents list` shows the agents that have"));
    };
    let stats: Value = hub.get(&path(&of(agent), "/stats")).await?;
    if run.output.json {
        run.output.value(&json!({"agent": summary, "stats": stats}))?;
        return Ok(Exit::Ok);
    }
    run.show(stats, |output, stats: StatsReport| {
        let count = |member: &str| summary[member].to_string();
        let alerts: usize = stats.alerts.values().sum();
        output.facts(vec![
            ("agent", agent.to_string()),
            ("own servers", count("own")),
            ("shared servers", count("shared")),
            ("tools", stats.tools.to_string()),
            ("calls", format!("{}, {} not ok", stats.calls.calls, stats.calls.errors)),
            ("alerts", alerts.to_string()),
        ])?;
        servers(output, &stats.by_server)
    })
}

/// Servers in numbers.
pub(super) fn servers(output: &Output, servers: &[ServerStatItem]) -> Result<(), Failure> {
    let rows = servers.iter().map(|server| {
        vec![
            server.server_name.clone(),
            server.status.to_string(),
            server.tools.to_string(),
            server.sums.calls.to_string(),
            server.sums.errors.to_string(),
            server.sums.mean_ms.map(|mean| format!("{mean} ms")).unwrap_or_default(),
            server.reason.clone().unwrap_or_default(),
        ]
    });
    output.table(&["server", "state", "tools", "calls", "not ok", "mean", "reason"], rows.collect())
}

/// Removes what an agent has: servers, shares, settings of tools, conversations.
async fn remove(run: &Run, hub: &mut HubClient, agent: &AgentId) -> Result<Exit, Failure> {
    let shared: Vec<Value> = hub.get(&path(&of(agent), "/agents")).await?;
    let shared = shared.first().and_then(|agent| agent["shared"].as_u64()).unwrap_or_default();
    let body = json!({"shares": true, "tools": true, "conversations": true});
    let gone: Value = hub.post(&path(&of(agent), "/config/reset"), &body).await?;
    let tokens: Vec<TokenItem> = hub.get("/tokens").await?;
    let opens = tokens.iter().filter(|token| token.agent.as_deref() == Some(agent.as_str()));
    let opens: Vec<&str> = opens.map(|token| token.name.as_str()).collect();
    run.show(gone, |output, gone: ResetReport| {
        let rows = gone.removed.iter().map(|server| vec![server.server_name.clone(), agent.to_string()]);
        output.table(&["removed", "owner"], rows.collect())?;
        output.talk(&format!(
            "{agent} has nothing any more: {} servers of its own, {shared} shared ones, {} conversations",
            gone.removed.len(),
            gone.conversations
        ));
        if !opens.is_empty() {
            let names = opens.join(", ");
            output.talk(&format!("note: a token still opens it: {names}; `token revoke` takes it back"));
        }
        Ok(())
    })
}
