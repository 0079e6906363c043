//! The one word that the outside sees, computed and never stored.

use dormouse_types::{ServerState, Wanted};

use crate::{Breaker, Life, Phase, Policy, Then};

impl Life {
    /// The state as the outside sees it.
    pub fn word(&self, policy: &Policy) -> ServerState {
        match self.phase {
            Phase::Dormant if self.wanted == Wanted::Stopped => ServerState::Disconnected,
            // It sleeps, and a call would not wake it.
            Phase::Dormant if matches!(self.breaker, Breaker::Open { .. }) => ServerState::Unreachable,
            Phase::Dormant => ServerState::Dormant,
            Phase::Starting { .. } if self.in_a_row() == 0 => ServerState::Initializing,
            Phase::Starting { .. } => ServerState::Reconnecting,
            Phase::Running { .. } if self.in_a_row() >= policy.supervision.warn_after => ServerState::Warning,
            Phase::Running { .. } => ServerState::Healthy,
            Phase::Draining { then: Then::Retry, .. } | Phase::Stopping { then: Then::Retry } => {
                ServerState::Reconnecting
            }
            Phase::Draining { .. } | Phase::Stopping { .. } => ServerState::Disconnecting,
            Phase::Waiting if self.insists(policy) && self.failures < policy.supervision.give_up_after => {
                ServerState::Reconnecting
            }
            // Nobody tries again by itself before the next call, or not for long.
            Phase::Waiting | Phase::Down => ServerState::Unreachable,
            Phase::Gone => ServerState::Disconnected,
        }
    }
}
