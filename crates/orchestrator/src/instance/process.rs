//! Performs what a step asked for: starts the process, stays with it, and ends it.

use std::sync::Arc;
use std::time::Instant;

use dormouse_lifecycle::{Action, Event as Step, Phase, Then};
use dormouse_protocol::{Connection, Exit};
use dormouse_types::{Event, PrepareStep};
use tracing::debug;

use super::Instance;
use super::cell::{Effects, Why};
use crate::error::StartFault;
use crate::share::{Alike, Hold};

impl Instance {
    /// Does what a step asked for. Nothing here waits.
    pub(super) fn perform(self: &Arc<Self>, effects: Effects) {
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
        if let Some((at, ends)) = effects.breaker_timer {
            self.engine.tasks.spawn(self.clone().half_open(at, ends));
        }
        self.unwell.send_if_modified(|unwell| std::mem::replace(unwell, effects.unwell) != effects.unwell);
        match effects.action {
            Action::None
            | Action::Refuse(_)
            | Action::ArmIdle(_)
            | Action::ArmRetry(_)
            | Action::ArmBreaker(_) => {}
            Action::Start => {
                self.engine.tasks.spawn(self.clone().start(effects.generation));
            }
            Action::Stop => self.stop(effects.generation),
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
            result = self.open(&report) => Some(result),
        };
        let (effects, unwanted) = {
            let mut cell = self.lock();
            match (cell.life.phase, result) {
                (Phase::Starting { .. }, Some(Ok(hold))) => {
                    self.said(hold.connection().features());
                    cell.hold = Some(hold.clone());
                    let effects = self.take(&mut cell, Step::Started);
                    self.engine.registry.emit(Event::Attached {
                        server: self.key.clone(),
                        generation,
                        took: began.elapsed(),
                    });
                    self.engine.measures.attached();
                    self.engine.tasks.spawn(self.clone().attend(hold, generation));
                    (Some(effects), None)
                }
                (Phase::Starting { .. }, Some(Err(fault))) => {
                    let fault = fault.told_of(&self.key, &self.config);
                    debug!(server = %self.key, fault = %fault.chain(), "start failed");
                    let said = fault.last_words();
                    cell.reason = Some(Why { reason: fault.chain(), said });
                    if let Some(message) = fault.sign_in() {
                        self.alert_sign_in(message);
                    }
                    cell.fault = Some(fault);
                    (Some(self.take(&mut cell, Step::StartFailed)), None)
                }
                (_, Some(Ok(hold))) => (None, Some(hold)),
                (_, _) => (Some(self.take(&mut cell, Step::Exited)), None),
            }
        };
        if let Some(hold) = unwanted {
            hold.let_go(self.timing().stop);
            hold.over().await;
            self.feed(Step::Exited);
        }
        if let Some(effects) = effects {
            self.perform(effects);
        }
    }

    /// A process of its own, or a share in that of its like.
    async fn open(&self, report: &(dyn Fn(PrepareStep) + Send + Sync)) -> Result<Hold, Arc<StartFault>> {
        let deadline = self.timing().start;
        let Some(alike) = Alike::of(&self.version, &self.config) else {
            let opened = self.engine.starter.start(&self.key, &self.config, deadline, report).await;
            return opened.map(Hold::alone).map_err(Arc::new);
        };
        loop {
            let (share, begins) = self.engine.shares.join(alike.clone(), deadline);
            if begins {
                let (engine, key, config) = (self.engine.clone(), self.key.clone(), self.config.clone());
                self.engine.tasks.spawn(share.begin(|steps| async move {
                    let report = |step| drop(steps.send_replace(Some(step)));
                    engine.starter.start(&key, &config, deadline, &report).await
                }));
            }
            match share.started(report).await {
                Ok(connection) => return Ok(Hold::shared(connection, share)),
                Err(fault) if share.was_hurried(&fault, deadline) => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Stays with a process until it is gone, watches its health and takes up changes of its lists.
    async fn attend(self: Arc<Self>, hold: Hold, generation: u64) {
        let exit = tokio::select! {
            exit = hold.over() => exit,
            never = self.watch_over(&hold) => match never {},
        };
        self.exited(generation, hold.connection(), &exit);
    }

    fn exited(self: &Arc<Self>, generation: u64, connection: &Connection, exit: &Exit) {
        let effects = {
            let mut cell = self.lock();
            if cell.generation != generation {
                return;
            }
            if matches!(cell.life.phase, Phase::Running { .. }) {
                let reason = format!("its process ended: {exit}");
                cell.reason = Some(Why { reason, said: connection.stderr_tail().pop() });
            }
            cell.hold = None;
            self.take(&mut cell, Step::Exited)
        };
        self.engine.measures.detached();
        self.engine.registry.emit(Event::Detached { server: self.key.clone(), generation });
        self.perform(effects);
    }

    fn stop(self: &Arc<Self>, generation: u64) {
        let (hold, starting, phase) = {
            let cell = self.lock();
            // It has ended by itself meanwhile, and what runs now is the next.
            if cell.generation != generation {
                return;
            }
            (cell.hold.clone(), cell.starting.clone(), cell.life.phase)
        };
        match hold {
            // `attend` sees the end and tells the life.
            Some(hold) => {
                if matches!(phase, Phase::Stopping { then: Then::Retry }) {
                    // It does not answer; the next attempt must not meet it again.
                    hold.condemn();
                }
                hold.let_go(self.timing().stop);
            }
            // `start` sees it.
            None => starting.cancel(),
        }
    }
}
