//! Tools: list, search, show, call.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{listed, unwritten};
use crate::app::{App, written};
use serde_json::Value;

use crate::domain::{CallRequest, Format, Outcome, SilentCaller, UnreadableCalls, read_calls};
use crate::extract::{ApiJson, ApiPath, ApiQuery, Entered, MaybeJson};
use crate::problem::{Code, Problem};
use crate::wire::{CallBody, CallReply, FoundTool, ToolItem};

/// The most tools that a search returns.
const MOST_FOUND: usize = 100;
/// The longest time that a caller may give.
const LONGEST_CALL: Duration = Duration::from_secs(24 * 60 * 60);

/// Whose form is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct InForm {
    /// A library's form: `openai`, `openai_responses`, `anthropic`, `gemini`, `ollama` or
    /// `langchain`.
    #[param(example = "openai")]
    format: Option<String>,
}

impl InForm {
    fn format(&self) -> Result<Option<Format>, Problem> {
        let read = |text: &String| {
            text.parse().map_err(|error| {
                let known = Format::ALL.iter().map(|format| format.as_str().to_owned()).collect();
                Problem::field(Code::InvalidRequest, "format", error).with_list("known", known)
            })
        };
        self.format.as_ref().map(read).transpose()
    }
}

/// Which tools are listed, and in whose form.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListAsked {
    /// A library's form: `openai`, `openai_responses`, `anthropic`, `gemini`, `ollama` or
    /// `langchain`.
    #[param(example = "openai")]
    format: Option<String>,
    /// The tools of this server only.
    server_name: Option<String>,
    /// Whether those that are disabled in this context are listed too; in our own form only.
    #[serde(default)]
    disabled: bool,
}

/// Lists every tool of the context by name, asleep or not, in our form or in a library's; of one
/// server, and with those that are disabled, where that is asked for.
///
/// The header `Dormouse-Connecting` says how many servers are being contacted for the first
/// time; their tools are not known yet.
#[utoipa::path(
    get, path = "/tools", tag = "tools", params(ListAsked),
    responses((status = 200, body = Vec<ToolItem<'static>>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Entered { context, .. }: Entered,
    ApiQuery(ListAsked { format, server_name, disabled }): ApiQuery<ListAsked>,
) -> Result<Response, Problem> {
    let format = InForm { format }.format()?;
    if disabled && format.is_some() {
        let detail = "a library's form has the tools that a model may call, and none that are disabled";
        return Err(Problem::field(Code::InvalidRequest, "disabled", detail));
    }
    let list = match (&server_name, disabled) {
        (None, false) => app.tool_list(&context, format).map_err(unwritten)?,
        (server, disabled) => {
            let catalog = context.registry().snapshot();
            let (scope, mut tools) = (context.scope(), Vec::new());
            match server {
                Some(name) => {
                    tools.extend(catalog.all_tools_of(scope, &catalog.find_server(scope, name)?.key))
                }
                None => tools.extend(catalog.all_tools(scope)),
            }
            tools.retain(|tool| disabled || !tool.settings().disabled);
            written(scope, tools, format).map_err(unwritten)?
        }
    };
    Ok(listed(&context, ([(header::CONTENT_TYPE, "application/json")], list)))
}

/// What to search for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Sought {
    /// What the tool should do, in plain words.
    #[param(example = "currency conversion")]
    q: String,
    /// How many at most; never more than 100.
    #[serde(default = "default_limit")]
    #[param(default = 8, maximum = 100)]
    limit: usize,
}

fn default_limit() -> usize {
    8
}

/// Finds the tools that fit a question in plain words, best first.
#[utoipa::path(
    get, path = "/tools/search", tag = "tools", params(Sought),
    responses((status = 200, body = Vec<FoundTool>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn search(Entered { context, .. }: Entered, ApiQuery(sought): ApiQuery<Sought>) -> Response {
    let found = context.search(&sought.q, sought.limit.min(MOST_FOUND));
    let found: Vec<FoundTool> =
        found.into_iter().map(|candidate| FoundTool::of(context.scope(), candidate)).collect();
    listed(&context, Json(found))
}

/// A tool's name in the path.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolPath {
    pub(super) name: String,
}

/// The server beside a tool's name.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfServer {
    /// Its server, where the tool's name alone is not clear.
    pub(super) server_name: Option<String>,
}

