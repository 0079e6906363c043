//! Whether calls are let in, and what each of them says of the server.

use std::sync::Arc;

use dormouse_lifecycle::{Action, Breaker, CallStep, Event as Step, Phase, Refusal};

use super::Instance;
use crate::error::LeaseError;

/// The word of the breaker that a call may be sent.
#[derive(Debug)]
pub(crate) struct Passage {
    instance: Arc<Instance>,
    /// Whether it is the one call that tries.
    tries: bool,
}

impl Passage {
    /// Whether how this call goes decides for the others.
    pub(crate) fn tries(&self) -> bool {
        self.tries
    }
}

/// One that ends without a word on the server lets another one try.
impl Drop for Passage {
    fn drop(&mut self) {
        if self.tries {
            self.instance.feed(Step::Call(CallStep::TrialGivenUp));
        }
    }
}

impl Instance {
    /// Whether a call could be let in now, for one that is to wait for its turn first.
    ///
    /// # Errors
    /// [`LeaseError::Open`]
    pub(crate) fn lets_calls_in(&self) -> Result<(), LeaseError> {
        let cell = self.lock();
        match cell.life.breaker {
            Breaker::Closed { .. } | Breaker::HalfOpen { .. } => Ok(()),
            Breaker::Open { .. } | Breaker::Trying { .. } => Err(self.refused(&cell, Refusal::Open)),
        }
    }

    /// Lets a call in.
    ///
    /// # Errors
    /// [`LeaseError::Open`]
    pub(crate) fn passage(self: &Arc<Self>) -> Result<Passage, LeaseError> {
        let (tries, effects) = {
            let mut cell = self.lock();
            // As nearly always: nothing changes, so nothing is looked at.
            if matches!(cell.life.breaker, Breaker::Closed { .. }) {
                return Ok(Passage { instance: self.clone(), tries: false });
            }
            let effects = self.take(&mut cell, Step::Call(CallStep::Begins));
            if let Action::Refuse(refusal) = effects.action {
                return Err(self.refused(&cell, refusal));
            }
            (matches!(cell.life.breaker, Breaker::Trying { .. }), effects)
        };
        self.perform(effects);
        Ok(Passage { instance: self.clone(), tries })
    }

    /// Takes what a call on a lease of that start says of the server.
    pub(crate) fn judged(self: &Arc<Self>, generation: u64, step: Step, reason: Option<String>) {
        let effects = {
            let mut cell = self.lock();
            // The end of a process counts by itself.
            if cell.generation != generation || cell.hold.is_none() {
                return;
            }
            let well = cell.life.in_a_row() == 0 && matches!(cell.life.phase, Phase::Running { .. });
            if well && step == Step::Call(CallStep::Served) {
                return;
            }
            if reason.is_some() {
                cell.reason = reason.map(Into::into);
            }
            self.take(&mut cell, step)
        };
        self.perform(effects);
    }
}
