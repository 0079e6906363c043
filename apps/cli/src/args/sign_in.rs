//! Signing in at servers at URLs.

use clap::Args;

use super::seconds;

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The server
    pub(crate) name: String,
    /// How long to wait for the person at the browser, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "600")]
    pub(crate) timeout: f64,
}
