//! Bodies: those that are read, within a limit, and those that are written.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::reader::Reader;
use super::reply::{Refused, invalid};
use super::two_addresses::Events;

/// The body of a response.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    Events(Box<Reader>),
    Talk(Events),
}

/// A stream that ends before its time: the client was too slow.
#[derive(Debug, thiserror::Error)]
#[error("the client reads too slowly")]
pub struct TooSlow;

impl From<Infallible> for TooSlow {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Body {
    pub(super) fn empty() -> Self {
        Self(Kind::Whole(Bytes::new()))
    }

    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Whole(bytes.into()))
    }

    pub(super) fn talk(events: Events) -> Self {
        Self(Kind::Talk(events))
    }

    pub(super) fn events(reader: Reader) -> Self {
        Self(Kind::Events(Box::new(reader)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = TooSlow;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TooSlow>>> {
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Events(reader) => {
                reader.poll_next(context).map(|next| next.map(|text| text.map(Frame::data)))
            }
            Kind::Talk(events) => {
                events.poll_next(context).map(|next| next.map(|text| Ok(Frame::data(text))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Events(_) | Kind::Talk(_) => SizeHint::default(),
        }
    }
}

/// Reads a body of at most `limit` bytes. Of one that says that it is longer, nothing is read.
pub(super) async fn read<B>(headers: &HeaderMap, body: B, limit: usize) -> Result<Bytes, Refused>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let said = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if said.and_then(|said| said.parse::<u64>().ok()).is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    // Pinned here, since not every body can be moved once it is read.
    let body = std::pin::pin!(Limited::new(body, limit));
    match BodyExt::collect(body).await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Err(_) => Err(invalid(StatusCode::BAD_REQUEST, "the body ended before its end")),
    }
}

fn too_large(limit: usize) -> Refused {
    invalid(
        StatusCode::PAYLOAD_TOO_LARGE,
        &format!("a body has at most {limit} bytes (`http.max_body_bytes`)"),
    )
}
