//! A program with a hub inside: a script becomes a tool, and one call wakes it.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;

use dormouse::{CallRequest, Config, Hub, Memory, NoBackChannel};
use serde_json::json;

const GREET: &str = include_str!("support/greet.py");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("servers"))?;
    std::fs::write(folder.path().join("servers/greet.py"), GREET)?;

    let config = Config { model: "none".to_owned(), ..Config::default() };
    let hub =
        Hub::builder().space(folder.path()).config(config).storage(Arc::new(Memory::new())).open().await?;
    let context = hub.store();
    for tool in context.tools() {
        println!("{}: {}", tool.full_name(), tool.description().unwrap_or_default());
    }
    assert_eq!(context.servers()[0].status.state.as_str(), "dormant");

    let arguments = json!({ "name": "Ada" }).as_object().cloned().unwrap_or_default();
    let request = CallRequest { tool: "greet".to_owned(), server: None, arguments, deadline: None };
    let answer = context.call(request, Arc::new(NoBackChannel)).await?;
    println!("{}", answer.result.text());
    assert_eq!(answer.result.text(), "Hello, Ada!");
    assert!(answer.woke);

    // Running calls finish, and no process is left.
    hub.shutdown().await;
    Ok(())
}
