//! From a program to a server whose tools are known.

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use dormouse_types::Features;
use rmcp::RoleClient;
use rmcp::service::serve_directly;
use serde_json::{Value, json};
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::Instant;

use super::desk::Desk;
use super::line::{Line, Pipe};
use super::{Connection, Inner, after, steward};
use crate::error::{CallError, Phase, StartError, StartFault};
use crate::launch::{Exit, ExitHandle, LaunchError, Launched, Launcher};
use crate::program::Program;
use crate::tail::Tail;
use crate::transport::{Address, Carried, Transport};
use crate::wire::{Noise, Outbox, StdioTransport, Wire};

/// How long a process that failed gets to be gone before its error is given without its exit.
const DYING: Duration = Duration::from_secs(5);
/// How long a process that closed its output gets to end by itself, so that its exit is told.
const TO_EXIT_ITSELF: Duration = Duration::from_secs(1);

/// What we tell a server of the older kind that it may ask of us in the middle of a call.
///
/// Nothing by default: a server that sees an offer relies on it, and one that sees none often has
/// another way. A question that comes all the same is passed to the call that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offers {
    /// Asking the person (`elicitation/create`).
    pub elicitation: bool,
    /// Asking the model (`sampling/createMessage`).
    pub sampling: bool,
    /// Asking for folders (`roots/list`).
    pub roots: bool,
}

impl Offers {
    /// All that some caller may answer. Who cannot says so by the error of that question.
    pub const ALL: Self = Self { elicitation: true, sampling: true, roots: true };

    pub(super) fn capabilities(self) -> Value {
        let mut offered = json!({});
        if self.elicitation {
            offered["elicitation"] = json!({ "form": {}, "url": {} });
        }
        if self.sampling {
            offered["sampling"] = json!({ "tools": {}, "context": {} });
        }
        if self.roots {
            offered["roots"] = json!({ "listChanged": true });
        }
        offered
    }
}

impl Connection {
    /// Starts a program and makes itself known: launch, handshake, all lists.
    ///
    /// # Errors
    /// [`StartError`]; then the process and all that it started are gone.
    pub async fn open(
        launcher: &dyn Launcher,
        program: &Program,
        deadline: Duration,
    ) -> Result<Self, StartError> {
        Self::open_with(launcher, program, deadline, Offers::default()).await
    }

    /// [`open`](Self::open), with offers to the server.
    ///
    /// Dropping the future kills what was started.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(
        launcher: &dyn Launcher,
        program: &Program,
        deadline: Duration,
        offers: Offers,
    ) -> Result<Self, StartError> {
        let until = after(deadline);
        let launched = match tokio::time::timeout_at(until, launcher.launch(program)).await {
            Ok(Ok(launched)) => launched,
            Ok(Err(error)) => return Err(unlaunched(StartFault::Launch(error))),
            Err(_) => return Err(unlaunched(StartFault::TimedOut { after: deadline })),
        };
        let Launched { pid, stdin, stdout, stderr, exit } = launched;
        let streams = Streams { pid: Some(pid), stdin, stdout, stderr: Some(stderr), exit };
        Self::meet(streams, until, deadline, offers).await
    }

    /// Makes itself known to a server that a transport of the program's own reaches.
    ///
    /// Dropping the future ends what was begun.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_by(
        transport: &dyn Transport,
        address: &Address,
        deadline: Duration,
        offers: Offers,
    ) -> Result<Self, StartError> {
        let until = after(deadline);
        let channel = match tokio::time::timeout_at(until, transport.open(address)).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => {
                let why = dormouse_types::chain(&*error);
                return Err(unlaunched(StartFault::Unreachable { why }));
            }
            Err(_) => return Err(unlaunched(StartFault::TimedOut { after: deadline })),
        };
        let carried = channel
            .carry()
            .map_err(|source| unlaunched(StartFault::Launch(LaunchError::Resources { source })))?;
        let Carried { stdin, stdout, exit } = carried;
        let streams = Streams { pid: None, stdin, stdout, stderr: None, exit };
        Self::meet(streams, until, deadline, offers).await
    }

    /// Handshake and all lists over these streams.
    async fn meet(
        streams: Streams,
        until: Instant,
        deadline: Duration,
        offers: Offers,
    ) -> Result<Self, StartError> {
        let wire = Wire::new();
        let outbox = Outbox::new(streams.stdin);
        let tail = match streams.stderr {
            None => Tail::none(),
            Some(stderr) => {
                let tail = Tail::new();
                // Ends with its pipe, which the end of the process closes.
                tokio::spawn({
                    let tail = Arc::clone(&tail);
                    async move { tail.drain(stderr).await }
                });
                tail
            }
        };
        let start = Start {
            exit: streams.exit,
            wire: Arc::clone(&wire),
            outbox: Arc::clone(&outbox),
            tail: Arc::clone(&tail),
            finished: false,
        };
        // Ends with its pipe, as above.
        tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.run().await }
        });
        let desk = Desk { wire: Arc::clone(&wire) };
        let transport = StdioTransport::new(Arc::clone(&wire), Arc::clone(&outbox), streams.stdout);
        let service = serve_directly::<RoleClient, _, _, std::io::Error, _>(desk, transport, None);
        let (ending, asked) = watch::channel(None);
        let inner = Inner {
            pid: streams.pid,
            exit: start.exit.clone(),
            line: Line::Pipe(Pipe::new(Arc::clone(&outbox))),
            wire: Arc::clone(&wire),
            tail,
            features: RwLock::new(Arc::new(Features::default())),
            list_faults: Mutex::new(Arc::new([])),
            subscriptions: Default::default(),
        };
        let connection = Self { inner: Arc::new(inner), ending: Arc::new(ending) };
        if let Err(error) = connection.inner.greet(offers, until).await {
            let fault = unshaken(error, deadline);
            return Err(start.fail(Phase::Handshake, fault).await);
        }
        match connection.inner.list(until).await {
            Ok(listed) => {
                let inner = &connection.inner;
                *inner.features.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
                    Arc::new(listed.features);
                *inner.list_faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                    listed.faults.into();
            }
            Err(error) => {
                let fault = unlisted(&error, deadline);
                return Err(start.fail(Phase::Listing, fault).await);
            }
        }
        if connection.is_modern() {
            connection.inner.listen_for_lists();
        }
        // Ends with the process, and kills it when the last handle is dropped.
        tokio::spawn(steward::look_after(start.finish(), service, outbox, asked));
        Ok(connection)
    }
}

