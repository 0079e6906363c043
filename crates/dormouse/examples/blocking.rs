//! A hub in a program without an async runtime.

mod support;

use std::sync::Arc;

use dormouse::blocking::{Error, Hub};
use dormouse::{CallRequest, NoBackChannel, Scope};
use serde_json::json;
use support::{Done, builder, space};

fn echo(text: &str) -> CallRequest {
    let arguments = json!({ "text": text }).as_object().cloned().unwrap_or_default();
    CallRequest { tool: "echo".to_owned(), server: None, arguments, deadline: None }
}

fn main() -> Done {
    let folder = space()?;
    let hub = Hub::open(builder(&folder))?;
    let context = hub.store();
    let answer = context.call(echo("no await"), Arc::new(NoBackChannel))?;
    assert_eq!(answer.result.text(), "no await");
    assert_eq!(context.tools().len(), 1);
    assert_eq!(hub.health()?.servers, 1);

    // Inside a runtime it is an error, not a panic.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let inside = runtime.block_on(async { context.call(echo("x"), Arc::new(NoBackChannel)) });
    assert!(matches!(inside, Err(Error::InsideRuntime)));

    // Agents, tokens and files, as the async hub has them.
    assert!(hub.for_agent("ann")?.call(echo("not hers"), Arc::new(NoBackChannel)).is_err());
    let token = hub.tokens().create("ci", Scope::Store)?;
    assert!(hub.tokens().verify(&token.secret).is_some());
    hub.tokens().revoke("ci")?;
    std::fs::write(folder.path().join("mcp.json"), "{}")?;
    hub.rescan()?;
    assert!(hub.for_store().servers().is_empty());

    hub.shutdown()?;
    Ok(())
}
