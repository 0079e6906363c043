//! Numbers the hub's events, so that a listener who comes back can go on where it was.
//!
//! # Invariants
//!
//! * The newest events are kept, so many and no more; nobody waits for a listener.
//! * It begins with the router, where that is made inside a runtime, else with the first who asks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::domain::{Event, Hub, Timestamp};

/// How many events are kept for listeners who come back.
pub(crate) const KEPT: usize = 1024;

/// An event with its number.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    /// When the journal took it.
    pub(crate) at: Timestamp,
    /// `Err` says how many events the journal itself missed.
    pub(crate) event: Result<Event, u64>,
}

/// The newest events, numbered from 1.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Tells the numbers of this hub's life from those of earlier ones.
    life: String,
    pages: Arc<Mutex<Pages>>,
    news: broadcast::Sender<Arc<Numbered>>,
    ending: CancellationToken,
    pump: OnceLock<AbortOnDropHandle<()>>,
}

#[derive(Debug, Default)]
struct Pages {
    last: u64,
    kept: VecDeque<Arc<Numbered>>,
}

/// What a listener gets: what it missed, then what comes.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Set when events are missing before `kept`: how many, if that can be said.
    pub(crate) gap: Option<Option<u64>>,
    pub(crate) kept: Vec<Arc<Numbered>>,
    pub(crate) news: broadcast::Receiver<Arc<Numbered>>,
}

impl Journal {
    pub(crate) fn new(ending: CancellationToken) -> Self {
        let life = format!("{:x}", Timestamp::now().as_millisecond());
        let (news, _) = broadcast::channel(KEPT);
        Self { life, pages: Arc::default(), news, ending, pump: OnceLock::new() }
    }

    /// The id of an event, for `Last-Event-ID`.
    pub(crate) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.life)
    }

    /// Numbers what happens from now on.
    pub(crate) fn begin(&self, hub: &Hub) {
        self.pump.get_or_init(|| self.start(hub));
    }

    /// The newest events, oldest first.
    pub(crate) fn kept(&self, hub: &Hub) -> Vec<Arc<Numbered>> {
        self.begin(hub);
        self.pages.lock().expect("nothing panics while it holds the journal").kept.iter().cloned().collect()
    }

    /// Events from now on, or from the one after `last_id` as far as they are kept.
    pub(crate) fn subscribe(&self, hub: &Hub, last_id: Option<&str>) -> Subscription {
        self.begin(hub);
        // Under the lock nothing is published: what is not among the kept comes as news.
        let pages = self.pages.lock().expect("nothing panics while it holds the journal");
        let news = self.news.subscribe();
        let Some(last_id) = last_id else { return Subscription { gap: None, kept: Vec::new(), news } };
        let seen = last_id
            .rsplit_once('-')
            .filter(|(life, _)| *life == self.life)
            .and_then(|(_, number)| number.parse::<u64>().ok())
            .filter(|number| *number <= pages.last);
        let Some(seen) = seen else { return Subscription { gap: Some(None), kept: Vec::new(), news } };
        let kept: Vec<Arc<Numbered>> = pages.kept.iter().filter(|e| e.number > seen).cloned().collect();
        let oldest = kept.first().map_or(pages.last + 1, |first| first.number);
        let gap = (oldest > seen + 1).then(|| Some(oldest - seen - 1));
        Subscription { gap, kept, news }
    }

    fn start(&self, hub: &Hub) -> AbortOnDropHandle<()> {
        let (mut events, ending) = (hub.events(), self.ending.clone());
        let (pages, news) = (self.pages.clone(), self.news.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    () = ending.cancelled() => return,
                    event = events.recv() => event,
                };
                let event = match event {
                    Ok(event) => Ok(event),
                    Err(RecvError::Lagged(missed)) => Err(missed),
                    Err(RecvError::Closed) => return,
                };
                let mut pages = pages.lock().expect("nothing panics while it holds the journal");
                pages.publish(event, &news);
            }
        }))
    }
}

impl Pages {
    fn publish(&mut self, event: Result<Event, u64>, news: &broadcast::Sender<Arc<Numbered>>) {
        self.last += 1;
        let numbered = Arc::new(Numbered { number: self.last, at: Timestamp::now(), event });
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(numbered.clone());
        // No listener is no error.
        let _ = news.send(numbered);
    }
}
