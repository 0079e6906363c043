//! Who wants to hear when a resource changes.
//!
//! A server tells it only while it is awake and asked: as long as anybody watches a resource of it,
//! its server is held. One task for each such server brings its news to all who watch.
//!
//! Who asks to watch an address hears what became of that address, and of no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dormouse::{Held, NoBackChannel, ServerKey, chain};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::changes::Listener;
use crate::endpoint::Endpoint;
use crate::gateway::Gateway;
use crate::message::{Fault, INTERNAL_ERROR, Params};
use crate::session::Session;

const UPDATED: &str = "notifications/resources/updated";
/// How long until a server that was lost is tried again, doubled up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After how long without news it is looked who still watches.
const LONGEST_SILENCE: Duration = Duration::from_secs(10 * 60);

/// All who watch.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    servers: Mutex<HashMap<ServerKey, Arc<Watched>>>,
}

/// One server of which something is watched.
#[derive(Debug)]
struct Watched {
    state: Mutex<State>,
    /// Tells the task that the addresses have changed.
    changed: Notify,
    over: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    /// By the server's own address.
    watchers: BTreeMap<String, Vec<Watcher>>,
    /// Who waits to hear what became of an address.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    own: String,
    who: Who,
    /// It did not watch this address before.
    fresh: bool,
    told: oneshot::Sender<Result<(), Fault>>,
}

/// One who watches.
#[derive(Debug)]
struct Watcher {
    /// The address as he knows it.
    shown: String,
    who: Who,
}

#[derive(Debug, Clone)]
enum Who {
    Session { id: String, session: Weak<Session> },
    Listener(Arc<Listener>),
}

impl Who {
    fn of(session: &Arc<Session>) -> Self {
        Self::Session { id: session.id().to_owned(), session: Arc::downgrade(session) }
    }

    fn is_gone(&self) -> bool {
        match self {
            Self::Session { session, .. } => session.upgrade().is_none_or(|it| it.over().is_cancelled()),
            Self::Listener(listener) => listener.gone.is_cancelled(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Session { id, .. }, Self::Session { id: other, .. }) => id == other,
            (Self::Listener(it), Self::Listener(other)) => Arc::ptr_eq(it, other),
            _ => false,
        }
    }

    fn tell(&self, params: Value) {
        match self {
            Self::Session { session, .. } => {
                if let Some(session) = session.upgrade() {
                    session.tell(UPDATED, params);
                }
            }
            Self::Listener(listener) => listener.tell(UPDATED, params),
        }
    }
}

/// Watches what a session wants to hear of.
pub(crate) async fn subscribe(
    endpoint: &Endpoint,
    session: &Arc<Session>,
    params: &Params,
) -> Result<Value, Fault> {
    let (server, own, shown) = named(endpoint, params)?;
    session.may_subscribe(&shown)?;
    let who = Who::of(session);
    endpoint.gateway().watches().add(endpoint, server, own, Watcher { shown: shown.clone(), who }).await?;
    session.subscribe(&shown).await;
    Ok(json!({}))
}

/// Ends that.
pub(crate) async fn unsubscribe(
    endpoint: &Endpoint,
    session: &Arc<Session>,
    params: &Params,
) -> Result<Value, Fault> {
    let (server, own, shown) = named(endpoint, params)?;
    let who = Who::of(session);
    endpoint.gateway().watches().remove(&server, &own, &who);
    session.unsubscribe(&shown).await;
    Ok(json!({}))
}

fn named(endpoint: &Endpoint, params: &Params) -> Result<(ServerKey, String, String), Fault> {
    let Some(uri) = params.get("uri").and_then(Value::as_str) else {
        return Err(Fault::invalid("`uri` must be a text"));
    };
    let (server, own) = endpoint.resource(uri).map_err(Fault::invalid)?;
    Ok((server, own, uri.to_owned()))
}

/// Watches again what a session wanted to hear of in an earlier life of the hub.
pub(crate) fn resume(endpoint: &Endpoint, session: &Arc<Session>) {
    let shown = session.subscriptions();
    if shown.is_empty() {
        return;
    }
    let (endpoint, session) = (endpoint.clone(), Arc::clone(session));
    // Ends when each was tried once.
    tokio::spawn(async move {
        for shown in shown {
            let Ok((server, own)) = endpoint.resource(&shown) else { continue };
            let who = Who::of(&session);
            let watcher = Watcher { shown, who };
            if let Err(fault) = endpoint.gateway().watches().add(&endpoint, server, own, watcher).await {
                debug!(fault.message, "a resource of an earlier life is not watched any more");
            }
        }
    });
}

