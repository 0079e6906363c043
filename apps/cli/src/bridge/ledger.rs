//! What the bridge owes to either side.
//!
//! # Invariants
//!
//! * A line goes to another hub only if the one before certainly did not take it, or if it does
//!   no harm twice.
//! * Whoever asks is answered once: by a hub, or by word that nobody knows.
//! * What is kept of a line that was taken is its ids, unless it may be asked again.

use std::collections::VecDeque;
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};

use super::message::Message;

/// The largest line that is kept to be asked again.
const KEPT: usize = 64 * 1024;

/// How many bytes the hub may have left unread; then the client has to wait.
const ROOM: usize = 1024 * 1024;

/// How far a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is to be sent to the hub.
    Waiting,
    /// It was sent as the line of this number; the hub may not have read it.
    Sent(u64),
    /// The hub leaves it to the next one.
    Refused,
    /// The hub has read it, and does what it says.
    Taken,
}

/// A line of the client.
#[derive(Debug)]
struct Entry {
    way: Way,
    /// Empty once it need not be sent again.
    line: Bytes,
    /// Its requests that are not answered.
    asks: Vec<Value>,
    batch: bool,
    /// It may be asked again.
    harmless: bool,
    /// It lasts until the client leaves, and is not answered then.
    listens: bool,
    /// The bridge's own question, whose answer is not the client's.
    own: bool,
    /// The client has taken it back: it is not sent again.
    cancelled: bool,
}

/// The lines on their way, oldest first, and the requests that are not answered.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: VecDeque<Entry>,
    /// Lines sent to this hub.
    sent: u64,
    /// Requests of this hub that the client has not answered.
    asked: Vec<Value>,
    /// Those of hubs that are gone.
    stale: Vec<Value>,
    /// How the client greeted, to greet another hub so.
    greeting: Option<Greeting>,
    greeted: Option<Bytes>,
    session: Option<String>,
}

/// What a client that has left was not answered.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// An answer for each.
    pub(crate) told: Vec<String>,
    /// A hub may have begun with some of it.
    pub(crate) begun: bool,
}

#[derive(Debug)]
struct Greeting {
    line: Bytes,
    id: Value,
    answered: bool,
}

/// What becomes of a line of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// The client gets it.
    Client,
    /// It answers a question of the bridge.
    Own,
}

impl Ledger {
    /// Takes a line of the client, to be sent.
    pub(crate) fn note(&mut self, line: Bytes) {
        let message = Message::read(&line);
        for id in &message.cancels {
            self.cancel(id);
        }
        // Its hub is gone, and the next one may have given the same id to another question.
        if message.method.is_none() && !message.batch {
            if let [id] = &message.answers[..]
                && let Some(at) = self.stale.iter().position(|stale| stale == id)
            {
                self.stale.swap_remove(at);
                return;
            }
            self.asked.retain(|asked| !message.answers.contains(asked));
        }
        match (message.method.as_deref(), &message.asks[..]) {
            (Some("initialize"), [id]) => {
                self.greeting = Some(Greeting { line: line.clone(), id: id.clone(), answered: false });
            }
            (Some("notifications/initialized"), _) => self.greeted = Some(line.clone()),
            _ => {}
        }
        self.entries.push_back(Entry {
            way: Way::Waiting,
            line,
            asks: message.asks,
            batch: message.batch,
            harmless: message.harmless,
            listens: message.method.as_deref() == Some("subscriptions/listen"),
            own: false,
            cancelled: false,
        });
    }

    /// Whether the client's next line can be read.
    pub(crate) fn has_room(&self) -> bool {
        let unread = |entry: &&Entry| entry.way != Way::Taken;
        self.entries.iter().filter(unread).map(|entry| entry.line.len()).sum::<usize>() < ROOM
    }

    /// Whether nothing is to be sent and nothing to be answered.
    pub(crate) fn is_settled(&self) -> bool {
        self.entries.is_empty()
    }

