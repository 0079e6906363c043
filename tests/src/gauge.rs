//! What benchmarks read of this process and of others, and how they sum up.

use std::fmt::Display;
use std::time::Duration;

/// The CPU time of this process so far, children left out.
pub fn cpu() -> Duration {
    cpu_of("self")
}

/// The CPU time of a process so far, children left out.
///
/// # Panics
/// When it is gone.
pub fn cpu_of(process: impl Display) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number of ticks");
    // Counted from the state letter: utime is the 12th and stime the 13th, in ticks of 10 ms.
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

/// The memory of this process that lies in RAM, in KiB.
pub fn rss_kib() -> u64 {
    rss_kib_of("self")
}

/// The memory of a process that lies in RAM, in KiB; 0 when it is gone.
pub fn rss_kib_of(process: impl Display) -> u64 {
    status_of(process, "VmRSS")
}

/// The most that [`rss_kib`] ever was.
pub fn peak_kib() -> u64 {
    status_of("self", "VmHWM")
}

fn status_of(process: impl Display, what: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(what)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or_default()
}

/// The files that this process has open.
pub fn open_files() -> usize {
    open_files_of("self")
}

/// The files that a process has open.
pub fn open_files_of(process: impl Display) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// A quantile of values in order.
pub fn quantile(sorted: &[Duration], q: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}

/// The middle one of some values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What this thread has spent, as the scheduler counts it.
    fn spent() -> Duration {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
    }

    #[test]
    fn time_spent_in_our_own_code_is_counted() {
        let (began, before) = (spent(), cpu());
        let mut work = 0_u64;
        while spent() < began + Duration::from_millis(200) {
            work = (0..1_000_000).fold(work, |sum, n: u64| std::hint::black_box(sum.wrapping_mul(31) ^ n));
        }
        let counted = cpu() - before;
        assert!(counted >= Duration::from_millis(150), "{counted:?} for 200 ms, {work}");
    }
}
