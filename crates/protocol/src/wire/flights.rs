//! Requests under way: which answer belongs to whom, and how far each request got.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dormouse_types::BackChannel;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::CallError;

/// What a request carries from the caller to the wire, beside its content.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// The way back to the caller; `None` for the hub's own requests.
    back: Option<Arc<dyn BackChannel>>,
    /// Whether it stays open to listen, and is no call.
    stands: bool,
    state: AtomicU8,
    /// Cancelled when nobody waits for the answer any more.
    over: CancellationToken,
    clock: Mutex<Clock>,
}

/// How long the caller was being asked, perhaps a person: time that the server does not use.
#[derive(Debug, Default)]
struct Clock {
    /// Questions that are open, and since when the first of them is.
    open: usize,
    since: Option<Instant>,
    stood: Duration,
}

/// How long the caller may think in all.
pub(crate) const LONGEST_THOUGHT: Duration = Duration::from_secs(60 * 60);
/// How soon it is looked again whether the caller still thinks.
const GLANCE: Duration = Duration::from_secs(1);

const WAITING: u8 = 0;
const SENT: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    pub(crate) fn new(back: Option<Arc<dyn BackChannel>>) -> Arc<Self> {
        Self::with(back, false)
    }

    /// One for a request that stays open to listen: no question goes to it, and no log.
    pub(crate) fn standing(back: Arc<dyn BackChannel>) -> Arc<Self> {
        Self::with(Some(back), true)
    }

    fn with(back: Option<Arc<dyn BackChannel>>, stands: bool) -> Arc<Self> {
        Arc::new(Self {
            back,
            stands,
            state: AtomicU8::new(WAITING),
            over: CancellationToken::new(),
            clock: Mutex::default(),
        })
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the clock of the request while its caller is being asked.
    pub(crate) fn stop_clock(&self) -> Stopped<'_> {
        let mut clock = self.clock();
        clock.open += 1;
        clock.since.get_or_insert_with(Instant::now);
        Stopped(self)
    }

    /// Whether its caller is being asked something.
    pub(crate) fn is_asked(&self) -> bool {
        self.clock().open > 0
    }

    /// When a time is over that began to end at `first`, and seemed to be over at `until`. `None`: it
    /// is.
    pub(crate) fn later(&self, first: Instant, until: Instant) -> Option<Instant> {
        let clock = self.clock();
        let stands = clock.since.map_or(Duration::ZERO, |since| since.elapsed());
        let stood = (clock.stood + stands).min(LONGEST_THOUGHT);
        let still = clock.open > 0 && stood < LONGEST_THOUGHT;
        let later = if still { Instant::now() + GLANCE } else { first + stood };
        (later > until).then_some(later)
    }

    /// Whether it is that of a call.
    pub(super) fn is_call(&self) -> bool {
        self.back.is_some() && !self.stands
    }

    /// Claims the request for sending; false when it was withdrawn.
    pub(crate) fn begin_sending(&self) -> bool {
        let claim = self.state.compare_exchange(WAITING, SENT, Ordering::AcqRel, Ordering::Acquire);
        claim.is_ok()
    }

    /// Takes the claim back before anything was written: it may be withdrawn again.
    pub(crate) fn unsend(&self) {
        self.state.store(WAITING, Ordering::Release);
    }

    /// Takes the claim back: the server cannot have read the whole line.
    pub(crate) fn fail_sending(&self) {
        self.state.store(WITHDRAWN, Ordering::Release);
    }

    /// Withdraws the request, unless it was sent. Returns whether the server may have it.
    pub(crate) fn withdraw(&self) -> bool {
        let claim = self.state.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire);
        claim == Err(SENT)
    }

    /// Ends the interest in the answer: questions on the way back are dropped.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }

    /// Resolves when nobody waits for the answer any more.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    pub(crate) fn back(&self) -> Option<&Arc<dyn BackChannel>> {
        self.back.as_ref()
    }
}

/// The clock of a request stands as long as this is held.
pub(crate) struct Stopped<'a>(&'a Ticket);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let mut clock = self.0.clock();
        clock.open -= 1;
        if clock.open == 0
            && let Some(since) = clock.since.take()
        {
            clock.stood += since.elapsed();
        }
    }
}

/// What a server answered.
pub(crate) type Answer = Result<Value, CallError>;

/// One request on the wire.
#[derive(Debug)]
struct Flight {
    ticket: Arc<Ticket>,
    answer: oneshot::Sender<Answer>,
}

