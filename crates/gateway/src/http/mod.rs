//! An endpoint over HTTP: one URL for clients of every revision.
//!
//! [`serve`] takes a request and gives a response; whoever mounts it has checked host, origin and
//! token. A POSTed request is answered as JSON if nothing comes before its answer, else the answer
//! becomes a stream of events at the first message (see `lazily`). Clients of 2024-11-05 that know
//! only a stream and an address beside it find these at the same URL (`two_addresses`).
//!
//! # Invariants
//!
//! * What is refused before a message was understood is a JSON-RPC error without an id.
//! * A client with a session that vanishes cancels nothing: its request goes on, and the stream of
//!   its answer can be resumed. A stateless client that vanishes has cancelled.
//! * A message goes to one stream, and on it to one reader.
//! * Who reads too slowly loses the stream; the memory that streams hold is bounded for each
//!   and for all (`keep`).
//! * Nothing is read of a body beyond its limit.

mod accept;
mod batch;
mod body;
mod headers;
mod keep;
mod lazily;
mod mirrored;
mod post;
mod reader;
mod reply;
mod stream;
mod streams;
mod two_addresses;

pub use body::Body;
pub(crate) use keep::Keep;
pub(crate) use streams::Streams;
pub(crate) use two_addresses::Talks;

use ::http::{Method, Request, Response, StatusCode};
use bytes::Bytes;

use crate::endpoint::Endpoint;
use crate::message::{Fault, INVALID_REQUEST};

/// How much a client may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body that is read, in bytes.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 4 * 1024 * 1024 }
    }
}

/// Serves one request to an endpoint.
pub async fn serve<B>(endpoint: &Endpoint, request: Request<B>, limits: Limits) -> Response<Body>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let (parts, body) = request.into_parts();
    let query = parts.uri.query();
    let served = match (parts.method, two_addresses::named(query)) {
        (Method::GET, _) if two_addresses::is_wanted(&parts.headers) => {
            two_addresses::listen(endpoint, query).await
        }
        (Method::POST, Some(talk)) => two_addresses::take(endpoint, talk, &parts.headers, body, limits).await,
        (Method::POST, None) => post::serve(endpoint, &parts.headers, body, limits).await,
        (Method::GET, _) => streams::listen(endpoint, &parts.headers).await,
        (Method::DELETE, _) => streams::end(endpoint, &parts.headers).await,
        _ => Err(reply::not_allowed("GET, POST, DELETE")),
    };
    served.unwrap_or_else(|refused| *refused)
}

/// The response to a request that never came to an endpoint, in the form that MCP clients read.
pub fn refused(status: StatusCode, message: &str, data: serde_json::Value) -> Response<Body> {
    reply::refused(status, None, &Fault::new(INVALID_REQUEST, message).with_data(data))
}
