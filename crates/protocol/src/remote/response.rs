//! An answer of HTTP, whichever way it came.

use std::future::poll_fn;
use std::pin::Pin;

use http::response::Parts;
use http_body::Body as _;
use reqwest_rmcp::StatusCode;
use reqwest_rmcp::header::HeaderMap;
use tokio_util::bytes::Bytes;

use super::direct::Carried;
use super::site::words;
use crate::error::CallError;

/// Its head is here; its body comes as it is asked for.
#[derive(Debug)]
pub(super) enum Response {
    Direct { head: Parts, body: Carried },
    Client(reqwest_rmcp::Response),
}

impl Response {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Direct { head, .. } => head.status,
            Self::Client(response) => response.status(),
        }
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        match self {
            Self::Direct { head, .. } => &head.headers,
            Self::Client(response) => response.headers(),
        }
    }

    /// How many bytes its body has, if that is known.
    pub(super) fn content_length(&self) -> Option<u64> {
        match self {
            Self::Direct { body, .. } => body.size_hint().exact(),
            Self::Client(response) => response.content_length(),
        }
    }

    /// The next part of its body; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, CallError> {
        let broken = |why| CallError::Broken { why };
        match self {
            Self::Direct { body, .. } => {
                while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
                    // Trailers say nothing in MCP.
                    if let Ok(data) = frame.map_err(|fault| broken(words(&*fault)))?.into_data() {
                        return Ok(Some(data));
                    }
                }
                Ok(None)
            }
            Self::Client(response) => {
                response.chunk().await.map_err(|error| broken(words(&error.without_url())))
            }
        }
    }

    /// Says that what is left of it is of no interest, but that its connection may be used again if
    /// the rest comes soon. Whether that can be said of this one.
    pub(super) fn settle(&mut self) -> bool {
        match self {
            Self::Direct { body, .. } => {
                body.settle();
                true
            }
            Self::Client(_) => false,
        }
    }
}
