//! `stats`: how the hub fares, in numbers.

use std::collections::BTreeMap;

use dormouse_http::wire::HealthReport;
use serde_json::{Value, json};

use super::Run;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(run: &Run) -> Result<Exit, Failure> {
    run.with_hub(async |hub| {
        let health: Value = hub.get("/health").await?;
        let measured = Measured::read(&hub.get_text("/metrics").await?);
        if run.output.json {
            let samples: Vec<Value> = measured.samples.iter().map(Sample::as_json).collect();
            run.output.value(&json!({"health": health, "metrics": samples}))?;
            return Ok(Exit::Ok);
        }
        run.show(health, |output, health: HealthReport| {
            output.facts(facts(&health, &measured))?;
            output.table(
                &["server", "tool", "calls", "ok", "not ok", "mean"],
                measured
                    .by_tool()
                    .into_iter()
                    .map(|((server, tool), calls)| calls.row(server, tool))
                    .collect(),
            )
        })
    })
    .await
}

fn facts(health: &HealthReport, measured: &Measured) -> Vec<(&'static str, String)> {
    let queries = measured.sum("queries_total", &[]);
    let well = measured.sum("queries_total", &[("status", "success")]);
    let mean = mean(
        measured.sum("query_duration_seconds_sum", &[]),
        measured.sum("query_duration_seconds_count", &[]),
    );
    vec![
        ("hub", format!("{}, version {}", health.status, health.version)),
        ("servers", format!("{}, {} awake", health.servers, health.attached)),
        ("tools", health.tools.to_string()),
        ("storage", health.storage.clone()),
        ("model", health.model.clone().unwrap_or_else(|| "none".to_owned())),
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

#[derive(Debug, Default)]
struct Calls {
    all: f64,
    ok: f64,
    seconds: f64,
    timed: f64,
}

impl Calls {
    fn row(self, server: String, tool: String) -> Vec<String> {
        let Self { all, ok, seconds, timed } = self;
        vec![server, tool, all.to_string(), ok.to_string(), (all - ok).to_string(), mean(seconds, timed)]
    }
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

    fn by_tool(&self) -> BTreeMap<(String, String), Calls> {
        let mut tools: BTreeMap<(String, String), Calls> = BTreeMap::new();
        for sample in &self.samples {
            let label = |name: &str| sample.labels.get(name).cloned().unwrap_or_default();
            let mut add = |field: fn(&mut Calls) -> &mut f64| {
                *field(tools.entry((label("server"), label("tool"))).or_default()) += sample.value;
            };
            match sample.name.as_str() {
                "tool_calls_total" => {
                    add(|calls| &mut calls.all);
                    if label("status") == "success" {
                        add(|calls| &mut calls.ok);
                    }
                }
                "tool_call_duration_seconds_sum" => add(|calls| &mut calls.seconds),
                "tool_call_duration_seconds_count" => add(|calls| &mut calls.timed),
                _ => {}
            }
        }
        tools
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
    fn calls_are_counted_by_tool() {
        let measured = Measured::read(TEXT);
        let rows: Vec<Vec<String>> =
            measured.by_tool().into_iter().map(|((server, tool), calls)| calls.row(server, tool)).collect();
        assert_eq!(
            rows,
            [vec!["a\"b", "x,y} z", "1", "1", "0", ""], vec!["calc", "calculate", "4", "3", "1", "25.0 ms"],]
        );
    }

    #[test]
    fn series_are_summed_by_label() {
        let measured = Measured::read(TEXT);
        assert_eq!(measured.sum("queries_total", &[]), 3.0);
        assert_eq!(measured.sum("queries_total", &[("status", "error")]), 1.0);
        assert_eq!(measured.sum("active_servers_count", &[]), 1.0);
    }
}
