//! What a person should look at: raised once for each server and cause, kept in memory.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use dormouse_registry::Registry;
use dormouse_types::{Alert, AlertLevel, Event, Scope, ServerKey, ServerState, Timestamp};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::finding::Finding;

/// How many alerts are kept, the newest ones.
const KEPT: usize = 500;

/// A server that fails and recovers all the time is told of once within this time.
const QUIET: Duration = Duration::from_secs(60);

/// What an alert is about. There is at most one of each for a server until it is over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// It cannot be reached, or failed too often.
    Unreachable,
    /// It needs a person to sign in.
    SignIn,
    /// What it serves differs from what its source promised.
    Drift,
    /// A file or an entry is no server.
    Config(String),
}

/// The alerts of a hub.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    list: VecDeque<Arc<Alert>>,
    last: u64,
    known: HashMap<(Option<ServerKey>, Cause), Known>,
}

#[derive(Debug)]
struct Known {
    open: bool,
    /// Whether it was told of since it began; not so while it comes and goes.
    told: bool,
    raised: Instant,
}

/// What is said in an alert.
pub(crate) struct Words {
    pub(crate) level: AlertLevel,
    pub(crate) title: String,
    pub(crate) message: String,
}

impl Alerts {
    /// The alerts, oldest first.
    pub(crate) fn list(&self) -> Vec<Alert> {
        self.lock().list.iter().map(|alert| (**alert).clone()).collect()
    }

    /// Forgets all and says how many there were. What is still wrong is not raised again before it
    /// was well in between.
    pub(crate) fn clear(&self) -> usize {
        std::mem::take(&mut self.lock().list).len()
    }

    /// Raises an alert for whatever reason.
    pub(crate) fn raise(&self, registry: &Registry, server: Option<ServerKey>, words: Words) -> Arc<Alert> {
        let alert = self.lock().add(server, words);
        registry.emit(Event::Alert { alert: alert.clone() });
        alert
    }

    /// Keeps an alert that another hub on the same storage raised, under a number of this one.
    pub(crate) fn of_another(&self, alert: &Alert) {
        let Alert { id: _, level, title, message, server, at: _ } = alert.clone();
        self.lock().add(server, Words { level, title, message });
    }

    /// Raises an alert, unless its cause is known already.
    pub(crate) fn begin(&self, registry: &Registry, server: Option<ServerKey>, cause: Cause, words: Words) {
        let alert = {
            let mut kept = self.lock();
            let now = Instant::now();
            let about = (server.clone(), cause);
            if let Some(known) = kept.known.get_mut(&about)
                && (known.open || now.duration_since(known.raised) < QUIET)
            {
                known.open = true;
                return;
            }
            kept.known.insert(about, Known { open: true, told: true, raised: now });
            kept.add(server, words)
        };
        registry.emit(Event::Alert { alert });
    }

    /// A cause is over. Says whether that is news: whether anybody was told that it began.
    pub(crate) fn end(&self, server: Option<&ServerKey>, cause: Cause) -> bool {
        let mut kept = self.lock();
        let known = kept.known.get_mut(&(server.cloned(), cause));
        known.is_some_and(|known| {
            let told = std::mem::take(&mut known.told);
            std::mem::take(&mut known.open) && told
        })
    }

    /// Takes up what is wrong with files and entries now.
    pub(crate) fn found(&self, registry: &Registry, findings: &[Finding]) {
        let said = |finding: &Finding| {
            let name = finding.path.file_name().unwrap_or_default().to_string_lossy();
            format!("{name}: {}", finding.problem)
        };
        let cause = |finding: &Finding| Cause::Config(said(finding));
        let now: HashSet<Cause> = findings.iter().map(cause).collect();
        for (about, known) in &mut self.lock().known {
            if matches!(about.1, Cause::Config(_)) && !now.contains(&about.1) {
                known.open = false;
            }
        }
        for finding in findings {
            // A module beside the servers is no fault; a broken entry is.
            let entry = finding.path.extension().is_some_and(|extension| extension == "json");
            let level = if entry { AlertLevel::Warning } else { AlertLevel::Info };
            let words = Words { level, title: "no server".to_owned(), message: said(finding) };
            self.begin(registry, None, cause(finding), words);
        }
        // Files come and go; what is long over and not told again needs no memory.
        self.lock().known.retain(|_, known| known.open || known.raised.elapsed() < QUIET);
    }

