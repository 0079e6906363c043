//! Runs every test and counts: Rust, documentation examples, the Python servers.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::redis::FEATURE;
use crate::run::{cargo, program, run_reading};
use crate::setup;
use crate::workspace::Metadata;

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// One run of a test runner.
struct Suite {
    name: &'static str,
    count: Count,
    succeeded: bool,
    seconds: f64,
}

impl Suite {
    /// A runner that ran nothing has not tested anything, whatever it says.
    fn is_good(&self) -> bool {
        self.succeeded && self.count.failed == 0 && self.count.passed > 0
    }
}

/// The task `test`.
pub(crate) fn run() -> Result<()> {
    let target = Metadata::members()?.target_directory;
    setup::run_all(&target)?;

    // The command line is built with the keyring, so all are, and its tests run too. Other hubs shall not
    // find the keyring of whoever runs them.
    let mut all = cargo();
    all.args(["test", "--workspace", "--no-fail-fast", "--features", FEATURE]);
    let rust = suite("rust", all.env_remove("DBUS_SESSION_BUS_ADDRESS"), of_cargo)?;
    let mut pytest = program(setup::env_python(&target, "servers"));
    pytest.args(["-m", "pytest", "servers/tests", "-q"]);
    let servers = suite("servers", &mut pytest, of_pytest)?;

    println!();
    let mut total = Count::default();
    for suite in [&rust, &servers] {
        let Count { passed, failed, skipped } = suite.count;
        let mark = if suite.is_good() { "ok    " } else { "FAILED" };
        let name = suite.name;
        println!(
            "{mark} {name:<8} {passed:>5} passed {failed:>3} failed {skipped:>3} skipped {:>6.0} s",
            suite.seconds
        );
        total.add(suite.count);
    }
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    if ![&rust, &servers].into_iter().all(Suite::is_good) {
        bail!("some tests failed or did not run");
    }
    Ok(())
}

fn suite(
    name: &'static str,
    command: &mut std::process::Command,
    read: fn(&str) -> Option<Count>,
) -> Result<Suite> {
    let started = Instant::now();
    let mut count = Count::default();
    let succeeded = run_reading(command, |line| {
        if let Some(more) = read(line) {
            count.add(more);
        }
    })?;
    Ok(Suite { name, count, succeeded, seconds: started.elapsed().as_secs_f64() })
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn of_cargo(line: &str) -> Option<Count> {
    let counts = line.strip_prefix("test result: ")?;
    Some(Count {
        passed: number_before(counts, "passed"),
        failed: number_before(counts, "failed"),
        skipped: number_before(counts, "ignored"),
    })
}

/// Reads `3 failed, 97 passed, 1 skipped in 12.34s`, with or without `=` around it.
fn of_pytest(line: &str) -> Option<Count> {
    let line = line.trim_matches(['=', ' ']);
    let (counts, took) = line.rsplit_once(" in ")?;
    if !took.trim_end_matches(')').contains('s') || !counts.starts_with(|first: char| first.is_ascii_digit())
    {
        return None;
    }
    Some(Count {
        passed: number_before(counts, "passed"),
        failed: number_before(counts, "failed") + number_before(counts, "error"),
        skipped: number_before(counts, "skipped"),
    })
}

fn number_before(text: &str, word: &str) -> usize {
    let mut words = text.split([' ', ',', ';', '.']).filter(|part| !part.is_empty()).peekable();
    while let Some(part) = words.next() {
        if words.peek().is_some_and(|next| next.trim_end_matches('s') == word.trim_end_matches('s'))
            && let Ok(number) = part.parse()
        {
            return number;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_results_are_counted() {
        let line = "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.51s";
        assert_eq!(of_cargo(line), Some(Count { passed: 12, failed: 2, skipped: 1 }));
        assert_eq!(of_cargo("test tests::result ... ok"), None);
    }

    #[test]
    fn pytest_results_are_counted() {
        let counted = |line| of_pytest(line).map(|count| (count.passed, count.failed, count.skipped));
        assert_eq!(counted("97 passed in 12.34s"), Some((97, 0, 0)));
        assert_eq!(
            counted("=== 1 failed, 2 passed, 3 skipped, 4 errors in 62.00s (0:01:02) ==="),
            Some((2, 5, 3))
        );
        assert_eq!(counted("no tests ran in 0.01s"), None);
        assert_eq!(counted("3 mice in trousers"), Some((0, 0, 0)), "harmless: it counts nothing");
        assert_eq!(counted("FAILED servers/tests/a.py::b - assert 1 == 2"), None);
    }

    #[test]
    fn a_runner_without_tests_is_not_good() {
        let suite = Suite { name: "empty", count: Count::default(), succeeded: true, seconds: 0.0 };
        assert!(!suite.is_good());
    }
}
