//! What one server is asked: calls, resources, prompts, completions, and what we do not know.

use std::sync::Arc;
use std::time::Duration;

use dormouse::{BackChannel, Context, PassRequest, RawAnswer, RawCall, Receipt, Rounds, ServerKey, ToolRef};
use futures::FutureExt;
use serde_json::{Map, Value, json};

use super::again;
use super::faults::{asked, called, unknown_tool};
use super::lists::SCOPE;
use super::tasks;
use crate::back::{Back, is_level};
use crate::caller::{Caller, Life, undressed};
use crate::catalogue::wrap;
use crate::endpoint::Endpoint;
use crate::message::{Fault, INVALID_PARAMS, Params, RESOURCE_NOT_FOUND, Request};
use crate::mode::Mode;
use crate::session::Session;
use crate::{parked, search};

/// The member of `_meta` that tells what was corrected in the arguments.
const RECEIPTS: &str = "dormouse/receipts";

/// Calls a tool.
pub(super) async fn call_tool(
    endpoint: &Endpoint,
    caller: &Caller,
    mut request: Request,
) -> Result<Value, Fault> {
    match request.params.get("arguments") {
        None | Some(Value::Object(_)) => {}
        Some(Value::Null) => drop(request.params.shift_remove("arguments")),
        Some(_) => return Err(Fault::invalid("`arguments` must be an object")),
    }
    let Some(mut name) = request.params.get("name").and_then(Value::as_str) else {
        return Err(Fault::invalid("`name` must be a text"));
    };
    if *endpoint.mode() == Mode::Search {
        if name != search::CALL {
            let empty = Params::new();
            let arguments = request.params.get("arguments").and_then(Value::as_object).unwrap_or(&empty);
            let answer = search::answer(endpoint, caller, name, arguments).await;
            return answer.map(|result| complete_for(caller, result));
        }
        if let Err(words) = search::inner(&mut request.params) {
            return Ok(complete_for(caller, search::told_wrong(&words)));
        }
        name = request.params.get("name").and_then(Value::as_str).unwrap_or_default();
    }
    let server = match endpoint.mode() {
        Mode::Single(server) => Some(server.as_str()),
        Mode::All | Mode::Search => None,
    };
    let tool = match endpoint.context().find_tool(name, server, None).await {
        Ok(tool) => tool,
        // Behind `call_tool` it is an argument that is wrong, which the model can mend.
        Err(error) if *endpoint.mode() == Mode::Search => {
            return Ok(complete_for(caller, search::told_wrong(&error.to_string())));
        }
        Err(error) => return Err(unknown_tool(&error)),
    };
    let key = tool.key();
    let rounds = rounds(caller);
    let is_wrapped = is_wrapped(endpoint, caller, &tool);
    let may_begin = tasks::may_begin(endpoint, caller, &mut request, &tool).await?;
    let answered = go(endpoint, caller, request, |mut params| {
        may_begin.fit(&mut params);
        let call = RawCall { tool, params, deadline: None, rounds };
        move |context: Context, back| async move {
            match context.call_raw(call, back).await {
                Ok(answer) => Ok(with_receipts(answer)),
                Err(error) => called(&error),
            }
        }
    })
    .await?;
    endpoint.learn_links(&key.server, &answered);
    let mut result = complete_for(caller, answered);
    if !caller.is_stateless() {
        wrap(&mut result, is_wrapped);
    }
    tasks::begun(endpoint, caller, &key.server, may_begin, is_wrapped, &mut result).await?;
    Ok(result)
}

/// Whether this client was told that the structured results of a tool are in an object.
fn is_wrapped(endpoint: &Endpoint, caller: &Caller, tool: &ToolRef) -> bool {
    !caller.is_stateless()
        && tool.tool().output_schema.is_some()
        && endpoint.lists().is_wrapped(endpoint.tool_shown(tool))
}

/// Reads a resource.
pub(super) async fn read_resource(
    endpoint: &Endpoint,
    caller: &Caller,
    mut request: Request,
) -> Result<Value, Fault> {
    let Some(uri) = request.params.get("uri").and_then(Value::as_str) else {
        return Err(Fault::invalid("`uri` must be a text"));
    };
    let shown = uri.to_owned();
    let (server, own) = endpoint.resource(uri).map_err(|words| no_resource(caller, &shown, words))?;
    request.params.insert("uri".to_owned(), Value::from(own.as_str()));
    let passed = passed(endpoint, caller, request, server.clone()).await;
    let mut result = passed.map_err(|fault| not_found(endpoint, caller, &server, &own, fault))?;
    endpoint.learn_links(&server, &result);
    // What is read has the address under which it was asked for, also where it is a part of it.
    if let Some(prefix) = shown.strip_suffix(own.as_str()).filter(|prefix| !prefix.is_empty()) {
        for content in result.get_mut("contents").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(uri) = content.get("uri").and_then(Value::as_str) {
                content["uri"] = Value::String(format!("{prefix}{uri}"));
            }
        }
    }
    cached_for(caller, &mut result);
    Ok(result)
}