/// Shows one tool, also one that is `disabled` in this context.
#[utoipa::path(
    get, path = "/tools/{name}", tag = "tools",
    params(("name" = String, Path, description = "its full name, or its bare name where that is clear"), OfServer),
    responses((status = 200, body = ToolItem<'static>), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn show(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ToolPath>,
    ApiQuery(of): ApiQuery<OfServer>,
) -> Result<Response, Problem> {
    let tool = context.tool(&path.name, of.server_name.as_deref())?;
    Ok(Json(ToolItem::from(&tool)).into_response())
}

/// Calls one tool, waking its server if need be.
///
/// The call is made at most once. A failure says by `outcome` whether the tool may have run.
/// Whoever hangs up cancels the call.
#[utoipa::path(
    post, path = "/tools/{name}/call", tag = "tools", request_body = CallBody,
    params(("name" = String, Path, description = "its full name, or its bare name where that is clear")),
    responses((status = 200, body = CallReply), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn call(
    Entered { context, .. }: Entered,
    ApiPath(path): ApiPath<ToolPath>,
    body: Result<MaybeJson<CallBody>, Problem>,
) -> Result<Json<CallReply>, Problem> {
    let MaybeJson(body) = body.map_err(not_run)?;
    let CallBody { arguments, server_name, timeout_ms, idempotency_key } = body;
    if idempotency_key.is_some() {
        let detail = "no journal of calls is kept, so a key would promise what nobody holds";
        return Err(not_run(Problem::field(Code::NotSupported, "idempotency_key", detail)));
    }
    let deadline = deadline(timeout_ms)?;
    let request = CallRequest { tool: path.name, server: server_name, arguments, deadline };
    let caller = SilentCaller(context.scope().clone());
    let answer = context.call(request, Arc::new(caller)).await?;
    Ok(Json(answer.into()))
}

/// How long calls may take.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimeoutMs {
    /// The whole time for each call, a wake included; at most a day.
    #[param(maximum = 86_400_000)]
    timeout_ms: Option<u64>,
}

/// Makes the calls that a library's model asks for: one call object, a list of them, or a whole
/// message that holds some.
///
/// The form is seen from the calls, or named by `format`. All calls run at once; the answers
/// come in their order, each in the library's form (a `tool` message, a `tool_result`, a
/// `functionResponse`, …). What goes wrong with a call is its answer.
#[utoipa::path(
    post, path = "/tools/call", tag = "tools", operation_id = "call_objects", params(InForm, TimeoutMs),
    request_body = Object,
    responses((status = 200, body = Object), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn call_objects(
    Entered { context, .. }: Entered,
    ApiQuery(form): ApiQuery<InForm>,
    ApiQuery(time): ApiQuery<TimeoutMs>,
    body: Result<ApiJson<Value>, Problem>,
) -> Result<Json<Value>, Problem> {
    let format = form.format().map_err(not_run)?;
    let deadline = deadline(time.timeout_ms)?;
    let ApiJson(body) = body.map_err(not_run)?;
    let calls = read_calls(&body, format).map_err(|error: UnreadableCalls| {
        let at = if error.at().is_empty() { "." } else { error.at() }.to_owned();
        not_run(Problem::field(Code::InvalidRequest, at, error))
    })?;
    Ok(Json(calls.run(&context, deadline).await))
}

/// The tool that is named `call`, whose path the route for call objects would hide.
pub(crate) async fn show_call(entered: Entered, of: ApiQuery<OfServer>) -> Result<Response, Problem> {
    show(entered, ApiPath(ToolPath { name: "call".to_owned() }), of).await
}

fn deadline(timeout_ms: Option<u64>) -> Result<Option<Duration>, Problem> {
    let deadline = timeout_ms.map(Duration::from_millis);
    if deadline.is_some_and(|deadline| deadline > LONGEST_CALL || deadline.is_zero()) {
        let detail = format!("`timeout_ms` is from 1 to {}", LONGEST_CALL.as_millis());
        return Err(not_run(Problem::field(Code::InvalidRequest, "timeout_ms", detail)));
    }
    Ok(deadline)
}

fn not_run(problem: Problem) -> Problem {
    problem.with("outcome", Outcome::Failed.as_str())
}
