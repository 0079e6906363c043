//! The timers of an instance: the linger before it sleeps, and the back-offs after failures.

use std::sync::Arc;
use std::time::Instant;

use dormouse_lifecycle::{CallStep, Event as Step, Phase};
use tokio_util::sync::CancellationToken;

use super::Instance;

impl Instance {
    /// The one idle timer of a process: it sleeps until the linger ends, however often that moves.
    pub(super) async fn linger(self: Arc<Self>, mut at: Instant) {
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

    pub(super) async fn retry(self: Arc<Self>, at: tokio::time::Instant, ends: CancellationToken) {
        tokio::select! {
            () = tokio::time::sleep_until(at) => self.feed(Step::RetryElapsed),
            // Its back-off is over in another way, or was armed anew.
            () = ends.cancelled() => {}
        }
    }

    /// The back-off of its breaker.
    pub(super) async fn half_open(self: Arc<Self>, at: tokio::time::Instant, ends: CancellationToken) {
        tokio::select! {
            () = tokio::time::sleep_until(at) => self.feed(Step::Call(CallStep::BackOffOver)),
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
