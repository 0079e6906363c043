//! The breaker: a server that is awake, and whose calls fail all the same.
//!
//! A process that answers its probes may let every call hang. Each would cost its caller the whole
//! deadline, so after some in a row no more are let in before a back-off is over; then one tries,
//! and how it goes decides.
//!
//! # Invariants
//!
//! * It keeps calls out, and ends none: no phase, lease or process changes when it opens.
//! * Only an answer closes it. A call that its caller gave up says nothing of the server.
//! * A start, an end or a probe that fails counts elsewhere: what is without a process has no
//!   open breaker, but a [`Phase::Waiting`].

use crate::Policy;
use crate::step::{Action, Life, Phase, Refusal, Then};

/// Whether calls are let in, and how many failed in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Breaker {
    /// All are let in.
    Closed {
        /// Calls in a row that had no answer.
        failed: u32,
    },
    /// None is let in before the back-off is over.
    Open {
        /// As above.
        failed: u32,
    },
    /// The next one may try.
    HalfOpen {
        /// As above.
        failed: u32,
    },
    /// One tries; no other is let in before it is over.
    Trying {
        /// As above.
        failed: u32,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failed: 0 }
    }
}

/// Something that happened to a call, or to the back-off for calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallStep {
    /// It is about to be sent.
    Begins,
    /// It was answered, be it by an error of its tool.
    Served,
    /// Its deadline passed, the server was not reached, or the connection broke under it.
    Failed,
    /// The same of the one that tries.
    TrialFailed,
    /// The one that tries is over and says nothing of the server: its caller gave up.
    TrialGivenUp,
    /// The back-off is over.
    BackOffOver,
}

impl Breaker {
    /// Calls in a row that had no answer.
    pub fn failed(&self) -> u32 {
        match *self {
            Self::Closed { failed }
            | Self::Open { failed }
            | Self::HalfOpen { failed }
            | Self::Trying { failed } => failed,
        }
    }

    fn after_failures(failed: u32, policy: &Policy) -> (Self, Action) {
        if failed < policy.supervision.open_after {
            return (Self::Closed { failed }, Action::None);
        }
        (Self::Open { failed }, Action::ArmBreaker(policy.delay(failed)))
    }

    fn step(self, step: CallStep, policy: &Policy) -> (Self, Action) {
        use CallStep as C;
        match (self, step) {
            (Self::Closed { .. }, C::Begins) => (self, Action::None),
            (Self::HalfOpen { failed }, C::Begins) => (Self::Trying { failed }, Action::None),
            (Self::Open { .. } | Self::Trying { .. }, C::Begins) => (self, Action::Refuse(Refusal::Open)),

            (_, C::Served) => (Self::default(), Action::None),

            (Self::Closed { failed }, C::Failed | C::TrialFailed)
            | (Self::Trying { failed }, C::TrialFailed) => {
                Self::after_failures(failed.saturating_add(1), policy)
            }
            // Sent before it opened: the server has been judged by others of their time.
            (Self::Open { .. } | Self::HalfOpen { .. } | Self::Trying { .. }, C::Failed)
            | (Self::Open { .. } | Self::HalfOpen { .. }, C::TrialFailed) => (self, Action::None),

            (Self::Trying { failed }, C::TrialGivenUp) => (Self::HalfOpen { failed }, Action::None),
            (Self::Closed { .. } | Self::Open { .. } | Self::HalfOpen { .. }, C::TrialGivenUp) => {
                (self, Action::None)
            }

            (Self::Open { failed }, C::BackOffOver) => (Self::HalfOpen { failed }, Action::None),
            // The timer of an earlier opening.
            (Self::Closed { .. } | Self::HalfOpen { .. } | Self::Trying { .. }, C::BackOffOver) => {
                (self, Action::None)
            }
        }
    }

    /// The thresholds changed: a back-off under way is as long as it would be now.
    fn retuned(self, policy: &Policy) -> (Self, Action) {
        match self {
            Self::Open { failed } => Self::after_failures(failed, policy),
            Self::Closed { .. } | Self::HalfOpen { .. } | Self::Trying { .. } => (self, Action::None),
        }
    }
}

impl Life {
    /// Failures in a row, of whatever kind there are more.
    pub fn in_a_row(&self) -> u32 {
        self.failures.max(self.breaker.failed())
    }

    pub(crate) fn called(self, step: CallStep, policy: &Policy) -> (Self, Action) {
        let attached = matches!(self.phase, Phase::Running { .. } | Phase::Draining { .. });
        if !attached && matches!(step, CallStep::Served | CallStep::Failed | CallStep::TrialFailed) {
            // Of a process that is gone, or as good as that: its end counts by itself.
            return (self, Action::None);
        }
        let (breaker, action) = self.breaker.step(step, policy);
        let life = Self { breaker, ..self };
        if step != CallStep::Served {
            return (life, action);
        }
        let phase = match life.phase {
            // It answers after all.
            Phase::Draining { leases, then: Then::Retry } => Phase::Running { leases },
            phase => phase,
        };
        (Self { phase, failures: 0, ..life }, action)
    }

    pub(crate) fn retuned(self, policy: &Policy) -> (Self, Action) {
        let (breaker, action) = self.breaker.retuned(policy);
        (Self { breaker, ..self }, action)
    }
}
