//! Requests under way: which answer belongs to whom, and how far each request got.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_types::BackChannel;
use rmcp::model::{NumberOrString, RequestId};
use tokio_util::sync::CancellationToken;

use crate::error::CallError;

/// What a request carries from the caller to the wire, beside its content.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// The way back to the caller; `None` for the hub's own requests.
    back: Option<Arc<dyn BackChannel>>,
    state: AtomicU8,
    /// Why there is no answer that can be read, where rmcp's words do not say it.
    fault: Mutex<Option<CallError>>,
    /// Cancelled when nobody waits for the answer any more.
    over: CancellationToken,
}

const WAITING: u8 = 0;
const SENT: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    pub(crate) fn new(back: Option<Arc<dyn BackChannel>>) -> Arc<Self> {
        Arc::new(Self {
            back,
            state: AtomicU8::new(WAITING),
            fault: Mutex::new(None),
            over: CancellationToken::new(),
        })
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

    pub(super) fn set_fault(&self, fault: CallError) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// Why there is no answer, if the wire knows more than rmcp.
    pub(crate) fn take_fault(&self) -> Option<CallError> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// One request on the wire.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) method: Method,
    pub(super) ticket: Option<Arc<Ticket>>,
    token: Option<NumberOrString>,
}

/// Whether rmcp needs the result typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Initialize,
    Other,
}

/// The requests under way on one wire.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    flights: HashMap<RequestId, Flight>,
    by_token: HashMap<NumberOrString, Arc<Ticket>>,
}

impl Flights {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn depart(
        &self,
        id: RequestId,
        method: Method,
        ticket: Option<Arc<Ticket>>,
        token: Option<NumberOrString>,
    ) {
        let mut table = self.table();
        // Progress is for those who listen.
        let token = token.filter(|_| ticket.as_ref().is_some_and(|ticket| ticket.back.is_some()));
        if let (Some(token), Some(ticket)) = (&token, &ticket) {
            table.by_token.insert(token.clone(), Arc::clone(ticket));
        }
        table.flights.insert(id, Flight { method, ticket, token });
    }

    /// Ends a flight, by its answer or because nobody waits any more.
    pub(super) fn land(&self, id: &RequestId) -> Option<Flight> {
        let mut table = self.table();
        let flight = table.flights.remove(id)?;
        if let Some(token) = &flight.token {
            table.by_token.remove(token);
        }
        Some(flight)
    }

    /// Forgets a request whose caller has left.
    pub(crate) fn forget(&self, id: &RequestId) {
        self.land(id);
    }

    /// The request to which a progress token belongs.
    pub(super) fn by_token(&self, token: &NumberOrString) -> Option<Arc<Ticket>> {
        self.table().by_token.get(token).cloned()
    }

    /// The calls under way, one for each caller.
    pub(crate) fn callers(&self) -> Vec<Arc<Ticket>> {
        let table = self.table();
        let mut callers: Vec<Arc<Ticket>> = Vec::new();
        for ticket in table.flights.values().filter_map(|flight| flight.ticket.as_ref()) {
            let Some(back) = ticket.back() else { continue };
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
        let (id, token) = (NumberOrString::Number(1), NumberOrString::Number(9));
        flights.depart(id.clone(), Method::Other, Some(ticket), Some(token.clone()));
        assert!(flights.by_token(&token).is_some());
        assert_eq!(flights.callers().len(), 1);
        assert!(flights.land(&id).is_some());
        assert!(flights.by_token(&token).is_none() && flights.land(&id).is_none());
        assert!(flights.callers().is_empty());
    }

    #[test]
    fn two_calls_of_one_caller_are_one_caller() {
        let flights = Flights::default();
        let back: Arc<dyn BackChannel> = Arc::new(NoBackChannel);
        for id in 0..2 {
            let ticket = Ticket::new(Some(Arc::clone(&back)));
            flights.depart(NumberOrString::Number(id), Method::Other, Some(ticket), None);
        }
        assert_eq!(flights.callers().len(), 1);
    }
}
