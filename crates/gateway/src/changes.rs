//! Tells clients that a list of theirs reads otherwise than before.
//!
//! One task for each gateway waits for a new version of the catalog, lets the changes of a moment
//! gather, and compares the hashes of each endpoint's lists with those that its clients were told.
//! A session that nobody listens to at that moment is told once its stream is open again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::caller::Outlet;
use crate::catalogue::Digests;
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
    followers: Vec<Follower>,
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
    Listener(Arc<Listener>, Digests),
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

    /// Tells a listener of every change from now on, until it is gone.
    pub(crate) fn follow_listener(&self, endpoint: &Endpoint, listener: Arc<Listener>) {
        let seen = endpoint.lists().digests();
        self.follow(Follower { endpoint: endpoint.clone(), who: Who::Listener(listener, seen) });
    }

    /// Where a session belongs that is followed here.
    pub(crate) fn endpoint_of(&self, session: &str) -> Option<Endpoint> {
        let state = self.state();
        let is_it = |follower: &&Follower| match &follower.who {
            Who::Session(one) => one.upgrade().is_some_and(|one| one.id() == session),
            Who::Listener(..) => false,
        };
        state.followers.iter().find(is_it).map(|follower| follower.endpoint.clone())
    }

    fn follow(&self, follower: Follower) {
        let endpoint = follower.endpoint.clone();
        let mut state = self.state();
        state.followers.push(follower);
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
    fn look(&self) {
        let mut state = self.state();
        Self::tidy(&mut state);
        for follower in &mut state.followers {
            let now = follower.endpoint.lists().digests();
            match &mut follower.who {
                Who::Session(session) => {
                    if let Some(session) = session.upgrade() {
                        tell_session(session, now);
                    }
                }
                Who::Listener(listener, seen) => {
                    tell_listener(listener, changed(seen, &now));
                    *seen = now;
                }
            }
        }
    }
}

/// Which lists read otherwise, by what says so.
fn changed(seen: &Digests, now: &Digests) -> [(bool, &'static str); 3] {
    [
        (now.tools != seen.tools, "notifications/tools/list_changed"),
        (now.resources != seen.resources, "notifications/resources/list_changed"),
        (now.prompts != seen.prompts, "notifications/prompts/list_changed"),
    ]
}

/// Where nobody hears at the moment, the session stays where it was, and is told later.
fn tell_session(session: Arc<Session>, now: Digests) {
    let seen = session.seen_lists(&now);
    if seen == now {
        return;
    }
    let mut news = changed(&seen, &now).into_iter().filter(|(changed, _)| *changed);
    if news.all(|(_, method)| session.tell(method, Value::Null)) {
        session.told_lists(now);
    }
}

fn tell_listener(listener: &Listener, changed: [(bool, &str); 3]) {
    let wanted = [listener.tools, listener.resources, listener.prompts];
    for ((_, method), _) in
        changed.into_iter().zip(wanted).filter(|((changed, _), wanted)| *changed && *wanted)
    {
        listener.tell(method, json!({}));
    }
}

/// Waits for new versions of the catalog as long as anybody wants to know.
async fn watch(endpoint: Endpoint) {
    let gateway = endpoint.gateway().clone();
    let mut version = endpoint.context().registry().version();
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
        gateway.changes().look();
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
