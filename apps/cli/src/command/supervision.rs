//! The verbs of `servers` that watch over them, `alerts`, and `config supervision`.

use dormouse_http::wire::{AlertItem, CheckItem, ClearedAlerts, RaiseAlert, SupervisionReport};
use dormouse_types::ServerState;
use serde_json::{Map, Value, json};

use super::servers::{milliseconds, one_line};
use super::{Run, path};
use crate::args::{Alerts, AlertsVerb, SupervisedVerb, View};
use crate::client::{HubClient, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// The longest that a hub waits in one request, in seconds.
const LONGEST_WAIT: f64 = 600.0;

pub(super) async fn servers(
    run: &Run,
    hub: &mut HubClient,
    view: &View,
    verb: &SupervisedVerb,
) -> Result<Exit, Failure> {
    let of = |name: &str, rest: &str| path(view, &format!("/servers/{}{rest}", segment(name)));
    match verb {
        SupervisedVerb::Check { name } => {
            let said: Value = match name {
                Some(name) => hub.look_up(&of(name, "/check"), &json!({})).await?,
                None => {
                    run.settled(hub).await?;
                    hub.look_up(&path(view, "/check"), &json!({})).await?
                }
            };
            let checks = if said.is_array() { said.clone() } else { json!([said]) };
            let is_well = |check: &Value| check["healthy"] == true;
            let all_well = checks.as_array().is_some_and(|all| all.iter().all(is_well));
            if run.output.json {
                run.output.value(&said)?;
            } else {
                run.show(checks, checked)?;
            }
            Ok(if all_well { Exit::Ok } else { Exit::ServerDown })
        }
        SupervisedVerb::Wait { name, states, change, timeout } => {
            let awaited = if *change { "change=true".to_owned() } else { format!("state={}", words(states)) };
            let said = waited(hub, &of(name, &format!("/wait?{awaited}")), *timeout).await?;
            run.show(said, one_line)
        }
        SupervisedVerb::Connect { name } => {
            run.show(hub.post(&of(name, "/connect"), &json!({})).await?, one_line)
        }
        SupervisedVerb::Disconnect { name, reason } => {
            let body = json!({ "reason": reason });
            run.show(hub.post(&of(name, "/disconnect"), &body).await?, one_line)
        }
        SupervisedVerb::Refresh { name } => {
            run.show(hub.post(&of(name, "/refresh"), &json!({})).await?, one_line)
        }
    }
}

fn words(states: &[ServerState]) -> String {
    let states = if states.is_empty() { &[ServerState::Healthy] } else { states };
    states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(",")
}

/// Waits in as many requests as it takes.
async fn waited(hub: &mut HubClient, path: &str, mut seconds: f64) -> Result<Value, Failure> {
    loop {
        let now = seconds.min(LONGEST_WAIT);
        seconds -= now;
        match hub.get(&format!("{path}&timeout_ms={}", milliseconds(now))).await {
            Err(failure) if failure.exit() == Exit::Late && seconds > 0.0 => {}
            answered => return answered,
        }
    }
}

fn checked(output: &Output, checks: Vec<CheckItem>) -> Result<(), Failure> {
    if checks.is_empty() {
        output.talk("there are no servers to check");
    }
    let rows = checks.into_iter().map(|check| {
        let verdict = if check.healthy { "ok" } else { "not ok" };
        let took = check.latency_ms.map(|took| format!("{took} ms")).unwrap_or_default();
        let reason = check.reason.unwrap_or_default();
        vec![check.server_name, verdict.to_owned(), check.status.to_string(), took, reason]
    });
    output.table(&["server", "check", "state", "answered in", "reason"], rows.collect())
}

pub(super) async fn alerts(run: &Run, Alerts { view, verb }: Alerts) -> Result<Exit, Failure> {
    let at = path(&view, "/alerts");
    run.with_hub(async |hub| match &verb {
        AlertsVerb::List => {
            run.settled(hub).await?;
            run.show(hub.get(&at).await?, |output, alerts: Vec<AlertItem>| {
                if alerts.is_empty() {
                    output.talk("nothing needs to be looked at");
                }
                rows(output, alerts)
            })
        }
        AlertsVerb::Raise { title, message, level, server } => {
            let body = RaiseAlert {
                level: *level,
                title: title.clone(),
                message: message.clone(),
                server_name: server.clone(),
            };
            run.show(hub.post(&at, &body).await?, |output, alert: AlertItem| rows(output, vec![alert]))
        }
        AlertsVerb::Clear => run.show(hub.delete(&at).await?, |output, gone: ClearedAlerts| {
            output.talk(&format!("forgot {} alerts", gone.cleared));
            Ok(())
        }),
    })
    .await
}

fn rows(output: &Output, alerts: Vec<AlertItem>) -> Result<(), Failure> {
    let rows = alerts.into_iter().map(|alert| {
        let level = serde_json::to_value(alert.level).ok();
        let level = level.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        vec![alert.at, level, alert.server_name.unwrap_or_default(), alert.title, alert.message]
    });
    output.table(&["when", "level", "server", "what", "message"], rows.collect())
}

/// Shows the settings of supervision, or changes some of them first.
pub(super) async fn settings(run: &Run, said: &[String]) -> Result<Exit, Failure> {
    let patch = patch(said)?;
    run.with_hub(async |hub| {
        let now = match patch.is_empty() {
            true => hub.get("/supervision").await?,
            false => hub.patch("/supervision", &patch).await?,
        };
        run.show(now, shown)
    })
    .await
}

/// `NAME=NUMBER` changes a setting; `NAME=` takes back what was said of it.
fn patch(said: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut patch = Map::new();
    for said in said {
        let Some((name, value)) = said.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Failure::new(Exit::Usage, format!("`{said}` is no setting with a value"))
                .hint("write NAME=NUMBER, or NAME= to go back to its default"));
        };
        let value = match value.trim() {
            "" => Value::Null,
            // The hub says what it may be, also of what is no number.
            value => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
        };
        patch.insert(name.trim().to_owned(), value);
    }
    Ok(patch)
}

fn shown(output: &Output, report: SupervisionReport) -> Result<(), Failure> {
    let rows = report.settings.iter().map(|(name, value)| {
        let default = report.defaults.get(name).unwrap_or(&Value::Null);
        let range = report.ranges.get(name).map(|range| format!("{} to {}", range.min, range.max));
        vec![name.clone(), value.to_string(), default.to_string(), range.unwrap_or_default()]
    });
    output.table(&["setting", "now", "default", "range"], rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_numbers_nothing_or_left_to_the_hub_to_refuse() {
        let said = |words: &[&str]| patch(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let made =
            said(&["probe_seconds=60", "refresh_hours=0.5", "open_after=", "warn_after=many"]).unwrap();
        let expected =
            json!({"probe_seconds": 60, "refresh_hours": 0.5, "open_after": null, "warn_after": "many"});
        assert_eq!(Value::Object(made), expected);
        assert_eq!(said(&["probe_seconds"]).unwrap_err().exit(), Exit::Usage);
        assert_eq!(said(&["=1"]).unwrap_err().exit(), Exit::Usage);
    }
}
