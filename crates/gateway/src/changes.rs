//! Tells clients that a list of theirs reads otherwise than before.
//!
//! One task for each gateway waits for a new version of the catalog, lets the changes of a moment
//! gather, and compares the hashes of each endpoint's lists with those that its clients were told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};
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
    seen: Digests,
    who: Who,
}

#[derive(Debug)]
enum Who {
    Session(Weak<Session>),
    /// One of the stateless life, with its subscription.
    Listener(Arc<Listener>),
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

    /// Tells a session of every change from what it was told last.
    pub(crate) fn follow_session(&self, endpoint: &Endpoint, session: &Arc<Session>) {
        let now = endpoint.lists().digests();
        // Taken up from storage, it may have seen other lists than those of now.
        let seen = session.seen_lists(&now);
        let changed = seen != now;
        self.follow(Follower {
            endpoint: endpoint.clone(),
            seen,
            who: Who::Session(Arc::downgrade(session)),
        });
        if changed {
            let endpoint = endpoint.clone();
            // Ends by itself; the session's stream may be opened a moment later.
            tokio::spawn(async move {
                tokio::time::sleep(GATHERING).await;
                endpoint.gateway().changes().look();
            });
        }
    }

    /// Tells a listener of every change from now on, until it is gone.
    pub(crate) fn follow_listener(&self, endpoint: &Endpoint, listener: Arc<Listener>) {
        let seen = endpoint.lists().digests();
        self.follow(Follower { endpoint: endpoint.clone(), seen, who: Who::Listener(listener) });
    }

    fn follow(&self, follower: Follower) {
        let endpoint = follower.endpoint.clone();
        let mut state = self.state();
        state.followers.push(follower);
        if !std::mem::replace(&mut state.running, true) {
            // Ends with the gateway, or when nobody follows any more.
            tokio::spawn(watch(endpoint));
        }
    }

    /// Forgets who is gone; whether anybody is left.
    fn tidy(state: &mut State) -> bool {
        state.followers.retain(|follower| match &follower.who {
            Who::Session(session) => session.upgrade().is_some_and(|session| !session.over().is_cancelled()),
            Who::Listener(listener) => !listener.gone.is_cancelled(),
        });
        !state.followers.is_empty()
    }

    /// Looks whose lists read otherwise, and tells them.
    fn look(&self) {
        let mut state = self.state();
        Self::tidy(&mut state);
        for follower in &mut state.followers {
            let now = follower.endpoint.lists().digests();
            if now == follower.seen {
                continue;
            }
            let changed = (
                now.tools != follower.seen.tools,
                now.resources != follower.seen.resources,
                now.prompts != follower.seen.prompts,
            );
            follower.seen = now.clone();
            tell(&follower.who, changed, now);
        }
    }
}

fn tell(who: &Who, (tools, resources, prompts): (bool, bool, bool), now: Digests) {
    let kinds = [
        (tools, "notifications/tools/list_changed"),
        (resources, "notifications/resources/list_changed"),
        (prompts, "notifications/prompts/list_changed"),
    ];
    match who {
        Who::Session(session) => {
            let Some(session) = session.upgrade() else { return };
            for (_, method) in kinds.iter().filter(|(changed, _)| *changed) {
                session.tell(method, Value::Null);
            }
            session.told_lists(now);
        }
        Who::Listener(listener) => {
            let wanted = [listener.tools, listener.resources, listener.prompts];
            for ((_, method), _) in
                kinds.iter().zip(wanted).filter(|((changed, _), wanted)| *changed && *wanted)
            {
                listener.tell(method, json!({}));
            }
        }
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
            changed = version.changed() => if changed.is_err() { break },
        }
        tokio::time::sleep(GATHERING).await;
        version.mark_unchanged();
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