/// Watches what a session wants to hear of by now, which another hub was told, and nothing else.
pub(crate) fn agree(endpoint: &Endpoint, session: &Arc<Session>) {
    let wanted = session.subscriptions();
    let watches = endpoint.gateway().watches();
    if watches.of(session.id()) == wanted {
        return;
    }
    watches.leave(session.id());
    resume(endpoint, session);
}

/// Watches for a listener of the stateless life, at all servers at once. What cannot be watched is
/// left out; the addresses that are.
pub(crate) async fn listen(endpoint: &Endpoint, listener: &Arc<Listener>, uris: Vec<String>) -> Vec<String> {
    let tried = uris.into_iter().map(|uri| async {
        let (server, own) = endpoint.resource(&uri).ok()?;
        let watcher = Watcher { shown: uri.clone(), who: Who::Listener(Arc::clone(listener)) };
        let added = endpoint.gateway().watches().add(endpoint, server, own, watcher).await;
        added.is_ok().then_some(uri)
    });
    join_all(tried).await.into_iter().flatten().collect()
}

impl Watches {
    fn servers(&self) -> MutexGuard<'_, HashMap<ServerKey, Arc<Watched>>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets all servers go.
    pub(crate) fn clear(&self) {
        for (_, watched) in self.servers().drain() {
            watched.over.cancel();
        }
    }

    async fn add(
        &self,
        endpoint: &Endpoint,
        server: ServerKey,
        own: String,
        watcher: Watcher,
    ) -> Result<(), Fault> {
        let who = watcher.who.clone();
        let (told, hear) = oneshot::channel();
        let fresh;
        {
            let mut servers = self.servers();
            let watched = servers.entry(server.clone()).or_insert_with(|| {
                let watched = Arc::new(Watched {
                    state: Mutex::default(),
                    changed: Notify::new(),
                    over: endpoint.gateway().ending().child_token(),
                });
                // Ends when nobody watches any more, or with the gateway.
                tokio::spawn(look_after(endpoint.clone(), server.clone(), Arc::clone(&watched)));
                watched
            });
            fresh = watched.state().add(own.clone(), watcher, told);
            watched.changed.notify_one();
        }
        let mut asking = Asking { watches: self, server: &server, own: &own, who: &who, takes_back: fresh };
        let outcome = hear.await;
        // From here on it is known whether it watches.
        asking.takes_back = false;
        outcome.unwrap_or_else(|_| Err(Fault::new(INTERNAL_ERROR, "the resource is not watched any more")))
    }

    fn remove(&self, server: &ServerKey, own: &str, who: &Who) {
        let Some(watched) = self.servers().get(server).cloned() else { return };
        watched.state().remove(own, who);
        watched.changed.notify_one();
    }

    /// The addresses that a session watches here, sorted, as it knows them.
    fn of(&self, session: &str) -> Vec<String> {
        let servers: Vec<_> = self.servers().values().cloned().collect();
        let mut all = Vec::new();
        for watched in servers {
            for watcher in watched.state().watchers.values().flatten() {
                if matches!(&watcher.who, Who::Session { id, .. } if id == session) {
                    all.push(watcher.shown.clone());
                }
            }
        }
        all.sort();
        all
    }

    /// A session has ended.
    pub(crate) fn leave(&self, session: &str) {
        self.leave_if(|who| matches!(who, Who::Session { id, .. } if id == session));
    }

    /// Forgets all that are gone.
    pub(crate) fn tidy(&self) {
        self.leave_if(Who::is_gone);
    }

    fn leave_if(&self, gone: impl Fn(&Who) -> bool) {
        let servers: Vec<_> = self.servers().values().cloned().collect();
        for watched in servers {
            watched.state().watchers.retain(|_, watchers| {
                watchers.retain(|watcher| !gone(&watcher.who));
                !watchers.is_empty()
            });
            watched.changed.notify_one();
        }
    }

    /// Takes a server out, unless somebody came meanwhile.
    fn take_out(&self, server: &ServerKey, watched: &Arc<Watched>) -> bool {
        let mut servers = self.servers();
        if !watched.state().watchers.is_empty() {
            return false;
        }
        if servers.get(server).is_some_and(|it| Arc::ptr_eq(it, watched)) {
            servers.remove(server);
        }
        true
    }
}

/// One who waits to hear whether it watches. Dropped, it does not want to any more.
struct Asking<'a> {
    watches: &'a Watches,
    server: &'a ServerKey,
    own: &'a str,
    who: &'a Who,
    takes_back: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.takes_back {
            self.watches.remove(self.server, self.own, self.who);
        }
    }
}

impl State {
    /// Adds a watcher who waits for the outcome; whether it is new.
    fn add(&mut self, own: String, watcher: Watcher, told: oneshot::Sender<Result<(), Fault>>) -> bool {
        let who = watcher.who.clone();
        let watchers = self.watchers.entry(own.clone()).or_default();
        let before = watchers.len();
        watchers.retain(|other| !other.who.is(&who));
        let fresh = watchers.len() == before;
        watchers.push(watcher);
        self.waiting.push(Waiting { own, who, fresh, told });
        fresh
    }

