//! How patient the machine is with one server.

use std::time::Duration;

use dormouse_types::Idle;

use crate::Supervision;

/// What a [`Life`](crate::Life) goes by: the numbers for all servers, and what is this one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Linger without a lease before an on-demand server sleeps.
    pub idle: Idle,
    /// Whether it is tried again by itself though nobody calls it, as one is of which nobody
    /// knows yet what it offers.
    pub insist: bool,
    /// The thresholds and delays.
    pub supervision: Supervision,
}

impl Policy {
    /// The delay before the attempt that follows this many failures in a row.
    pub fn delay(&self, failures: u32) -> Duration {
        let Supervision { give_up_after, first_delay, longest_delay, long_retry, .. } = self.supervision;
        if failures >= give_up_after {
            return long_retry;
        }
        let doublings = failures.saturating_sub(1).min(16);
        first_delay.saturating_mul(1 << doublings).min(longest_delay)
    }
}

/// Between three quarters of a delay and all of it, by a random number: many that failed in one
/// instant do not try again in one instant, and none waits longer than was said.
pub fn jittered(delay: Duration, random: u32) -> Duration {
    let kept = 0.75 + 0.25 * f64::from(random) / f64::from(u32::MAX);
    delay.mul_f64(kept)
}
