//! placeholder

mod environment;

pub use environment::{EnvironmentError, EnvironmentSettings, Environments, Garbage, InstallFault};
