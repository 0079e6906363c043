//! Streams that end with the right by which their client came in.
//!
//! A request is checked when it comes, but a stream may last for days. Whoever reads it is sent away
//! as soon as a new request of its would be refused; nothing asks for that again and again, since the
//! tokens tell when they change.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use super::{Right, secret};
use crate::app::App;

type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A response whose body, if it is a stream, ends as soon as the right is gone.
pub(super) fn as_long_as(app: &App, right: Right, response: Response) -> Response {
    // A body that is all there is sent at once.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let tokens = app.hub().tokens();
    let end: End = match &right {
        Right::Always => return response,
        Right::NoToken => Box::pin(tokens.needed()),
        // One that was revoked meanwhile opens nothing, and the stream ends at once.
        Right::Token(said) => Box::pin(tokens.revoked(secret(said).unwrap_or_default())),
    };
    response.map(|body| Body::new(Lasting { body: Some(body), end }))
}

/// A body until its end, or until that of the right to it.
struct Lasting {
    body: Option<Body>,
    end: End,
}

impl HttpBody for Lasting {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // First: what comes after it is not for this client.
        if self.body.is_some() && self.end.as_mut().poll(context).is_ready() {
            // What runs only for this reader ends with it.
            self.body = None;
        }
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}