    /// The next line to send, which counts as sent.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let entry = self.entries.iter_mut().find(|entry| entry.way == Way::Waiting)?;
        self.sent += 1;
        entry.way = Way::Sent(self.sent);
        Some(entry.line.clone())
    }

    /// The hub has read so many lines; those that it refused, it has told before.
    pub(crate) fn taken(&mut self, lines: u64) {
        for entry in &mut self.entries {
            if matches!(entry.way, Way::Sent(number) if number <= lines) {
                entry.way = Way::Taken;
                if entry.line.len() > KEPT || !entry.harmless {
                    entry.line = Bytes::new();
                }
            }
        }
        self.forget();
    }

    /// The hub leaves this line to the next one.
    pub(crate) fn refused(&mut self, line: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.way == Way::Sent(line)) {
            entry.way = Way::Refused;
        }
    }

    /// A line of the hub goes by.
    pub(crate) fn passes(&mut self, line: &[u8]) -> Passage {
        let message = Message::read(line);
        let mut passage = Passage::Client;
        for id in &message.answers {
            if let Some(greeting) = &mut self.greeting {
                greeting.answered |= greeting.id == *id;
            }
            if self.settle(id) {
                passage = Passage::Own;
            }
        }
        if message.refuses {
            self.settle_batch();
        }
        for id in message.asks {
            self.stale.retain(|stale| *stale != id);
            self.asked.push(id);
        }
        passage
    }

    /// The session to go on in.
    pub(crate) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Begins anew with another hub, which names the session. One that does not know that of the
    /// hub before is greeted first, as the client did.
    pub(crate) fn begin(&mut self, session: String) {
        self.sent = 0;
        let goes_on = self.session.as_ref() == Some(&session);
        self.session = Some(session);
        if goes_on || !self.greets() {
            return;
        }
        let own = |line: &Bytes| Entry {
            way: Way::Waiting,
            asks: Message::read(line).asks,
            line: line.clone(),
            batch: false,
            harmless: true,
            listens: false,
            own: true,
            cancelled: false,
        };
        if let Some(greeted) = &self.greeted {
            self.entries.push_front(own(greeted));
        }
        if let Some(greeting) = &self.greeting {
            self.entries.push_front(own(&greeting.line));
        }
    }

    /// The client reads to the end, and asks nothing more: what lasts as long as it stays is over.
    pub(crate) fn left(&mut self) {
        self.entries.retain(|entry| !entry.listens);
    }

    /// The client has left, and was given so much time for what it asked: returns what it has to be
    /// told.
    pub(crate) fn parted(&mut self, after: Duration) -> Unanswered {
        self.left();
        let owed: Vec<Entry> =
            self.entries.drain(..).filter(|entry| !entry.own && !entry.asks.is_empty()).collect();
        let begun = |entry: &Entry| matches!(entry.way, Way::Sent(_) | Way::Taken);
        let seconds = after.as_secs();
        let told = owed.iter().map(|entry| match begun(entry) {
            true => {
                let why =
                    format!("the input ended, and no answer came within {seconds} s; it may have been done");
                failed(entry, &why, "outcome_unknown")
            }
            false => failed(entry, "the input ended before a hub took this; it was not done", "no_hub"),
        });
        Unanswered { told: told.collect(), begun: owed.iter().any(begun) }
    }

    /// The hub is gone. Returns what the client has to be told.
    pub(crate) fn broken(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        self.entries.retain_mut(|entry| {
            if entry.own || entry.cancelled {
                return false;
            }
            if entry.way == Way::Taken && entry.line.is_empty() {
                told.push(failed(entry, LOST, "outcome_unknown"));
                return false;
            }
            entry.way = Way::Waiting;
            true
        });
        for id in self.asked.drain(..) {
            let params = json!({"requestId": id, "reason": "the hub that asked is gone"});
            let notice = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
            told.push(notice.to_string());
            self.stale.push(id);
        }
        told
    }

    /// No hub comes any more: returns what the client has to be told.
    pub(crate) fn abandoned(&mut self, why: &str) -> Vec<String> {
        let owed = self.entries.drain(..).filter(|entry| !entry.own && !entry.asks.is_empty());
        owed.map(|entry| failed(&entry, why, "no_hub")).collect()
    }

    /// Takes a request off; whether it was the bridge's own.
    fn settle(&mut self, id: &Value) -> bool {
        let Some(entry) = self.take_off(id) else { return false };
        let own = entry.own;
        self.forget();
        own
    }

    /// An error without an id answers a whole batch, where batches are not spoken; else what asked
    /// nothing.
    fn settle_batch(&mut self) {
        let sent = |entry: &&mut Entry| matches!(entry.way, Way::Sent(_) | Way::Taken);
        if let Some(entry) = self.entries.iter_mut().filter(sent).find(|entry| entry.batch) {
            entry.asks.clear();
            self.forget();
        }
    }

    /// Takes a request off that the client has taken back.
    fn cancel(&mut self, id: &Value) {
        let Some(entry) = self.take_off(id) else { return };
        // The others of a batch go on.
        entry.cancelled = entry.asks.is_empty();
        self.entries.retain(|entry| !entry.cancelled || matches!(entry.way, Way::Sent(_)));
        self.forget();
    }

    /// The line of a request, which has it no more.
    fn take_off(&mut self, id: &Value) -> Option<&mut Entry> {
        let found = |entry: &Entry| entry.asks.iter().position(|ask| ask == id);
        let (line, at) =
            self.entries.iter().enumerate().find_map(|(line, entry)| Some((line, found(entry)?)))?;
        let entry = &mut self.entries[line];
        entry.asks.swap_remove(at);
        Some(entry)
    }

    /// Forgets what was taken and answered.
    fn forget(&mut self) {
        self.entries.retain(|entry| entry.way != Way::Taken || !entry.asks.is_empty());
    }

    fn greets(&self) -> bool {
        self.greeting.as_ref().is_some_and(|greeting| greeting.answered)
    }
}

