//! `agents`: who has servers of its own, or shares those of the store.

use serde_json::Value;

use super::{Run, path, text};
use crate::args::{Agents, AgentsVerb};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

pub(super) async fn run(run: &Run, Agents { view, verb: AgentsVerb::List }: Agents) -> Result<Exit, Failure> {
    run.with_hub(async |hub| {
        run.settled(hub).await?;
        run.show(hub.get(&path(&view, "/agents")).await?, listed)
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
