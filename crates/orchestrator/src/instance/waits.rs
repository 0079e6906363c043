//! Who waits for an instance to be attached.

use std::sync::Arc;

use dormouse_lifecycle::{Action, Event as Step, Phase, Refusal};
use dormouse_types::{BackChannel, CallEvent};
use tokio::sync::{oneshot, watch};

use super::Instance;
use super::cell::Cell;
use crate::error::{LeaseError, StartFault};
use crate::lease::Lease;

/// How a wait for a start ended.
pub(super) type Waited = Result<Lease, Option<Arc<StartFault>>>;

impl Instance {
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
                if let (Phase::Running { .. }, Some(hold)) = (cell.life.phase, &cell.hold) {
                    let lease = Lease::new(self.clone(), hold.connection().clone(), cell.generation, woke);
                    drop(cell);
                    self.perform(effects);
                    return Ok(Some(lease));
                }
                let (sender, receiver) = oneshot::channel();
                cell.waiters.push(sender);
                let mut progress = cell.progress.subscribe();
                if matches!(cell.life.phase, Phase::Starting { .. }) {
                    // Who joins a start under way hears how far it is.
                    progress.mark_changed();
                }
                (receiver, progress, effects)
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

    /// Waits until the process of a start that has ended is not leased any more.
    pub(crate) async fn gone(&self, generation: u64) {
        let is_gone = || {
            let cell = self.lock();
            cell.generation != generation || cell.hold.is_none()
        };
        // Its end is a new phase; the sender lives as long as the instance.
        let _ = self.phases().wait_for(|_| is_gone()).await;
    }

    /// Waits until a start has ended or is to end.
    pub(crate) async fn leaving(&self, generation: u64) {
        let is_leaving = || {
            let cell = self.lock();
            cell.generation != generation || !matches!(cell.life.phase, Phase::Running { .. })
        };
        // As above.
        let _ = self.phases().wait_for(|_| is_leaving()).await;
    }

    pub(super) fn refused(&self, cell: &Cell, refusal: Refusal) -> LeaseError {
        let server = self.key.clone();
        match (refusal, &cell.fault) {
            (Refusal::Open, Some(source)) if cell.life.in_a_row() < 2 => {
                LeaseError::Start { server, source: source.clone() }
            }
            (Refusal::Open, _) => LeaseError::Open {
                server,
                failures: cell.life.in_a_row(),
                reason: cell.reason.as_ref().map(|why| why.reason.clone()).unwrap_or_default(),
                said: cell.reason.as_ref().and_then(|why| why.said.clone()),
            },
            (Refusal::Stopped, _) => LeaseError::Stopped { server },
            (Refusal::Leaving, _) => LeaseError::Ending,
        }
    }
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
