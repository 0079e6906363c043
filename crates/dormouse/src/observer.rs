//! Observers: who is told of every change and call, and can neither slow nor break one.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use dormouse_types::{CallEnd, CallId, Event, ServerKey, ServerStatus, ToolName};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;
use tracing::warn;

/// How many events wait for one observer; more are lost for it, and it is told how many.
const WAITING: usize = 1_024;

/// Watches a hub. Its methods may take their time: each observer has a thread of its own
/// behind a queue, and what does not fit is lost for this observer only. One that panics is not
/// told anything more.
pub trait Observer: Send + Sync + fmt::Debug {
    /// A server's state changed.
    fn state_changed(&self, server: &ServerKey, status: &ServerStatus) {
        let _ = (server, status);
    }

    /// A call was sent.
    fn call_started(&self, call: CallId, server: &ServerKey, tool: &ToolName) {
        let _ = (call, server, tool);
    }

    /// A call ended.
    fn call_ended(&self, call: CallId, server: &ServerKey, tool: &ToolName, end: &CallEnd) {
        let _ = (call, server, tool, end);
    }

    /// Anything changed: those of the other methods, and the rest, such as what another hub on
    /// the same storage tells.
    fn changed(&self, event: &Event) {
        let _ = event;
    }

    /// Events were lost, because this observer was too slow.
    fn lost(&self, events: u64) {
        let _ = events;
    }
}

/// What an observer's thread is given.
enum Told {
    Event(Event),
    Lost(u64),
}

/// Tells an observer of the events from now on.
pub(crate) fn watch(observer: Arc<dyn Observer>, events: broadcast::Receiver<Event>) {
    // Owned by the stream: it ends when the hub is gone, and holds nothing of the hub.
    tokio::spawn(pass_on(observer, events));
}

/// Moves events from the hub's stream into an observer's queue, without waiting for it.
async fn pass_on(observer: Arc<dyn Observer>, mut events: broadcast::Receiver<Event>) {
    let (queue, mut waiting) = mpsc::channel(WAITING);
    // Ends when its queue is closed, or when the observer panics; nobody waits for it, since an
    // observer may never return.
    let name = format!("{observer:?}");
    std::thread::spawn(move || {
        let told = std::panic::catch_unwind(AssertUnwindSafe(|| {
            while let Some(told) = waiting.blocking_recv() {
                tell(&*observer, told);
            }
        }));
        if told.is_err() {
            warn!(observer = name, "an observer panicked and is told nothing more");
        }
    });
    let mut lost: u64 = 0;
    loop {
        match events.recv().await {
            Ok(event) => {
                if lost > 0 && queue.try_send(Told::Lost(lost)).is_ok() {
                    lost = 0;
                }
                match queue.try_send(Told::Event(event)) {
                    Ok(()) => {}
                    Err(mpsc::error::TrySendError::Full(_)) => lost += 1,
                    Err(mpsc::error::TrySendError::Closed(_)) => return,
                }
            }
            Err(RecvError::Lagged(missed)) => lost += missed,
            Err(RecvError::Closed) => return,
        }
    }
}

fn tell(observer: &dyn Observer, told: Told) {
    match told {
        Told::Lost(events) => observer.lost(events),
        Told::Event(event) => {
            match &event {
                Event::StatusChanged { server, status } => observer.state_changed(server, status),
                Event::CallStarted { call, server, tool } => observer.call_started(*call, server, tool),
                Event::CallEnded { call, server, tool, end } => observer.call_ended(*call, server, tool, end),
                Event::ServerChanged { .. }
                | Event::ServerRemoved { .. }
                | Event::ServerUnassigned { .. }
                | Event::AlertsCleared { .. }
                | Event::Preparing { .. }
                | Event::Attached { .. }
                | Event::Detached { .. }
                | Event::Alert { .. }
                | Event::Elsewhere { .. } => {}
            }
            observer.changed(&event);
        }
    }
}
