//! What a context hears of what happens.

use dormouse_types::{AgentId, Event, Scope};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::context::Context;

/// What happens in one context, from the moment on at which this was made.
#[derive(Debug)]
pub struct Events {
    context: Context,
    all: broadcast::Receiver<Event>,
}

impl Events {
    /// The next event of the context. Cancel-safe.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] when events of the hub were missed: look at the lists then.
    /// [`RecvError::Closed`] when the hub is gone.
    pub async fn recv(&mut self) -> Result<Event, RecvError> {
        loop {
            let event = self.all.recv().await?;
            if self.context.hears(&event) {
                return Ok(self.context.heard_here(event));
            }
        }
    }
}

impl Context {
    /// What happens in this context from now on.
    pub fn events(&self) -> Events {
        Events { context: self.clone(), all: self.registry().events() }
    }

    /// Whether this context is told of an event. The store hears everything. An agent hears all of
    /// its own servers, and of those that the store shares with it how they fare, and that they are
    /// gone for it; who calls them is not its business.
    pub fn hears(&self, event: &Event) -> bool {
        if *self.scope() == Scope::Store {
            return true;
        }
        if let Event::Elsewhere { event, .. } = event {
            return self.hears(event);
        }
        // What is about no server is the store's, but for what concerns each list of alerts.
        let Some(server) = event.server() else { return matches!(event, Event::AlertsCleared { .. }) };
        let is_self = |agent: &AgentId| matches!(self.scope(), Scope::Agent(own) if own == agent);
        let is_shared = || self.registry().snapshot().sees(self.scope(), server);
        match event {
            _ if server.scope == *self.scope() => true,
            Event::CallStarted { .. }
            | Event::CallEnded { .. }
            | Event::Elsewhere { .. }
            | Event::AlertsCleared { .. } => false,
            // What is seen now says nothing of these.
            Event::ServerRemoved { agents, .. } => agents.iter().any(is_self),
            Event::ServerUnassigned { agent, .. } => is_self(agent),
            Event::Alert { .. }
            | Event::ServerChanged { .. }
            | Event::StatusChanged { .. }
            | Event::Preparing { .. }
            | Event::Attached { .. }
            | Event::Detached { .. } => is_shared(),
        }
    }
}