/// There is no such resource: each life has its own number for it.
fn no_resource(caller: &Caller, uri: &str, words: String) -> Fault {
    let fault = match caller.is_stateless() {
        true => Fault::invalid(words),
        false => Fault::new(RESOURCE_NOT_FOUND, words),
    };
    fault.with_data(json!({ "uri": uri }))
}

/// A server's own word that there is no such resource, with the number that it has in the client's
/// life. In 2026-07-28 that is the number of whatever is wrong in the params: there it is meant if the
/// error names the address, as it should.
fn not_found(endpoint: &Endpoint, caller: &Caller, server: &ServerKey, uri: &str, mut fault: Fault) -> Fault {
    let names_it = || fault.data.as_ref().is_some_and(|data| data["uri"] == uri);
    match fault.code {
        RESOURCE_NOT_FOUND if caller.is_stateless() => fault.code = INVALID_PARAMS,
        INVALID_PARAMS if !caller.is_stateless() && names_it() && endpoint.is_modern(server) => {
            fault.code = RESOURCE_NOT_FOUND;
        }
        _ => {}
    }
    fault
}

/// Gets a prompt.
pub(super) async fn get_prompt(
    endpoint: &Endpoint,
    caller: &Caller,
    mut request: Request,
) -> Result<Value, Fault> {
    let Some(name) = request.params.get("name").and_then(Value::as_str) else {
        return Err(Fault::invalid("`name` must be a text"));
    };
    let (server, own) = prompt(endpoint, name)?;
    request.params.insert("name".to_owned(), Value::String(own));
    let result = passed(endpoint, caller, request, server.clone()).await?;
    endpoint.learn_links(&server, &result);
    Ok(result)
}

/// The server of a prompt, and its own name there.
fn prompt(endpoint: &Endpoint, name: &str) -> Result<(ServerKey, String), Fault> {
    if let Some(only) = endpoint.only() {
        return Ok((only.clone(), name.to_owned()));
    }
    let found = endpoint.lists().prompt(name).cloned();
    found.ok_or_else(|| Fault::invalid(format!("Unknown prompt: {name}")))
}

/// Completes an argument of a prompt or of a resource's template.
pub(super) async fn complete(
    endpoint: &Endpoint,
    caller: &Caller,
    mut request: Request,
) -> Result<Value, Fault> {
    let Some(Value::Object(of)) = request.params.get_mut("ref") else {
        return Err(Fault::invalid("`ref` must be an object"));
    };
    let server = match (of.get("type").and_then(Value::as_str), of.get("name"), of.get("uri")) {
        (Some("ref/prompt"), Some(Value::String(name)), _) => {
            let (server, own) = prompt(endpoint, name)?;
            of.insert("name".to_owned(), Value::String(own));
            server
        }
        (Some("ref/resource"), _, Some(Value::String(uri))) => {
            let (server, own) = endpoint.resource(uri).map_err(Fault::invalid)?;
            of.insert("uri".to_owned(), Value::String(own));
            server
        }
        _ => return Err(Fault::invalid("`ref` must name a prompt or a resource")),
    };
    match passed(endpoint, caller, request, server).await {
        // Every endpoint of several servers announces completions; one that has none has nothing to
        // propose.
        Err(fault) if fault.code == crate::message::METHOD_NOT_FOUND && endpoint.only().is_none() => {
            Ok(complete_for(caller, json!({ "completion": { "values": [], "hasMore": false } })))
        }
        answer => answer,
    }
}

/// Keeps the lowest level of log messages that a client wants.
pub(super) async fn set_level(
    endpoint: &Endpoint,
    session: &Arc<Session>,
    request: &Request,
) -> Result<Value, Fault> {
    let level = request.params.get("level").and_then(Value::as_str).unwrap_or_default();
    if !is_level(level) {
        return Err(Fault::invalid("`level` must be one of MCP's, from `debug` to `emergency`"));
    }
    session.set_log_level(level.to_owned()).await;
    tracing::trace!(level, mode = %endpoint.mode(), "a client's log level");
    Ok(json!({}))
}

