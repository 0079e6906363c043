//! What the orchestrator goes by in one space.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dormouse_types::{Env, Idle, Scope, ServerConfig, ServerKey, ServerName, Timing, Wanted};

/// The folders and rules of one space.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The space's folder; servers run in it.
    pub space: PathBuf,
    /// The hub's own folder in it.
    pub state: PathBuf,
    /// Where scripts are taken from; the first one is the space's `servers/`.
    pub drop_folders: Vec<PathBuf>,
    /// Deadlines and linger where nothing else is said.
    pub timing: Timing,
    /// What is said about single servers.
    pub servers: BTreeMap<ServerName, Overrides>,
    /// Variables that every server gets, such as the model's address.
    pub shared_env: Env,
    /// Whether environments are made as soon as a script shows, or when a call needs them.
    pub prepare_ahead: bool,
    /// Whether sign-ins are kept in the system's keyring, where the program knows it and there is one.
    pub keyring: bool,
    /// Whether drop folders and the file of configured servers are watched.
    pub watch: bool,
}

/// What a person says about one server on top of the defaults.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Whether it should run unasked.
    pub wanted: Option<Wanted>,
    /// Its linger.
    pub idle: Option<Idle>,
    /// Its start deadline.
    pub start: Option<std::time::Duration>,
    /// Its calls' deadline.
    pub call: Option<std::time::Duration>,
    /// Variables on top.
    pub env: Env,
}

impl Settings {
    /// Puts what is said about this server into its configuration. What is said is said of the
    /// store's servers: an agent that calls one of its own alike does not get the store's variables.
    pub(crate) fn apply(&self, server: &ServerKey, config: &mut ServerConfig) {
        if server.scope != Scope::Store {
            return;
        }
        let Some(said) = self.servers.get(&server.name) else { return };
        config.wanted = said.wanted.unwrap_or(config.wanted);
        config.timing.idle = said.idle.unwrap_or(config.timing.idle);
        config.timing.start = said.start.unwrap_or(config.timing.start);
        config.timing.call = said.call.unwrap_or(config.timing.call);
        config.env.0.extend(said.env.0.clone());
    }
}
