//! The hub itself.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dormouse_protocol::{EnvironmentError, Garbage};
use dormouse_storage::DumpError;
use dormouse_types::{AgentId, InvalidName};

use super::context::Context;
use super::runtime::{Error, Lent, Owned};
use super::token::Tokens;
use crate::builder::{HubBuilder, OpenError};
use crate::hub::{Doctor, Health, Shared};

/// On which runtimes hubs live. Whoever opens a space again gets the same hub, and must keep the
/// runtime that its tasks are on.
static LIVING: Mutex<Vec<(Weak<Shared>, Lent)>> = Mutex::new(Vec::new());

/// A tool hub for programs without a runtime. Cheap to clone; every clone is the same hub.
#[derive(Debug, Clone)]
pub struct Hub {
    hub: crate::Hub,
    runtime: Owned,
}

impl Hub {
    /// Opens the hub that a builder describes; see [`HubBuilder::open`].
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(builder: HubBuilder) -> Result<Self, Error<OpenError>> {
        let runtime = Owned::start()?;
        // Held while opening, so that nobody gets the hub before it is known where it lives. A list
        // is whole whenever its holder panics.
        let mut living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
        let hub = runtime.run(builder.open())?;
        living.retain(|(of, runtime)| of.strong_count() > 0 && runtime.owned().is_some());
        let its = living.iter().find(|(of, _)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(&hub.shared)));
        if let Some(runtime) = its.and_then(|(_, lent)| lent.owned()) {
            return Ok(Self { hub, runtime });
        }
        living.push((Arc::downgrade(&hub.shared), runtime.lent()));
        Ok(Self { hub, runtime })
    }

    /// The store's view, which sees every server.
    pub fn store(&self) -> Context {
        Context::new(self.hub.store(), self.runtime.clone())
    }

    /// An agent's view, which sees its own servers.
    pub fn agent(&self, agent: AgentId) -> Context {
        Context::new(self.hub.agent(agent), self.runtime.clone())
    }

    /// The store's view, by MCPStore's name for it.
    pub fn for_store(&self) -> Context {
        self.store()
    }

    /// An agent's view, by MCPStore's name for it.
    ///
    /// # Errors
    /// [`InvalidName`] for a text that is no agent's id.
    pub fn for_agent(&self, agent: &str) -> Result<Context, InvalidName> {
        Ok(self.agent(AgentId::try_new(agent)?))
    }

    /// The tokens that open it.
    pub fn tokens(&self) -> Tokens {
        Tokens::new(self.hub.tokens(), self.runtime.clone())
    }

    /// Looks at drop folders and `mcp.json` now, without waiting for word of a change.
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn rescan(&self) -> Result<(), Error<Infallible>> {
        self.runtime.wait(self.hub.rescan())
    }

    /// How it fares.
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn health(&self) -> Result<Health, Error<Infallible>> {
        self.runtime.wait(self.hub.health())
    }

    /// What a person should know who wonders why something does not work.
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn doctor(&self) -> Result<Doctor, Error<Infallible>> {
        self.runtime.wait(self.hub.doctor())
    }

    /// Removes Python environments that no script of this space needs and nobody uses.
    ///
    /// # Errors
    /// [`EnvironmentError`]
    pub fn collect_garbage(&self) -> Result<Garbage, Error<EnvironmentError>> {
        self.runtime.run(self.hub.collect_garbage())
    }

    /// Everything that this hub remembers, as lines of JSON.
    ///
    /// # Errors
    /// [`DumpError`]
    pub fn export_storage(&self) -> Result<Vec<u8>, Error<DumpError>> {
        let mut lines = Vec::new();
        self.runtime.run(self.hub.export_storage(&mut lines))?;
        Ok(lines)
    }

    /// Ends the hub: no new calls, running ones finish, no process is left.
    ///
    /// # Errors
    /// [`Error::InsideRuntime`]
    pub fn shutdown(&self) -> Result<(), Error<Infallible>> {
        self.runtime.wait(self.hub.shutdown())
    }
}

/// Everything that answers from memory.
impl std::ops::Deref for Hub {
    type Target = crate::Hub;

    fn deref(&self) -> &crate::Hub {
        &self.hub
    }
}
