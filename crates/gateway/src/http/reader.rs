//! A connection that reads a stream.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::body::TooSlow;
use super::stream::{Next, Stream};
use crate::revision::Revision;
use crate::session::Session;

/// How often something is sent when there is nothing to say, so that nobody on the way takes the
/// connection for dead.
const ALIVE: Duration = Duration::from_secs(15);

type Ends = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection that reads a stream.
pub(super) struct Reader {
    stream: Arc<Stream>,
    place: u64,
    first: Option<Bytes>,
    alive: Pin<Box<Sleep>>,
    ends: Option<Ends>,
    /// What runs only for this reader.
    work: Option<AbortHandle>,
    /// A session that is read is used.
    _session: Option<Arc<Session>>,
}

impl Reader {
    /// Reads the stream of a request without a session: `work` ends with the connection.
    pub(super) fn of_request(stream: Arc<Stream>, work: Option<AbortHandle>) -> Self {
        Self::new(stream, None, false, None, work, None)
    }

    /// Reads the stream of a request of a session, as the first to do so.
    pub(super) fn of_session_request(stream: Arc<Stream>, session: Arc<Session>) -> Self {
        Self::of_session(stream, None, session, None)
    }

    /// Reads a stream of a session, from after the event that was `seen` last; until the end of
    /// the hub, if it is one that has no end of its own.
    pub(super) fn of_session(
        stream: Arc<Stream>,
        seen: Option<u64>,
        session: Arc<Session>,
        ending: Option<CancellationToken>,
    ) -> Self {
        let primed = session.revision() >= Revision::V2025_11_25;
        let over = session.over().clone();
        let ends: Ends = match ending {
            Some(ending) => Box::pin(async move {
                tokio::select! {
                    () = over.cancelled() => {}
                    () = ending.cancelled() => {}
                }
            }),
            None => Box::pin(over.cancelled_owned()),
        };
        Self::new(stream, seen, primed, Some(ends), None, Some(session))
    }

    fn new(
        stream: Arc<Stream>,
        seen: Option<u64>,
        primed: bool,
        ends: Option<Ends>,
        work: Option<AbortHandle>,
        session: Option<Arc<Session>>,
    ) -> Self {
        let (place, first) = stream.enter(seen, primed);
        let alive = Box::pin(tokio::time::sleep(ALIVE));
        Self { stream, place, first, alive, ends, work, _session: session }
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, TooSlow>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match self.stream.poll_next(self.place, context) {
            Poll::Ready(Next::Text(text)) => {
                self.alive.as_mut().reset(Instant::now() + ALIVE);
                return Poll::Ready(Some(Ok(text)));
            }
            Poll::Ready(Next::End) => {
                // What ran for it has sent its answer.
                self.work = None;
                return Poll::Ready(None);
            }
            Poll::Ready(Next::Lost) => return Poll::Ready(Some(Err(TooSlow))),
            Poll::Pending => {}
        }
        if let Some(ends) = &mut self.ends
            && ends.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(None);
        }
        if self.alive.as_mut().poll(context).is_ready() {
            self.alive.as_mut().reset(Instant::now() + ALIVE);
            // Polled on, so that the next one is waited for.
            context.waker().wake_by_ref();
            return Poll::Ready(Some(Ok(Bytes::from_static(b":\n\n"))));
        }
        Poll::Pending
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stream.leave(self.place);
        if let Some(work) = self.work.take() {
            work.abort();
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::stream::REQUEST;

    async fn next(reader: &mut Reader) -> String {
        let text = std::future::poll_fn(|context| reader.poll_next(context)).await;
        String::from_utf8(text.unwrap().unwrap().to_vec()).unwrap()
    }

    /// The clock of tests has a grain of a millisecond.
    fn is_about(passed: Duration, expected: Duration) -> bool {
        passed >= expected && passed < expected + Duration::from_millis(50)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_with_nothing_to_say_is_kept_alive() {
        let stream = Stream::new(None, 0, REQUEST, Arc::default());
        let mut reader = Reader::of_request(Arc::clone(&stream), None);
        for _ in 0..3 {
            let begun = Instant::now();
            assert_eq!(next(&mut reader).await, ":\n\n");
            assert!(is_about(begun.elapsed(), ALIVE), "{:?}", begun.elapsed());
        }
        // What is said keeps it alive as well.
        tokio::time::sleep(ALIVE / 3).await;
        stream.push(b"1");
        assert!(next(&mut reader).await.contains("data: 1"));
        let begun = Instant::now();
        assert_eq!(next(&mut reader).await, ":\n\n");
        assert!(is_about(begun.elapsed(), ALIVE), "{:?}", begun.elapsed());
    }
}
