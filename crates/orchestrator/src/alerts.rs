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

/// The least time between the dismissal of alerts and the next one.
const TICK: Duration = Duration::from_nanos(1);

/// How long what another hub on the same storage told of a cause speaks for this one too, where it
/// does not say that it is over: it may be gone.
const SPOKEN_FOR: Duration = Duration::from_secs(600);

/// The titles by which a cause that another hub told of is known again.
const UNREACHABLE: &str = "server unreachable";
const RECONNECTING: &str = "server reconnecting";
const FAILING: &str = "calls fail";
const RECOVERED: &str = "server recovered";
const DRIFT: &str = "drift";
const NO_SERVER: &str = "no server";
pub(crate) const SIGN_IN: &str = "sign-in needed";

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

impl Cause {
    /// The cause that another hub told of.
    fn of(alert: &Alert) -> Option<Self> {
        match alert.title.as_str() {
            UNREACHABLE | RECONNECTING | FAILING => Some(Self::Unreachable),
            SIGN_IN => Some(Self::SignIn),
            DRIFT => Some(Self::Drift),
            NO_SERVER => Some(Self::Config(alert.message.clone())),
            _ => None,
        }
    }
}

/// The alerts of a hub.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Oldest first.
    list: VecDeque<Arc<Alert>>,
    last: u64,
    /// Until when alerts were dismissed, at whatever hub.
    dismissed: Option<Timestamp>,
    known: HashMap<(Option<ServerKey>, Cause), Known>,
    /// What another hub told of, and when.
    elsewhere: HashMap<(Option<ServerKey>, Cause), Instant>,
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

    /// The alerts as other hubs may want to know them, and until when they were dismissed.
    pub(crate) fn all(&self) -> (Option<Timestamp>, Vec<Alert>) {
        let kept = self.lock();
        (kept.dismissed, kept.list.iter().map(|alert| (**alert).clone()).collect())
    }

    /// Forgets all and says how many there were. What is still wrong is not raised again before it
    /// was well in between.
    pub(crate) fn clear(&self, registry: &Registry) -> usize {
        let (count, until) = {
            let mut kept = self.lock();
            let newest = kept.list.back().map(|alert| alert.at);
            // Another hub's clock may be ahead of this one's.
            let until = newest.map_or_else(Timestamp::now, |newest| newest.max(Timestamp::now()));
            (kept.dismiss(until), until)
        };
        registry.emit(Event::AlertsCleared { until });
        count
    }

    /// Another hub on the same storage forgot all until then.
    pub(crate) fn dismissed(&self, until: Timestamp) {
        self.lock().dismiss(until);
    }

    /// Raises an alert for whatever reason.
    pub(crate) fn raise(&self, registry: &Registry, server: Option<ServerKey>, words: Words) -> Arc<Alert> {
        let alert = self.lock().add(server, words);
        registry.emit(Event::Alert { alert: alert.clone() });
        alert
    }

    /// Keeps an alert that another hub on the same storage raised, under a number of this one. A
    /// cause that is there in both is told by one of them.
    pub(crate) fn of_another(&self, alert: &Alert) {
        let mut kept = self.lock();
        if kept.has(alert) {
            return;
        }
        if let Some(cause) = Cause::of(alert) {
            let about = (alert.server.clone(), cause);
            if kept.known.get(&about).is_some_and(|known| known.open && known.told) {
                return;
            }
            kept.elsewhere.retain(|_, told| told.elapsed() < SPOKEN_FOR);
            let limit = Timestamp::now().checked_sub(SPOKEN_FOR);
            if limit.is_ok_and(|limit| alert.at > limit) {
                kept.elsewhere.insert(about, Instant::now());
            }
        }
        if alert.title == RECOVERED {
            for cause in [Cause::Unreachable, Cause::SignIn] {
                let about = (alert.server.clone(), cause);
                // What lasts here is told by this hub from now on.
                if kept.elsewhere.remove(&about).is_some()
                    && kept.known.get(&about).is_some_and(|known| !known.told)
                {
                    kept.known.remove(&about);
                }
            }
        }
        kept.take_over(alert);
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
            if let Some(&raised) = kept.elsewhere.get(&about)
                && raised.elapsed() < SPOKEN_FOR
            {
                kept.known.insert(about, Known { open: true, told: false, raised });
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
            let words = Words { level, title: NO_SERVER.to_owned(), message: said(finding) };
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
        let mut kept = self.lock();
        kept.known.retain(|(about, _), _| about.as_ref() != Some(server));
        kept.elsewhere.retain(|(about, _), _| about.as_ref() != Some(server));
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
                Ok(Event::ServerRemoved { server, .. }) => self.forget(&server),
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
            let words = Words { level: AlertLevel::Warning, title: DRIFT.to_owned(), message };
            self.begin(registry, Some(server.clone()), Cause::Drift, words);
        }
        let Some(status) = registry.status(server) else { return };
        let reason = status.reason.clone().unwrap_or_else(|| "no reason is known".to_owned());
        match status.state {
            // It said so itself, with more to do about it.
            ServerState::Unreachable | ServerState::Reconnecting if self.is_open(server, Cause::SignIn) => {}
            ServerState::Unreachable => {
                let words =
                    Words { level: AlertLevel::Error, title: UNREACHABLE.to_owned(), message: reason };
                self.begin(registry, Some(server.clone()), Cause::Unreachable, words);
            }
            ServerState::Reconnecting if status.next_retry.is_some() => {
                let message = format!("{} failures in a row: {reason}", status.failures);
                let words = Words { level: AlertLevel::Warning, title: RECONNECTING.to_owned(), message };
                self.begin(registry, Some(server.clone()), Cause::Unreachable, words);
            }
            // Awake, and its breaker is open.
            ServerState::Warning if status.next_retry.is_some() => {
                let message = format!("{} in a row: {reason}", status.failures);
                let words = Words { level: AlertLevel::Error, title: FAILING.to_owned(), message };
                self.begin(registry, Some(server.clone()), Cause::Unreachable, words);
            }
            ServerState::Healthy => {
                let down = self.end(Some(server), Cause::Unreachable);
                let signed_out = self.end(Some(server), Cause::SignIn);
                if down || signed_out {
                    let message = "it answers again".to_owned();
                    let words = Words { level: AlertLevel::Info, title: RECOVERED.to_owned(), message };
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
        let Words { level, title, message } = words;
        // The clock of the hub where they were dismissed may be ahead of this one's.
        let at = self.dismissed.map_or_else(Timestamp::now, |until| Timestamp::now().max(until + TICK));
        self.keep(Alert { id: 0, level, title, message, server, at })
    }

    /// Keeps an alert under a number of this hub.
    fn keep(&mut self, alert: Alert) -> Arc<Alert> {
        self.last += 1;
        let alert = Arc::new(Alert { id: self.last, ..alert });
        let place = self.list.partition_point(|known| known.at <= alert.at);
        self.list.insert(place, alert.clone());
        if self.list.len() > KEPT {
            self.list.pop_front();
        }
        alert
    }

    /// Whether an alert of another hub is known here.
    fn has(&self, alert: &Alert) -> bool {
        self.list.iter().any(|known| Alert { id: alert.id, ..(**known).clone() } == *alert)
    }

    /// Keeps another hub's alert, unless it was dismissed.
    fn take_over(&mut self, alert: &Alert) {
        let is_dismissed = self.dismissed.is_some_and(|until| alert.at <= until);
        let is_too_old =
            self.list.len() == KEPT && self.list.front().is_some_and(|first| alert.at < first.at);
        if !is_dismissed && !is_too_old {
            self.keep(alert.clone());
        }
    }

    /// Forgets all until a moment and says how many there were.
    fn dismiss(&mut self, until: Timestamp) -> usize {
        self.dismissed = self.dismissed.max(Some(until));
        let before = self.list.len();
        self.list.retain(|alert| alert.at > until);
        before - self.list.len()
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

    #[tokio::test]
    async fn in_whatever_order_hubs_hear_of_alerts_they_come_to_have_the_same() {
        let registry = Registry::open(Arc::new(Memory::default())).await.unwrap();
        let raise = |alerts: &Alerts, title: &str| alerts.raise(&registry, None, words(title));
        let titles = |alerts: &Alerts| alerts.list().into_iter().map(|alert| alert.title).collect::<Vec<_>>();
        let (one, other) = (Alerts::default(), Alerts::default());
        let (first, second) = (raise(&one, "first"), raise(&other, "second"));
        one.of_another(&second);
        one.of_another(&second);
        assert_eq!((titles(&one), one.clear(&registry)), (vec!["first".to_owned(), "second".to_owned()], 2));
        let third = raise(&one, "third");
        // The word of the dismissal comes last but one, that of what was dismissed last.
        other.of_another(&third);
        other.dismissed(one.all().0.unwrap());
        other.of_another(&first);
        assert_eq!((titles(&one), titles(&other)), (vec!["third".to_owned()], vec!["third".to_owned()]));
        assert!(raise(&other, "fourth").at > third.at);
    }

    fn words(title: &str) -> Words {
        Words { level: AlertLevel::Error, title: title.to_owned(), message: String::new() }
    }

    #[tokio::test]
    async fn of_two_hubs_one_tells_of_a_cause_and_of_its_end() {
        let registry = Registry::open(Arc::new(Memory::default())).await.unwrap();
        let (one, two) = (Alerts::default(), Alerts::default());
        let server = ServerKey::store("calc".parse().unwrap());
        let begin = |alerts: &Alerts| {
            alerts.begin(&registry, Some(server.clone()), Cause::Unreachable, words(UNREACHABLE));
        };
        begin(&one);
        two.of_another(&one.list()[0]);
        begin(&two);
        assert_eq!((one.list().len(), two.list().len()), (1, 1));
        assert!(!two.end(Some(&server), Cause::Unreachable), "the one that told of it tells of its end");
        assert!(one.end(Some(&server), Cause::Unreachable));

        // It lasts in the second one: that is told once the first one says that it is over there.
        begin(&two);
        two.of_another(&one.raise(&registry, Some(server.clone()), words(RECOVERED)));
        begin(&two);
        let titles: Vec<String> = two.list().into_iter().map(|alert| alert.title).collect();
        assert_eq!(titles, [UNREACHABLE, RECOVERED, UNREACHABLE]);
    }

    #[tokio::test]
    async fn two_hubs_that_tell_of_a_cause_at_once_keep_one_alert_each() {
        let registry = Registry::open(Arc::new(Memory::default())).await.unwrap();
        let (one, two) = (Alerts::default(), Alerts::default());
        for alerts in [&one, &two] {
            alerts.begin(&registry, None, Cause::Config("a.py: nothing".to_owned()), words(NO_SERVER));
        }
        let message = "a.py: nothing".to_owned();
        one.of_another(&Alert { message: message.clone(), ..two.list()[0].clone() });
        two.of_another(&Alert { message, ..one.list()[0].clone() });
        assert_eq!((one.list().len(), two.list().len()), (1, 1));
    }
}
