//! `events`: what happened, and what happens.

use dormouse::Timestamp;
use serde_json::{Map, Value, json};

use super::{Run, path, text};
use crate::args::Events;
use crate::client::{HubClient, Unanswered};
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(run: &Run, Events { view, follow, limit }: Events) -> Result<Exit, Failure> {
    run.with_hub(async |hub| {
        let recent: Vec<Value> = hub.get(&path(&view, &format!("/events/recent?limit={limit}"))).await?;
        if run.output.json && !follow {
            run.output.value(&recent)?;
            return Ok(Exit::Ok);
        }
        if recent.is_empty() && !follow {
            run.output.talk("nothing happened yet");
        }
        for event in &recent {
            tell(run, event)?;
        }
        if !follow {
            return Ok(Exit::Ok);
        }
        let last = recent.last().map(|event| text(event, "id").to_owned());
        follow_from(run, hub, &path(&view, "/events"), last.as_deref()).await
    })
    .await
}

/// Tells what happens after the event with that id, until the hub ends.
async fn follow_from(
    run: &Run,
    hub: &mut HubClient,
    path: &str,
    last: Option<&str>,
) -> Result<Exit, Failure> {
    let mut events = hub.listen(path, last).await?;
    while let Some(event) = events.next().await.map_err(Unanswered::of_listening)? {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let at = Timestamp::now().to_string();
        // As those of before; a word to this listener alone, such as `lagged`, has no id.
        tell(run, &json!({"id": event.id, "at": at, "event": event.name, "data": data}))?;
    }
    run.output.talk("the hub ended");
    Ok(Exit::Ok)
}

/// A line for each event, also as JSON: whoever follows reads them one by one.
fn tell(run: &Run, event: &Value) -> Result<(), Failure> {
    if run.output.json {
        return run.output.text(&event.to_string());
    }
    let none = Map::new();
    let data = event["data"].as_object().unwrap_or(&none);
    let server = data.get("server_name").and_then(Value::as_str).unwrap_or_default();
    let rest = data.iter().filter(|(name, value)| *name != "server_name" && !value.is_null());
    let rest: Vec<String> = rest.map(|(name, value)| format!("{name}={}", word(value))).collect();
    let line =
        [text(event, "at"), text(event, "event"), server, &rest.join(" ")].map(crate::output::one_line);
    run.output.text(line.join("\t").trim_end())
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
