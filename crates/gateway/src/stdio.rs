//! An endpoint on a stream of lines, for clients of every revision at once.
//!
//! A line of the client is a message, or a batch where its revision has them. The stream is
//! standard input and output of a client, with a bridge between that may come to another hub: it
//! asks for receipts, lines of ours that begin with `#`, by which it knows what it may say again.
//!
//! * `#taken N`: the first N lines were read, and are acted upon.
//! * `#refused N`: line N was not, and is left to the next hub; said before `#taken`.
//!
//! # Invariants
//!
//! * A receipt is written before anything is done: a line without one did nothing, even if this
//!   process was killed.
//! * A request is answered once, unless it was cancelled. Whoever closes the stream for good cancels
//!   what still runs after a while.
//! * Memory is bounded: who does not read is not read.

mod lines;
mod outbox;
mod running;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use self::lines::{LONGEST, Line, Lines};
use self::outbox::Outbox;
use self::running::Running;
use crate::caller::{Caller, Outlet, speaks_for_itself};
use crate::endpoint::Endpoint;
use crate::message::{Fault, INTERNAL_ERROR, INVALID_REQUEST, Incoming, Request, response};
use crate::revision::Revision;
use crate::session::{Session, fresh_id};

/// How long requests may go on once the client has closed its side.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long the last lines may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How many lines are taken at once.
const AT_ONCE: usize = 64;
/// How many calls of one client run at a time; others wait for their turn. Their results may be
/// large, and each is held until the client has room for it.
const CALLS: usize = 128;
/// How many messages a batch may have: their answers are held together.
const BATCH: usize = 100;

/// A talk with one client, before it has begun.
#[derive(Debug)]
pub struct Talk {
    endpoint: Endpoint,
    name: String,
    session: Option<Arc<Session>>,
}

/// Why there can be no talk.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoTalk(String);

impl From<Fault> for NoTalk {
    fn from(fault: Fault) -> Self {
        Self(fault.message)
    }
}

impl Talk {
    /// Goes on in the session of that name if there is one, else gives the next one a name.
    ///
    /// # Errors
    /// [`NoTalk`] when sessions cannot be read.
    pub async fn begin(endpoint: Endpoint, session: Option<&str>) -> Result<Self, NoTalk> {
        let session = match session {
            Some(name) => endpoint.session(name).await?,
            None => None,
        };
        let name = match &session {
            Some(session) => session.id().to_owned(),
            None => fresh_id()?,
        };
        Ok(Self { endpoint, name, session })
    }

    /// The name of the session that it goes on in, or of the one that will begin by `initialize`.
    pub fn session(&self) -> &str {
        &self.name
    }

    /// Talks until the client closes its side, or, as soon as it is time for `leaving`, until what
    /// runs is answered.
    pub async fn serve<S>(self, stream: S, receipts: Receipts, leaving: impl Future<Output = ()>)
    where
        S: AsyncRead + AsyncWrite + Send,
    {
        let (from_client, to_client) = tokio::io::split(stream);
        let mut lines = Lines::of(from_client);
        let to_client = tokio::sync::Mutex::new(to_client);
        let outbox = Arc::new(Outbox::default());
        let outlet: Arc<dyn Outlet> = Arc::clone(&outbox) as Arc<dyn Outlet>;
        let Self { endpoint, name, session } = self;
        if let Some(session) = &session {
            session.set_outlet(Some(Arc::clone(&outlet)));
        }
        let mut speaker = Speaker {
            endpoint,
            name,
            session,
            outbox: Arc::clone(&outbox),
            outlet,
            running: Running::default(),
            turns: Arc::new(Semaphore::new(CALLS)),
            to_client: &to_client,
            receipts,
            heard: 0,
            leaving: false,
        };
        // One future from beginning to end: half a line may be written.
        let mut writing = std::pin::pin!(outbox.write(&to_client));
        tokio::select! {
            () = speaker.listen(&mut lines, leaving) => {}
            () = &mut writing => {}
        }
        speaker.end().await;
        let last_words = async {
            tokio::select! {
                biased;
                // At once when nobody reads any more, and writing has ended.
                () = outbox.drained() => {}
                () = writing => {}
            }
            let _ = to_client.lock().await.shutdown().await;
        };
        // Who does not read them has other sorrows.
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    }
}

/// Whether the client wants to know which of its lines were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipts {
    /// It is a bridge, and reads lines that begin with `#`.
    Wanted,
    /// It reads messages only.
    None,
}

