//! Tells clients that a list of theirs reads otherwise than before.
//!
//! One task for each gateway waits for a new version of the catalog, lets the changes of a moment
//! gather, and compares the hashes of each endpoint's lists with those that its clients were told.
//! A session that nobody listens to at that moment is told once its stream is open again.
//!
//! # Invariants
//!
//! * No list is made under a lock, and each endpoint's once for a version, however many follow it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dormouse::Version;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::caller::Outlet;
use crate::catalogue::{Digests, Kind, Place};
use crate::endpoint::Endpoint;
use crate::message::{Id, notification};
use crate::session::Session;

/// How long changes gather before they are told.
const GATHERING: Duration = Duration::from_millis(100);

/// Who wants to hear of changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    state: Mutex<State>,
    /// Told when somebody follows, or can hear again, for whom the lists may read otherwise already.
    nudge: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    followers: Vec<Arc<Follower>>,
    /// Whether the task runs.
    running: bool,
}

#[derive(Debug)]
struct Follower {
    endpoint: Endpoint,
    who: Who,
}

#[derive(Debug)]
enum Who {
    /// It knows itself what it was told.
    Session(Weak<Session>),
    /// One of the stateless life, with its subscription, and what the lists read like when it was told.
    Listener(Arc<Listener>, Mutex<Digests>),
}

/// One `subscriptions/listen` under way.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) outlet: Arc<dyn Outlet>,
    pub(crate) id: Id,
    pub(crate) tools: bool,
    pub(crate) resources: bool,
    pub(crate) prompts: bool,
    /// Cancelled when its stream is gone.
    pub(crate) gone: CancellationToken,
}

impl Listener {
    /// Tells it something, with the name of its subscription.
    pub(crate) fn tell(&self, method: &str, mut params: Value) {
        if !params.is_object() {
            params = json!({});
        }
        let meta = &mut params["_meta"];
        if !meta.is_object() {
            *meta = json!({});
        }
        meta["io.modelcontextprotocol/subscriptionId"] = self.id.to_value();
        if !self.outlet.send(notification(method, params)) {
            self.gone.cancel();
        }
    }
}

impl Changes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes this look at once when it is told.
    pub(crate) fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// Tells a session of every change from what it was told last.
    pub(crate) fn follow_session(&self, endpoint: &Endpoint, session: &Arc<Session>) {
        self.follow(Follower { endpoint: endpoint.clone(), who: Who::Session(Arc::downgrade(session)) });
    }

    /// Tells a listener of every change from what it may have `seen`, until it is gone.
    pub(crate) fn follow_listener(&self, endpoint: &Endpoint, listener: Arc<Listener>, seen: Digests) {
        self.follow(Follower { endpoint: endpoint.clone(), who: Who::Listener(listener, Mutex::new(seen)) });
    }

    /// Where a session belongs that is followed here.
    pub(crate) fn endpoint_of(&self, session: &str) -> Option<Endpoint> {
        let state = self.state();
        let is_it = |follower: &&Arc<Follower>| match &follower.who {
            Who::Session(one) => one.upgrade().is_some_and(|one| one.id() == session),
            Who::Listener(..) => false,
        };
        state.followers.iter().find(is_it).map(|follower| follower.endpoint.clone())
    }

    fn follow(&self, follower: Follower) {
        let endpoint = follower.endpoint.clone();
        let mut state = self.state();
        state.followers.push(Arc::new(follower));
        if !std::mem::replace(&mut state.running, true) {
            // Ends with the gateway, or when nobody follows any more.
            tokio::spawn(watch(endpoint));
        }
        drop(state);
        // What changed before the task could see it is not missed.
        self.nudge.notify_one();
    }

    /// Forgets who is gone; whether anybody is left.
    fn tidy(state: &mut State) -> bool {
        state.followers.retain(|follower| match &follower.who {
            Who::Session(session) => session.upgrade().is_some_and(|session| !session.over().is_cancelled()),
            Who::Listener(listener, _) => !listener.gone.is_cancelled(),
        });
        !state.followers.is_empty()
    }

    /// Looks whose lists read otherwise, and tells them.
    async fn look(&self, known: &mut Known) {
        let followers = {
            let mut state = self.state();
            Self::tidy(&mut state);
            state.followers.clone()
        };
        known.looks += 1;
        for follower in &followers {
            let now = known.digests(&follower.endpoint).await;
            match &follower.who {
                Who::Session(session) => {
                    if let Some(session) = session.upgrade() {
                        session.tell_lists(&now);
                    }
                }
                Who::Listener(listener, seen) => {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    tell_listener(listener, &seen, &now);
                    seen.clone_from(&now);
                }
            }
        }
        let looks = known.looks;
        known.places.retain(|_, place| place.look == looks);
    }
}

