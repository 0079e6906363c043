//! One version of one server: its life, its process, and who waits for it.
//!
//! The life decides; this file performs. A step and its bookkeeping happen under one short
//! lock; everything that waits, sends or spawns happens after it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use dormouse_lifecycle::{Action, Event as Step, Life, Phase, Policy, Refusal, Supervision, Then, jittered};
use dormouse_protocol::{Connection, Exit};
use dormouse_registry::Registry;
use dormouse_types::{
    AlertLevel, BackChannel, CallEvent, Event, FeatureSource, Features, PrepareStep, ServerConfig, ServerKey,
    ServerState, ServerStatus, Timestamp, Timing, Wanted,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::alerts::{Alerts, Cause, Words};
use crate::error::{LeaseError, StartFault};
use crate::lease::Lease;
use crate::limits::Gate;
use crate::measure::Measures;
use crate::starter::Starter;
use crate::wishes::{Wish, Wishes};

/// What all instances of a hub share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) registry: Registry,
    pub(crate) starter: Starter,
    pub(crate) tasks: TaskTracker,
    pub(crate) measures: Measures,
    /// One message a start or change of lists; the inventory reads it all the time.
    pub(crate) learned: mpsc::UnboundedSender<Learned>,
    pub(crate) generations: std::sync::atomic::AtomicU64,
    /// The thresholds as they are now; instances and monitors follow at once.
    pub(crate) supervision: watch::Sender<Supervision>,
    /// Deadlines of servers that say nothing of their own.
    pub(crate) timing: Timing,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) wishes: Wishes,
    /// Ends what only prepares: watches, builds made ahead.
    pub(crate) ending: CancellationToken,
}

/// What a running server said of itself.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(crate) key: ServerKey,
    /// The version that said it.
    pub(crate) version: String,
    pub(crate) features: Arc<Features>,
}

/// One version of one server.
#[derive(Debug)]
pub(crate) struct Instance {
    key: ServerKey,
    version: String,
    config: Arc<ServerConfig>,
    engine: Arc<Engine>,
    gate: Gate,
    /// Whether it ever said what it offers, in this version.
    contacted: AtomicBool,
    /// Whether it shows `warning`, for the pace of its probes.
    unwell: watch::Sender<bool>,
    cell: Mutex<Cell>,
    /// Announces each new phase to those who wait for one (`wait`, `shutdown`).
    phase: watch::Sender<Phase>,
}

/// How a wait for a start ended.
type Waited = Result<Lease, Option<Arc<StartFault>>>;

#[derive(Debug)]
struct Cell {
    life: Life,
    generation: u64,
    connection: Option<Connection>,
    /// Ends the start under way.
    starting: CancellationToken,
    waiters: Vec<oneshot::Sender<Waited>>,
    /// The latest step of a start, for those who wait and for those who join later.
    progress: watch::Sender<String>,
    fault: Option<Arc<StartFault>>,
    reason: Option<String>,
    since: Timestamp,
    next_retry: Option<Timestamp>,
    /// When the back-off under way began, and what ends its timer.
    waiting: Option<(tokio::time::Instant, CancellationToken)>,
    /// When the linger ends; one timer task looks at it.
    idle_at: Option<Instant>,
    idle_timer: bool,
    shown: (ServerState, Option<u32>, u32, Option<Timestamp>, Option<String>),
}

/// What is to be done once the lock is released.
#[must_use]
struct Effects {
    action: Action,
    generation: u64,
    answers: Vec<(oneshot::Sender<Waited>, Waited)>,
    status: Option<ServerStatus>,
    phase: Phase,
    idle_timer: Option<Instant>,
    retry_timer: Option<(tokio::time::Instant, CancellationToken)>,
    unwell: bool,
}

