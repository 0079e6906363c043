//! `ask`: a question in plain words → an answer, and how it came about.

use std::collections::HashMap;

use dormouse::Event;
use dormouse_http::Problem;
use dormouse_http::wire::{QueryAnswered, QueryAsked, QueryNews, ToolOutcome};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::{Run, or_stdin, path};
use crate::args::Ask;
use crate::client::{HubClient, Unanswered};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::join::Visit;
use crate::trace::Trace;

pub(super) async fn run(run: &Run, ask: Ask) -> Result<Exit, Failure> {
    let query = or_stdin(ask.query.join(" "))?;
    let asked = QueryAsked { query, session_id: ask.session.to_string() };
    let mut trace = Trace::begin(run.output.quiet);
    let mut visit = run.unless_stopped(Visit::begin(&run.place, run.output)).await?;
    let events = visit.events();
    let query = path(&ask.view, "/query");
    let answer = run.unless_stopped(answer(&mut visit.client, &query, &asked, &mut trace)).await;
    trace.pause();
    let done = answer.and_then(|answer| shown(run, &answer));
    trace.ending();
    visit.end(&run.stop).await;
    if let Some(events) = events {
        slept(events).into_iter().for_each(|server| trace.slept(&server));
    }
    trace.end();
    done
}

/// Asks, and follows what happens until the answer is there.
async fn answer(
    client: &mut HubClient,
    path: &str,
    asked: &QueryAsked,
    trace: &mut Trace,
) -> Result<Value, Failure> {
    let mut events = client.stream(path, asked).await?;
    while let Some(event) = events.next().await.map_err(Unanswered::of_stream)? {
        let said: Value = serde_json::from_str(&event.data).map_err(unreadable)?;
        match event.name.as_str() {
            "answer" => return Ok(said),
            "problem" => return Err(serde_json::from_value::<Problem>(said).map_err(unreadable)?.into()),
            // A newer hub may tell more than we understand; the answer is what matters.
            name => match serde_json::from_value::<QueryNews>(json!({"event": name, "data": said})) {
                Ok(news) => trace.news(&news),
                Err(error) => tracing::debug!(%error, name, "an event was not understood"),
            },
        }
    }
    Err(Unanswered::Broken("it ended without an answer".into()).of_stream())
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Unexpected, "the hub's answer cannot be read").caused_by(&error)
}

fn shown(run: &Run, said: &Value) -> Result<Exit, Failure> {
    let answer: QueryAnswered = serde_json::from_value(said.clone()).map_err(unreadable)?;
    if run.output.json {
        run.output.value(said)?;
    } else {
        run.output.text(&answer.answer)?;
        for note in &answer.notes {
            run.output.talk(&format!("note: {note}"));
        }
    }
    Ok(exit_for(&answer.tool_results))
}

/// How a question ended: well if every tool did at its last call. A call that failed and was
/// made again with success does not count.
fn exit_for(results: &[ToolOutcome]) -> Exit {
    let mut last: HashMap<(&str, &str), Exit> = HashMap::new();
    for result in results {
        last.insert((&result.server_name, &result.tool), Exit::of_outcome(result.outcome));
    }
    // The worst is what nobody knows, then what did not run, then what failed by its own word.
    let ends = [Exit::OutcomeUnknown, Exit::ServerDown, Exit::ToolError];
    ends.into_iter().find(|end| last.values().any(|exit| exit == end)).unwrap_or(Exit::Ok)
}

/// The servers that went to sleep.
fn slept(mut events: Receiver<Event>) -> Vec<String> {
    let mut asleep = Vec::new();
    loop {
        match events.try_recv() {
            Ok(Event::Detached { server, .. }) => asleep.push(server.store_name()),
            Ok(_) | Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return asleep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse_types::Outcome;

    fn check(results: &[(&str, Outcome)], expected: Exit) {
        let results: Vec<ToolOutcome> = results
            .iter()
            .map(|(tool, outcome)| {
                serde_json::from_value(json!({
                    "tool": tool, "params": {}, "result": "", "duration_ms": 1.0, "hotplugged": false,
                    "server_name": "s", "outcome": outcome, "receipts": [],
                }))
                .unwrap()
            })
            .collect();
        assert_eq!(exit_for(&results), expected);
    }

    #[test]
    fn an_answer_without_tools_is_an_answer() {
        check(&[], Exit::Ok);
    }

    #[test]
    fn the_last_call_of_each_tool_counts() {
        check(&[("a", Outcome::ToolError), ("a", Outcome::Ok)], Exit::Ok);
        check(&[("a", Outcome::Ok), ("b", Outcome::ToolError)], Exit::ToolError);
        check(&[("a", Outcome::Failed), ("b", Outcome::Unknown), ("c", Outcome::Ok)], Exit::OutcomeUnknown);
    }
}
