//! What happens, for programs that wait for it on a thread.

use tokio::sync::broadcast::error::RecvError;

use super::runtime::{Error, Owned};
use crate::Event;

/// What happens in one context, from the moment on at which this was made.
#[derive(Debug)]
pub struct Events {
    events: crate::Events,
    runtime: Owned,
}

impl Events {
    pub(super) fn new(events: crate::Events, runtime: Owned) -> Self {
        Self { events, runtime }
    }

    /// Waits for the next event of the context.
    ///
    /// # Errors
    /// Those of [`Events::recv`](crate::Events::recv), and [`Error::InsideRuntime`].
    pub fn recv(&mut self) -> Result<Event, Error<RecvError>> {
        self.runtime.run(self.events.recv())
    }
}
