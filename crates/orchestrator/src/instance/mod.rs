//! One version of one server: its life, its process, and who waits for it.
//!
//! The life decides; this module performs. A step and its bookkeeping happen under one short
//! lock (`cell`); everything that waits (`waits`, `timers`), sends or spawns (`process`) happens
//! after it. `passage` is how calls go in, and what they say of the server.

mod cell;
mod passage;
mod process;
mod timers;
mod waits;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use dormouse_lifecycle::{Event as Step, Life, Phase, Policy};
use dormouse_protocol::Connection;
use dormouse_types::{
    FeatureSource, Features, ServerConfig, ServerKey, ServerStatus, Timestamp, Timing, Wanted,
};
use tokio::sync::watch;

use self::cell::{Cell, Why};
use crate::duty::Led;
use crate::engine::{Engine, Learned};
use crate::limits::Gate;
use crate::wishes::Wish;

pub(crate) use self::passage::Passage;
pub(crate) use self::timers::random;

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
    /// The duty under which it is asked what it offers, until it said so.
    led: Mutex<Option<Led>>,
    /// Whether it shows `warning`, for the pace of its probes.
    unwell: watch::Sender<bool>,
    cell: Mutex<Cell>,
    /// Announces each new phase to those who wait for one (`wait`, `shutdown`).
    phase: watch::Sender<Phase>,
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
        let cell = Cell::new(life, &status, wish.and_then(|wish| wish.reason));
        let phase = watch::Sender::new(life.phase);
        Arc::new(Self {
            gate: Gate::new(config.limits),
            key,
            version,
            config,
            engine,
            contacted: AtomicBool::new(contacted),
            led: Mutex::default(),
            unwell: watch::Sender::new(false),
            cell: Mutex::new(cell),
            phase,
        })
    }

    /// What the life goes by now.
    fn policy(&self) -> Policy {
        let insist = !self.contacted.load(Ordering::Relaxed);
        Policy { idle: self.config.timing.idle, insist, supervision: *self.engine.supervision.borrow() }
    }

    /// The deadlines now: a server's own, else those of the space, which may change at any time.
    pub(crate) fn timing(&self) -> Timing {
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
                cell.reason = reason.map(Why::from);
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
            if connection.exit().is_some() || cell.hold.is_none() {
                return;
            }
            let step = match problem {
                None => {
                    // That its calls fail is not over by that.
                    if cell.life.breaker.failed() == 0 {
                        cell.reason = None;
                    }
                    Step::ProbeAnswered
                }
                Some(problem) => {
                    cell.reason = Some(problem.into());
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
            led: self.led().take(),
        });
    }

    /// Says under which duty it is asked what it offers next.
    pub(crate) fn asked_under(&self, led: Option<Led>) {
        *self.led() = led;
    }

    fn led(&self) -> std::sync::MutexGuard<'_, Option<Led>> {
        self.led.lock().expect("nothing panics while it holds the duty")
    }

    pub(crate) fn key(&self) -> &ServerKey {
        &self.key
    }

    pub(crate) fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// The version of the server that it is of.
    pub(crate) fn version(&self) -> &str {
        &self.version
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
        self.lock().hold.as_ref().map(|hold| hold.connection().clone())
    }

    /// Tells the life what happened and does what follows.
    pub(crate) fn feed(self: &Arc<Self>, step: Step) {
        let effects = {
            let mut cell = self.lock();
            self.take(&mut cell, step)
        };
        self.perform(effects);
    }

    /// What starts next is a new process, also where others stay with the one that it shared.
    pub(crate) fn condemn(&self) {
        if let Some(hold) = &self.lock().hold {
            hold.condemn();
        }
    }

    /// A person puts it to sleep. Says whether a call that comes before the last one is back would
    /// keep it awake all the same.
    pub(crate) fn detach(self: &Arc<Self>) -> bool {
        let (effects, could_stay) = {
            let mut cell = self.lock();
            let effects = self.take(&mut cell, Step::Detach);
            let Life { phase, wanted, .. } = cell.life;
            (effects, matches!(phase, Phase::Draining { .. }) && wanted != Wanted::Stopped)
        };
        self.perform(effects);
        could_stay
    }

    /// Another takes its place for good: its calls finish first, and who waits for a turn goes there.
    pub(crate) fn retire(self: &Arc<Self>) {
        self.feed(Step::Retire);
        self.gate.close();
    }

    pub(crate) fn give_back(self: &Arc<Self>, generation: u64) {
        let effects = {
            let mut cell = self.lock();
            // A lease on a process that is gone: its leases went with it.
            if cell.generation != generation || cell.hold.is_none() {
                return;
            }
            self.take(&mut cell, Step::LeaseReturned)
        };
        self.perform(effects);
    }
}