/// A method that we do not know goes to the one server, where there is but one.
pub(super) async fn pass_unknown(
    endpoint: &Endpoint,
    caller: &Caller,
    request: Request,
) -> Result<Value, Fault> {
    match endpoint.only().cloned() {
        Some(server) => passed(endpoint, caller, request, server).await,
        None => Err(Fault::no_method(&request.method)),
    }
}

/// Passes a request to a server, and its answer back.
pub(super) async fn passed(
    endpoint: &Endpoint,
    caller: &Caller,
    request: Request,
    server: ServerKey,
) -> Result<Value, Fault> {
    passed_within(endpoint, caller, request, server, None).await
}

/// The same with a deadline of its own.
pub(super) async fn passed_within(
    endpoint: &Endpoint,
    caller: &Caller,
    request: Request,
    server: ServerKey,
    deadline: Option<Duration>,
) -> Result<Value, Fault> {
    let rounds = rounds(caller);
    let method = request.method.clone();
    let result = go(endpoint, caller, request, |params| {
        let request = PassRequest { method, params, deadline, rounds };
        move |context: Context, back| async move {
            let passed = context.pass(&server, request, back).await.map_err(|error| asked(&error))?;
            Ok(passed.result)
        }
    })
    .await?;
    Ok(complete_for(caller, result))
}

/// A stateless client answers questions itself, in a further round; for others the hub asks.
fn rounds(caller: &Caller) -> Rounds {
    if caller.is_stateless() { Rounds::Passed } else { Rounds::Driven }
}

/// Does what a request asks, with a way back. A stateless client may be asked between.
async fn go<W, F>(
    endpoint: &Endpoint,
    caller: &Caller,
    mut request: Request,
    work: impl FnOnce(Map<String, Value>) -> W,
) -> Result<Value, Fault>
where
    W: FnOnce(Context, Arc<dyn BackChannel>) -> F + Send + 'static,
    F: Future<Output = Result<Value, Fault>> + Send + 'static,
{
    let context = endpoint.context().clone();
    if caller.is_stateless() {
        if let Some(answer) = again::taken_up(&mut request) {
            return answer;
        }
        // What the client comes again with is read beside the call.
        let work = work(undressed(request.params.clone()));
        let work = |back: Arc<Back>| {
            let done = work(context, Arc::clone(&back) as Arc<dyn BackChannel>);
            done.map(move |answer| back.judged(answer)).boxed()
        };
        let answer = parked::run(endpoint, caller, &request, work).await;
        return again::as_question(caller, &request, answer);
    }
    let back = Back::new(endpoint.scope(), caller, &request);
    let answer = work(undressed(request.params))(context, back).await;
    if let (Err(fault), Life::Session(session)) = (&answer, &caller.life) {
        session.elicited().refused(fault, &caller.outlet);
    }
    answer
}

/// The result as the client's life has it: `resultType` is of 2026-07-28 only.
pub(super) fn complete_for(caller: &Caller, mut result: Value) -> Value {
    let Some(members) = result.as_object_mut() else { return result };
    if caller.is_stateless() {
        if !members.contains_key("resultType") {
            members.insert("resultType".to_owned(), Value::from("complete"));
        }
    } else if members.get("resultType").and_then(Value::as_str) == Some("complete") {
        members.shift_remove("resultType");
    }
    result
}

/// How long what was read may be kept: a server of 2026-07-28 says it itself.
fn cached_for(caller: &Caller, result: &mut Value) {
    let Some(members) = result.as_object_mut() else { return };
    let complete = members.get("resultType").and_then(Value::as_str) == Some("complete");
    if caller.is_stateless() {
        if complete && !members.contains_key("ttlMs") {
            // It may change at any moment.
            members.insert("ttlMs".to_owned(), Value::from(0));
            members.insert("cacheScope".to_owned(), Value::from(SCOPE));
        }
    } else {
        members.shift_remove("ttlMs");
        members.shift_remove("cacheScope");
    }
}

fn with_receipts(answer: RawAnswer) -> Value {
    let RawAnswer { mut result, receipts, .. } = answer;
    if !receipts.is_empty()
        && let Some(members) = result.as_object_mut()
        && let Value::Object(meta) = members.entry("_meta").or_insert_with(|| json!({}))
    {
        let receipts: Vec<Value> = receipts
            .into_iter()
            .map(|Receipt { argument, rule, from, to }| {
                json!({ "argument": argument, "rule": rule.as_str(), "from": from, "to": to })
            })
            .collect();
        meta.insert(RECEIPTS.to_owned(), Value::Array(receipts));
    }
    result
}
