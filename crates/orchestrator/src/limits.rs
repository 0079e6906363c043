//! How many calls of one server run and wait at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dormouse_types::{Limits, ServerKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::error::LeaseError;

/// The turns of one server. Other servers have others: none waits for its neighbour.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    /// `None` lets all in.
    turns: Option<Arc<Semaphore>>,
    queued: AtomicU32,
}

/// The right of one call to run. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        let turns = limits.concurrency.map(|most| Arc::new(Semaphore::new(most.get() as usize)));
        Self { limits, turns, queued: AtomicU32::new(0) }
    }

    /// Waits for a turn, first come, first served; `None` once the gate is closed. Cancel-safe.
    pub(crate) async fn turn(
        &self,
        server: &ServerKey,
        patience: Duration,
    ) -> Result<Option<Turn>, LeaseError> {
        let Some(turns) = &self.turns else { return Ok(Some(Turn(None))) };
        match turns.clone().try_acquire_owned() {
            Ok(permit) => return Ok(Some(Turn(Some(permit)))),
            Err(TryAcquireError::Closed) => return Ok(None),
            Err(TryAcquireError::NoPermits) => {}
        }
        let busy = |waited| LeaseError::Busy {
            server: server.clone(),
            running: self.limits.concurrency.map_or(0, Into::into),
            queued: self.queued.load(Ordering::Relaxed),
            waited,
        };
        let place = Place::take(&self.queued, self.limits.queue).ok_or_else(|| busy(Duration::ZERO))?;
        let permit = tokio::time::timeout(patience, turns.clone().acquire_owned()).await;
        drop(place);
        match permit {
            Ok(Ok(permit)) => Ok(Some(Turn(Some(permit)))),
            Ok(Err(_closed)) => Ok(None),
            Err(_) => Err(busy(patience)),
        }
    }

    /// Sends those who wait away: the next version of the server has turns of its own.
    pub(crate) fn close(&self) {
        if let Some(turns) = &self.turns {
            turns.close();
        }
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    fn take(queued: &'a AtomicU32, most: Option<u32>) -> Option<Self> {
        let more = |now: u32| most.is_none_or(|most| now < most).then_some(now + 1);
        queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(queued))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use dormouse_types::ServerName;

    use super::*;

    fn gate(concurrency: u32, queue: Option<u32>) -> (Gate, ServerKey) {
        let limits = Limits { concurrency: NonZeroU32::new(concurrency), queue };
        (Gate::new(limits), ServerKey::store(ServerName::slug("calc").unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_says_busy_at_once_and_a_returned_turn_lets_the_next_in() {
        let (gate, calc) = gate(1, Some(1));
        let first = gate.turn(&calc, Duration::from_secs(1)).await.unwrap().unwrap();
        let second = gate.turn(&calc, Duration::from_secs(9));
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        let third = gate.turn(&calc, Duration::from_secs(9)).await;
        assert!(matches!(third, Err(LeaseError::Busy { running: 1, queued: 1, .. })), "{third:?}");
        drop(first);
        second.await.unwrap().unwrap();
        assert_eq!(gate.queued.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_gives_the_place_back() {
        let (gate, calc) = gate(1, None);
        let _first = gate.turn(&calc, Duration::ZERO).await.unwrap().unwrap();
        let late = gate.turn(&calc, Duration::from_secs(3)).await;
        assert!(matches!(late, Err(LeaseError::Busy { .. })), "{late:?}");
        drop(gate.turn(&calc, Duration::from_secs(3)));
        assert_eq!(gate.queued.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn whoever_waits_when_it_closes_is_sent_to_the_next_one_at_once() {
        let (gate, calc) = gate(1, None);
        let _first = gate.turn(&calc, Duration::ZERO).await.unwrap().unwrap();
        let waits = gate.turn(&calc, Duration::MAX);
        tokio::pin!(waits);
        assert!(futures::poll!(&mut waits).is_pending());
        gate.close();
        assert!(waits.await.unwrap().is_none());
        assert!(gate.turn(&calc, Duration::MAX).await.unwrap().is_none());
        assert_eq!(gate.queued.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn without_limits_all_run() {
        let (gate, calc) = gate(0, None);
        for _ in 0..1000 {
            std::mem::forget(gate.turn(&calc, Duration::ZERO).await.unwrap().unwrap());
        }
    }
}
