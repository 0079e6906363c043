//! What a server says that belongs to no call, and the asking for it.
//!
//! Servers of the older kinds are asked resource by resource (`resources/subscribe`). From
//! 2026-07-28 on one request that stays open (`subscriptions/listen`) names all that is wanted; when
//! that changes, the next one is there before the last one goes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use dormouse_types::{BackChannel, CallEvent, ServerNote};
use serde_json::{Map, Value, json};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Connection, Inner, after};
use crate::error::CallError;
use crate::wire::Ticket;

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often in a row a server may end a listening before it is left alone.
const MOST_ENDS: u32 = 5;

/// The resources that are wanted, with how many want each.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    wanted: BTreeMap<String, usize>,
    /// Ends the listening under way when it is dropped.
    listening: Option<DropGuard>,
}

impl Connection {
    /// Every notification of the server that belongs to no call, from now on. Who reads too slowly
    /// loses the oldest.
    pub fn notes(&self) -> broadcast::Receiver<Arc<ServerNote>> {
        self.inner.wire.notes.subscribe()
    }

    /// Asks the server to tell when a resource changes. Each is counted: the server is asked once.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn subscribe(&self, uri: &str, deadline: Duration) -> Result<(), CallError> {
        let until = after(deadline);
        let mut subscriptions = self.inner.subscriptions.lock().await;
        if let Some(count) = subscriptions.wanted.get_mut(uri) {
            *count += 1;
            return Ok(());
        }
        subscriptions.wanted.insert(uri.to_owned(), 1);
        let asked = match self.is_modern() {
            true => self.listen_for(&mut subscriptions, Some(uri), until).await,
            false => self.inner.say_of_resource("resources/subscribe", uri, until).await,
        };
        if asked.is_err() {
            subscriptions.wanted.remove(uri);
        }
        asked
    }

    /// Takes one [`subscribe`](Self::subscribe) back; what nobody subscribed is no error.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn unsubscribe(&self, uri: &str, deadline: Duration) -> Result<(), CallError> {
        let until = after(deadline);
        let mut subscriptions = self.inner.subscriptions.lock().await;
        let Some(count) = subscriptions.wanted.get_mut(uri) else { return Ok(()) };
        *count -= 1;
        if *count > 0 {
            return Ok(());
        }
        subscriptions.wanted.remove(uri);
        match self.is_modern() {
            true => self.listen_for(&mut subscriptions, None, until).await,
            false => self.inner.say_of_resource("resources/unsubscribe", uri, until).await,
        }
    }

    /// Puts a listening for all that is wanted in the place of the one under way. The server has to
    /// accept the one that is new.
    async fn listen_for(
        &self,
        subscriptions: &mut Subscriptions,
        new: Option<&str>,
        until: Instant,
    ) -> Result<(), CallError> {
        let wanted: Vec<&String> = subscriptions.wanted.keys().collect();
        if wanted.is_empty() {
            subscriptions.listening = None;
            return Ok(());
        }
        let (guard, mut heard) = Inner::listen(&self.inner, json!({ "resourceSubscriptions": wanted }));
        let heard = tokio::time::timeout_at(until, heard.wait_for(Option::is_some)).await;
        let accepted = match heard {
            // The task that says it lives as long as its guard.
            Ok(heard) => heard.ok().and_then(|heard| heard.clone()).unwrap_or(Err(CallError::NotSent))?,
            Err(_) => {
                let after = until.saturating_duration_since(Instant::now());
                return Err(CallError::TimedOut { after, sent: true });
            }
        };
        if let Some(new) = new
            && !accepted.iter().any(|uri| uri == new)
        {
            let message = "the server does not tell of changes of that resource".to_owned();
            return Err(CallError::Refused { code: -32602, message, data: None });
        }
        subscriptions.listening = Some(guard);
        Ok(())
    }
}

/// What became of a listening: the resources that the server tells about.
type Heard = Option<Result<Vec<String>, CallError>>;