/// The requests under way on one wire.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: i64,
    /// No answer comes any more.
    ended: bool,
    /// By number, which is the progress token too.
    flights: HashMap<i64, Flight>,
}

impl Flights {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request that is about to be sent, since the answer may be faster than the next line
    /// of whoever sends. Gives its number, and where its answer comes: an end of that without an
    /// answer is the end of the wire. `None` when the wire has ended.
    pub(crate) fn depart(&self, ticket: &Arc<Ticket>) -> Option<(i64, oneshot::Receiver<Answer>)> {
        let (answer, answered) = oneshot::channel();
        let mut table = self.table();
        if table.ended {
            return None;
        }
        table.last += 1;
        let id = table.last;
        table.flights.insert(id, Flight { ticket: Arc::clone(ticket), answer });
        Some((id, answered))
    }

    /// Gives an answer to whoever waits for it; false when nobody does.
    pub(super) fn land(&self, id: i64, answer: Answer) -> bool {
        let Some(flight) = self.table().flights.remove(&id) else { return false };
        // Fails when he has left in this very moment.
        let _ = flight.answer.send(answer);
        true
    }

    /// Forgets a request whose caller has left; false when it was answered before.
    pub(crate) fn forget(&self, id: i64) -> bool {
        self.table().flights.remove(&id).is_some()
    }

    /// Nothing comes any more: ends every wait.
    pub(crate) fn end(&self) {
        let flights = {
            let mut table = self.table();
            table.ended = true;
            std::mem::take(&mut table.flights)
        };
        drop(flights);
    }

    /// The request to which a progress token belongs.
    pub(super) fn by_token(&self, token: i64) -> Option<Arc<Ticket>> {
        self.table().flights.get(&token).map(|flight| Arc::clone(&flight.ticket))
    }

    /// The calls under way, one for each caller.
    pub(crate) fn callers(&self) -> Vec<Arc<Ticket>> {
        let table = self.table();
        let mut callers: Vec<Arc<Ticket>> = Vec::new();
        for Flight { ticket, .. } in table.flights.values() {
            let Some(back) = ticket.back().filter(|_| ticket.is_call()) else { continue };
            let known =
                callers.iter().any(|other| other.back().is_some_and(|other| Arc::ptr_eq(other, back)));
            if !known {
                callers.push(Arc::clone(ticket));
            }
        }
        callers
    }
}

#[cfg(test)]
mod tests {
    use dormouse_types::NoBackChannel;

    use super::*;

    #[test]
    fn a_request_is_either_sent_or_withdrawn() {
        let sent = Ticket::new(None);
        assert!(sent.begin_sending());
        assert!(sent.withdraw(), "the server may have it");
        let withdrawn = Ticket::new(None);
        assert!(!withdrawn.withdraw());
        assert!(!withdrawn.begin_sending());
        let broken = Ticket::new(None);
        assert!(broken.begin_sending());
        broken.fail_sending();
        assert!(!broken.withdraw(), "half a line is no request");
    }

    #[test]
    fn landing_forgets_the_progress_token_too() {
        let flights = Flights::default();
        let ticket = Ticket::new(Some(Arc::new(NoBackChannel)));
        let (id, mut answered) = flights.depart(&ticket).unwrap();
        assert!(flights.by_token(id).is_some());
        assert_eq!(flights.callers().len(), 1);
        assert!(flights.land(id, Ok(Value::Null)));
        assert!(matches!(answered.try_recv(), Ok(Ok(Value::Null))));
        assert!(flights.by_token(id).is_none() && !flights.land(id, Ok(Value::Null)) && !flights.forget(id));
        assert!(flights.callers().is_empty());
    }

    #[test]
    fn two_calls_of_one_caller_are_one_caller() {
        let flights = Flights::default();
        let back: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
        let departed = [(); 2].map(|()| flights.depart(&Ticket::new(Some(Arc::clone(&back)))).unwrap());
        assert_ne!(departed[0].0, departed[1].0);
        assert_eq!(flights.callers().len(), 1);
    }

    #[test]
    fn the_end_of_a_wire_ends_every_wait() {
        let flights = Flights::default();
        let (_, mut answered) = flights.depart(&Ticket::new(None)).unwrap();
        flights.end();
        assert!(answered.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
        assert!(flights.depart(&Ticket::new(None)).is_none());
    }
}