/// One side of a talk: the hub's.
struct Speaker<'a, W> {
    endpoint: Endpoint,
    name: String,
    session: Option<Arc<Session>>,
    outbox: Arc<Outbox>,
    outlet: Arc<dyn Outlet>,
    running: Running,
    turns: Arc<Semaphore>,
    to_client: &'a tokio::sync::Mutex<W>,
    receipts: Receipts,
    /// Lines read.
    heard: u64,
    /// No new requests are taken.
    leaving: bool,
}

impl<W: AsyncWrite + Unpin> Speaker<'_, W> {
    /// Takes lines until the talk is over.
    async fn listen<R: AsyncRead + Unpin>(
        &mut self,
        lines: &mut Lines<R>,
        leaving: impl Future<Output = ()>,
    ) {
        let mut leaving = std::pin::pin!(leaving);
        let mut until: Option<Instant> = None;
        loop {
            if (self.leaving || until.is_some()) && self.running.is_idle() {
                return;
            }
            let room = async {
                self.outbox.room().await;
                lines.next().await
            };
            let reads = until.is_none() && !(self.leaving && self.receipts == Receipts::None);
            let line = tokio::select! {
                line = room, if reads => line,
                failed = self.running.next_end() => {
                    if let Some(id) = failed {
                        let fault = Fault::new(INTERNAL_ERROR, "the hub made a mistake");
                        self.outbox.answer(&fault.message_to(Some(&id))).await;
                    }
                    continue;
                }
                () = &mut leaving, if !self.leaving => {
                    self.leaving = true;
                    // The next hub is asked to listen.
                    self.running.stop_listening();
                    continue;
                }
                () = past(until) => return,
                () = self.outbox.lost().cancelled() => return,
            };
            let Ok(Some(line)) = line else {
                self.running.stop_listening();
                // Nobody answers questions any more.
                self.end_session().await;
                until = Some(Instant::now() + FAREWELL);
                continue;
            };
            let mut heard = vec![line];
            while heard.len() < AT_ONCE && lines.has_more() {
                match lines.next().await {
                    Ok(Some(line)) => heard.push(line),
                    Ok(None) | Err(_) => break,
                }
            }
            if self.hear(heard).await.is_err() {
                return;
            }
        }
    }

    /// Takes some lines: says so, and then acts.
    async fn hear(&mut self, lines: Vec<Line>) -> std::io::Result<()> {
        let mut taken = Vec::with_capacity(lines.len());
        let mut receipt = String::new();
        for line in lines {
            self.heard += 1;
            let message = match line {
                Line::Text(line) => Incoming::parse(&line),
                Line::TooLong => {
                    let fault = Fault::new(INVALID_REQUEST, format!("a message has at most {LONGEST} bytes"));
                    self.outbox.answer(&fault.message_to(None)).await;
                    continue;
                }
            };
            if self.leaving && message.as_ref().is_ok_and(asks) {
                receipt.push_str(&format!("#refused {}\n", self.heard));
                continue;
            }
            taken.push(message);
        }
        if self.receipts == Receipts::Wanted {
            receipt.push_str(&format!("#taken {}\n", self.heard));
            outbox::write(self.to_client, receipt.as_bytes()).await?;
        }
        for message in taken {
            match message {
                Ok(Value::Array(messages)) => self.take_batch(messages).await,
                Ok(message) => match Incoming::read(message) {
                    Ok(message) => self.take(message).await,
                    Err(error) => self.outbox.answer(&error.message()).await,
                },
                Err(error) => self.outbox.answer(&error.message()).await,
            }
        }
        Ok(())
    }

    async fn take(&mut self, message: Incoming) {
        match message {
            Incoming::Request(request) if request.method == "initialize" && !speaks_for_itself(&request) => {
                self.greet(request).await;
            }
            // Whether anybody is there may be asked before all else.
            Incoming::Request(request)
                if request.method == "ping" && self.session.is_none() && !speaks_for_itself(&request) =>
            {
                self.outbox.answer(&response(&request.id, Ok(json!({})))).await;
            }
            Incoming::Request(request) => self.begin(request).await,
            Incoming::Notification { method, params } => {
                // Here, so that one right behind its request ends it too.
                if method == "notifications/cancelled"
                    && params.get("requestId").is_some_and(|id| self.running.cancel(id))
                {
                    return;
                }
                if let Some(session) = &self.session {
                    self.endpoint.take(session, Incoming::Notification { method, params });
                }
            }
            answer @ Incoming::Answer { .. } => {
                if let Some(session) = &self.session {
                    self.endpoint.take(session, answer);
                }
            }
        }
    }

    /// Begins a session, before anything else is heard.
    async fn greet(&mut self, request: Request) {
        let greeted = self.endpoint.initialize(Some(self.name.clone()), &request.params).await;
        let answer = greeted.map(|(session, result)| {
            session.set_outlet(Some(Arc::clone(&self.outlet)));
            self.session = Some(session);
            result
        });
        self.outbox.answer(&response(&request.id, answer)).await;
    }

    /// Begins to answer a request.
    async fn begin(&mut self, request: Request) {
        let id = request.id.clone();
        let caller = match self.caller(&request) {
            Ok(caller) => caller,
            Err(fault) => return self.outbox.answer(&fault.message_to(Some(&id))).await,
        };
        let fault = match self.running.may_begin(&id) {
            Ok(()) => {
                let (endpoint, outbox) = (self.endpoint.clone(), Arc::clone(&self.outbox));
                let (turns, calls) = (Arc::clone(&self.turns), request.method == "tools/call");
                let listens = request.method == "subscriptions/listen";
                let work = async move {
                    let id = request.id.clone();
                    // It is never closed.
                    let _turn = if calls { turns.acquire().await.ok() } else { None };
                    let answer = endpoint.answer(caller, request).await;
                    if !answer.as_ref().is_err_and(Fault::is_cancelled) {
                        outbox.answer(&response(&id, answer)).await;
                    }
                };
                return self.running.begin(id, listens, work);
            }
            Err(fault) => fault,
        };
        self.outbox.answer(&fault.message_to(Some(&id))).await;
    }

    fn caller(&self, request: &Request) -> Result<Caller, Fault> {
        if speaks_for_itself(request) {
            return Caller::stateless(request, Arc::clone(&self.outlet));
        }
        match &self.session {
            Some(session) => Ok(Caller::in_session(Arc::clone(session), Arc::clone(&self.outlet))),
            None => Err(Fault::new(INVALID_REQUEST, "`initialize` comes first, or `_meta` says who asks")),
        }
    }

    /// Takes several messages at once, whose answers go together.
    async fn take_batch(&mut self, messages: Vec<Value>) {
        let refusal = match &self.session {
            _ if messages.is_empty() => Some("the batch is empty"),
            Some(session) if session.revision() == Revision::V2025_03_26 => {
                (messages.len() > BATCH).then_some("a batch has at most 100 messages")
            }
            _ => Some("batches are taken in sessions of the revision 2025-03-26 only"),
        };
        if let Some(why) = refusal {
            return self.outbox.answer(&Fault::new(INVALID_REQUEST, why).message_to(None)).await;
        }
        let (mut requests, mut answers) = (Vec::new(), Vec::new());
        for message in messages {
            match Incoming::read(message) {
                Ok(Incoming::Request(request)) if request.method == "initialize" => {
                    let fault = Fault::new(INVALID_REQUEST, "`initialize` cannot be part of a batch");
                    answers.push(fault.message_to(Some(&request.id)));
                }
                Ok(Incoming::Request(request)) => match self.caller(&request) {
                    Ok(caller) => requests.push((caller, request)),
                    Err(fault) => answers.push(fault.message_to(Some(&request.id))),
                },
                Ok(message) => self.take(message).await,
                Err(error) => answers.push(error.message()),
            }
        }
        let (endpoint, outbox) = (self.endpoint.clone(), Arc::clone(&self.outbox));
        let turns = Arc::clone(&self.turns);
        self.running.begin_batch(async move {
            let answered = requests.into_iter().map(|(caller, request)| {
                let (endpoint, turns) = (&endpoint, &turns);
                async move {
                    let _turn = turns.acquire().await.ok();
                    let id = request.id.clone();
                    let answer = endpoint.answer(caller, request).await;
                    (!answer.as_ref().is_err_and(Fault::is_cancelled)).then(|| response(&id, answer))
                }
            });
            answers.extend(futures::future::join_all(answered).await.into_iter().flatten());
            if !answers.is_empty() {
                outbox.answer(&Value::Array(answers)).await;
            }
        });
    }

    /// Ends what still runs. A client that has left for good has no session any more.
    async fn end(&mut self) {
        self.running.end().await;
        self.end_session().await;
        if let Some(session) = self.session.take()
            && Arc::ptr_eq(&session.outlet(), &self.outlet)
        {
            session.set_outlet(None);
        }
    }

    /// Ends the session, unless it goes on at the next hub.
    async fn end_session(&self) {
        if let Some(session) = self.session.as_ref().filter(|_| !self.leaving) {
            // What is left of it in storage grows old there.
            let _ = self.endpoint.end_session(session.id()).await;
        }
    }
}

/// Whether a message, or one of a batch, is a request.
fn asks(message: &Value) -> bool {
    match message {
        Value::Array(messages) => messages.iter().any(asks),
        message => message.get("method").is_some() && message.get("id").is_some(),
    }
}

async fn past(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// More requests are under way than anybody could mean.
fn too_many() -> Fault {
    Fault::new(INTERNAL_ERROR, "too many requests are under way")
}
