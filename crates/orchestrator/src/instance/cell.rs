//! What changes in the life of an instance, and what each step of it leaves to be done.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use dormouse_lifecycle::{Action, Breaker, Event as Step, Life, Phase, Then, jittered};
use dormouse_types::{ServerState, ServerStatus, Timestamp};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::waits::Waited;
use super::{Instance, random};
use crate::error::StartFault;
use crate::lease::Lease;
use crate::share::Hold;

/// What an instance holds under its lock.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) life: Life,
    pub(super) generation: u64,
    pub(super) hold: Option<Hold>,
    /// Ends the start under way.
    pub(super) starting: CancellationToken,
    pub(super) waiters: Vec<oneshot::Sender<Waited>>,
    /// The latest step of a start, for those who wait and for those who join later.
    pub(super) progress: watch::Sender<String>,
    pub(super) fault: Option<Arc<StartFault>>,
    pub(super) reason: Option<Why>,
    pub(super) since: Timestamp,
    pub(super) next_retry: Option<Timestamp>,
    /// When the back-off under way began, and what ends its timer.
    pub(super) waiting: Option<(tokio::time::Instant, CancellationToken)>,
    /// The same of the breaker's, and when it is over.
    pub(super) open: Option<(tokio::time::Instant, CancellationToken)>,
    pub(super) opens_at: Option<Timestamp>,
    /// When the linger ends; one timer task looks at it.
    pub(super) idle_at: Option<Instant>,
    pub(super) idle_timer: bool,
    pub(super) shown: (ServerState, Option<u32>, u32, Option<Timestamp>, Option<Why>),
}

/// Why a server is in its state: in our words, and what its process printed, which not everybody sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) reason: String,
    pub(super) said: Option<String>,
}

impl From<String> for Why {
    fn from(reason: String) -> Self {
        Self { reason, said: None }
    }
}

/// What is to be done once the lock is released.
#[must_use]
pub(super) struct Effects {
    pub(super) action: Action,
    pub(super) generation: u64,
    pub(super) answers: Vec<(oneshot::Sender<Waited>, Waited)>,
    pub(super) status: Option<ServerStatus>,
    pub(super) phase: Phase,
    pub(super) idle_timer: Option<Instant>,
    pub(super) retry_timer: Option<(tokio::time::Instant, CancellationToken)>,
    pub(super) breaker_timer: Option<(tokio::time::Instant, CancellationToken)>,
    pub(super) unwell: bool,
}

impl Cell {
    pub(super) fn new(life: Life, status: &ServerStatus, reason: Option<String>) -> Self {
        let shown = status.reason.clone().map(|reason| Why { reason, said: status.said.clone() });
        Self {
            life,
            generation: status.generation,
            hold: None,
            starting: CancellationToken::new(),
            waiters: Vec::new(),
            progress: watch::Sender::new(String::new()),
            fault: None,
            reason: reason.map(Why::from),
            since: status.since,
            next_retry: None,
            waiting: None,
            open: None,
            opens_at: None,
            idle_at: None,
            idle_timer: false,
            shown: (status.state, status.pid, status.failures, status.next_retry, shown),
        }
    }
}

impl Instance {
    pub(super) fn lock(&self) -> MutexGuard<'_, Cell> {
        self.cell.lock().expect("nothing panics while it holds an instance's cell")
    }

    /// One step of the life with all its bookkeeping, under the lock.
    pub(super) fn take(self: &Arc<Self>, cell: &mut Cell, step: Step) -> Effects {
        let before = cell.life;
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
        let breaker_timer = self.breaker_armed(cell, action);
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
        if matches!(phase, Phase::Running { .. }) {
            let begins = !matches!(before.phase, Phase::Running { .. } | Phase::Draining { .. });
            // What failed last is told until nothing counts against it any more.
            if cell.life.in_a_row() == 0 && (begins || before.in_a_row() > 0) {
                cell.reason = None;
            }
            if begins {
                cell.fault = None;
            }
        }
        Effects {
            action,
            generation: cell.generation,
            answers,
            status: self.shown(cell, before.phase),
            phase,
            idle_timer,
            retry_timer,
            breaker_timer,
            unwell: cell.life.in_a_row() >= policy.supervision.warn_after,
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

    /// When the next call may try, counted from the moment the breaker opened; the timer of an
    /// earlier one ends.
    fn breaker_armed(
        &self,
        cell: &mut Cell,
        action: Action,
    ) -> Option<(tokio::time::Instant, CancellationToken)> {
        if !matches!(cell.life.breaker, Breaker::Open { .. }) || cell.life.phase == Phase::Gone {
            if let Some((_, earlier)) = cell.open.take() {
                cell.opens_at = None;
                earlier.cancel();
            }
            return None;
        }
        let Action::ArmBreaker(delay) = action else { return None };
        let now = tokio::time::Instant::now();
        let began = cell.open.take().map_or(now, |(began, earlier)| {
            earlier.cancel();
            began
        });
        let ends = CancellationToken::new();
        cell.open = Some((began, ends.clone()));
        let at = (began + jittered(delay, random())).max(now);
        cell.opens_at = Timestamp::now().checked_add(at - now).ok();
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
                let answer = match (&cell.hold, step) {
                    (Some(hold), Step::Started) => {
                        Ok(Lease::new(self.clone(), hold.connection().clone(), cell.generation, true))
                    }
                    (_, Step::StartFailed) => Err(cell.fault.clone()),
                    _ => Err(None),
                };
                (waiter, answer)
            })
            .collect()
    }

    /// The status, if it differs from the one that is shown. One that leaves says so, and no more:
    /// the next one speaks for the server.
    fn shown(&self, cell: &mut Cell, before: Phase) -> Option<ServerStatus> {
        if cell.life.phase == Phase::Gone {
            return self.last_word(cell, before);
        }
        if leaves(before) {
            return None;
        }
        let state = cell.life.word(&self.policy());
        let pid = cell.hold.as_ref().and_then(|hold| hold.connection().pid());
        let (failures, next_retry) = (cell.life.in_a_row(), cell.next_retry.or(cell.opens_at));
        let now = (state, pid, failures, next_retry, cell.reason.clone());
        if now == cell.shown {
            return None;
        }
        if state != cell.shown.0 {
            cell.since = Timestamp::now();
        }
        cell.shown = now;
        Some(ServerStatus {
            state,
            reason: cell.reason.as_ref().map(|why| why.reason.clone()),
            said: cell.reason.as_ref().and_then(|why| why.said.clone()),
            since: cell.since,
            failures,
            next_retry,
            pid,
            generation: cell.generation,
        })
    }

    /// That nothing is left of one that is gone, unless the next one spoke already.
    fn last_word(&self, cell: &Cell, before: Phase) -> Option<ServerStatus> {
        let spoke = matches!(before, Phase::Waiting | Phase::Down) || leaves(before);
        if !spoke || self.engine.ending.is_cancelled() {
            return None;
        }
        let shown = self.engine.registry.status(&self.key)?;
        let is_own = shown.generation == cell.generation && shown.state != ServerState::Disconnected;
        let status = ServerStatus::dormant(Timestamp::now());
        is_own.then_some(ServerStatus { generation: cell.generation, ..status })
    }
}

/// Whether it is on its way out for good.
fn leaves(phase: Phase) -> bool {
    matches!(phase, Phase::Draining { then: Then::Leave, .. } | Phase::Stopping { then: Then::Leave })
}
