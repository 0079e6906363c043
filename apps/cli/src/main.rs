//! The command `dormouse`: arguments, output, exit codes.
//!
//! `main` reads the command line and the signals; [`command`] does what is asked, as an HTTP
//! client of the space's hub ([`client`]), which [`join`] finds or starts in this process
//! ([`host`]).
//!
//! # Invariants
//!
//! * No decision about tools or servers is made here: what a command does, any HTTP client can.
//! * Data goes to standard output and talk to standard error; [`output`] is the only way to either.
//! * However the command ends, no process of its hub is left.

mod args;
mod background;
mod bridge;
mod claim;
mod client;
mod command;
mod events;
mod exit;
mod failure;
mod host;
mod join;
mod keyvalue;
mod log;
mod output;
mod place;
mod problem;
mod trace;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::args::{Cli, Everywhere};
use crate::command::Run;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::place::Place;

fn main() -> ExitCode {
    let Cli { everywhere, command } = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are answers: they go to standard output, and are no failure.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Usage.code() } else { Exit::Ok.code() });
        }
    };
    let Everywhere { space, storage, model, json, quiet, verbose } = everywhere;
    log::start(verbose, quiet);
    let run = Run {
        place: Place { space, storage, model },
        output: Output::new(json, quiet),
        stop: CancellationToken::new(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return told(Err(Failure::new(Exit::Unexpected, "cannot start threads").caused_by(&error)));
        }
    };
    let done = runtime.block_on(under_signals(&run, command::run(&run, command)));
    // A read of standard input cannot be cancelled, and nothing else is worth waiting for.
    runtime.shutdown_background();
    told(done)
}

/// Says why it failed, if it did.
fn told(done: Result<Exit, Failure>) -> ExitCode {
    let exit = match done {
        Ok(exit) => exit,
        Err(failure) => {
            if !failure.is_silent() {
                output::say(&failure.to_string());
            }
            failure.exit()
        }
    };
    ExitCode::from(exit.code())
}

/// Does the work; the first signal asks it to end, the second one leaves it where it is. The
/// keeper ends what servers are left as soon as this process is gone.
async fn under_signals(
    run: &Run,
    work: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    let (mut interrupt, mut terminate) =
        match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
            (Err(error), _) | (_, Err(error)) => {
                return Err(Failure::new(Exit::Unexpected, "cannot listen to signals").caused_by(&error));
            }
        };
    tokio::pin!(work);
    let exit = tokio::select! {
        done = &mut work => return done,
        exit = told_to_end(&mut interrupt, &mut terminate) => exit,
    };
    run.stop.cancel();
    tokio::select! {
        // What was stopped says nothing of itself; what was done all the same is done.
        done = &mut work => match done {
            Err(failure) if failure.is_silent() => Err(Failure::silent(exit)),
            done => done,
        },
        exit = told_to_end(&mut interrupt, &mut terminate) => Err(Failure::silent(exit)),
    }
}

async fn told_to_end(interrupt: &mut Signal, terminate: &mut Signal) -> Exit {
    tokio::select! {
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
    }
}
