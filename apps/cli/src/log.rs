//! What the hub logs, on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts to log: by `-v`, else by `DORMOUSE_LOG`, else warnings.
pub(crate) fn start(verbose: u8, quiet: bool) {
    let default = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, 2) => "dormouse=debug,info",
        (false, _) => "dormouse=trace,debug",
    };
    let said = std::env::var("DORMOUSE_LOG").ok().filter(|_| verbose == 0 && !quiet);
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into());
    let filter = builder.parse_lossy(said.as_deref().unwrap_or(default));
    // A second subscriber in one process could only come from a test.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(verbose > 1)
        .compact()
        .try_init();
}
