//! Processes that several servers use together: those that keep nothing between calls, by their
//! owners' word, and start alike.
//!
//! Each of these servers keeps a life of its own: its state, failures, limits, linger and wishes.
//! Only the process is one. The first who needs it starts it, the others join, and it ends when
//! the last one lets go of it.
//!
//! # Invariants
//!
//! * Whoever joins lets go once: by [`Hold::let_go`], or by being dropped.
//! * A process that somebody condemned takes nobody in any more; who uses it may finish there.
//! * The lock is held for bookkeeping only, and no other lock is taken under it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dormouse_protocol::{self as protocol, Connection, Exit};
use dormouse_types::{Env, Launch, PrepareStep, ServerConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::StartFault;

/// What two servers must have in common to share a process. Variables are compared by their
/// texts: the hub puts the same values into the same `${NAME}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Alike {
    version: String,
    launch: Launch,
    env: Env,
}

impl Alike {
    /// `None` for a server that was not declared stateless: it shares with nobody.
    pub(crate) fn of(version: &str, config: &ServerConfig) -> Option<Self> {
        let (version, launch, env) = (version.to_owned(), config.launch.clone(), config.env.clone());
        config.stateless.then_some(Self { version, launch, env })
    }
}

/// How a start went, for all who wait for it.
type Started = Result<Connection, Arc<StartFault>>;

/// The processes of a hub that take in others.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    open: Mutex<HashMap<Alike, Arc<Process>>>,
}

/// One process, or its start under way.
#[derive(Debug)]
pub(crate) struct Process {
    alike: Alike,
    /// The deadline of its start, from the server that began it.
    deadline: Duration,
    started: watch::Sender<Option<Started>>,
    step: watch::Sender<Option<PrepareStep>>,
    /// Cancelled when nobody waits for its start any more.
    unneeded: CancellationToken,
    /// Who has it lists for all.
    listing: tokio::sync::Mutex<()>,
    /// How many servers joined and did not let go. Changed under the lock of the shares only.
    members: Mutex<usize>,
}

/// One server's share in a process.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    process: Arc<Process>,
    has_left: AtomicBool,
    /// Cancelled when it let go and others stayed.
    parted: CancellationToken,
}

impl Shares {
    /// A share in the process of all who start alike, and whether its start is to be begun now:
    /// by [`begin`](Process::begin), in a task that ends when it does.
    pub(crate) fn join(self: &Arc<Self>, alike: Alike, deadline: Duration) -> (Share, bool) {
        let mut open = self.lock();
        let known = open.get(&alike).filter(|process| process.takes_in()).cloned();
        let begins = known.is_none();
        let process = known.unwrap_or_else(|| {
            let process = Arc::new(Process::new(alike.clone(), deadline));
            open.insert(alike, process.clone());
            process
        });
        *process.members() += 1;
        let (has_left, parted) = (AtomicBool::new(false), CancellationToken::new());
        (Share { shares: self.clone(), process, has_left, parted }, begins)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Alike, Arc<Process>>> {
        self.open.lock().expect("nothing panics while it holds the shares")
    }

    fn close_to_others(open: &mut HashMap<Alike, Arc<Process>>, process: &Arc<Process>) {
        if open.get(&process.alike).is_some_and(|known| Arc::ptr_eq(known, process)) {
            open.remove(&process.alike);
        }
    }
}

impl Process {
    fn new(alike: Alike, deadline: Duration) -> Self {
        Self {
            alike,
            deadline,
            started: watch::Sender::new(None),
            step: watch::Sender::new(None),
            unneeded: CancellationToken::new(),
            listing: tokio::sync::Mutex::new(()),
            members: Mutex::new(0),
        }
    }

    /// Whether it is starting, or runs.
    fn takes_in(&self) -> bool {
        match &*self.started.borrow() {
            None => true,
            Some(Ok(connection)) => connection.exit().is_none(),
            Some(Err(_)) => false,
        }
    }

    fn members(&self) -> MutexGuard<'_, usize> {
        self.members.lock().expect("nothing panics while it counts")
    }
}