/// What the lists of each endpoint that is followed read like.
#[derive(Debug, Default)]
struct Known {
    places: HashMap<Place, KnownPlace>,
    /// How often it was looked.
    looks: u64,
}

#[derive(Debug)]
struct KnownPlace {
    version: Version,
    digests: Arc<Digests>,
    look: u64,
}

impl Known {
    async fn digests(&mut self, endpoint: &Endpoint) -> Arc<Digests> {
        let version = endpoint.context().registry().snapshot().version();
        let (place, look) = (endpoint.place(), self.looks);
        if let Some(known) = self.places.get_mut(&place).filter(|known| known.version == version) {
            known.look = look;
            return Arc::clone(&known.digests);
        }
        let digests = Arc::new(endpoint.lists().digests());
        self.places.insert(place, KnownPlace { version, digests: Arc::clone(&digests), look });
        // There may be thousands to make, and others have something to do.
        tokio::task::yield_now().await;
        digests
    }
}

fn tell_listener(listener: &Listener, seen: &Digests, now: &Digests) {
    for (list, is_wanted) in [
        (Kind::Tools, listener.tools),
        (Kind::Resources, listener.resources),
        (Kind::Prompts, listener.prompts),
    ] {
        if is_wanted && seen.of(list) != now.of(list) {
            listener.tell(list.changed(), json!({}));
        }
    }
}

/// Waits for new versions of the catalog as long as anybody wants to know.
async fn watch(endpoint: Endpoint) {
    let gateway = endpoint.gateway().clone();
    let mut version = endpoint.context().registry().version();
    let mut known = Known::default();
    drop(endpoint);
    loop {
        tokio::select! {
            () = gateway.ending().cancelled() => break,
            changed = version.changed() => match changed {
                Ok(()) => {
                    tokio::time::sleep(GATHERING).await;
                    version.mark_unchanged();
                }
                Err(_) => break,
            },
            // Each look sees all followers: many that come at once are one reason to look.
            () = gateway.changes().nudge.notified() => tokio::time::sleep(GATHERING).await,
        }
        gateway.changes().look(&mut known).await;
        let mut state = gateway.changes().state();
        if !Changes::tidy(&mut state) {
            state.running = false;
            return;
        }
    }
    let mut state = gateway.changes().state();
    state.followers.clear();
    state.running = false;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use dormouse::{AgentId, Config, Hub};
    use dormouse_testing::Space;

    use super::*;
    use crate::gateway::Gateway;
    use crate::message::Params;
    use crate::mode::Mode;

    /// More than the lists that are kept.
    const AGENTS: usize = 1_200;

    fn greeting() -> Params {
        let Value::Object(params) = json!({ "protocolVersion": "2025-11-25" }) else { panic!() };
        params
    }

    #[tokio::test]
    async fn thousands_who_follow_cost_each_endpoint_once_and_hold_up_nobody() {
        let space = Space::new();
        let config = Config {
            storage: "memory".to_owned(),
            model: "none".to_owned(),
            keyring: false,
            ..Config::default()
        };
        let hub = Hub::builder().space(space.path()).config(config).open().await.unwrap();
        let gateway = Gateway::new(&hub);
        let changes = gateway.changes();
        // Looked at here, and by no task.
        changes.state().running = true;
        let mut sessions = Vec::new();
        for n in 0..2 * AGENTS {
            let agent = AgentId::try_new(format!("a{}", n / 2)).unwrap();
            let endpoint = gateway.endpoint(hub.agent(agent), Mode::All).unwrap();
            let (scope, seen) = (endpoint.scope().clone(), Digests::default());
            let session = gateway.sessions().begin(None, scope, Mode::All, seen, &greeting()).await.unwrap();
            changes.follow_session(&endpoint, &session);
            sessions.push(session);
        }
        let made = || gateway.catalogues().made.load(Ordering::Relaxed);
        assert_eq!(made(), 0);
        let mut known = Known::default();
        let store = gateway.endpoint(hub.store(), Mode::All).unwrap();
        let greets = async {
            store.initialize(None, &greeting()).await.unwrap();
            made()
        };
        let ((), when_greeted) = tokio::join!(changes.look(&mut known), greets);
        assert!(when_greeted < AGENTS, "who comes meanwhile does not wait for all others");
        assert_eq!(made(), AGENTS + 1);
        // Who came meanwhile is looked at too, its lists perhaps made again: others needed the room.
        changes.look(&mut known).await;
        let so_far = made();
        assert!(so_far <= AGENTS + 2, "{so_far}");
        for _ in 0..3 {
            changes.look(&mut known).await;
        }
        assert_eq!(made(), so_far, "nothing has changed");
        for session in sessions.drain(10..) {
            gateway.sessions().end(session.id()).await.unwrap();
        }
        changes.look(&mut known).await;
        assert_eq!(known.places.len(), 6, "nobody follows the others");
        gateway.end();
        hub.shutdown().await;
    }
}
