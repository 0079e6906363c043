//! Who uses the hub over its space's socket.
//!
//! A hub that stays for its clients only has to know when the last of them is gone, and one that
//! ends has to send away those who would stay: streams of MCP last as long as their client.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Who is at the socket, and whether they are asked to leave. A cheap handle.
#[derive(Debug, Clone)]
pub struct Guests {
    there: Arc<watch::Sender<usize>>,
    leaving: CancellationToken,
}

/// Somebody who is there as long as this is.
#[derive(Debug)]
pub struct Guest(Arc<watch::Sender<usize>>);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.send_modify(|there| *there -= 1);
    }
}

impl Default for Guests {
    fn default() -> Self {
        Self { there: Arc::new(watch::Sender::new(0)), leaving: CancellationToken::new() }
    }
}

impl Guests {
    /// Counts somebody.
    pub fn enter(&self) -> Guest {
        self.there.send_modify(|there| *there += 1);
        Guest(self.there.clone())
    }

    /// Asks those who would stay to leave once what runs for them is answered.
    pub fn dismiss(&self) {
        self.leaving.cancel();
    }

    /// Returns as soon as [`dismiss`](Self::dismiss) was called.
    pub async fn dismissed(&self) {
        self.leaving.cancelled().await;
    }

    /// Returns as soon as nobody is there.
    pub async fn gone(&self) {
        let mut there = self.there.subscribe();
        // It cannot close: this handle holds the sender.
        let _ = there.wait_for(|there| *there == 0).await;
    }

    /// Returns as soon as fewer than so many are there.
    pub async fn fewer_than(&self, most: usize) {
        let mut there = self.there.subscribe();
        // It cannot close: this handle holds the sender.
        let _ = there.wait_for(|there| *there < most).await;
    }

    /// Returns when nobody has been there for so long. Who started the hub is given time to
    /// `arrive`.
    pub async fn idle(&self, linger: Duration, arrive: Duration) {
        let mut there = self.there.subscribe();
        let nobody = *there.borrow_and_update() == 0;
        let mut patience = if nobody { linger.max(arrive) } else { linger };
        loop {
            let _ = there.wait_for(|there| *there == 0).await;
            tokio::select! {
                () = tokio::time::sleep(patience) => return,
                _ = there.wait_for(|there| *there > 0) => patience = linger,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_linger_begins_anew_with_each_last_guest() {
        let guests = Guests::default();
        let linger = Duration::from_secs(300);
        let begun = tokio::time::Instant::now();
        let idle = tokio::spawn({
            let guests = guests.clone();
            async move { guests.idle(linger, Duration::from_secs(10)).await }
        });
        tokio::time::sleep(Duration::from_secs(200)).await;
        let first = guests.enter();
        tokio::time::sleep(Duration::from_secs(1000)).await;
        assert!(!idle.is_finished());
        drop(first);
        idle.await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 1500);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_linger_the_first_guest_may_still_arrive() {
        let guests = Guests::default();
        let begun = tokio::time::Instant::now();
        guests.idle(Duration::ZERO, Duration::from_secs(10)).await;
        assert_eq!(begun.elapsed().as_secs(), 10);
    }
}
