//! What happens while a question is answered, told to a person on standard error.
//!
//! Each thing that happened is a line with its time. On a terminal, what happens right now
//! turns below the lines.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use dormouse_http::wire::{CandidateItem, Decision, PlanItem, QueryNews, ReceiptItem, ToolOutcome};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{one_line, say};

/// Tells what happens.
#[derive(Debug)]
pub(crate) struct Trace {
    began: Instant,
    form: Form,
    /// How many words of the answer came.
    words: usize,
    /// When each server's waking was last told for good: an install has a hundred steps.
    woken: HashMap<String, Instant>,
}

#[derive(Debug)]
enum Form {
    Silent,
    /// A line each.
    Plain,
    /// Lines above what happens now.
    Live(ProgressBar),
}

impl Trace {
    pub(crate) fn begin(quiet: bool) -> Self {
        let form = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Form::Silent,
            (false, false) => Form::Plain,
            (false, true) => Form::Live(spinner()),
        };
        let trace = Self { began: Instant::now(), form, words: 0, woken: HashMap::new() };
        trace.now("looking for the hub");
        trace
    }

    /// Tells an event.
    pub(crate) fn news(&mut self, news: &QueryNews) {
        if let QueryNews::Token(token) = news {
            self.words += token.text.split_whitespace().count();
            self.now(&format!("answering, {} words", self.words));
            return;
        }
        if let Some(now) = activity(news) {
            self.now(&now);
        }
        if self.is_news(news) {
            for line in lines(news) {
                self.line(&line);
            }
        }
    }

    /// Whether an event is worth a line, after those that there were.
    fn is_news(&mut self, news: &QueryNews) -> bool {
        const PACE: Duration = Duration::from_secs(1);
        let QueryNews::Waking(waking) = news else { return true };
        let now = Instant::now();
        match self.woken.get(&waking.server_name) {
            Some(told) if now.duration_since(*told) < PACE => false,
            _ => {
                self.woken.insert(waking.server_name.clone(), now);
                true
            }
        }
    }

    /// Makes room for the answer.
    pub(crate) fn pause(&self) {
        if let Form::Live(spinner) = &self.form {
            spinner.set_message("");
            spinner.finish_and_clear();
        }
    }

    /// The answer is out; what was woken goes to sleep.
    pub(crate) fn ending(&mut self) {
        if let Form::Live(spinner) = &mut self.form {
            *spinner = self::spinner();
            spinner.set_message("letting servers sleep");
        }
    }

    /// A server went to sleep.
    pub(crate) fn slept(&self, server: &str) {
        self.line(&Line::new("sleep", server));
    }

    pub(crate) fn end(self) {
        self.pause();
    }

    fn now(&self, what: &str) {
        if let Form::Live(spinner) = &self.form {
            spinner.set_message(one_line(what));
        }
    }

    fn line(&self, line: &Line) {
        let text = line.at(self.began.elapsed());
        match &self.form {
            Form::Silent => {}
            Form::Plain => say(&text),
            Form::Live(spinner) => spinner.suspend(|| say(&text)),
        }
    }
}

fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_style(
        ProgressStyle::with_template("{spinner} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    spinner.set_draw_target(ProgressDrawTarget::stderr());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// One line of the trace: what happened, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    what: &'static str,
    rest: String,
}

impl Line {
    fn new(what: &'static str, rest: impl AsRef<str>) -> Self {
        Self { what, rest: cut(&one_line(rest.as_ref())) }
    }

    fn at(&self, time: Duration) -> String {
        format!("{:>8.3} s  {:<10}  {}", time.as_secs_f64(), self.what, self.rest)
    }
}

/// A trace is read at a glance; the whole is in `--json`.
fn cut(text: &str) -> String {
    const LONGEST: usize = 160;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// What happens from now on.
fn activity(news: &QueryNews) -> Option<String> {
    match news {
        QueryNews::Candidates(_) => Some("planning".to_owned()),
        QueryNews::Call(call) => Some(format!("calling {}", call.name)),
        QueryNews::Waking(waking) => Some(format!("{}: {}", waking.server_name, waking.step)),
        QueryNews::Progress(said) => {
            let of = said.total.map(|total| format!(" of {total}")).unwrap_or_default();
            let message = said.message.as_deref().unwrap_or_default();
            Some(format!("{}: {}{of} {message}", said.tool_name, said.progress))
        }
        QueryNews::Result(_) => Some("answering".to_owned()),
        QueryNews::Plan(_)
        | QueryNews::Token(_)
        | QueryNews::Lagged(_)
        | QueryNews::Answer(_)
        | QueryNews::Problem(_) => None,
    }
}

/// What an event is worth telling for good.
fn lines(news: &QueryNews) -> Vec<Line> {
    match news {
        QueryNews::Candidates(candidates) => vec![Line::new("candidates", named(candidates))],
        QueryNews::Plan(plan) => planned(plan),
        QueryNews::Call(call) => vec![Line::new("call", &call.name)],
        QueryNews::Waking(waking) => {
            vec![Line::new("wake", format!("{}: {}", waking.server_name, waking.step))]
        }
        QueryNews::Result(result) => vec![ended(result)],
        QueryNews::Lagged(lagged) => {
            let missed = lagged.missed.map(|missed| format!("{missed} ")).unwrap_or_default();
            vec![Line::new("…", format!("{missed}events were left out"))]
        }
        // Progress turns below; tokens, answer and problem are told where they belong.
        QueryNews::Progress(_) | QueryNews::Token(_) | QueryNews::Answer(_) | QueryNews::Problem(_) => {
            Vec::new()
        }
    }
}

fn named(candidates: &[CandidateItem]) -> String {
    const SHOWN: usize = 3;
    if candidates.is_empty() {
        return "none".to_owned();
    }
    let mut names: Vec<String> =
        candidates.iter().take(SHOWN).map(|c| format!("{} {:.2}", c.name, c.score)).collect();
    if candidates.len() > SHOWN {
        names.push(format!("{} more", candidates.len() - SHOWN));
    }
    names.join(", ")
}

fn planned(plan: &PlanItem) -> Vec<Line> {
    let by = plan.model.as_deref().map(|model| format!(" (by {model})")).unwrap_or_default();
    let mut lines = match &plan.decision {
        Decision::Calls { calls } => calls
            .iter()
            .flat_map(|call| {
                let params = serde_json::Value::Object(call.params.clone());
                let plan = Line::new("plan", format!("{} {params}{by}", call.name));
                std::iter::once(plan).chain(call.receipts.iter().map(corrected))
            })
            .collect(),
        Decision::NoTool { reason } => vec![Line::new("plan", format!("no tool: {reason}{by}"))],
        Decision::AskBack { missing, tool, .. } => {
            let tool = tool.as_deref().map(|tool| format!(" for {tool}")).unwrap_or_default();
            vec![Line::new("plan", format!("ask back{tool}: {} missing{by}", missing.join(", ")))]
        }
    };
    lines.extend(plan.reasons.iter().map(|reason| Line::new("because", reason)));
    lines
}

fn corrected(receipt: &ReceiptItem) -> Line {
    let ReceiptItem { argument, rule, from, to } = receipt;
    Line::new("receipt", format!("{argument}: {from} → {to} ({rule})"))
}

fn ended(result: &ToolOutcome) -> Line {
    let woke = if result.hotplugged { ", woke " } else { "" };
    let server = if result.hotplugged { result.server_name.as_str() } else { "" };
    let end = format!("{} {} after {} ms{woke}{server}", result.tool, result.outcome, result.duration_ms);
    Line::new("result", end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told(news: &[Value]) -> String {
        let lines = news.iter().flat_map(|news| lines(&serde_json::from_value(news.clone()).unwrap()));
        lines.map(|line| line.at(Duration::from_millis(1_234)) + "\n").collect()
    }

    fn candidate(name: &str, score: f64) -> Value {
        json!({"name": name, "server_name": "calculator", "tool_name": "t", "score": score})
    }

    #[test]
    fn a_query_reads_from_search_to_result() {
        let candidates: Vec<Value> = ["calculate", "percentage", "split_bill", "loan_emi", "unit_convert"]
            .map(|n| candidate(n, 2.0))
            .into();
        let receipt =
            json!({"argument": "expression", "rule": "similar_name", "from": "expr", "to": "expression"});
        let call = json!({
            "name": "calculator_calculate", "server_name": "calculator", "tool_name": "calculate",
            "params": {"expression": "42 * 58"}, "receipts": [receipt],
        });
        insta::assert_snapshot!(told(&[
            json!({"event": "candidates", "data": candidates}),
            json!({"event": "plan", "data": {
                "decision": "calls", "calls": [call], "candidates": [], "model": "llama3.2",
                "reasons": ["the best tool\nis clearly ahead"],
            }}),
            json!({"event": "call", "data": {"name": "calculator_calculate", "server_name": "calculator", "tool_name": "calculate"}}),
            json!({"event": "waking", "data": {"server_name": "calculator", "step": "installing mcp<2"}}),
            json!({"event": "token", "data": {"text": "2436"}}),
            json!({"event": "result", "data": {
                "tool": "calculate", "params": {}, "result": "2436", "duration_ms": 912.4, "hotplugged": true,
                "server_name": "calculator", "outcome": "ok", "receipts": [],
            }}),
        ]));
    }

    #[test]
    fn what_is_not_called_is_told_too() {
        insta::assert_snapshot!(told(&[
            json!({"event": "candidates", "data": []}),
            json!({"event": "plan", "data": {
                "decision": "no_tool", "reason": "nothing fits", "candidates": [], "model": null, "reasons": [],
            }}),
            json!({"event": "plan", "data": {
                "decision": "ask_back", "question": "How many?", "tool": "split_bill", "missing": ["people", "total"],
                "candidates": [], "model": null, "reasons": [],
            }}),
            json!({"event": "lagged", "data": {"missed": 7}}),
        ]));
    }

    #[test]
    fn a_line_is_cut_where_no_glance_reaches() {
        assert_eq!(cut(&"ü".repeat(200)).chars().count(), 161);
    }
}
