//! What servers say while nobody calls them, for the sessions that it concerns.
//!
//! A log goes to the sessions of the one context that has used the server since it started, where
//! they have set a level: what a server says that several contexts use may be about any of them, and
//! goes to none. That a question with an address is settled goes to the session that was asked it.
//! Who has no session has no stream for either.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dormouse::{Hub, PeerRequest, Registry, ServerKey, ServerNote, Unasked};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use crate::back::is_from;
use crate::caller::Outlet;
use crate::gateway::Gateway;
use crate::message::{Fault, notification};
use crate::mode::Mode;
use crate::session::Session;

const MESSAGE: &str = "notifications/message";
const COMPLETE: &str = "notifications/elicitation/complete";
/// The error of a server that wants a question with an address settled before it works.
pub(crate) const URL_ELICITATION_REQUIRED: i64 = -32042;
/// How many questions of a session are remembered that were not settled yet.
const MOST_OPEN: usize = 64;
/// How many notes are remembered, since a process that several servers share says each of them once
/// for each.
const RECENT: usize = 32;

/// The questions with an address that a client was asked, and that are not settled yet.
#[derive(Debug, Default)]
pub(crate) struct Elicited {
    open: Mutex<VecDeque<Open>>,
}

/// One of them, by the server's name for it, and where it was asked.
#[derive(Debug)]
struct Open {
    id: String,
    outlet: Weak<dyn Outlet>,
}

impl Elicited {
    /// Notes a question, if it is one of these.
    pub(crate) fn asked(&self, request: &PeerRequest, outlet: &Arc<dyn Outlet>) {
        if request.method == "elicitation/create" {
            self.note(&request.params, outlet);
        }
    }

    /// Notes the questions that an error of a server names.
    pub(crate) fn refused(&self, fault: &Fault, outlet: &Arc<dyn Outlet>) {
        if fault.code != URL_ELICITATION_REQUIRED {
            return;
        }
        let named = fault.data.as_ref().and_then(|data| data.get("elicitations")?.as_array());
        for elicitation in named.into_iter().flatten() {
            self.note(elicitation, outlet);
        }
    }

    fn note(&self, elicitation: &Value, outlet: &Arc<dyn Outlet>) {
        let Some(id) = elicitation.get("elicitationId").and_then(Value::as_str) else { return };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|other| other.id != id);
        if open.len() == MOST_OPEN {
            open.pop_front();
        }
        open.push_back(Open { id: id.to_owned(), outlet: Arc::downgrade(outlet) });
    }

    /// Takes a question out that is settled.
    fn settled(&self, id: &str) -> Option<Open> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let place = open.iter().position(|open| open.id == id)?;
        open.remove(place)
    }
}

/// Brings sessions what concerns them, until the gateway or the hub ends.
pub(crate) fn follow(gateway: &Gateway, hub: &Hub) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let (ending, shared) = (gateway.ending().clone(), gateway.downgrade());
    let (mut unasked, registry) = (hub.unasked(), hub.registry().clone());
    // Ends with the gateway.
    runtime.spawn(async move {
        let mut recent = Recent::default();
        loop {
            let heard = tokio::select! {
                () = ending.cancelled() => return,
                heard = unasked.recv() => heard,
            };
            match heard {
                Ok(Unasked { server, note }) => {
                    let Some(gateway) = shared.upgrade().map(Gateway::from) else { return };
                    for session in gateway.sessions().all() {
                        tell(&session, &registry, &server, &note, &mut recent);
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    });
}

fn tell(
    session: &Session,
    registry: &Registry,
    server: &ServerKey,
    note: &Arc<ServerNote>,
    recent: &mut Recent,
) {
    match note.method.as_str() {
        MESSAGE => {
            let text = |member: &str| note.params.get(member).and_then(Value::as_str);
            let wants = |wanted: String| is_from(text("level").unwrap_or("info"), &wanted);
            if note.scope.as_ref() == Some(session.scope())
                && session.log_level().is_some_and(wants)
                && shows(session, registry, server)
                && recent.is_new(note, session)
            {
                session.tell(MESSAGE, note.params.clone());
            }
        }
        COMPLETE => {
            let id = note.params.get("elicitationId").and_then(Value::as_str);
            if shows(session, registry, server)
                && let Some(open) = id.and_then(|id| session.elicited().settled(id))
                && !session.tell(COMPLETE, note.params.clone())
                && let Some(outlet) = open.outlet.upgrade()
            {
                // Nobody reads the session's own stream; the call may still run.
                outlet.send(notification(COMPLETE, note.params.clone()));
            }
        }
        _ => {}
    }
}

/// Whether a session's endpoint shows a server.
fn shows(session: &Session, registry: &Registry, server: &ServerKey) -> bool {
    let catalog = registry.snapshot();
    match session.mode() {
        Mode::Single(name) => {
            catalog.find_server(session.scope(), name).is_ok_and(|entry| entry.key == *server)
        }
        Mode::All | Mode::Search => catalog.sees(session.scope(), server),
    }
}

/// The last notes, and which sessions were told of each.
#[derive(Debug, Default)]
struct Recent {
    notes: VecDeque<(Arc<ServerNote>, HashSet<String>)>,
}

impl Recent {
    /// Whether a session was not told of a note yet; then it is.
    fn is_new(&mut self, note: &Arc<ServerNote>, session: &Session) -> bool {
        if let Some((_, told)) = self.notes.iter_mut().find(|(known, _)| Arc::ptr_eq(known, note)) {
            return told.insert(session.id().to_owned());
        }
        if self.notes.len() == RECENT {
            self.notes.pop_front();
        }
        self.notes.push_back((Arc::clone(note), HashSet::from([session.id().to_owned()])));
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::caller::Nowhere;

    fn nowhere() -> Arc<dyn Outlet> {
        Arc::new(Nowhere)
    }

    #[test]
    fn a_question_with_an_address_is_settled_once() {
        let (elicited, outlet) = (Elicited::default(), nowhere());
        let method = "elicitation/create".to_owned();
        let by_url = json!({ "mode": "url", "elicitationId": "a", "url": "https://example.com" });
        elicited.asked(&PeerRequest { method: method.clone(), params: by_url }, &outlet);
        elicited.asked(&PeerRequest { method, params: json!({ "message": "?" }) }, &outlet);
        let data = json!({ "elicitations": [{ "elicitationId": "b" }, { "elicitationId": "c" }, 7] });
        elicited.refused(&Fault::new(URL_ELICITATION_REQUIRED, "first").with_data(data.clone()), &outlet);
        elicited.refused(&Fault::new(-32000, "another").with_data(data), &outlet);
        for (id, is_open) in [("a", true), ("a", false), ("b", true), ("c", true), ("c", false), ("d", false)]
        {
            assert_eq!(elicited.settled(id).is_some(), is_open, "{id}");
        }
    }

    #[test]
    fn the_oldest_questions_are_forgotten_where_there_are_many() {
        let (elicited, outlet) = (Elicited::default(), nowhere());
        for number in 0..=MOST_OPEN {
            elicited.note(&json!({ "elicitationId": number.to_string() }), &outlet);
        }
        assert!(elicited.settled("0").is_none() && elicited.settled("1").is_some());
    }
}