impl Instance {
    pub(crate) fn new(
        key: ServerKey,
        version: String,
        config: Arc<ServerConfig>,
        engine: Arc<Engine>,
    ) -> Arc<Self> {
        let wish = engine.wishes.of(&key);
        let life = Life::new(wish.as_ref().map_or(config.wanted, |wish| wish.wanted));
        let contacted = engine
            .registry
            .snapshot()
            .get(&key)
            .is_some_and(|entry| entry.source != FeatureSource::Unknown && entry.content_hash == version);
        let status =
            engine.registry.status(&key).unwrap_or_else(|| Arc::new(ServerStatus::dormant(Timestamp::now())));
        let cell = Cell {
            life,
            generation: status.generation,
            connection: None,
            starting: CancellationToken::new(),
            waiters: Vec::new(),
            progress: watch::Sender::new(String::new()),
            fault: None,
            reason: wish.and_then(|wish| wish.reason),
            since: status.since,
            next_retry: None,
            waiting: None,
            idle_at: None,
            idle_timer: false,
            shown: (status.state, status.pid, status.failures, status.next_retry, status.reason.clone()),
        };
        let phase = watch::Sender::new(life.phase);
        Arc::new(Self {
            gate: Gate::new(config.limits),
            key,
            version,
            config,
            engine,
            contacted: AtomicBool::new(contacted),
            unwell: watch::Sender::new(false),
            cell: Mutex::new(cell),
            phase,
        })
    }

    /// What the life goes by now.
    fn policy(&self) -> Policy {
        let insist = !self.contacted.load(Ordering::Relaxed);
        Policy { insist, ..self.engine.supervision.borrow().policy(self.config.timing.idle) }
    }

    /// The deadlines now: a server's own, else those of the space, which may change at any time.
    fn timing(&self) -> Timing {
        let (own, space, now) = (self.config.timing, self.engine.timing, self.engine.supervision.borrow());
        Timing {
            start: if own.start == space.start { now.start } else { own.start },
            stop: if own.stop == space.stop { now.stop } else { own.stop },
            ..own
        }
    }

    /// The turns of this server's callers.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Whether a probe should come soon.
    pub(crate) fn unwell(&self) -> watch::Receiver<bool> {
        self.unwell.subscribe()
    }

    /// How many calls use it now; `None` while it is not attached.
    pub(crate) fn leases(&self) -> Option<u32> {
        match self.lock().life.phase {
            Phase::Running { leases } | Phase::Draining { leases, .. } => Some(leases),
            _ => None,
        }
    }

    /// Takes a person's wish, with its reason; `None` is what the configuration says.
    pub(crate) fn wish(self: &Arc<Self>, wish: Option<Wish>) {
        let wanted = wish.as_ref().map_or(self.config.wanted, |wish| wish.wanted);
        let effects = {
            let mut cell = self.lock();
            if let Some(Wish { wanted: Wanted::Stopped, reason }) = wish {
                cell.reason = reason;
            } else if cell.life.wanted == Wanted::Stopped {
                cell.reason = None;
            }
            self.take(&mut cell, Step::Want(wanted))
        };
        self.perform(effects);
    }

    /// Notes what a probe said of an attached server. A process that is gone has no say.
    pub(crate) fn probed(self: &Arc<Self>, connection: &Connection, problem: Option<String>) {
        let effects = {
            let mut cell = self.lock();
            if connection.exit().is_some() || cell.connection.is_none() {
                return;
            }
            let step = match problem {
                None => {
                    cell.reason = None;
                    Step::ProbeAnswered
                }
                Some(problem) => {
                    cell.reason = Some(problem);
                    Step::ProbeFailed
                }
            };
            self.take(&mut cell, step)
        };
        self.perform(effects);
    }

    /// Takes up what an attached server says of itself.
    pub(crate) fn said(&self, features: Arc<Features>) {
        self.contacted.store(true, Ordering::Relaxed);
        // Who reads it ends with the hub.
        let _ = self.engine.learned.send(Learned {
            key: self.key.clone(),
            version: self.version.clone(),
            features,
        });
    }

    pub(crate) fn key(&self) -> &ServerKey {
        &self.key
    }

    pub(crate) fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Whether this instance is of that version and configuration.
    pub(crate) fn is(&self, version: &str, config: &ServerConfig) -> bool {
        self.version == version && *self.config == *config
    }

    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The connection, while attached.
    pub(crate) fn connection(&self) -> Option<Connection> {
        self.lock().connection.clone()
    }

