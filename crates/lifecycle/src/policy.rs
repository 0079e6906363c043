//! How patient the machine is. Thresholds follow MCPStore 1.4, with its `reconnecting`
//! default put inside its own range (facts: warning after 2, reconnecting after 3).

use std::time::Duration;

use dormouse_types::Idle;

/// The numbers that a [`Life`](crate::Life) goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Linger without a lease before an on-demand server sleeps.
    pub idle: Idle,
    /// Failures in a row from which a running server shows `warning`. 1 to 10.
    pub warn_after: u32,
    /// Failures in a row from which calls fail at once until the back-off is over. 2 to 10.
    pub open_after: u32,
    /// Failures in a row from which the long retry replaces the growing delay. 3 to 20.
    pub give_up_after: u32,
    /// The first delay before another attempt; it doubles with each failure.
    pub first_delay: Duration,
    /// The growing delay's ceiling.
    pub longest_delay: Duration,
    /// The delay once given up; it repeats for ever.
    pub long_retry: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle: Idle::default(),
            warn_after: 2,
            open_after: 3,
            give_up_after: 10,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(60),
            long_retry: Duration::from_secs(300),
        }
    }
}

impl Policy {
    /// The delay before the attempt that follows this many failures in a row.
    pub fn delay(&self, failures: u32) -> Duration {
        if failures >= self.give_up_after {
            return self.long_retry;
        }
        let doublings = failures.saturating_sub(1).min(16);
        self.first_delay.saturating_mul(1 << doublings).min(self.longest_delay)
    }
}
