//! POST: a message of a client.

use std::sync::Arc;

use ::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use serde_json::Value;

use super::accept::{Forms, sends_json};
use super::body::{Body, read};
use super::headers::{agrees, greets_alike, is_stateless, mirror, same_version, version};
use super::lazily::{Answer, Owner, Work, answered};
use super::reply::{Refused, accepted, in_session, invalid, json, refused, status_of, written};
use super::stream::{REQUEST, Stream};
use super::{Limits, batch, streams};
use crate::caller::{Caller, speaks_for_itself};
use crate::endpoint::Endpoint;
use crate::message::{Fault, Incoming, Request};
use crate::mode::Mode;
use crate::session::Session;

/// Takes one message, or a batch of them.
pub(super) async fn serve<B>(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    body: B,
    limits: Limits,
) -> Result<Response<Body>, Refused>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let forms = Forms::of(headers);
    if !forms.json && !forms.events {
        let why = "answers come as application/json or text/event-stream: `Accept` both";
        return Err(invalid(StatusCode::NOT_ACCEPTABLE, why));
    }
    sends_json(headers)?;
    let version = version(headers)?;
    let body = read(headers, body, limits.body).await?;
    let value = match Incoming::parse(&body) {
        Ok(Value::Array(messages)) => return batch::serve(endpoint, headers, version, messages, forms).await,
        Ok(value) => value,
        Err(error) => return Err(Box::new(refused(StatusCode::BAD_REQUEST, None, &error.fault))),
    };
    // The text may be large, and the answer may take long.
    drop(body);
    match Incoming::read(value) {
        Ok(Incoming::Request(request)) if request.method == "initialize" && !speaks_for_itself(&request) => {
            greet(endpoint, version, &request, forms).await
        }
        Ok(Incoming::Request(request)) if is_stateless(version) || speaks_for_itself(&request) => {
            ask(endpoint, headers, version, request, forms).await
        }
        Ok(Incoming::Request(request)) => {
            let session = streams::session(endpoint, headers, Some(&request.id)).await?;
            agrees(version, session.revision(), Some(&request.id))?;
            let gateway = endpoint.gateway();
            let stream = session.streams().for_request(gateway.keep());
            let work = in_session_work(endpoint.clone(), &session, &stream, request);
            Ok(answered(work, stream, forms, Owner::Session(session, gateway.clone())).await)
        }
        Ok(message) if is_stateless(version) => match message {
            // No notification of this life says anything to a server.
            Incoming::Notification { .. } => Ok(accepted()),
            Incoming::Answer { .. } | Incoming::Request(_) => {
                Err(invalid(StatusCode::BAD_REQUEST, "a server without sessions asks nothing"))
            }
        },
        Ok(message) => {
            let session = streams::session(endpoint, headers, None).await?;
            agrees(version, session.revision(), None)?;
            endpoint.take(&session, message);
            Ok(accepted())
        }
        Err(error) => Err(Box::new(refused(StatusCode::BAD_REQUEST, error.id.as_ref(), &error.fault))),
    }
}

/// Begins a session.
async fn greet(
    endpoint: &Endpoint,
    version: Option<&str>,
    request: &Request,
    forms: Forms,
) -> Result<Response<Body>, Refused> {
    greets_alike(version, request)?;
    let (session, result) = match endpoint.initialize(None, &request.params).await {
        Ok(begun) => begun,
        Err(fault) => return Ok(json(StatusCode::OK, written(&request.id, &Err(fault)))),
    };
    let gateway = endpoint.gateway();
    let stream = session.streams().for_request(gateway.keep());
    let answer = Answer::One(StatusCode::OK, written(&request.id, &Ok(result)));
    let owner = Owner::Session(Arc::clone(&session), gateway.clone());
    let response = answered(Box::pin(std::future::ready(answer)), stream, forms, owner).await;
    Ok(in_session(response, session.id()))
}

/// Answers a request that speaks for itself.
async fn ask(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    version: Option<&str>,
    request: Request,
    forms: Forms,
) -> Result<Response<Body>, Refused> {
    let id = request.id.clone();
    let refuse = |fault: Fault| Box::new(refused(StatusCode::BAD_REQUEST, Some(&id), &fault));
    if request.method == "subscriptions/listen" && !forms.events {
        let why = "subscriptions/listen gives a stream: send `Accept: text/event-stream`";
        return Err(super::reply::invalid_to(StatusCode::NOT_ACCEPTABLE, Some(&id), why));
    }
    same_version(version, &request).map_err(refuse)?;
    let stream = Stream::new(None, 0, REQUEST, Arc::clone(endpoint.gateway().keep()));
    let caller = Caller::stateless(&request, stream.clone()).map_err(refuse)?;
    let schema = schema_of(endpoint, &request);
    mirror(headers, &request, schema.as_ref()).map_err(refuse)?;
    let endpoint = endpoint.clone();
    let work: Work = Box::pin(async move {
        let answer = endpoint.answer(caller, request).await;
        let status = answer.as_ref().err().map_or(StatusCode::OK, status_of);
        Answer::One(status, written(&id, &answer))
    });
    Ok(answered(work, stream, forms, Owner::Reader).await)
}

/// The work for one request of a session.
fn in_session_work(
    endpoint: Endpoint,
    session: &Arc<Session>,
    stream: &Arc<Stream>,
    request: Request,
) -> Work {
    let caller = Caller::in_session(Arc::clone(session), stream.clone());
    Box::pin(async move {
        let id = request.id.clone();
        match endpoint.answer(caller, request).await {
            Err(fault) if fault.is_cancelled() => Answer::Nothing,
            answer => Answer::One(StatusCode::OK, written(&id, &answer)),
        }
    })
}

/// The input schema of the tool that is called, if some of its arguments stand in headers.
fn schema_of(endpoint: &Endpoint, request: &Request) -> Option<Value> {
    if request.method != "tools/call" {
        return None;
    }
    let (name, server) = match endpoint.mode() {
        Mode::All => (request.params.get("name")?.as_str()?, None),
        Mode::Single(server) => (request.params.get("name")?.as_str()?, Some(server.as_str())),
        Mode::Search => return None,
    };
    let tool = endpoint.context().registry().snapshot().find_tool(endpoint.scope(), name, server).ok()?;
    let schema = &tool.tool().input_schema;
    // Hardly any has it, and their text is not parsed.
    schema.text().contains("x-mcp-header").then(|| schema.value())
}
