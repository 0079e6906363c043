//! From a server's configuration to an attached process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dormouse_protocol::{Connection, Environments, Launcher, Offers, Program, allowed_env};
use dormouse_storage::mcp_json::expand;
use dormouse_types::{Launch, PrepareStep, PythonNeeds, RemoteTransport, ServerConfig, ServerKey};

use crate::error::StartFault;
use crate::own::{self, Transports};
use crate::remotes::Remotes;
use crate::settings::Settings;

/// Starts servers: makes their environment, gives them their variables, opens the connection.
#[derive(Debug)]
pub(crate) struct Starter {
    settings: Arc<Settings>,
    environments: Arc<Environments>,
    launcher: Arc<dyn Launcher>,
    remotes: Remotes,
    transports: Transports,
}

impl Starter {
    pub(crate) fn new(
        settings: Arc<Settings>,
        environments: Arc<Environments>,
        launcher: Arc<dyn Launcher>,
        remotes: Remotes,
        transports: Transports,
    ) -> Self {
        Self { settings, environments, launcher, remotes, transports }
    }

    /// The servers at URLs.
    #[cfg(feature = "oauth")]
    pub(crate) fn remotes(&self) -> &Remotes {
        &self.remotes
    }

    pub(crate) fn environments(&self) -> &Environments {
        &self.environments
    }

    /// Dropping the future ends what it started.
    pub(crate) async fn start(
        &self,
        key: &ServerKey,
        config: &ServerConfig,
        deadline: Duration,
        report: &(dyn Fn(PrepareStep) + Send + Sync),
    ) -> Result<Connection, StartFault> {
        let program = match &config.launch {
            Launch::Script { path, needs } => {
                let python = self.python(needs, report).await?;
                Program {
                    program: python.into(),
                    // Unbuffered, as stdout is the wire.
                    args: vec!["-u".into(), path.into()],
                    env: self.env(key, config)?,
                    cwd: self.settings.space.clone(),
                }
            }
            Launch::Command { command, args, cwd } => Program {
                program: OsString::from(expanded(command)?),
                args: args.iter().map(|arg| expanded(arg).map(OsString::from)).collect::<Result<_, _>>()?,
                env: self.env(key, config)?,
                cwd: self.directory(cwd.as_deref()),
            },
            Launch::Url(remote) if remote.transport == RemoteTransport::Own => {
                return own::open(&self.transports, remote, deadline, || report(PrepareStep::Ready)).await;
            }
            Launch::Url(remote) => {
                return self.remotes.open(&key.scope, remote, deadline, || report(PrepareStep::Ready)).await;
            }
            Launch::Elsewhere { .. } => {
                return Err(StartFault::Needs("its script lies with another hub, and not here".to_owned()));
            }
        };
        report(PrepareStep::Ready);
        let opened = Connection::open_with(&*self.launcher, &program, deadline, Offers::ALL).await;
        opened.map_err(StartFault::Start)
    }

    /// The interpreter with all that the script needs, made if it is not there yet.
    pub(crate) async fn python(
        &self,
        needs: &PythonNeeds,
        report: &(dyn Fn(PrepareStep) + Send + Sync),
    ) -> Result<PathBuf, StartFault> {
        if let Some(problem) = &needs.problem {
            return Err(StartFault::Needs(problem.clone()));
        }
        match self.environments.ready_now(needs) {
            Some(python) => Ok(python),
            None => self.environments.prepare(needs, report).await.map_err(StartFault::Environment),
        }
    }

    fn directory(&self, cwd: Option<&Path>) -> PathBuf {
        match cwd {
            Some(cwd) => self.settings.space.join(cwd),
            None => self.settings.space.clone(),
        }
    }

    /// The allow-list, what the hub gives, and what the configuration names, in this order.
    fn env(
        &self,
        key: &ServerKey,
        config: &ServerConfig,
    ) -> Result<BTreeMap<OsString, OsString>, StartFault> {
        let mut env = allowed_env();
        env.insert("PYTHONUNBUFFERED".into(), "1".into());
        env.insert("PYTHONUTF8".into(), "1".into());
        env.insert("DORMOUSE_SPACE".into(), self.settings.space.clone().into());
        env.insert("DORMOUSE_NOTES_DIR".into(), self.settings.space.join("notes").into());
        // A process that several servers share has no name.
        if !config.stateless {
            env.insert("DORMOUSE_SERVER".into(), key.store_name().into());
        }
        for (name, value) in self.settings.shared_env.0.iter().chain(&config.env.0) {
            env.insert(name.into(), expanded(value)?.into());
        }
        Ok(env)
    }
}

/// A text with its variables put in.
pub(crate) fn expanded(text: &str) -> Result<String, StartFault> {
    expand(text, &|name| std::env::var(name).ok()).map_err(|missing| StartFault::Variable(missing.name))
}
