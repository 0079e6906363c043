//! The table: phase × event → phase and action.

use std::time::Duration;

use dormouse_types::{Idle, Wanted};

use crate::Policy;
use crate::breaker::{Breaker, CallStep};

/// Where a version of a server stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No process, and nothing wrong.
    Dormant,
    /// Its environment is being prepared, or its process is starting.
    Starting {
        /// Calls that wait for it; they become leases.
        waiting: u32,
    },
    /// Attached.
    Running {
        /// Calls that use it now.
        leases: u32,
    },
    /// Attached, taking its last calls to their end.
    Draining {
        /// Calls that use it still; never zero.
        leases: u32,
        /// What follows when the last one is back.
        then: Then,
    },
    /// Its process was told to end.
    Stopping {
        /// What follows when it has.
        then: Then,
    },
    /// Failed; no attempt before the back-off is over.
    Waiting,
    /// Failed; the next call may try.
    Down,
    /// Replaced or removed, for ever.
    Gone,
}

/// What follows a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Then {
    /// It sleeps.
    Sleep,
    /// It starts again, for calls that came in the meantime (none, if a person asked).
    Wake {
        /// Calls that wait for it.
        waiting: u32,
    },
    /// It is tried again after the back-off: it does not answer any more.
    Retry,
    /// It is gone.
    Leave,
}

/// Something that happened to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A call, or somebody who holds it awake, wants a lease.
    CallArrived,
    /// Whoever had a lease, or waited for one, is done. It says nothing of the server.
    LeaseReturned,
    /// Something happened to a call of it.
    Call(CallStep),
    /// It wants a sign-in, and did not take the call.
    SignInWanted,
    /// Somebody wants it awake without a call: a person, a policy, a forecast.
    Wake,
    /// Its process answered the handshake and its lists.
    Started,
    /// It did not get that far; no process is left.
    StartFailed,
    /// Its process is gone, asked or not.
    Exited,
    /// It answered a health probe.
    ProbeAnswered,
    /// It did not answer a health probe in time.
    ProbeFailed,
    /// The thresholds changed.
    Retuned,
    /// The linger is over.
    IdleElapsed,
    /// The back-off is over.
    RetryElapsed,
    /// A person wants it to sleep now; calls that run finish first.
    Detach,
    /// It is replaced or removed, or the hub ends; calls that run finish first.
    Retire,
    /// Its configuration or a person says anew whether it should run.
    Want(Wanted),
}

/// Why a call cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It failed too often in a row; the back-off is not over.
    Open,
    /// A person stopped it.
    Stopped,
    /// This version is leaving; another one may be there.
    Leaving,
}

/// What the orchestrator must do now.
#[must_use = "a dropped action is a server that hangs"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Start the process; answer with `Started` or `StartFailed`.
    Start,
    /// End the process, or the start under way; answer with `Exited`.
    Stop,
    /// Send `IdleElapsed` after this long without a lease.
    ArmIdle(Duration),
    /// Send `RetryElapsed` after this long.
    ArmRetry(Duration),
    /// Send [`CallStep::BackOffOver`] after this long.
    ArmBreaker(Duration),
    /// Tell the caller no.
    Refuse(Refusal),
}

/// An event that cannot happen in that phase: a fault of the orchestrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server in {phase:?} cannot see {event:?}")]
pub struct IllegalStep {
    /// Where it stood, and stands.
    pub phase: Phase,
    /// What was said to have happened.
    pub event: Event,
}

/// The life of one version of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Life {
    /// Whether it should run.
    pub wanted: Wanted,
    /// Where it stands.
    pub phase: Phase,
    /// Failures in a row: starts, ends and probes.
    pub failures: u32,
    /// Whether calls are let in, and how many failed.
    pub breaker: Breaker,
}

