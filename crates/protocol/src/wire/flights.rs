//! Requests under way: which answer belongs to whom, and how far each request got.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dormouse_types::{BackChannel, Scope};
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
    /// The task whose result it waits for, by the server's name for it.
    task: Option<String>,
    state: AtomicU8,
    /// Cancelled when nobody waits for the answer any more.
    over: CancellationToken,
    clock: Mutex<Clock>,
}

/// How long the caller was being asked, perhaps a person: time that the server does not use.
#[derive(Debug, Default)]
struct Clock {
    /// Questions that are open and may be its own, and since when the first of them is.
    open: usize,
    /// Those of them that are certainly its own.
    own: usize,
    since: Option<Instant>,
    stood: Duration,
}

/// How long the caller may think in all.
pub(crate) const LONGEST_THOUGHT: Duration = Duration::from_secs(60 * 60);
/// How soon it is looked again whether the caller still thinks.
const GLANCE: Duration = Duration::from_secs(1);

/// How long a server may still work on a call that was given up, as far as anybody cares.
const LONGEST_REST: Duration = Duration::from_secs(10 * 60);
/// How many such calls are remembered.
const MOST_LEFT: usize = 256;

const WAITING: u8 = 0;
const SENT: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    pub(crate) fn new(back: Option<Arc<dyn BackChannel>>) -> Arc<Self> {
        Self::with(back, false, None)
    }

    /// One for a request that waits for the result of a task: what the server asks for that task is
    /// for it.
    pub(crate) fn of_task(back: Option<Arc<dyn BackChannel>>, task: &str) -> Arc<Self> {
        Self::with(back, false, Some(task.to_owned()))
    }

    /// One for a request that stays open to listen: no question goes to it, and no log.
    pub(crate) fn standing(back: Arc<dyn BackChannel>) -> Arc<Self> {
        Self::with(Some(back), true, None)
    }

    fn with(back: Option<Arc<dyn BackChannel>>, stands: bool, task: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            back,
            stands,
            task,
            state: AtomicU8::new(WAITING),
            over: CancellationToken::new(),
            clock: Mutex::default(),
        })
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the clock of the request while its caller is being asked something for it.
    pub(crate) fn stop_clock(&self) -> Stopped<'_> {
        self.stop(1)
    }

    /// The same while its caller is being asked something for this request or another one of his.
    pub(crate) fn stop_clock_in_doubt(&self) -> Stopped<'_> {
        self.stop(0)
    }

    fn stop(&self, own: usize) -> Stopped<'_> {
        let mut clock = self.clock();
        clock.open += 1;
        clock.own += own;
        clock.since.get_or_insert_with(Instant::now);
        Stopped { ticket: self, own }
    }

    /// Whether its caller is certainly being asked something for it.
    pub(crate) fn is_asked(&self) -> bool {
        self.clock().own > 0
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

    /// The task whose result it waits for.
    pub(crate) fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// Whether it is that of a call.
    pub(super) fn is_call(&self) -> bool {
        self.back.is_some() && !self.stands
    }

    /// Whether it is known to be of the same client as another.
    fn is_of_client_of(&self, other: &Self) -> bool {
        let (Some(one), Some(other)) = (self.back(), other.back()) else { return false };
        let same = one.client().is_some() && one.client() == other.client() && one.scope() == other.scope();
        same || Arc::ptr_eq(one, other)
    }

    /// The context of its caller, where it is known.
    fn scope(&self) -> Option<&Scope> {
        self.back()?.scope()
    }

    /// Whether the server may have it, and has not answered.
    fn is_sent(&self) -> bool {
        self.state.load(Ordering::Acquire) == SENT
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
pub(crate) struct Stopped<'a> {
    ticket: &'a Ticket,
    /// Questions that are certainly its own: one or none.
    own: usize,
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let mut clock = self.ticket.clock();
        clock.open -= 1;
        clock.own -= self.own;
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
    /// Calls that nobody waits for any more, and that the server may still work on: whose, and since
    /// when.
    left: HashMap<i64, (Option<Scope>, Instant)>,
    users: Users,
}

/// Whose calls the server has had.
#[derive(Debug, Default)]
enum Users {
    #[default]
    Nobody,
    One(Scope),
    /// Or one that is not known.
    Several,
}

impl Users {
    fn add(&mut self, scope: Option<&Scope>) {
        match (&*self, scope) {
            (Self::Several, _) => {}
            (Self::One(one), Some(scope)) if one == scope => {}
            (Self::Nobody, Some(scope)) => *self = Self::One(scope.clone()),
            (Self::Nobody | Self::One(_), _) => *self = Self::Several,
        }
    }
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
        if ticket.is_call() {
            table.users.add(ticket.scope());
        }
        table.flights.insert(id, Flight { ticket: Arc::clone(ticket), answer });
        Some((id, answered))
    }

    /// Gives an answer to whoever waits for it; false when nobody does.
    pub(super) fn land(&self, id: i64, answer: Answer) -> bool {
        let flight = {
            let mut table = self.table();
            let flight = table.flights.remove(&id);
            if flight.is_none() {
                table.left.remove(&id);
            }
            flight
        };
        let Some(flight) = flight else { return false };
        // Fails when he has left in this very moment.
        let _ = flight.answer.send(answer);
        true
    }

    /// Forgets a request whose end is known.
    pub(crate) fn forget(&self, id: i64) {
        self.table().flights.remove(&id);
    }

    /// Forgets a request whose caller has left; false when it was answered before.
    pub(crate) fn give_up(&self, id: i64) -> bool {
        let mut table = self.table();
        let Some(flight) = table.flights.remove(&id) else { return false };
        if flight.ticket.is_call() && flight.ticket.is_sent() {
            table.leave(id, flight.ticket.scope().cloned());
        }
        true
    }

    /// Nothing comes any more: ends every wait.
    pub(crate) fn end(&self) {
        let flights = {
            let mut table = self.table();
            table.ended = true;
            table.left.clear();
            std::mem::take(&mut table.flights)
        };
        drop(flights);
    }

    /// The request to which a progress token belongs.
    pub(super) fn by_token(&self, token: i64) -> Option<Arc<Ticket>> {
        self.table().flights.get(&token).map(|flight| Arc::clone(&flight.ticket))
    }

    /// The calls under way, the last one first.
    pub(crate) fn calls(&self) -> Vec<Arc<Ticket>> {
        let mut calls: Vec<(i64, Arc<Ticket>)> = {
            let table = self.table();
            let calls = table.flights.iter().filter(|(_, flight)| flight.ticket.is_call());
            calls.map(|(id, flight)| (*id, Arc::clone(&flight.ticket))).collect()
        };
        calls.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
        calls.into_iter().map(|(_, ticket)| ticket).collect()
    }

    /// Of the calls under way one for each client, its last one.
    fn callers(&self) -> Vec<Arc<Ticket>> {
        let mut callers: Vec<Arc<Ticket>> = Vec::new();
        for ticket in self.calls() {
            if !callers.iter().any(|other| ticket.is_of_client_of(other)) {
                callers.push(ticket);
            }
        }
        callers
    }

    /// The callers whom something concerns of which it is not known to whose call it belongs: one, or
    /// several of one context. None where it may be about somebody else's: it would tell a stranger.
    pub(super) fn concerned(&self) -> Vec<Arc<Ticket>> {
        let callers = self.callers();
        let alone = callers.len() == 1 || are_of_one_context(&callers);
        let mut table = self.table();
        table.left.retain(|_, (_, since)| since.elapsed() < LONGEST_REST);
        let scope = callers.first().and_then(|ticket| ticket.scope());
        let others = table.left.values().any(|(of, _)| of.is_none() || of.as_ref() != scope);
        if alone && !others { callers } else { Vec::new() }
    }

    /// The only context that ever used the server, where there is but one.
    pub(super) fn only_user(&self) -> Option<Scope> {
        match &self.table().users {
            Users::One(scope) => Some(scope.clone()),
            Users::Nobody | Users::Several => None,
        }
    }
}

