//! `resources`: what servers offer to read.

use serde_json::{Value, json};

use super::servers::milliseconds;
use super::{Run, brief, path, text};
use crate::args::{Resources, ResourcesVerb, Whence};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

pub(super) async fn run(run: &Run, Resources { view, verb }: Resources) -> Result<Exit, Failure> {
    run.with_hub(async |hub| {
        run.settled(hub).await?;
        match &verb {
            ResourcesVerb::List => {
                let mut all: Vec<Value> = hub.get(&path(&view, "/resources")).await?;
                let templates: Vec<Value> = hub.get(&path(&view, "/resources/templates")).await?;
                all.extend(templates);
                run.show(Value::Array(all), listed)
            }
            ResourcesVerb::Read { uri, from: Whence { server, timeout } } => {
                let body = json!({
                    "uri": uri, "server_name": server, "timeout_ms": timeout.map(milliseconds),
                });
                run.show(hub.look_up(&path(&view, "/resources/read"), &body).await?, read)
            }
        }
    })
    .await
}

fn listed(output: &Output, resources: Vec<Value>) -> Result<(), Failure> {
    if resources.is_empty() {
        output.talk("no server offers a resource");
    }
    let row = |resource: &Value| {
        let of = |member| text(resource, member).to_owned();
        let template = ["uriTemplate", "uri_template"].into_iter().map(|member| text(resource, member));
        let address = template.chain([text(resource, "uri")]).find(|address| !address.is_empty());
        let what = match text(resource, "description") {
            "" => of("name"),
            description => brief(description),
        };
        vec![address.unwrap_or_default().to_owned(), of("server_name"), what]
    };
    output.table(&["address", "server", "what it holds"], resources.iter().map(row).collect())
}

/// What a resource holds: texts as they are, the rest in base64, as MCP has it.
fn read(output: &Output, answer: Value) -> Result<(), Failure> {
    let contents = answer["contents"].as_array().map(Vec::as_slice).unwrap_or_default();
    if contents.is_empty() {
        output.talk("it is empty");
    }
    for content in contents {
        match content["blob"].as_str() {
            Some(blob) => {
                output.talk(&format!("note: {} is not text, and printed in base64", text(content, "uri")));
                output.text(blob)?;
            }
            None => output.text(text(content, "text"))?,
        }
    }
    Ok(())
}
