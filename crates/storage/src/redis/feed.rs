//! What other hubs wrote and told, in their order, with a word when something was missed.
//!
//! Each batch of writes has a number, counted in the same step, and is published with it. A hub
//! that sees a number out of order, connects anew, or finds by asking that it is behind, says
//! [`FromOthers::Missed`]: a message that was lost costs time, never truth.
//!
//! A hub knows its own writes, but for those whose answer was lost. Of these it is told like of
//! another hub's: when their answer is given up, and again if they are made after that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fred::clients::SubscriberClient;
use fred::prelude::*;
use fred::types::Message;
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::error::told;
use super::line::{Light, silent};
use crate::{FromOthers, StorageError, Table};

/// How often a quiet feed asks whether it is behind.
const POLL: Duration = Duration::from_secs(5);
/// How soon a feed that is down tries again.
const RETRY: Duration = Duration::from_millis(250);
/// How long messages from before a new beginning may still come.
const SETTLING: Duration = Duration::from_secs(1);
/// How long a message takes from node to node of a cluster.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// What is published behind the number of the batch, or `-`.
#[derive(Debug, Deserialize)]
struct Published {
    hub: String,
    /// Which of that hub's batches; 0 for what is none.
    #[serde(default)]
    batch: u64,
    #[serde(default)]
    tables: Vec<String>,
    told: Option<Json>,
}

/// Counts a hub's own batches.
#[derive(Debug, Default)]
pub(super) struct Batches {
    last: AtomicU64,
    /// The newest one of which nobody knows whether it was made. Those before it count as such as
    /// well: to look once more costs little.
    unsure: AtomicU64,
}

impl Batches {
    /// The number of the next one, from 1.
    pub(super) fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A batch that was sent. Dropped before its end is known, it is told like another hub's.
pub(super) struct Sent<'a> {
    batches: &'a Batches,
    others: &'a broadcast::Sender<FromOthers>,
    number: u64,
    tables: Vec<Table>,
    is_known: bool,
}

impl<'a> Sent<'a> {
    pub(super) fn new(
        batches: &'a Batches,
        others: &'a broadcast::Sender<FromOthers>,
        number: u64,
        tables: &[Table],
    ) -> Self {
        Self { batches, others, number, tables: tables.to_vec(), is_known: tables.is_empty() }
    }

    /// It is known what became of it, unless this is an error that says nothing of that.
    pub(super) fn ended<T>(mut self, result: &Result<T, StorageError>) {
        use StorageError::{Engine, Unreachable};
        self.is_known |= !matches!(result, Err(Unreachable { .. } | Engine { .. }));
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.is_known {
            // First the number: what is made after this is told by the feed.
            self.batches.unsure.fetch_max(self.number, Ordering::SeqCst);
            let _ = self.others.send(FromOthers::Written(std::mem::take(&mut self.tables)));
        }
    }
}

pub(super) struct Feed {
    pub(super) client: SubscriberClient,
    pub(super) channel: String,
    pub(super) meta: String,
    pub(super) hub: String,
    pub(super) within: Duration,
    pub(super) others: broadcast::Sender<FromOthers>,
    pub(super) batches: Arc<Batches>,
    pub(super) light: Light,
    /// The newest batch that is known of.
    seen: u64,
    settled: Instant,
}

impl Feed {
    pub(super) fn new(
        client: SubscriberClient,
        channel: String,
        meta: String,
        hub: String,
        within: Duration,
        others: broadcast::Sender<FromOthers>,
    ) -> Self {
        let (light, settled) = (Light::new(), Instant::now() + SETTLING);
        Self { client, channel, meta, hub, within, others, batches: Arc::default(), light, seen: 0, settled }
    }

    /// Begins to listen. What is published from now on will be seen by [`run`](Self::run).
    pub(super) async fn begin(&mut self) -> Result<broadcast::Receiver<Message>, Error> {
        let messages = self.client.message_rx();
        self.subscribe().await?;
        Ok(messages)
    }

