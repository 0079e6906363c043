//! `cargo xtask`: sets up, tests, checks and measures the workspace.
//!
//! Whatever takes more than three lines of shell is a task here, so that a person, CI and
//! another machine run the same thing. A task prints each command before it runs it, and
//! fails when a part of it could not run: nothing is skipped silently.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task runner talks on the terminal")]

mod bench;
mod check;
mod chromium;
mod conformance;
mod debian;
mod deny;
mod keyring;
mod layers;
mod node;
mod redis;
mod run;
mod setup;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// Sets up, tests, checks and measures the workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Installs or builds what the tests need, and says what.
    Setup,
    /// Sets up, then runs every test: Rust, documentation examples, the Python servers.
    Test,
    /// Runs everything that CI runs.
    Check(check::Options),
    /// Runs the conformance suite: against a server of ours, through the hub, and as a client.
    Conformance(conformance::Options),
    /// Runs benchmarks in release mode: all, or those named.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Setup => setup::run(),
        Task::Test => test::run(),
        Task::Check(options) => check::run(&options),
        Task::Conformance(options) => conformance::run(&options),
        Task::Bench(options) => bench::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