    /// Whether a cause is there now.
    pub(crate) fn is_open(&self, server: &ServerKey, cause: Cause) -> bool {
        self.lock().known.get(&(Some(server.clone()), cause)).is_some_and(|known| known.open)
    }

    /// A server is gone, and with it all that was wrong with it.
    fn forget(&self, server: &ServerKey) {
        self.lock().known.retain(|(about, _), _| about.as_ref() != Some(server));
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("nothing panics while it holds the alerts")
    }

    /// Follows what happens to servers and raises what a person should see, until the hub ends.
    pub(crate) async fn follow(self: Arc<Self>, registry: Registry, ending: CancellationToken) {
        let mut events = registry.events();
        let everything = |alerts: &Self| {
            for entry in registry.snapshot().servers(&Scope::Store) {
                alerts.look(&registry, &entry.key);
            }
        };
        everything(&self);
        loop {
            let event = tokio::select! {
                () = ending.cancelled() => return,
                event = events.recv() => event,
            };
            match event {
                Ok(Event::StatusChanged { server, .. } | Event::ServerChanged { server }) => {
                    self.look(&registry, &server);
                }
                Ok(Event::ServerRemoved { server }) => self.forget(&server),
                Ok(_) => {}
                // It fell behind: look at all once.
                Err(RecvError::Lagged(_)) => everything(&self),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Looks at one server as it is now.
    fn look(&self, registry: &Registry, server: &ServerKey) {
        let Some(entry) = registry.snapshot().get(server).cloned() else { return self.forget(server) };
        if entry.drift.is_empty() {
            self.end(Some(server), Cause::Drift);
        } else {
            let message = format!("{} differences between its source and what it serves", entry.drift.len());
            let words = Words { level: AlertLevel::Warning, title: "drift".to_owned(), message };
            self.begin(registry, Some(server.clone()), Cause::Drift, words);
        }
        let Some(status) = registry.status(server) else { return };
        let reason = status.reason.clone().unwrap_or_else(|| "no reason is known".to_owned());
        match status.state {
            // It said so itself, with more to do about it.
            ServerState::Unreachable | ServerState::Reconnecting if self.is_open(server, Cause::SignIn) => {}
            ServerState::Unreachable => {
                let words = Words {
                    level: AlertLevel::Error,
                    title: "server unreachable".to_owned(),
                    message: reason,
                };
                self.begin(registry, Some(server.clone()), Cause::Unreachable, words);
            }
            ServerState::Reconnecting if status.next_retry.is_some() => {
                let message = format!("{} failures in a row: {reason}", status.failures);
                let words =
                    Words { level: AlertLevel::Warning, title: "server reconnecting".to_owned(), message };
                self.begin(registry, Some(server.clone()), Cause::Unreachable, words);
            }
            ServerState::Healthy => {
                let down = self.end(Some(server), Cause::Unreachable);
                let signed_out = self.end(Some(server), Cause::SignIn);
                if down || signed_out {
                    let message = "it answers again".to_owned();
                    let words =
                        Words { level: AlertLevel::Info, title: "server recovered".to_owned(), message };
                    self.raise(registry, Some(server.clone()), words);
                }
            }
            ServerState::Dormant
            | ServerState::Initializing
            | ServerState::Warning
            | ServerState::Reconnecting
            | ServerState::Disconnecting
            | ServerState::Disconnected => {}
        }
    }
}

impl Kept {
    fn add(&mut self, server: Option<ServerKey>, words: Words) -> Arc<Alert> {
        self.last += 1;
        let Words { level, title, message } = words;
        let alert = Arc::new(Alert { id: self.last, level, title, message, server, at: Timestamp::now() });
        if self.list.len() == KEPT {
            self.list.pop_front();
        }
        self.list.push_back(alert.clone());
        alert
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dormouse_storage::Memory;

    use super::*;

    #[tokio::test]
    async fn a_server_that_comes_and_goes_is_told_of_once_and_so_is_its_recovery() {
        let registry = Registry::open(Arc::new(Memory::default())).await.unwrap();
        let alerts = Alerts::default();
        let server = ServerKey::store("calc".parse().unwrap());
        let mut recovered = 0;
        for _ in 0..3 {
            let words = Words { level: AlertLevel::Error, title: "down".to_owned(), message: String::new() };
            alerts.begin(&registry, Some(server.clone()), Cause::Unreachable, words);
            assert!(alerts.is_open(&server, Cause::Unreachable));
            recovered += usize::from(alerts.end(Some(&server), Cause::Unreachable));
        }
        assert_eq!((alerts.list().len(), recovered), (1, 1));
    }
}
