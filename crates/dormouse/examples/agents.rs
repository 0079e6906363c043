//! Contexts: the store sees every server, an agent only its own.

#[path = "support/call.rs"]
mod call;
mod support;

use call::say;
use dormouse::AgentId;
use support::{Done, builder, space};

#[tokio::main]
async fn main() -> Done {
    let folder = space()?;
    let hub = builder(&folder).open().await?;
    assert_eq!(say(&hub.store(), "for all").await?, "for all");

    let agent = hub.agent(AgentId::try_new("a1")?);
    assert!(agent.tools().is_empty());
    let refused = say(&agent, "mine?").await.expect_err("the agent has no such tool");
    assert!(refused.to_string().contains("no tool is named `echo`"), "{refused}");

    hub.shutdown().await;
    Ok(())
}
