//! Batches: several messages in one body, which only the revision 2025-03-26 has.

use std::sync::Arc;

use ::http::{HeaderMap, Response, StatusCode};
use futures::StreamExt;
use futures::stream;
use serde_json::Value;

use super::accept::Forms;
use super::body::Body;
use super::headers::agrees;
use super::lazily::{Answer, Owner, answered};
use super::reply::{Refused, accepted, invalid, written};
use super::streams;
use crate::caller::Caller;
use crate::endpoint::Endpoint;
use crate::message::{Fault, INVALID_REQUEST, Incoming};
use crate::revision::Revision;

/// How many messages one batch may have: their answers are held together.
const MOST: usize = 100;
/// How many of its requests run at once.
const AT_ONCE: usize = 16;

/// Takes a batch.
pub(super) async fn serve(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    version: Option<&str>,
    messages: Vec<Value>,
    forms: Forms,
) -> Result<Response<Body>, Refused> {
    let refuse = |why: &str| Err(invalid(StatusCode::BAD_REQUEST, why));
    if messages.is_empty() {
        return refuse("the batch is empty");
    }
    let session = match streams::session(endpoint, headers, None).await {
        Ok(session) => session,
        Err(_) if !headers.contains_key(super::headers::SESSION) => {
            return refuse("batches are taken in sessions of the revision 2025-03-26 only");
        }
        Err(refused) => return Err(refused),
    };
    if session.revision() != Revision::V2025_03_26 {
        return refuse("batches are taken in sessions of the revision 2025-03-26 only");
    }
    agrees(version, session.revision(), None)?;
    if messages.len() > MOST {
        return refuse("a batch has at most 100 messages");
    }
    let mut requests = Vec::new();
    let mut answers = Vec::new();
    for message in messages {
        match Incoming::read(message) {
            Ok(Incoming::Request(request)) if request.method == "initialize" => {
                let fault = Fault::new(INVALID_REQUEST, "`initialize` cannot be part of a batch");
                answers.push(written(&request.id, &Err(fault)));
            }
            Ok(Incoming::Request(request)) => requests.push(request),
            Ok(message) => endpoint.take(&session, message),
            Err(error) => answers.push(error.message().to_string().into_bytes()),
        }
    }
    if requests.is_empty() && answers.is_empty() {
        return Ok(accepted());
    }
    let gateway = endpoint.gateway();
    let stream = session.streams().for_request(gateway.keep());
    let (endpoint, caller) = (endpoint.clone(), Caller::in_session(Arc::clone(&session), stream.clone()));
    let work = Box::pin(async move {
        let answered: Vec<Option<Vec<u8>>> = stream::iter(requests)
            .map(|request| {
                let (endpoint, caller) = (endpoint.clone(), caller.clone());
                async move {
                    let id = request.id.clone();
                    let answer = endpoint.answer(caller, request).await;
                    let cancelled = answer.as_ref().is_err_and(Fault::is_cancelled);
                    (!cancelled).then(|| written(&id, &answer))
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        answers.extend(answered.into_iter().flatten());
        if answers.is_empty() { Answer::Nothing } else { Answer::Many(answers) }
    });
    Ok(answered(work, stream, forms, Owner::Session(session, gateway.clone())).await)
}