impl Life {
    /// A version that was never started.
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, phase: Phase::Dormant, failures: 0, breaker: Breaker::default() }
    }

    /// Takes one event.
    ///
    /// # Errors
    /// [`IllegalStep`] when the event cannot happen here; the life is then unchanged.
    pub fn step(self, event: Event, policy: &Policy) -> Result<(Self, Action), IllegalStep> {
        match event {
            // A person who puts it to sleep starts the count of its calls anew as well.
            Event::Detach | Event::Want(Wanted::Stopped) => {
                Self { breaker: Breaker::default(), ..self }.taken(event, policy)
            }
            event => self.taken(event, policy),
        }
    }

    fn taken(self, event: Event, policy: &Policy) -> Result<(Self, Action), IllegalStep> {
        use Event as E;
        use Phase as P;

        let stopped = self.wanted == Wanted::Stopped;
        let (phase, action) = match (self.phase, event) {
            (P::Waiting, E::Retuned) => return Ok(self.backed_off(policy)),
            // Without a back-off under way, the next step goes by the new thresholds.
            (_, E::Retuned) => return Ok(self.retuned(policy)),
            (_, E::Call(step)) => return Ok(self.called(step, policy)),
            (P::Running { .. }, E::SignInWanted) => {
                return Ok((Self { failures: self.failures.saturating_add(1), ..self }, Action::None));
            }
            (phase, E::SignInWanted) => (phase, Action::None),
            (_, E::Want(wanted)) => return Ok(Self { wanted, ..self }.wants(policy)),

            (P::Dormant | P::Down, E::CallArrived | E::Wake) if stopped => {
                (self.phase, refuse(Refusal::Stopped))
            }
            (P::Dormant | P::Down, E::CallArrived) => (P::Starting { waiting: 1 }, Action::Start),
            (P::Dormant | P::Down, E::Wake) => (P::Starting { waiting: 0 }, Action::Start),
            // A person who puts a failed server to sleep starts its count anew.
            (P::Dormant | P::Down | P::Waiting, E::Detach) => return Ok(self.forgiven(P::Dormant)),
            (P::Dormant | P::Down | P::Waiting, E::Retire) => (P::Gone, Action::None),
            // Timers of an earlier process, and leases on one that died.
            (P::Dormant | P::Down, E::IdleElapsed | E::RetryElapsed | E::LeaseReturned) => {
                (self.phase, Action::None)
            }
            // A probe's answer that comes when its process is gone, or does not count any more.
            (
                P::Dormant | P::Down | P::Starting { .. } | P::Stopping { .. } | P::Waiting | P::Gone,
                E::ProbeAnswered | E::ProbeFailed,
            ) => (self.phase, Action::None),

            (P::Starting { waiting }, E::CallArrived) => (P::Starting { waiting: waiting + 1 }, Action::None),
            // The last waiter gave up: the start goes on, its result is warm for the next.
            (P::Starting { waiting }, E::LeaseReturned) => {
                (P::Starting { waiting: waiting.saturating_sub(1) }, Action::None)
            }
            (P::Starting { waiting }, E::Started) => return Ok(self.running(waiting, policy)),
            (P::Starting { .. }, E::StartFailed) => return Ok(self.failed(policy)),
            (P::Starting { .. }, E::Detach) => (P::Stopping { then: Then::Sleep }, Action::Stop),
            (P::Starting { .. }, E::Retire) => (P::Stopping { then: Then::Leave }, Action::Stop),
            (P::Starting { .. }, E::Wake | E::IdleElapsed | E::RetryElapsed) => (self.phase, Action::None),

            (P::Running { leases }, E::CallArrived) => (P::Running { leases: leases + 1 }, Action::None),
            (P::Running { leases }, E::LeaseReturned) => {
                return Ok(self.running(leases.saturating_sub(1), policy));
            }
            (P::Running { .. }, E::ProbeAnswered) => {
                return Ok((Self { failures: 0, ..self }, Action::None));
            }
            (P::Running { leases }, E::ProbeFailed) => return Ok(self.unanswered(leases, policy)),
            (P::Running { leases: 0 }, E::IdleElapsed) if self.may_sleep(policy) => {
                (P::Stopping { then: Then::Sleep }, Action::Stop)
            }
            // The idle timer was already firing when a call came in, or the policy changed.
            (P::Running { .. }, E::IdleElapsed) => (self.phase, Action::None),
            // An idle on-demand server that was well may leave by itself; nobody is harmed.
            (P::Running { leases: 0 }, E::Exited)
                if self.wanted != Wanted::Always && self.in_a_row() == 0 =>
            {
                (P::Dormant, Action::None)
            }
            (P::Running { .. }, E::Exited) => return Ok(self.failed(policy)),
            (P::Running { leases }, E::Detach) => stop(leases, Then::Sleep),
            (P::Running { leases }, E::Retire) => stop(leases, Then::Leave),
            (P::Running { .. }, E::Wake | E::RetryElapsed) => (self.phase, Action::None),

            (P::Draining { .. }, E::CallArrived) if stopped => (self.phase, refuse(Refusal::Stopped)),
            // A call wants it after all: nothing is gained by stopping first.
            (P::Draining { leases, then: Then::Sleep | Then::Wake { .. } }, E::CallArrived) => {
                (P::Running { leases: leases + 1 }, Action::None)
            }
            (P::Draining { then: Then::Leave, .. }, E::CallArrived) => (self.phase, refuse(Refusal::Leaving)),
            (P::Draining { then: Then::Retry, .. }, E::CallArrived) => (self.phase, refuse(Refusal::Open)),
            // It answers after all.
            (P::Draining { leases, then: Then::Retry }, E::ProbeAnswered) => {
                return Ok((Self { failures: 0, phase: P::Running { leases }, ..self }, Action::None));
            }
            (P::Draining { .. }, E::ProbeAnswered | E::ProbeFailed) => (self.phase, Action::None),
            (P::Draining { leases, then }, E::LeaseReturned) => stop(leases.saturating_sub(1), then),
            (P::Draining { then, .. }, E::Exited) => return Ok(self.ended(then, policy)),
            (P::Draining { leases, then: Then::Retry }, E::Detach) => stop(leases, Then::Sleep),
            (P::Draining { leases, .. }, E::Retire) => stop(leases, Then::Leave),
            (P::Draining { leases, then: Then::Sleep | Then::Wake { .. } }, E::Wake) if !stopped => {
                (P::Running { leases }, Action::None)
            }
            (P::Draining { .. }, E::Detach | E::Wake | E::IdleElapsed | E::RetryElapsed) => {
                (self.phase, Action::None)
            }

            (P::Stopping { .. }, E::CallArrived) if stopped => (self.phase, refuse(Refusal::Stopped)),
            (P::Stopping { then: Then::Leave }, E::CallArrived) => (self.phase, refuse(Refusal::Leaving)),
            (P::Stopping { then: Then::Retry }, E::CallArrived) => (self.phase, refuse(Refusal::Open)),
            (P::Stopping { then: Then::Sleep }, E::CallArrived) => {
                (P::Stopping { then: Then::Wake { waiting: 1 } }, Action::None)
            }
            (P::Stopping { then: Then::Wake { waiting } }, E::CallArrived) => {
                (P::Stopping { then: Then::Wake { waiting: waiting + 1 } }, Action::None)
            }
            (P::Stopping { then: Then::Sleep | Then::Retry }, E::Wake) if !stopped => {
                (P::Stopping { then: Then::Wake { waiting: 0 } }, Action::None)
            }
            (P::Stopping { then: Then::Wake { waiting } }, E::LeaseReturned) => {
                (P::Stopping { then: Then::Wake { waiting: waiting.saturating_sub(1) } }, Action::None)
            }
            (P::Stopping { then }, E::Exited) => return Ok(self.ended(then, policy)),
            (P::Stopping { .. }, E::Retire) => (P::Stopping { then: Then::Leave }, Action::None),
            (P::Stopping { then: Then::Sleep | Then::Wake { .. } | Then::Retry }, E::Detach) => {
                (P::Stopping { then: Then::Sleep }, Action::None)
            }
            (
                P::Stopping { .. },
                E::Detach | E::Wake | E::IdleElapsed | E::RetryElapsed | E::LeaseReturned,
            ) => (self.phase, Action::None),

            (P::Waiting, E::CallArrived) if stopped => (P::Waiting, refuse(Refusal::Stopped)),
            (P::Waiting, E::CallArrived) if self.failures >= policy.supervision.open_after => {
                (P::Waiting, refuse(Refusal::Open))
            }
            // Unwell, but not open: one attempt at once, within the call's deadline.
            (P::Waiting, E::CallArrived) => (P::Starting { waiting: 1 }, Action::Start),
            (P::Waiting, E::Wake) if stopped => (P::Waiting, refuse(Refusal::Stopped)),
            (P::Waiting, E::Wake) => (P::Starting { waiting: 0 }, Action::Start),
            (P::Waiting, E::RetryElapsed) if self.insists(policy) => {
                (P::Starting { waiting: 0 }, Action::Start)
            }
            (P::Waiting, E::RetryElapsed) => (P::Down, Action::None),
            (P::Waiting, E::IdleElapsed | E::LeaseReturned) => (P::Waiting, Action::None),

            (P::Gone, E::CallArrived | E::Wake) => (P::Gone, refuse(Refusal::Leaving)),
            (P::Gone, E::Detach | E::Retire | E::IdleElapsed | E::RetryElapsed | E::LeaseReturned) => {
                (P::Gone, Action::None)
            }

            (phase, event @ (E::Started | E::StartFailed | E::Exited)) => {
                return Err(IllegalStep { phase, event });
            }
        };
        Ok((Self { phase, ..self }, action))
    }

    /// Whether it is tried again though no call asks for it.
    pub(crate) fn insists(&self, policy: &Policy) -> bool {
        self.wanted == Wanted::Always || (policy.insist && self.wanted == Wanted::OnDemand)
    }

    /// A probe had no answer. With calls running that says little: it may be busy with them. Only
    /// if calls fail in a row as well, no new ones are let in, and it starts anew when the last of
    /// them is over.
    fn unanswered(self, leases: u32, policy: &Policy) -> (Self, Action) {
        let failures = if leases == 0 { self.failures.saturating_add(1) } else { self.failures };
        let counted = Self { failures, ..self };
        if counted.in_a_row() < policy.supervision.open_after {
            return (counted, Action::None);
        }
        counted.at(stop(leases, Then::Retry))
    }

    fn may_sleep(&self, policy: &Policy) -> bool {
        self.wanted == Wanted::Stopped || (self.wanted == Wanted::OnDemand && policy.idle != Idle::Never)
    }

    /// Attached with so many leases; without any the linger begins.
    fn running(self, leases: u32, policy: &Policy) -> (Self, Action) {
        let running = Self { phase: Phase::Running { leases }, ..self };
        match policy.idle {
            _ if leases > 0 => (running, Action::None),
            _ if self.wanted == Wanted::Stopped => self.at(stop(0, Then::Sleep)),
            Idle::After(linger) if self.wanted == Wanted::OnDemand && linger.is_zero() => {
                self.at(stop(0, Then::Sleep))
            }
            Idle::After(linger) if self.wanted == Wanted::OnDemand => (running, Action::ArmIdle(linger)),
            Idle::After(_) | Idle::Never => (running, Action::None),
        }
    }

    /// One failure more: an attempt later by itself, at the next call, or after the back-off.
    fn failed(self, policy: &Policy) -> (Self, Action) {
        Self { failures: self.failures.saturating_add(1), ..self }.backed_off(policy)
    }

    /// Where it goes without a process, by the failures that it has. Those of its calls are among
    /// them: the next start is the one that tries.
    fn backed_off(self, policy: &Policy) -> (Self, Action) {
        let life = Self { failures: self.in_a_row(), breaker: Breaker::default(), ..self };
        life.waits(policy)
    }

    fn waits(self, policy: &Policy) -> (Self, Action) {
        match self.wanted {
            Wanted::Stopped => self.at((Phase::Dormant, Action::None)),
            Wanted::OnDemand if self.failures < policy.supervision.open_after && !policy.insist => {
                self.at((Phase::Down, Action::None))
            }
            Wanted::OnDemand | Wanted::Always => {
                self.at((Phase::Waiting, Action::ArmRetry(policy.delay(self.failures))))
            }
        }
    }

    /// The process that was to end has ended.
    fn ended(self, then: Then, policy: &Policy) -> (Self, Action) {
        self.at(match then {
            Then::Sleep => (Phase::Dormant, Action::None),
            Then::Wake { .. } if self.wanted == Wanted::Stopped => (Phase::Dormant, Action::None),
            Then::Wake { waiting } => (Phase::Starting { waiting }, Action::Start),
            Then::Retry => return self.backed_off(policy),
            Then::Leave => (Phase::Gone, Action::None),
        })
    }

    /// What a new wish means where it stands now.
    fn wants(self, policy: &Policy) -> (Self, Action) {
        match (self.wanted, self.phase) {
            (Wanted::Stopped, Phase::Starting { .. }) => {
                self.at((Phase::Stopping { then: Then::Sleep }, Action::Stop))
            }
            (Wanted::Stopped, Phase::Running { leases }) => self.at(stop(leases, Then::Sleep)),
            (Wanted::Stopped, Phase::Draining { leases, then: Then::Retry }) => {
                self.at(stop(leases, Then::Sleep))
            }
            (Wanted::Stopped, Phase::Stopping { then: Then::Wake { .. } | Then::Retry }) => {
                self.at((Phase::Stopping { then: Then::Sleep }, Action::None))
            }
            (Wanted::Stopped, Phase::Waiting | Phase::Down) => self.forgiven(Phase::Dormant),
            (Wanted::Always, Phase::Dormant | Phase::Down) => {
                self.at((Phase::Starting { waiting: 0 }, Action::Start))
            }
            (Wanted::OnDemand, Phase::Running { leases }) => self.running(leases, policy),
            (Wanted::Always, Phase::Draining { leases, then: Then::Sleep }) => {
                self.at((Phase::Running { leases }, Action::None))
            }
            (Wanted::Always, Phase::Stopping { then: Then::Sleep }) => {
                self.at((Phase::Stopping { then: Then::Wake { waiting: 0 } }, Action::None))
            }
            (_, phase) => self.at((phase, Action::None)),
        }
    }

    fn at(self, (phase, action): (Phase, Action)) -> (Self, Action) {
        (Self { phase, ..self }, action)
    }

    fn forgiven(self, phase: Phase) -> (Self, Action) {
        (Self { phase, failures: 0, ..self }, Action::None)
    }
}

fn refuse(why: Refusal) -> Action {
    Action::Refuse(why)
}

/// Stops at once without leases, after the last one otherwise.
fn stop(leases: u32, then: Then) -> (Phase, Action) {
    match leases {
        0 => (Phase::Stopping { then }, Action::Stop),
        leases => (Phase::Draining { leases, then }, Action::None),
    }
}