/// What a conversation needs: the streams, and how it ends.
struct Streams {
    /// `None` where there is no process.
    pid: Option<u32>,
    stdin: pipe::Sender,
    stdout: pipe::Receiver,
    stderr: Option<pipe::Receiver>,
    exit: ExitHandle,
}

/// A start under way. Dropped, it kills what was started.
struct Start {
    exit: ExitHandle,
    wire: Arc<Wire>,
    outbox: Arc<Outbox>,
    tail: Arc<Tail>,
    finished: bool,
}

impl Start {
    /// Ends the process and tells what is known of why.
    async fn fail(self, phase: Phase, fault: StartFault) -> StartError {
        // One that closed its output is most often about to exit, and its status says why.
        let by_itself = match fault {
            StartFault::Ended => tokio::time::timeout(TO_EXIT_ITSELF, self.exit.wait()).await.ok(),
            _ => self.exit.seen(),
        };
        self.exit.kill();
        let gone = async {
            self.exit.wait().await;
            self.tail.ended().await;
        };
        if tokio::time::timeout(DYING, gone).await.is_err() {
            tracing::error!("a server that failed to start does not die");
        }
        StartError {
            phase,
            fault,
            exit: by_itself.filter(|exit| *exit != Exit::Lost),
            stderr: self.tail.lines(),
            noise: self.wire.noise.read(),
        }
    }

    fn finish(mut self) -> ExitHandle {
        self.finished = true;
        self.exit.clone()
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        if !self.finished {
            self.outbox.close();
            self.exit.kill();
        }
    }
}

fn unlaunched(fault: StartFault) -> StartError {
    StartError { phase: Phase::Launch, fault, exit: None, stderr: Vec::new(), noise: Noise::default() }
}

fn unshaken(error: CallError, deadline: Duration) -> StartFault {
    match error {
        CallError::Refused { code, message, .. } => {
            StartFault::Answer { answer: format!("error {code}: {message}") }
        }
        CallError::Unreadable { why } => StartFault::Answer { answer: why },
        error => unlisted(&error, deadline),
    }
}

pub(super) fn unlisted(error: &CallError, deadline: Duration) -> StartFault {
    match error {
        CallError::NotSent | CallError::Died { .. } => StartFault::Ended,
        CallError::TimedOut { .. } => StartFault::TimedOut { after: deadline },
        CallError::Unreachable { why } | CallError::Broken { why } => {
            StartFault::Unreachable { why: why.clone() }
        }
        CallError::SignIn(error) => StartFault::SignIn(error.clone()),
        CallError::Refused { .. } | CallError::Status { .. } | CallError::Unreadable { .. } => {
            StartFault::Answer { answer: error.to_string() }
        }
    }
}
