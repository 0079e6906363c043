//! `tools`: finding them and calling them.

use dormouse::Json;
use dormouse_http::wire::{CallBody, CallReply, FoundTool, ToolItem};
use serde_json::Value;

use super::servers::milliseconds;
use super::{Run, brief, or_stdin, path, text, tool_settings};
use crate::args::{ListTools, Tools, ToolsVerb, View};
use crate::client::{HubClient, segment, value};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::keyvalue;
use crate::output::Output;

pub(super) async fn run(run: &Run, Tools { view, verb }: Tools) -> Result<Exit, Failure> {
    run.with_hub(async |hub| match &verb {
        ToolsVerb::List(asked) => list(run, hub, &view, asked).await,
        ToolsVerb::Search { query, limit } => {
            run.settled(hub).await?;
            let query = format!("/tools/search?q={}&limit={limit}", value(&query.join(" ")));
            run.show(hub.get(&path(&view, &query)).await?, found)
        }
        ToolsVerb::Show(tool) => {
            run.settled(hub).await?;
            let of = tool.server.as_deref().map(|name| format!("?server_name={}", value(name)));
            let at = format!("/tools/{}{}", segment(&tool.name), of.unwrap_or_default());
            run.show(hub.get(&path(&view, &at)).await?, shown)
        }
        ToolsVerb::Call { name, arguments, server, timeout } => {
            let asked = Asked { name, words: arguments, server: server.as_deref(), timeout: *timeout };
            call(run, hub, &view, asked).await
        }
        ToolsVerb::Disable(tool) => {
            tool_settings::change(run, hub, &view, tool, "disabled", Some(true.into())).await
        }
        ToolsVerb::Enable(tool) => tool_settings::change(run, hub, &view, tool, "disabled", None).await,
        ToolsVerb::Rename { tool, new } => {
            let name = new.clone().map(Value::String);
            tool_settings::change(run, hub, &view, tool, "name", name).await
        }
        ToolsVerb::Describe { tool, text } => {
            let words = text.clone().map(or_stdin).transpose()?.map(Value::String);
            tool_settings::change(run, hub, &view, tool, "description", words).await
        }
        ToolsVerb::Calls { server, tool, outcome, since, limit } => {
            let mut query = format!("/calls?limit={limit}");
            let outcome = outcome.as_ref().map(|outcome| outcome.as_str());
            let since = since.map(|since| since.to_string());
            let filters = [
                ("server_name", server.as_deref()),
                ("tool_name", tool.as_deref()),
                ("outcome", outcome),
                ("since", since.as_deref()),
            ];
            for (name, wanted) in filters.into_iter().filter_map(|(name, wanted)| Some((name, wanted?))) {
                query.push_str(&format!("&{name}={}", value(wanted)));
            }
            run.show(hub.get(&path(&view, &query)).await?, ended)
        }
        ToolsVerb::Stats => {
            run.settled(hub).await?;
            run.show(hub.get(&path(&view, "/stats/tools")).await?, counted)
        }
    })
    .await
}

async fn list(run: &Run, hub: &mut HubClient, view: &View, asked: &ListTools) -> Result<Exit, Failure> {
    run.settled(hub).await?;
    let ListTools { all, server, format } = asked;
    let wanted = [
        server.as_deref().map(|name| format!("server_name={}", value(name))),
        format.map(|format| format!("format={format}")),
        all.then(|| "disabled=true".to_owned()),
    ];
    let wanted: Vec<String> = wanted.into_iter().flatten().collect();
    let said: Value = hub.get(&path(view, &format!("/tools?{}", wanted.join("&")))).await?;
    if format.is_some() {
        // It is for a program, whoever looks at it.
        run.output.value(&said)?;
        return Ok(Exit::Ok);
    }
    run.show(said, |output, tools: Vec<ToolItem<'static>>| {
        if tools.is_empty() && server.is_none() {
            output.talk("no tools yet: drop a script into the space's servers/");
        }
        listed(output, tools, *all)
    })
}

fn listed(output: &Output, mut tools: Vec<ToolItem<'static>>, with_state: bool) -> Result<(), Failure> {
    // A person reads a server's tools together.
    tools.sort_by(|a, b| (&a.server_name, &a.full_name).cmp(&(&b.server_name, &b.full_name)));
    let heading = ["tool", "server", "what it does", "state"];
    let columns = if with_state { 4 } else { 3 };
    let rows = tools.into_iter().map(|tool| {
        let mut row =
            vec![tool.full_name.to_string(), tool.server_name.to_string(), brief(&tool.description)];
        row.push(state(tool.disabled).to_owned());
        row.truncate(columns);
        row
    });
    output.table(&heading[..columns], rows.collect())
}

fn state(disabled: bool) -> &'static str {
    if disabled { "disabled" } else { "enabled" }
}

fn found(output: &Output, tools: Vec<FoundTool>) -> Result<(), Failure> {
    if tools.is_empty() {
        output.talk("no tool fits");
    }
    let rows = tools.into_iter().map(|tool| {
        vec![format!("{:.2}", tool.score), tool.full_name, tool.server_name, brief(&tool.description)]
    });
    output.table(&["score", "tool", "server", "what it does"], rows.collect())
}

