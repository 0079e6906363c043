//! How patient the machine is. Thresholds follow MCPStore 1.4, with its `reconnecting`
//! default put inside its own range: warning after 2, reconnecting after 3.

use std::time::Duration;

use dormouse_types::Idle;

use crate::Supervision;

/// The numbers that a [`Life`](crate::Life) goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Linger without a lease before an on-demand server sleeps.
    pub idle: Idle,
    /// Whether it is tried again by itself though nobody calls it, as one is of which nobody
    /// knows yet what it offers.
    pub insist: bool,
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
        Supervision::default().policy(Idle::default())
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

/// Between three quarters of a delay and all of it, by a random number: many that failed in one
/// instant do not try again in one instant, and none waits longer than was said.
pub fn jittered(delay: Duration, random: u32) -> Duration {
    let kept = 0.75 + 0.25 * f64::from(random) / f64::from(u32::MAX);
    delay.mul_f64(kept)
}