impl Inner {
    async fn say_of_resource(&self, method: &str, uri: &str, until: Instant) -> Result<(), CallError> {
        let params = Map::from_iter([("uri".to_owned(), Value::from(uri))]);
        self.request(method, Some(&params), until, None).await?;
        let mut subscribed = self.wire.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
        match method {
            "resources/subscribe" => subscribed.insert(uri.to_owned()),
            _ => subscribed.remove(uri),
        };
        Ok(())
    }

    /// Listens to the announcements of changed lists that the server has promised; a server at a URL
    /// is listened to by its link.
    pub(super) fn listen_for_lists(self: &Arc<Self>) {
        let greeting = self.greeting();
        let promised = |kind: &str| greeting["capabilities"][kind]["listChanged"] == true;
        let mut filter = Map::new();
        for kind in ["tools", "prompts", "resources"] {
            if promised(kind) {
                filter.insert(format!("{kind}ListChanged"), Value::from(true));
            }
        }
        if !filter.is_empty() {
            // Ends with the connection.
            drop(Self::listen(self, Value::Object(filter)).0.disarm());
        }
    }

    /// Begins to listen, until the guard is dropped or the connection ends.
    fn listen(inner: &Arc<Self>, filter: Value) -> (DropGuard, watch::Receiver<Heard>) {
        let (heard, hearing) = watch::channel(None);
        let ends = CancellationToken::new();
        let (inner, ended) = (Arc::clone(inner), ends.clone());
        tokio::spawn(async move { ended.run_until_cancelled(inner.keep_listening(filter, heard)).await });
        (ends.drop_guard(), hearing)
    }

    async fn keep_listening(&self, filter: Value, heard: watch::Sender<Heard>) {
        let uris: Vec<String> = filter["resourceSubscriptions"]
            .as_array()
            .map(|uris| uris.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let params = Map::from_iter([("notifications".to_owned(), filter)]);
        let ear = Arc::new(Ear { heard, uris, wire: Arc::clone(&self.wire) });
        let mut ends = 0;
        loop {
            let ticket = Ticket::standing(Arc::clone(&ear) as Arc<dyn BackChannel>);
            let begun = Instant::now();
            let ended = self.request_by(ticket, "subscriptions/listen", Some(&params), after(Duration::MAX));
            match ended.await {
                Ok(_) | Err(CallError::Broken { .. } | CallError::Unreachable { .. }) => {}
                Err(error) => {
                    ear.heard.send_if_modified(|heard| {
                        let first = heard.is_none();
                        if first {
                            *heard = Some(Err(error));
                        }
                        first
                    });
                    return;
                }
            }
            ends = if begun.elapsed() > LONGEST_PAUSE { 1 } else { ends + 1 };
            if ends > MOST_ENDS {
                return;
            }
            tokio::time::sleep((SHORTEST_PAUSE * 2u32.pow(ends - 1)).min(LONGEST_PAUSE)).await;
        }
    }
}

/// Hears what the server accepts of a listening. What it tells then, the wire tells on.
#[derive(Debug)]
struct Ear {
    heard: watch::Sender<Heard>,
    uris: Vec<String>,
    wire: Arc<crate::wire::Wire>,
}

impl BackChannel for Ear {
    fn notify(&self, event: CallEvent) {
        let CallEvent::Other { params, .. } = event else { return };
        let accepted = params["notifications"]["resourceSubscriptions"].as_array().cloned();
        let accepted = accepted.unwrap_or_default().into_iter();
        let accepted = accepted.filter_map(|uri| uri.as_str().map(str::to_owned)).collect();
        if self.heard.send_replace(Some(Ok(accepted))).is_some() {
            // It was taken up again, and nobody repeats what was told meanwhile.
            self.uris.iter().for_each(|uri| self.wire.note_update(uri));
            self.wire.list_changed.send_modify(|count| *count += 1);
        }
    }

    fn wants_progress(&self) -> bool {
        false
    }
}