impl Table {
    /// Notes a call that nobody waits for any more.
    fn leave(&mut self, id: i64, scope: Option<Scope>) {
        if self.left.len() >= MOST_LEFT
            && let Some(oldest) = self.left.iter().min_by_key(|(_, (_, since))| *since).map(|(id, _)| *id)
        {
            self.left.remove(&oldest);
        }
        self.left.insert(id, (scope, Instant::now()));
    }
}

/// Whether there are any, and all of them are known to be of the same client.
pub(crate) fn are_of_one_client<'a>(mut calls: impl Iterator<Item = &'a Arc<Ticket>>) -> bool {
    calls.next().is_some_and(|first| calls.all(|other| first.is_of_client_of(other)))
}

/// Whether all of them are known to be of the same context.
pub(crate) fn are_of_one_context(callers: &[Arc<Ticket>]) -> bool {
    let mut scopes = callers.iter().map(|ticket| ticket.scope());
    match scopes.next() {
        Some(Some(first)) => scopes.all(|scope| scope == Some(first)),
        _ => false,
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
        assert!(flights.by_token(id).is_none() && !flights.land(id, Ok(Value::Null)) && !flights.give_up(id));
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

    /// A client of an agent.
    #[derive(Debug)]
    struct Client(Scope, &'static str);

    impl BackChannel for Client {
        fn notify(&self, _event: dormouse_types::CallEvent) {}

        fn scope(&self) -> Option<&Scope> {
            Some(&self.0)
        }

        fn client(&self) -> Option<&str> {
            Some(self.1)
        }
    }

    #[test]
    fn a_client_is_known_by_its_context_and_its_name() {
        let flights = Flights::default();
        let ticket = |agent: &str, name| {
            Ticket::new(Some(Arc::new(Client(Scope::Agent(agent.parse().unwrap()), name))))
        };
        let mut kept = Vec::new();
        for (agent, name, concerned) in [("ada", "one", 1), ("ada", "one", 1), ("ada", "two", 2)] {
            kept.push(flights.depart(&ticket(agent, name)).unwrap());
            assert_eq!(flights.concerned().len(), concerned, "{agent} {name}");
        }
        assert!(!are_of_one_client(flights.calls().iter()));
        kept.push(flights.depart(&ticket("bob", "one")).unwrap());
        assert_eq!((flights.callers().len(), flights.concerned().len()), (3, 0));
        assert!(are_of_one_client([ticket("ada", "one"), ticket("ada", "one")].iter()));
        assert!(!are_of_one_client([ticket("ada", "one"), ticket("bob", "one")].iter()));
        assert!(!are_of_one_client([of("ada"), of("ada")].iter()), "they may be two");
    }

    fn of(agent: &str) -> Arc<Ticket> {
        let scope = Scope::Agent(agent.parse().unwrap());
        Ticket::new(Some(Arc::new(dormouse_types::SilentCaller(scope))))
    }

    #[test]
    fn what_nobody_claims_concerns_callers_of_one_context_only() {
        let flights = Flights::default();
        let (ada, _kept) = flights.depart(&of("ada")).unwrap();
        let _other = flights.depart(&of("ada")).unwrap();
        assert_eq!((flights.concerned().len(), flights.only_user().is_some()), (2, true));
        let (bob, _kept) = flights.depart(&of("bob")).unwrap();
        assert_eq!((flights.concerned().len(), flights.only_user()), (0, None));
        assert!(flights.give_up(bob));
        assert_eq!(flights.concerned().len(), 2, "it was never sent");
        assert!(flights.land(ada, Ok(Value::Null)));
        assert_eq!((flights.concerned().len(), flights.only_user()), (1, None));
        let unknown = Ticket::new(Some(Arc::new(NoBackChannel)));
        let _kept = flights.depart(&unknown).unwrap();
        assert_eq!(flights.concerned().len(), 0);
    }

    #[test]
    fn a_call_that_was_given_up_counts_until_the_server_has_answered() {
        let flights = Flights::default();
        let given_up = of("ada");
        let (id, _) = flights.depart(&given_up).unwrap();
        assert!(given_up.begin_sending());
        assert!(flights.give_up(id));
        let _bob = flights.depart(&of("bob")).unwrap();
        assert_eq!(flights.concerned().len(), 0, "the server may still work for another");
        assert!(!flights.land(id, Ok(Value::Null)), "nobody waits for it");
        assert_eq!(flights.concerned().len(), 1);
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