/// Nobody knows what became of a request.
const LOST: &str = "the hub went away while it worked on this; it may have been done";

/// Answers the requests of a line with an error.
fn failed(entry: &Entry, why: &str, code: &str) -> String {
    let answer = |id: &Value| {
        let error = json!({"code": -32000, "message": why, "data": {"code": code}});
        json!({"jsonrpc": "2.0", "id": id, "error": error})
    };
    match &entry.asks[..] {
        [id] if !entry.batch => answer(id).to_string(),
        ids => Value::Array(ids.iter().map(answer).collect()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: u64) -> Bytes {
        format!(r#"{{"id":{id},"method":"tools/call"}}"#).into()
    }

    fn ask(id: u64, method: &str) -> Bytes {
        format!(r#"{{"id":{id},"method":"{method}"}}"#).into()
    }

    fn answer(id: u64) -> Vec<u8> {
        format!(r#"{{"id":{id},"result":{{}}}}"#).into_bytes()
    }

    /// A ledger whose hub has got these lines.
    fn sent(lines: &[Bytes]) -> Ledger {
        let mut ledger = Ledger::default();
        for line in lines {
            ledger.note(line.clone());
            assert_eq!(ledger.next().as_ref(), Some(line));
        }
        ledger
    }

    fn again(ledger: &mut Ledger) -> Vec<Bytes> {
        std::iter::from_fn(|| ledger.next()).collect()
    }

    #[test]
    fn what_was_not_taken_is_sent_again_in_its_order() {
        let mut ledger = sent(&[call(1), call(2), call(3)]);
        ledger.refused(2);
        ledger.taken(2);
        assert_eq!(ledger.passes(&answer(1)), Passage::Client);
        assert_eq!(ledger.broken(), Vec::<String>::new());
        ledger.note(call(4));
        ledger.begin("one".to_owned());
        assert_eq!(again(&mut ledger), [call(2), call(3), call(4)]);
    }

    #[test]
    fn a_call_that_was_taken_is_never_made_again() {
        let mut ledger = sent(&[call(1)]);
        ledger.taken(1);
        let told: Value = serde_json::from_str(&ledger.broken()[0]).unwrap();
        assert_eq!((&told["id"], &told["error"]["data"]["code"]), (&json!(1), &json!("outcome_unknown")));
        ledger.begin("one".to_owned());
        assert_eq!(again(&mut ledger), Vec::<Bytes>::new());
        assert!(ledger.is_settled());
    }

    #[test]
    fn without_a_hub_every_request_is_answered() {
        let mut ledger = sent(&[call(1), ask(2, "tools/list")]);
        ledger.note(Bytes::from_static(br#"{"method":"notifications/initialized"}"#));
        ledger.broken();
        let told = ledger.abandoned("there is none");
        assert!(told.len() == 2 && told.iter().all(|line| line.contains("no_hub")), "{told:?}");
    }

    #[test]
    fn who_left_is_told_what_was_not_answered() {
        let mut ledger = sent(&[call(1), call(2), ask(3, "subscriptions/listen"), ask(4, "tools/list")]);
        ledger.taken(4);
        ledger.passes(&answer(1));
        ledger.note(call(5));
        let Unanswered { told, begun } = ledger.parted(Duration::from_secs(10));
        let told: Vec<Value> = told.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said: Vec<_> = told.iter().map(|it| (&it["id"], &it["error"]["data"]["code"])).collect();
        let (unknown, no_hub) = (json!("outcome_unknown"), json!("no_hub"));
        assert_eq!(said, [(&json!(2), &unknown), (&json!(4), &unknown), (&json!(5), &no_hub)]);
        assert!(begun && ledger.is_settled());
        let nothing = ledger.parted(Duration::from_secs(10));
        assert!(nothing.told.is_empty() && !nothing.begun);
    }

    #[test]
    fn what_does_no_harm_is_asked_again() {
        let listen = ask(1, "subscriptions/listen");
        let mut ledger = sent(&[listen.clone(), ask(2, "tools/list")]);
        ledger.taken(2);
        ledger.passes(&answer(2));
        assert_eq!(ledger.broken(), Vec::<String>::new());
        assert_eq!(again(&mut ledger), [listen]);
    }

    #[test]
    fn what_was_cancelled_is_owed_to_nobody() {
        let mut ledger = sent(&[call(1)]);
        ledger.taken(1);
        ledger.note(Bytes::from_static(br#"{"method":"notifications/cancelled","params":{"requestId":1}}"#));
        ledger.next();
        ledger.taken(2);
        assert!(ledger.is_settled());
    }

    #[test]
    fn what_was_cancelled_before_it_was_taken_is_not_sent_again() {
        let mut ledger = sent(&[call(1), call(2)]);
        ledger.refused(1);
        for id in [1, 2] {
            let cancel = format!(r#"{{"method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
            ledger.note(cancel.into());
        }
        ledger.broken();
        ledger.begin("one".to_owned());
        assert!(again(&mut ledger).iter().all(|line| line.starts_with(b"{\"method")));
    }

    #[test]
    fn a_hub_that_does_not_know_the_session_is_greeted_again() {
        let (greeting, greeted) =
            (ask(0, "initialize"), Bytes::from_static(br#"{"method":"notifications/initialized"}"#));
        let mut ledger = Ledger::default();
        ledger.begin("one".to_owned());
        ledger.note(greeting.clone());
        ledger.note(greeted.clone());
        assert_eq!(again(&mut ledger).len(), 2);
        ledger.taken(2);
        ledger.passes(&answer(0));
        ledger.note(call(1));
        assert_eq!(ledger.broken(), Vec::<String>::new());
        ledger.begin("two".to_owned());
        assert_eq!(again(&mut ledger), [greeting, greeted, call(1)]);
        ledger.taken(3);
        assert_eq!(ledger.passes(&answer(0)), Passage::Own);
        assert_eq!(ledger.passes(&answer(1)), Passage::Client);
        assert!(ledger.is_settled());
    }

    #[test]
    fn an_answer_to_a_hub_that_is_gone_goes_nowhere() {
        let mut ledger = Ledger::default();
        ledger.passes(&ask(1, "elicitation/create"));
        assert!(ledger.broken()[0].contains("notifications/cancelled"));
        ledger.note(answer(1).into());
        assert!(ledger.is_settled());
        ledger.passes(&ask(1, "elicitation/create"));
        ledger.note(answer(1).into());
        assert_eq!(again(&mut ledger).len(), 1);
    }

    #[test]
    fn a_hub_that_does_not_read_makes_the_client_wait() {
        let mut ledger = sent(&[vec![b'x'; ROOM].into()]);
        assert!(!ledger.has_room());
        ledger.taken(1);
        assert!(ledger.has_room());
    }
}
