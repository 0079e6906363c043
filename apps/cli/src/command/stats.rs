//! `stats`: how servers, tools and calls fare, in numbers.

use std::collections::BTreeMap;

use dormouse_http::wire::{HealthReport, StatsReport, ToolStatItem};
use serde_json::{Value, json};

use super::{Run, path};
use crate::args::Stats;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(run: &Run, Stats { view }: Stats) -> Result<Exit, Failure> {
    run.with_hub(async |hub| {
        run.settled(hub).await?;
        let health: Value = hub.get(&path(&view, "/health")).await?;
        let stats: Value = hub.get(&path(&view, "/stats")).await?;
        let tools: Vec<ToolStatItem> = hub.get(&path(&view, "/stats/tools")).await?;
        // What is measured is of the whole hub; an agent is told of what is its own. The hub of
        // another program may measure nothing.
        let measured = match view.agent {
            None => hub.get_text("/metrics").await.map(|text| Measured::read(&text)).unwrap_or_default(),
            Some(_) => Measured::default(),
        };
        if run.output.json {
            let samples: Vec<Value> = measured.samples.iter().map(Sample::as_json).collect();
            run.output.value(&json!({"health": health, "stats": stats, "metrics": samples}))?;
            return Ok(Exit::Ok);
        }
        let health: HealthReport = serde_json::from_value(health).map_err(unreadable)?;
        run.show(stats, |output, stats: StatsReport| {
            output.facts(facts(&health, &stats, &measured))?;
            super::agents::servers(output, &stats.by_server)?;
            let called = tools.into_iter().filter(|tool| tool.calls > 0).map(called);
            output.table(&["server", "tool", "calls", "ok", "not ok", "mean"], called.collect())
        })
    })
    .await
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Unexpected, "the hub's answer cannot be read").caused_by(&error)
}

fn called(tool: ToolStatItem) -> Vec<String> {
    let ToolStatItem { server_name, tool_name, calls, errors, mean_ms, .. } = tool;
    let mean = mean_ms.map(|mean| format!("{mean} ms")).unwrap_or_default();
    vec![server_name, tool_name, calls.to_string(), (calls - errors).to_string(), errors.to_string(), mean]
}

/// What there is of each kind, and in which state: `3: 1 healthy, 2 dormant`.
fn counted<'a>(all: usize, kinds: impl IntoIterator<Item = (&'a String, &'a usize)>) -> String {
    let kinds = kinds.into_iter().filter(|(_, count)| **count > 0);
    let kinds: Vec<String> = kinds.map(|(kind, count)| format!("{count} {kind}")).collect();
    if kinds.is_empty() { all.to_string() } else { format!("{all}: {}", kinds.join(", ")) }
}

fn facts(health: &HealthReport, stats: &StatsReport, measured: &Measured) -> Vec<(&'static str, String)> {
    let queries = measured.sum("queries_total", &[]);
    let well = measured.sum("queries_total", &[("status", "success")]);
    let mean = mean(
        measured.sum("query_duration_seconds_sum", &[]),
        measured.sum("query_duration_seconds_count", &[]),
    );
    let left_out = match stats.disabled_tools {
        0 => String::new(),
        count => format!(", and {count} that are disabled"),
    };
    vec![
        ("hub", format!("{}, version {}, since {}", health.status, health.version, stats.since)),
        ("servers", counted(stats.servers, &stats.states)),
        ("tools", format!("{}{left_out}", stats.tools)),
        ("agents", stats.agents.to_string()),
        ("storage", health.storage.clone()),
        ("model", health.model.clone().unwrap_or_else(|| "none".to_owned())),
        ("calls", format!("{}, {} not ok", stats.calls.calls, stats.calls.errors)),
        ("alerts", counted(stats.alerts.values().sum(), &stats.alerts)),
        (
            "queries",
            if queries == 0.0 { "none yet".to_owned() } else { format!("{queries}, {well} ok, mean {mean}") },
        ),
    ]
}

fn mean(sum: f64, count: f64) -> String {
    if count == 0.0 { String::new() } else { format!("{:.1} ms", sum / count * 1_000.0) }
}

/// What was measured, as `/metrics` tells it.
#[derive(Debug, Default)]
struct Measured {
    samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Measured {
    /// Reads Prometheus' text format; what is no sample is left out.
    fn read(text: &str) -> Self {
        Self { samples: text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect() }
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|v| v == value))
        };
        self.samples.iter().filter(fits).map(|sample| sample.value).sum()
    }
}

impl Sample {
    fn as_json(&self) -> Value {
        json!({"name": self.name, "labels": self.labels, "value": self.value})
    }
}

/// One line: `name{label="value",…} number`.
fn sample(line: &str) -> Option<Sample> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(label.to_owned(), value);
            rest = after;
        }
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// A quoted text without its first quote: the text, and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP tool_calls_total Calls
# TYPE tool_calls_total counter
tool_calls_total{server="calc",status="success",tool="calculate"} 3
tool_calls_total{server="calc",status="error",tool="calculate"} 1
tool_calls_total{server="a\"b",status="success",tool="x,y} z"} 1
tool_call_duration_seconds_bucket{server="calc",tool="calculate",le="+Inf"} 4
tool_call_duration_seconds_sum{server="calc",tool="calculate"} 0.1
tool_call_duration_seconds_count{server="calc",tool="calculate"} 4
queries_total{status="success"} 2
queries_total{status="error"} 1
active_servers_count 1
broken{
"#;

    #[test]
    fn labels_are_read_with_whatever_they_hold() {
        let measured = Measured::read(TEXT);
        assert_eq!(measured.sum("tool_calls_total", &[("server", "a\"b"), ("tool", "x,y} z")]), 1.0);
        assert_eq!(measured.sum("tool_calls_total", &[("server", "calc")]), 4.0);
        assert_eq!(measured.sum("broken", &[]), 0.0);
    }

    #[test]
    fn kinds_that_are_there_are_counted() {
        let states = BTreeMap::from([("dormant".to_owned(), 2), ("healthy".to_owned(), 0)]);
        assert_eq!(counted(2, &states), "2: 2 dormant");
        assert_eq!(counted(0, &BTreeMap::new()), "0");
    }

    #[test]
    fn series_are_summed_by_label() {
        let measured = Measured::read(TEXT);
        assert_eq!(measured.sum("queries_total", &[]), 3.0);
        assert_eq!(measured.sum("queries_total", &[("status", "error")]), 1.0);
        assert_eq!(measured.sum("active_servers_count", &[]), 1.0);
    }
}
