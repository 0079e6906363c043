//! Performs what a step asked for: starts the process, stays with it, and ends it.

use std::sync::Arc;
use std::time::Instant;

use dormouse_lifecycle::{Action, Event as Step, Phase};
use dormouse_protocol::{Connection, Exit};
use dormouse_types::{AlertLevel, Event, PrepareStep};
use tracing::debug;

use super::Instance;
use super::cell::Effects;
use crate::alerts::{Cause, Words};

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
}