impl Share {
    /// Sees the start through that [`Shares::join`] asked for, until it is done or nobody waits
    /// for it any more. `start` ends what it began when it is dropped.
    pub(crate) fn begin<S, F>(&self, start: S) -> impl Future<Output = ()> + Send + 'static
    where
        S: FnOnce(watch::Sender<Option<PrepareStep>>) -> F,
        F: Future<Output = Result<Connection, StartFault>> + Send + 'static,
    {
        let (shares, process) = (self.shares.clone(), self.process.clone());
        let start = start(process.step.clone());
        async move {
            let started = tokio::select! {
                biased;
                () = process.unneeded.cancelled() => return,
                started = start => started.map_err(Arc::new),
            };
            let unneeded = {
                let mut open = shares.lock();
                if started.is_err() {
                    Shares::close_to_others(&mut open, &process);
                }
                let unneeded = (*process.members() == 0).then(|| started.clone().ok()).flatten();
                process.started.send_replace(Some(started));
                unneeded
            };
            // The last one let go in this very moment.
            if let Some(connection) = unneeded {
                connection.close(Duration::ZERO).await;
            }
        }
    }

    /// Waits for the start and passes its steps on. Cancel-safe.
    pub(crate) async fn started(&self, report: &(dyn Fn(PrepareStep) + Send + Sync)) -> Started {
        let mut started = self.process.started.subscribe();
        let mut steps = self.process.step.subscribe();
        steps.mark_changed();
        loop {
            tokio::select! {
                biased;
                Ok(()) = steps.changed() => {
                    let step = steps.borrow_and_update().clone();
                    step.into_iter().for_each(report);
                }
                // The sender is the process's own, which is held here.
                Ok(started) = started.wait_for(Option::is_some) => {
                    if let Some(started) = &*started {
                        return started.clone();
                    }
                }
            }
        }
    }

    /// Whether the start failed for want of a time that this server would have given it.
    pub(crate) fn was_hurried(&self, fault: &StartFault, deadline: Duration) -> bool {
        use protocol::{StartError, StartFault as Fault};
        let late = matches!(fault, StartFault::Start(StartError { fault: Fault::TimedOut { .. }, .. }));
        late && self.process.deadline < deadline
    }

    /// Lets go. Only the last one ends the process.
    fn leave(&self, grace: Duration) {
        if self.has_left.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut open = self.shares.lock();
        let left = {
            let mut members = self.process.members();
            *members -= 1;
            *members
        };
        if left > 0 {
            return self.parted.cancel();
        }
        Shares::close_to_others(&mut open, &self.process);
        self.process.unneeded.cancel();
        if let Some(Ok(connection)) = &*self.process.started.borrow() {
            connection.begin_close(grace);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.leave(Duration::ZERO);
    }
}

/// What a server has of its process: all of it, or a share.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    connection: Connection,
    share: Option<Arc<Share>>,
}

impl Hold {
    pub(crate) fn alone(connection: Connection) -> Self {
        Self { connection, share: None }
    }

    pub(crate) fn shared(connection: Connection, share: Share) -> Self {
        Self { connection, share: Some(Arc::new(share)) }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Begins to let go; [`over`](Self::over) returns when it is done. A process without others
    /// ends, within the grace.
    pub(crate) fn let_go(&self, grace: Duration) {
        match &self.share {
            Some(share) => share.leave(grace),
            None => self.connection.begin_close(grace),
        }
    }

    /// Takes care that the next start is a new process. Others may finish with this one.
    pub(crate) fn condemn(&self) {
        if let Some(share) = &self.share {
            Shares::close_to_others(&mut share.shares.lock(), &share.process);
        }
    }

    /// Waits until the process is gone, or others have it to themselves. Cancel-safe.
    pub(crate) async fn over(&self) -> Exit {
        let Some(share) = &self.share else { return self.connection.closed().await };
        tokio::select! {
            exit = self.connection.closed() => exit,
            () = share.parted.cancelled() => Exit::Closed,
        }
    }

    /// Waits for the right to list a process's tools, which one of its servers does for all.
    pub(crate) async fn listing(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match &self.share {
            Some(share) => Some(share.process.listing.lock().await),
            None => None,
        }
    }
}
