//! What a server's process prints, and who may see it: it tells of the calls of all who use it.

use std::sync::Arc;

use dormouse_orchestrator::{Noise, WithoutOutput};
use dormouse_types::{Event, Scope, ServerKey, ServerName};

use crate::change::ChangeError;
use crate::context::Context;

impl Context {
    /// Whether this context may see what a server's process prints: the store, and an agent of
    /// which alone the server is. A stateless server shares its process with its like, of any owner.
    pub(crate) fn sees_output(&self, server: &ServerKey) -> bool {
        let is_alone = || {
            let catalog = self.registry().snapshot();
            catalog.get(server).is_none_or(|entry| !entry.config.stateless)
        };
        *self.scope() == Scope::Store || (server.scope == *self.scope() && is_alone())
    }

    /// An error of a server as this context may see it.
    pub(crate) fn told_here<E: WithoutOutput>(&self, server: &ServerKey, error: E) -> E {
        if self.sees_output(server) { error } else { error.without_output() }
    }

    /// An event as this context may see it.
    pub(crate) fn heard_here(&self, event: Event) -> Event {
        match event {
            Event::StatusChanged { server, status }
                if status.said.is_some() && !self.sees_output(&server) =>
            {
                Event::StatusChanged { server, status: status.without_output().into() }
            }
            Event::Elsewhere { hub, event } => {
                let event = Arc::new(self.heard_here(Event::clone(&event)));
                Event::Elsewhere { hub, event }
            }
            event => event,
        }
    }

    /// The last lines that a server's process printed on stderr, and what it printed beside MCP;
    /// `None` while it sleeps. Not of one that the store only shares, or that shares its process
    /// with its like: it tells of others' calls.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub fn output(&self, name: &ServerName) -> Result<Option<(Vec<String>, Noise)>, ChangeError> {
        let entry = self.own(name)?;
        if !self.sees_output(&entry.key) {
            return Err(ChangeError::OthersToo { server: name.clone() });
        }
        Ok(self.orchestrator().output(&entry.key))
    }
}