    fn remove(&mut self, own: &str, who: &Who) {
        if let Some(watchers) = self.watchers.get_mut(own) {
            watchers.retain(|other| !other.who.is(who));
            if watchers.is_empty() {
                self.watchers.remove(own);
            }
        }
    }

    /// The addresses that are watched. Who waits for another one has taken it back.
    fn wanted(&mut self) -> BTreeSet<String> {
        let watchers = &self.watchers;
        self.waiting.retain(|waiting| watchers.contains_key(&waiting.own));
        self.watchers.keys().cloned().collect()
    }

    /// Tells those who wait for one of these addresses what became of it. Without success they watch
    /// nothing there, if they did not before.
    fn settle(&mut self, is_meant: impl Fn(&str) -> bool, outcome: &Result<(), Fault>) {
        for waiting in self.waiting.extract_if(.., |waiting| is_meant(&waiting.own)).collect::<Vec<_>>() {
            if outcome.is_err() && waiting.fresh {
                self.remove(&waiting.own, &waiting.who);
            }
            // Fails when the client has left.
            let _ = waiting.told.send(outcome.clone());
        }
    }
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all who watch an address.
    fn news(&self, own: &str, params: &Value) {
        let mut state = self.state();
        // A server may tell of a part of what was asked for, such as a file in a folder.
        let fits =
            |watched: &str| watched == own || own.starts_with(&format!("{}/", watched.trim_end_matches('/')));
        for (watched, watchers) in &mut state.watchers {
            if !fits(watched) {
                continue;
            }
            watchers.retain(|watcher| !watcher.who.is_gone());
            for watcher in watchers {
                let mut params = params.clone();
                let shown = watcher.shown.strip_suffix(watched.as_str()).unwrap_or_default();
                params["uri"] = Value::String(format!("{shown}{own}"));
                watcher.who.tell(params);
            }
        }
    }
}

/// Holds a server as long as anybody watches something of it.
async fn look_after(endpoint: Endpoint, server: ServerKey, watched: Arc<Watched>) {
    let gateway = endpoint.gateway().clone();
    let mut pause = SHORTEST_PAUSE;
    loop {
        if watched.over.is_cancelled() || gateway.watches().take_out(&server, &watched) {
            return;
        }
        match endpoint.context().hold(&server, Arc::new(NoBackChannel)).await {
            Ok(held) => {
                pause = SHORTEST_PAUSE;
                follow(&gateway, &held, &watched).await;
            }
            Err(error) => {
                let words = format!("the server cannot be watched: {}", chain(&error));
                watched.state().settle(|_| true, &Err(Fault::new(INTERNAL_ERROR, words)));
                tokio::select! {
                    () = watched.over.cancelled() => return,
                    () = watched.changed.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Brings the news of one start of a server, until it is gone or nobody watches.
async fn follow(gateway: &Gateway, held: &Held, watched: &Watched) {
    let mut news = held.updates();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    loop {
        let wanted = watched.state().wanted();
        if wanted.is_empty() {
            break;
        }
        watched.state().settle(|own| asked.contains(own) && wanted.contains(own), &Ok(()));
        for uri in wanted.difference(&asked).cloned().collect::<Vec<_>>() {
            // Each hears of its own address, as soon as that is known.
            let outcome = held.subscribe(&uri).await.map_err(|error| crate::dispatch::wire_fault(&error));
            watched.state().settle(|own| own == uri, &outcome);
            if outcome.is_ok() {
                asked.insert(uri);
            }
        }
        for uri in asked.difference(&wanted).cloned().collect::<Vec<_>>() {
            let _ = held.unsubscribe(&uri).await;
            asked.remove(&uri);
        }
        tokio::select! {
            () = watched.over.cancelled() => break,
            () = watched.changed.notified() => {}
            () = held.closed() => return,
            // Who vanished without a word keeps no server awake for ever.
            () = tokio::time::sleep(LONGEST_SILENCE) => {
                gateway.sessions().forget_idle();
                gateway.watches().tidy();
            }
            () = until_lost(&mut news, watched) => return,
        }
    }
    for uri in asked {
        let _ = held.unsubscribe(&uri).await;
    }
}

async fn until_lost(
    news: &mut tokio::sync::broadcast::Receiver<Arc<dormouse::ServerNote>>,
    watched: &Watched,
) {
    loop {
        match news.recv().await {
            Ok(note) if note.method == UPDATED => {
                if let Some(uri) = note.params.get("uri").and_then(Value::as_str) {
                    watched.news(uri, &note.params);
                }
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