fn shown(output: &Output, tool: ToolItem<'static>) -> Result<(), Failure> {
    let pretty = |schema: &Json| serde_json::to_string_pretty(&schema.value()).unwrap_or_default();
    output.facts(vec![
        ("name", tool.full_name.to_string()),
        ("title", tool.title.as_deref().unwrap_or_default().to_owned()),
        ("server", tool.server_name.to_string()),
        ("tool", tool.tool_name.to_string()),
        ("state", state(tool.disabled).to_owned()),
        ("does", tool.description.to_string()),
        ("takes", pretty(&tool.schema)),
        ("gives", tool.output_schema.as_deref().map(pretty).unwrap_or_default()),
        ("hints", tool.annotations.as_deref().map(pretty).unwrap_or_default()),
    ])
}

/// How calls ended, newest first.
fn ended(output: &Output, calls: Vec<Value>) -> Result<(), Failure> {
    if calls.is_empty() {
        output.talk("no such call was made");
    }
    let row = |call: &Value| {
        let of = |member| text(call, member).to_owned();
        let took = milliseconds_of(&call["duration_ms"]);
        let (server, tool) = (of("server_name"), of("tool_name"));
        vec![of("at"), of("caller"), server, tool, of("outcome"), took, of("error")]
    };
    output.table(
        &["ended", "agent", "server", "tool", "outcome", "took", "error"],
        calls.iter().map(row).collect(),
    )
}

fn counted(output: &Output, tools: Vec<Value>) -> Result<(), Failure> {
    let row = |tool: &Value| {
        let of = |member| text(tool, member).to_owned();
        let mean = milliseconds_of(&tool["mean_ms"]);
        let (calls, errors) = (tool["calls"].to_string(), tool["errors"].to_string());
        let state = state(tool["disabled"] == true).to_owned();
        vec![of("full_name"), of("server_name"), calls, errors, mean, of("last"), state]
    };
    let heading = ["tool", "server", "calls", "not ok", "mean", "last", "state"];
    output.table(&heading, tools.iter().map(row).collect())
}

fn milliseconds_of(value: &Value) -> String {
    value.as_f64().map(|ms| format!("{ms:.1} ms")).unwrap_or_default()
}

/// A call as the command line has it.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    name: &'a str,
    words: &'a [String],
    server: Option<&'a str>,
    timeout: Option<f64>,
}

async fn call(run: &Run, hub: &mut HubClient, view: &View, asked: Asked<'_>) -> Result<Exit, Failure> {
    let tool = path(view, &format!("/tools/{}", segment(asked.name)));
    let words = match asked.words {
        [only] if only == "-" => {
            let text = or_stdin(only.clone())?;
            if text.trim().is_empty() {
                let hint = "`{}` says that there are no arguments";
                return Err(Failure::new(Exit::Usage, "standard input is empty").hint(hint));
            }
            &[text]
        }
        words => words,
    };
    // Only the schema knows what `x=5` is; a whole object says it itself.
    let needs_schema = words.iter().any(|word| !word.trim_start().starts_with('{'));
    let schema = if needs_schema { schema(run, hub, &tool, asked.server).await? } else { Value::Null };
    let body = CallBody {
        arguments: keyvalue::arguments(words, &schema)?,
        server_name: asked.server.map(str::to_owned),
        timeout_ms: asked.timeout.map(milliseconds),
        idempotency_key: None,
    };
    let said: Value = hub.call(&format!("{tool}/call"), &body).await?;
    let reply: CallReply = serde_json::from_value(said.clone()).map_err(|error| {
        Failure::new(Exit::Unexpected, "the hub's answer cannot be read").caused_by(&error)
    })?;
    for receipt in &reply.receipts {
        let (argument, rule) = (&receipt.argument, &receipt.rule);
        run.output.talk(&format!("note: {argument}: {} → {} ({rule})", receipt.from, receipt.to));
    }
    if run.output.json {
        run.output.value(&said)?;
    } else if reply.is_error {
        return Err(Failure::new(Exit::ToolError, format!("the tool `{}` failed", reply.tool_name))
            .because([reply.result]));
    } else {
        run.output.text(&reply.result)?;
    }
    Ok(Exit::of_outcome(reply.outcome))
}

/// The tool's schema. One that is not known may come with a first contact; if it does not, the
/// call itself says what is wrong.
async fn schema(run: &Run, hub: &mut HubClient, tool: &str, server: Option<&str>) -> Result<Value, Failure> {
    let query = server.map(|name| format!("?server_name={}", value(name))).unwrap_or_default();
    let path = format!("{tool}{query}");
    let mut item = hub.get::<ToolItem<'static>>(&path).await;
    if item.as_ref().is_err_and(|failure| failure.exit() == Exit::Unknown) {
        run.settled(hub).await?;
        item = hub.get(&path).await;
    }
    match item {
        Ok(item) => Ok(item.schema.value()),
        Err(failure) if failure.exit() == Exit::Unknown => Ok(Value::Null),
        Err(failure) => Err(failure),
    }
}