    /// A lease, after a start if need be. `None`: this version is leaving, look for the next one.
    /// Dropping the future gives everything back.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        back: &Arc<dyn BackChannel>,
    ) -> Result<Option<Lease>, LeaseError> {
        let mut woke = false;
        loop {
            let (waited, mut progress, effects) = {
                let mut cell = self.lock();
                let effects = self.take(&mut cell, Step::CallArrived);
                match effects.action {
                    Action::Refuse(Refusal::Leaving) => return Ok(None),
                    Action::Refuse(refusal) => return Err(self.refused(&cell, refusal)),
                    _ => {}
                }
                if let (Phase::Running { .. }, Some(connection)) = (cell.life.phase, &cell.connection) {
                    let lease = Lease::new(self.clone(), connection.clone(), cell.generation, woke);
                    drop(cell);
                    self.perform(effects);
                    return Ok(Some(lease));
                }
                let (sender, receiver) = oneshot::channel();
                cell.waiters.push(sender);
                (receiver, cell.progress.subscribe(), effects)
            };
            self.perform(effects);
            woke = true;
            match follow(waited, &mut progress, back).await {
                Ok(Ok(lease)) => return Ok(Some(lease)),
                Ok(Err(Some(source))) => return Err(LeaseError::Start { server: self.key.clone(), source }),
                // The start was called off; ask anew.
                Ok(Err(None)) | Err(_) => {}
            }
        }
    }

    fn refused(&self, cell: &Cell, refusal: Refusal) -> LeaseError {
        let server = self.key.clone();
        match (refusal, &cell.fault) {
            (Refusal::Open, Some(source)) if cell.life.failures < 2 => {
                LeaseError::Start { server, source: source.clone() }
            }
            (Refusal::Open, _) => LeaseError::Open {
                server,
                failures: cell.life.failures,
                reason: cell.reason.clone().unwrap_or_default(),
            },
            (Refusal::Stopped, _) => LeaseError::Stopped { server },
            (Refusal::Leaving, _) => LeaseError::Ending,
        }
    }

    /// Tells the life what happened and does what follows.
    pub(crate) fn feed(self: &Arc<Self>, step: Step) {
        let effects = {
            let mut cell = self.lock();
            self.take(&mut cell, step)
        };
        self.perform(effects);
    }

    pub(crate) fn give_back(self: &Arc<Self>, generation: u64, served: bool) {
        let effects = {
            let mut cell = self.lock();
            // A lease on a process that is gone: its leases went with it.
            if cell.generation != generation || cell.connection.is_none() {
                return;
            }
            self.take(&mut cell, Step::LeaseReturned { served })
        };
        self.perform(effects);
    }

    fn lock(&self) -> MutexGuard<'_, Cell> {
        self.cell.lock().expect("nothing panics while it holds an instance's cell")
    }

    /// One step of the life with all its bookkeeping, under the lock.
    fn take(self: &Arc<Self>, cell: &mut Cell, step: Step) -> Effects {
        let before = cell.life.phase;
        let policy = self.policy();
        let action = match cell.life.step(step, &policy) {
            Ok((life, action)) => {
                cell.life = life;
                action
            }
            Err(illegal) => {
                warn!(server = %self.key, %illegal, "an impossible step was ignored");
                Action::None
            }
        };
        if action == Action::Start {
            cell.generation = 1 + self.engine.generations.fetch_add(1, Ordering::Relaxed);
            cell.starting = CancellationToken::new();
            cell.next_retry = None;
            cell.progress.send_replace(String::new());
        }
        let retry_timer = self.armed(cell, action);
        let idle_timer = match action {
            Action::ArmIdle(linger) => {
                let at = Instant::now() + linger;
                cell.idle_at = Some(at);
                (!std::mem::replace(&mut cell.idle_timer, true)).then_some(at)
            }
            _ => None,
        };
        let phase = cell.life.phase;
        let answers = self.answers(cell, step);
        if matches!(phase, Phase::Running { .. })
            && !matches!(before, Phase::Running { .. } | Phase::Draining { .. })
        {
            cell.reason = None;
            cell.fault = None;
        }
        Effects {
            action,
            generation: cell.generation,
            answers,
            status: self.shown(cell),
            phase,
            idle_timer,
            retry_timer,
            unwell: cell.life.failures >= policy.warn_after,
        }
    }

    /// When the next attempt is due, counted from the beginning of the back-off; the timer of an
    /// earlier one ends.
    fn armed(&self, cell: &mut Cell, action: Action) -> Option<(tokio::time::Instant, CancellationToken)> {
        let Action::ArmRetry(delay) = action else {
            if cell.life.phase != Phase::Waiting
                && let Some((_, earlier)) = cell.waiting.take()
            {
                cell.next_retry = None;
                earlier.cancel();
            }
            return None;
        };
        let now = tokio::time::Instant::now();
        let began = match cell.waiting.take() {
            // The thresholds changed in the midst of it.
            Some((began, earlier)) => {
                earlier.cancel();
                began
            }
            None => now,
        };
        let ends = CancellationToken::new();
        cell.waiting = Some((began, ends.clone()));
        let at = (began + jittered(delay, random())).max(now);
        cell.next_retry = Timestamp::now().checked_add(at - now).ok();
        Some((at, ends))
    }

    /// Whom to answer now: all who waited for a start that ended or was called off.
    fn answers(self: &Arc<Self>, cell: &mut Cell, step: Step) -> Vec<(oneshot::Sender<Waited>, Waited)> {
        if matches!(cell.life.phase, Phase::Starting { .. } | Phase::Stopping { then: Then::Wake { .. } }) {
            return Vec::new();
        }
        let waiters = std::mem::take(&mut cell.waiters);
        waiters
            .into_iter()
            .map(|waiter| {
                let answer = match (&cell.connection, step) {
                    (Some(connection), Step::Started) => {
                        Ok(Lease::new(self.clone(), connection.clone(), cell.generation, true))
                    }
                    (_, Step::StartFailed) => Err(cell.fault.clone()),
                    _ => Err(None),
                };
                (waiter, answer)
            })
            .collect()
    }

    /// The status, if it differs from the one that is shown.
    fn shown(&self, cell: &mut Cell) -> Option<ServerStatus> {
        let state = cell.life.word(&self.policy());
        let pid = cell.connection.as_ref().and_then(Connection::pid);
        let now = (state, pid, cell.life.failures, cell.next_retry, cell.reason.clone());
        if now == cell.shown || cell.life.phase == Phase::Gone {
            return None;
        }
        if state != cell.shown.0 {
            cell.since = Timestamp::now();
        }
        cell.shown = now;
        Some(ServerStatus {
            state,
            reason: cell.reason.clone(),
            since: cell.since,
            failures: cell.life.failures,
            next_retry: cell.next_retry,
            pid,
            generation: cell.generation,
        })
    }

    /// Does what a step asked for. Nothing here waits.
    fn perform(self: &Arc<Self>, effects: Effects) {
        if let Some(status) = effects.status {
            self.engine.registry.set_status(&self.key, status);
        }
        for (waiter, answer) in effects.answers {
            // One who gave up drops the lease that came with the answer, which gives it back.
            let _ = waiter.send(answer);
        }
        self.phase.send_if_modified(|phase| {
            // Nobody waits for a number of leases, and a call must not wake anybody else.
            let kind = std::mem::discriminant;
            kind(&std::mem::replace(phase, effects.phase)) != kind(&effects.phase)
        });
        if let Some(at) = effects.idle_timer {
            self.engine.tasks.spawn(self.clone().linger(at));
        }
        if let Some((at, ends)) = effects.retry_timer {
            self.engine.tasks.spawn(self.clone().retry(at, ends));
        }
        self.unwell.send_if_modified(|unwell| std::mem::replace(unwell, effects.unwell) != effects.unwell);
        match effects.action {
            Action::None | Action::Refuse(_) | Action::ArmIdle(_) | Action::ArmRetry(_) => {}
            Action::Start => {
                self.engine.tasks.spawn(self.clone().start(effects.generation));
            }
            Action::Stop => self.stop(),
        }
    }

    /// Starts the process, unless it is called off, and says how it went.
    async fn start(self: Arc<Self>, generation: u64) {
        let began = Instant::now();
        let called_off = self.lock().starting.clone();
        let report = |step: PrepareStep| {
            let text = match &step {
                PrepareStep::Queued => "waiting for another environment".to_owned(),
                PrepareStep::Building(what) => what.clone(),
                PrepareStep::Ready => "starting".to_owned(),
                PrepareStep::Failed(why) => why.clone(),
            };
            self.lock().progress.send_replace(text);
            self.engine.registry.emit(Event::Preparing { server: self.key.clone(), step });
        };
        let result = tokio::select! {
            biased;
            () = called_off.cancelled() => None,
            result = self.engine.starter.start(&self.key, &self.config, self.timing().start, &report) => {
                Some(result)
            }
        };
        let (effects, unwanted) = {
            let mut cell = self.lock();
            match (cell.life.phase, result) {
                (Phase::Starting { .. }, Some(Ok(connection))) => {
                    self.said(connection.features());
                    cell.connection = Some(connection.clone());
                    let effects = self.take(&mut cell, Step::Started);
                    self.engine.registry.emit(Event::Attached {
                        server: self.key.clone(),
                        generation,
                        took: began.elapsed(),
                    });
                    self.engine.measures.attached();
                    self.engine.tasks.spawn(self.clone().attend(connection, generation));
                    (Some(effects), None)
                }
                (Phase::Starting { .. }, Some(Err(fault))) => {
                    debug!(server = %self.key, fault = %fault.chain(), "start failed");
                    cell.reason = Some(fault.described());
                    if let Some(message) = fault.sign_in() {
                        let title = "sign-in needed".to_owned();
                        let words = Words { level: AlertLevel::Warning, title, message };
                        let key = Some(self.key.clone());
                        self.engine.alerts.begin(&self.engine.registry, key, Cause::SignIn, words);
                    }
                    cell.fault = Some(Arc::new(fault));
                    (Some(self.take(&mut cell, Step::StartFailed)), None)
                }
                (_, Some(Ok(connection))) => (None, Some(connection)),
                (_, _) => (Some(self.take(&mut cell, Step::Exited)), None),
            }
        };
        if let Some(connection) = unwanted {
            connection.close(self.timing().stop).await;
            self.feed(Step::Exited);
        }
        if let Some(effects) = effects {
            self.perform(effects);
        }
    }

    /// Stays with a process until it is gone, watches its health and takes up changes of its lists.
    async fn attend(self: Arc<Self>, connection: Connection, generation: u64) {
        let exit = tokio::select! {
            exit = connection.closed() => exit,
            never = self.watch_over(&connection) => match never {},
        };
        self.exited(generation, &connection, &exit);
    }

    fn exited(self: &Arc<Self>, generation: u64, connection: &Connection, exit: &Exit) {
        let effects = {
            let mut cell = self.lock();
            if cell.generation != generation {
                return;
            }
            if matches!(cell.life.phase, Phase::Running { .. }) {
                let mut reason = format!("its process ended: {exit}");
                if let Some(last) = connection.stderr_tail().last() {
                    reason.push_str("; it said: ");
                    reason.push_str(last);
                }
                cell.reason = Some(reason);
            }
            cell.connection = None;
            self.take(&mut cell, Step::Exited)
        };
        self.engine.measures.detached();
        self.engine.registry.emit(Event::Detached { server: self.key.clone(), generation });
        self.perform(effects);
    }

    fn stop(self: &Arc<Self>) {
        let (connection, starting) = {
            let cell = self.lock();
            (cell.connection.clone(), cell.starting.clone())
        };
        match connection {
            // `attend` sees the end and tells the life.
            Some(connection) => connection.begin_close(self.timing().stop),
            // `start` sees it.
            None => starting.cancel(),
        }
    }

    /// The one idle timer of a process: it sleeps until the linger ends, however often that moves.
    async fn linger(self: Arc<Self>, mut at: Instant) {
        let mut phases = self.phases();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(at.into()) => {}
                _ = phases.wait_for(|phase| !matches!(phase, Phase::Running { .. })) => {}
            }
            let effects = {
                let mut cell = self.lock();
                match cell.idle_at {
                    // It moved, perhaps with a new process: this timer serves that one as well.
                    Some(later) if later > at && matches!(cell.life.phase, Phase::Running { .. }) => {
                        at = later;
                        continue;
                    }
                    _ => {
                        cell.idle_timer = false;
                        self.take(&mut cell, Step::IdleElapsed)
                    }
                }
            };
            return self.perform(effects);
        }
    }

    async fn retry(self: Arc<Self>, at: tokio::time::Instant, ends: CancellationToken) {
        tokio::select! {
            () = tokio::time::sleep_until(at) => self.feed(Step::RetryElapsed),
            // Its back-off is over in another way, or was armed anew.
            () = ends.cancelled() => {}
        }
    }
}

/// A number to spread timers with; its quality matters little.
pub(crate) fn random() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    // Each state has keys of its own.
    RandomState::new().build_hasher().finish() as u32
}

/// Waits for the end of a start and passes its steps on to the caller.
async fn follow(
    mut waited: oneshot::Receiver<Waited>,
    progress: &mut watch::Receiver<String>,
    back: &Arc<dyn BackChannel>,
) -> Result<Waited, oneshot::error::RecvError> {
    loop {
        tokio::select! {
            biased;
            answer = &mut waited => return answer,
            Ok(()) = progress.changed() => {
                let step = progress.borrow_and_update().clone();
                if !step.is_empty() {
                    back.notify(CallEvent::Waking { step });
                }
            }
        }
    }
}
