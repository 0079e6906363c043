//! Responses.

use std::io::Write as _;

use ::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::body::Body;
use super::headers::SESSION;
use super::reader::Reader;
use crate::message::{
    Fault, HEADER_MISMATCH, INVALID_REQUEST, Id, METHOD_NOT_FOUND, MISSING_CAPABILITY, UNSUPPORTED_REVISION,
};

/// A request that was refused: the response that says so.
pub(super) type Refused = Box<Response<Body>>;

fn plain(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// A message as JSON.
pub(super) fn json(status: StatusCode, text: Vec<u8>) -> Response<Body> {
    let mut response = plain(status, Body::whole(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A stream of events.
pub(super) fn events(reader: Reader) -> Response<Body> {
    stream(Body::events(reader))
}

/// A body that is a stream of events.
pub(super) fn stream(body: Body) -> Response<Body> {
    let mut response = plain(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies must not hold events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// What needs no answer was taken.
pub(super) fn accepted() -> Response<Body> {
    plain(StatusCode::ACCEPTED, Body::empty())
}

/// It is done, and nothing is to be said.
pub(super) fn done() -> Response<Body> {
    plain(StatusCode::NO_CONTENT, Body::empty())
}

/// Names the session that has begun.
pub(super) fn in_session(mut response: Response<Body>, id: &str) -> Response<Body> {
    // Session names are base64.
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(SESSION, id);
    }
    response
}

/// An error of JSON-RPC with a status that says it too.
pub(super) fn refused(status: StatusCode, id: Option<&Id>, fault: &Fault) -> Response<Body> {
    json(status, fault.message_to(id).to_string().into_bytes())
}

/// The refusal of what is no valid request, before it has an id.
pub(super) fn invalid(status: StatusCode, why: &str) -> Refused {
    invalid_to(status, None, why)
}

/// The refusal of what is no valid request.
pub(super) fn invalid_to(status: StatusCode, id: Option<&Id>, why: &str) -> Refused {
    Box::new(refused(status, id, &Fault::new(INVALID_REQUEST, why)))
}

/// The refusal of a method, with those that there are.
pub(super) fn not_allowed(allowed: &'static str) -> Refused {
    let mut response = invalid(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this HTTP method");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The status that goes with an error in the stateless life.
pub(super) fn status_of(fault: &Fault) -> StatusCode {
    match fault.code {
        HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_REVISION => StatusCode::BAD_REQUEST,
        METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

/// The message that carries an answer, written once.
pub(super) fn written(id: &Id, answer: &Result<Value, Fault>) -> Vec<u8> {
    let result = match answer {
        Ok(result) => result,
        Err(fault) => return fault.message_to(Some(id)).to_string().into_bytes(),
    };
    let mut text = Vec::with_capacity(256);
    // A vector takes everything that is written to it, and JSON values can always be written.
    let _ = write!(text, r#"{{"jsonrpc":"2.0","id":{},"result":"#, id.to_value());
    let _ = serde_json::to_writer(&mut text, result);
    text.push(b'}');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::response;

    #[test]
    fn an_answer_is_written_as_the_message_that_it_is() {
        for answer in [Ok(json!({ "a": ["\n", 1.5] })), Err(Fault::new(-1, "no").with_data(json!(7)))] {
            for id in [json!("x\"y"), json!(7)] {
                let id = Id::read(id).unwrap();
                let read: Value = serde_json::from_slice(&written(&id, &answer)).unwrap();
                assert_eq!(read, response(&id, answer.clone()));
            }
        }
    }
}