    /// Listens until the client is closed.
    pub(super) async fn run(mut self, mut messages: broadcast::Receiver<Message>) {
        let (mut errors, mut connected) = (self.client.error_rx(), self.client.reconnect_rx());
        let mut next_poll = Instant::now() + POLL;
        let mut subscribed = true;
        loop {
            tokio::select! {
                biased;
                message = messages.recv() => match message {
                    Ok(message) => self.take(&message),
                    Err(RecvError::Lagged(_)) => self.tell(FromOthers::Missed),
                    Err(RecvError::Closed) => return,
                },
                error = errors.recv() => match error {
                    Ok((error, _)) => {
                        self.light.down(told(&error));
                        next_poll = Instant::now() + RETRY;
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                again = connected.recv() => match again {
                    Ok(_) | Err(RecvError::Lagged(_)) => {
                        subscribed = false;
                        next_poll = Instant::now();
                    }
                    Err(RecvError::Closed) => return,
                },
                () = sleep_until(next_poll) => {
                    let done = if subscribed {
                        self.poll(&mut messages).await
                    } else {
                        let done = self.subscribe().await;
                        if done.is_ok() {
                            subscribed = true;
                            // What was told meanwhile is lost in any case.
                            self.tell(FromOthers::Missed);
                        }
                        done
                    };
                    match &done {
                        Ok(()) => self.light.up(),
                        Err(error) => self.light.down(told(error)),
                    }
                    next_poll = Instant::now() + if done.is_ok() { POLL } else { RETRY };
                }
            }
        }
    }

    async fn subscribe(&mut self) -> Result<(), Error> {
        timeout(self.within, self.client.subscribe(self.channel.as_str())).await.map_err(|_| silent())??;
        self.seen = self.version().await?;
        self.settled = Instant::now() + SETTLING;
        Ok(())
    }

    /// Asks how many batches there are. On the connection that brings the messages: what was
    /// published before the answer has come before it, but in a cluster.
    async fn version(&self) -> Result<u64, Error> {
        let asked = self.client.hget::<Option<u64>, _, _>(self.meta.as_str(), "version");
        Ok(timeout(self.within, asked).await.map_err(|_| silent())??.unwrap_or(0))
    }

    async fn poll(&mut self, messages: &mut broadcast::Receiver<Message>) -> Result<(), Error> {
        let before = self.seen;
        let version = self.version().await?;
        if version > before && self.client.is_clustered() {
            sleep(ON_ITS_WAY).await;
        }
        loop {
            match messages.try_recv() {
                Ok(message) => self.take(&message),
                Err(TryRecvError::Lagged(_)) => self.tell(FromOthers::Missed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if version < before || version > self.seen {
            self.seen = version;
            self.tell(FromOthers::Missed);
        }
        Ok(())
    }

    fn take(&mut self, message: &Message) {
        let Some(text) = message.value.as_str() else { return };
        let Some((number, rest)) = text.split_once(' ') else { return };
        let Ok(published) = serde_json::from_str::<Published>(rest) else { return };
        let from_others = published.hub != self.hub;
        if let Some(told) = published.told {
            if from_others {
                self.tell(FromOthers::Told(told));
            }
            return;
        }
        let Ok(number) = number.parse::<u64>() else { return };
        let expected = self.seen + 1;
        if number < expected && Instant::now() < self.settled {
            return;
        }
        self.seen = number;
        if number != expected {
            self.tell(FromOthers::Missed);
        } else if from_others || published.batch <= self.batches.unsure.load(Ordering::SeqCst) {
            let known = |name: &String| Table::ALL.into_iter().find(|table| table.as_str() == name);
            self.tell(FromOthers::Written(published.tables.iter().filter_map(known).collect()));
        }
    }

    fn tell(&self, what: FromOthers) {
        // Perhaps nobody listens yet.
        let _ = self.others.send(what);
    }
}
