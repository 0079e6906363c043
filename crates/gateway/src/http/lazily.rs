//! Answers that are JSON if they can be, and a stream if they must.
//!
//! The work runs in the task of its connection. If its answer is there before anything else was
//! sent, the answer is plain JSON, and nothing was spawned. With the first message, or when it
//! takes long, the response becomes a stream, and the work a task.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ::http::{Response, StatusCode};

use super::accept::Forms;
use super::body::Body;
use super::reader::Reader;
use super::reply::{accepted, events, json};
use super::stream::Stream;
use super::streams::Kept;
use crate::gateway::Gateway;
use crate::session::Session;

/// After how long a response begins, if there is still nothing to say: proxies and clients wait
/// for long only when something came.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is done for one POST.
pub(super) type Work = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What comes of it.
#[derive(Debug)]
pub(super) enum Answer {
    /// A message, and the status that goes with it if it is the whole response.
    One(StatusCode, Vec<u8>),
    /// The messages of a batch.
    Many(Vec<Vec<u8>>),
    /// The client took the request back.
    Nothing,
}

/// For whom it is done.
#[derive(Debug)]
pub(super) enum Owner {
    /// Whoever reads the response: without it, the work ends.
    Reader,
    /// A session: the work goes on without a reader.
    Session(Arc<Session>, Gateway),
}

/// Works, and answers in a form that the client takes.
pub(super) async fn answered(work: Work, stream: Arc<Stream>, forms: Forms, owner: Owner) -> Response<Body> {
    let mut lasting = Lasting { work: Some(work), stream: Arc::clone(&stream), lasts: false };
    lasting.lasts = matches!(owner, Owner::Session(..));
    if !forms.events {
        stream.lose();
    }
    match lasting.first(forms).await {
        Some(answer) if !stream.has_begun() && forms.json => as_json(answer),
        Some(answer) => {
            let kept = kept(&stream, &owner);
            finish(&stream, answer);
            drop(kept);
            events(read(stream, owner, None))
        }
        None => {
            let work = lasting.work.take();
            let running = Arc::clone(&stream);
            let kept = kept(&stream, &owner);
            // Owned by the reader, or by the session that the request belongs to: its deadline ends it.
            let task = tokio::spawn(async move {
                if let Some(work) = work {
                    finish(&running, work.await);
                }
                drop(kept);
            });
            events(read(stream, owner, Some(task.abort_handle())))
        }
    }
}

/// Lets the owner find the stream again.
fn kept(stream: &Arc<Stream>, owner: &Owner) -> Option<Kept> {
    match owner {
        Owner::Session(session, gateway) => Some(session.streams().put(Arc::clone(stream), gateway.keep())),
        Owner::Reader => None,
    }
}

fn read(stream: Arc<Stream>, owner: Owner, work: Option<tokio::task::AbortHandle>) -> Reader {
    match owner {
        Owner::Reader => Reader::of_request(stream, work),
        Owner::Session(session, _) => Reader::of_session_request(stream, session),
    }
}

fn as_json(answer: Answer) -> Response<Body> {
    match answer {
        Answer::One(status, text) => json(status, text),
        Answer::Many(texts) => {
            let mut all = Vec::with_capacity(texts.iter().map(|text| text.len() + 1).sum::<usize>() + 1);
            all.push(b'[');
            all.extend_from_slice(&texts.join(&b','));
            all.push(b']');
            json(StatusCode::OK, all)
        }
        Answer::Nothing => accepted(),
    }
}

fn finish(stream: &Stream, answer: Answer) {
    match answer {
        Answer::One(_, text) => {
            stream.push(&text);
        }
        Answer::Many(texts) => {
            for text in texts {
                stream.push(&text);
            }
        }
        Answer::Nothing => {}
    }
    stream.end();
}

/// Work that goes on if whoever waits for it vanishes.
struct Lasting {
    work: Option<Work>,
    stream: Arc<Stream>,
    lasts: bool,
}

impl Lasting {
    /// The answer; `None` if something came before it, or if it takes long.
    async fn first(&mut self, forms: Forms) -> Option<Answer> {
        let Some(work) = &mut self.work else { return None };
        let mut patience = std::pin::pin!(tokio::time::sleep(PATIENCE));
        let answer = std::future::poll_fn(|context| {
            if let Poll::Ready(answer) = work.as_mut().poll(context) {
                return Poll::Ready(Some(answer));
            }
            if !forms.events {
                return Poll::Pending;
            }
            if self.stream.poll_begun(context).is_ready() || patience.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await;
        if answer.is_some() {
            self.work = None;
        }
        answer
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        let Some(work) = self.work.take().filter(|_| self.lasts) else { return };
        // The client has no id to come back with, so nothing can be asked of it.
        self.stream.lose();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // A client that vanishes cancels nothing; the deadline of the call ends it.
            runtime.spawn(work);
        }
    }
}

impl fmt::Debug for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lasting").field("lasts", &self.lasts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::time::Instant;

    use super::*;
    use crate::http::stream::REQUEST;

    const BOTH: Forms = Forms { json: true, events: true };

    /// The response to work that takes so long, the form of it, and after how long it began.
    async fn begun(takes: Duration, forms: Forms) -> (Response<Body>, String, Duration) {
        let work = Box::pin(async move {
            tokio::time::sleep(takes).await;
            Answer::One(StatusCode::OK, b"{}".to_vec())
        });
        let stream = Stream::new(None, 0, REQUEST, Arc::default());
        let asked = Instant::now();
        let response = answered(work, stream, forms, Owner::Reader).await;
        let form = response.headers()["content-type"].to_str().unwrap().to_owned();
        (response, form, asked.elapsed())
    }

    async fn whole(response: Response<Body>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_takes_long_begins_before_its_answer() {
        let second = Duration::from_secs(1);
        let (response, form, _) = begun(PATIENCE - second, BOTH).await;
        assert_eq!((form.as_str(), whole(response).await.as_str()), ("application/json", "{}"));

        let (response, form, after) = begun(PATIENCE * 5, BOTH).await;
        assert_eq!(form, "text/event-stream");
        assert!(after >= PATIENCE && after < PATIENCE + second, "{after:?}");
        let text = whole(response).await;
        assert!(text.starts_with(":\n\n:\n\n") && text.ends_with("data: {}\n\n"), "{text}");

        // Who takes no stream waits.
        let (response, form, _) = begun(PATIENCE * 5, Forms { json: true, events: false }).await;
        assert_eq!((form.as_str(), whole(response).await.as_str()), ("application/json", "{}"));
    }
}
