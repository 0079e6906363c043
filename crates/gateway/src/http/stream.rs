//! One stream of events: what was sent on it, who reads it, and from where on.
//!
//! The stream of a request begins without being one: as long as nothing was sent, its answer may
//! still be plain JSON. Events with ids are kept when they were read, since who lost its connection
//! comes back with the id of the last one that it saw.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use serde_json::Value;

use super::keep::Keep;
use crate::caller::Outlet;
use crate::session::Receipt;

/// How much the events of a request's stream may take.
pub(super) const REQUEST: usize = 1 << 20;
/// How much those of a session may take that belong to no request.
pub(super) const STANDALONE: usize = 64 << 10;
/// How much is handed to a connection at once.
const CHUNK: usize = 64 << 10;
/// What an event takes beside its text.
const OVERHEAD: usize = 64;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// What its events' ids begin with; `None`: they have none, and nobody can come back.
    name: Option<String>,
    /// What its session knows it by.
    number: u64,
    /// How much it may hold.
    most: usize,
    keep: Arc<Keep>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    events: VecDeque<Event>,
    /// The number of the next event that is sent. The first is 1.
    next: u64,
    /// The number of the next event that is read.
    cursor: u64,
    /// How much all events take, and those that nobody has read.
    held: usize,
    unread: usize,
    /// Who reads; only the last of them gets events, the others are from before.
    readers: Vec<Seat>,
    last_reader: u64,
    /// Who waits for the first event.
    opener: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Events may come.
    Open,
    /// None will come.
    Ended,
    /// The reader was too slow, or there never is one.
    Lost,
}

#[derive(Debug)]
struct Event {
    number: u64,
    text: Bytes,
    /// Who wants to know whether it was read.
    receipt: Option<Receipt>,
}

#[derive(Debug)]
struct Seat {
    reader: u64,
    waker: Option<Waker>,
}

/// What a reader gets.
#[derive(Debug)]
pub(super) enum Next {
    Text(Bytes),
    /// Nothing more on this connection.
    End,
    /// The stream broke.
    Lost,
}

impl Stream {
    /// A stream whose events have ids that begin with a name, or have none.
    pub(super) fn new(name: Option<String>, number: u64, most: usize, keep: Arc<Keep>) -> Arc<Self> {
        let state = State {
            phase: Phase::Open,
            events: VecDeque::new(),
            next: 1,
            cursor: 1,
            held: 0,
            unread: 0,
            readers: Vec::new(),
            last_reader: 0,
            opener: None,
        };
        Arc::new(Self { name, number, most, keep, state: Mutex::new(state) })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Resolves as soon as there is something to read.
    pub(super) fn poll_begun(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.unread > 0 {
            return Poll::Ready(());
        }
        state.opener = Some(context.waker().clone());
        Poll::Pending
    }

    /// Whether there is something that nobody has read.
    pub(super) fn has_begun(&self) -> bool {
        self.state().unread > 0
    }

    /// Sends a message as it is written.
    pub(super) fn push(&self, message: &[u8]) -> bool {
        self.push_with(message, None)
    }

    fn push_with(&self, message: &[u8], receipt: Option<Receipt>) -> bool {
        let mut state = self.state();
        if state.phase != Phase::Open {
            return false;
        }
        let number = state.next;
        let text = self.event(number, message);
        let size = text.len() + OVERHEAD;
        state.next += 1;
        state.held += size;
        self.keep.add(size);
        let was_waiting = state.unread;
        state.unread += size;
        state.events.push_back(Event { number, text, receipt });
        let limit = self.keep.limit(self.most);
        if was_waiting > 0 && state.unread > limit {
            self.give_up_on_readers(&mut state);
        }
        // Who comes back begins with room to fall behind a little.
        let limit = if state.readers.is_empty() { limit / 2 } else { limit };
        self.make_room(&mut state, limit);
        state.wake();
        state.phase == Phase::Open
    }

    /// Says that nothing more comes.
    pub(super) fn end(&self) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Ended;
        }
        state.wake();
    }

    /// Says that nobody will ever read it.
    pub(super) fn lose(&self) {
        let mut state = self.state();
        state.phase = Phase::Lost;
        self.forget_all(&mut state);
        state.wake();
    }

    /// A place to read from: from the event after `seen`, or from where the last reader was. It is
    /// the reader from now on. The text is what the connection begins with.
    pub(super) fn enter(&self, seen: Option<u64>, primed: bool) -> (u64, Option<Bytes>) {
        let mut state = self.state();
        if let Some(seen) = seen {
            let oldest = state.events.front().map_or(state.next, |event| event.number);
            state.cursor = seen.saturating_add(1).clamp(oldest, state.next);
            let from = state.cursor;
            state.unread = state.events.iter().filter(|event| event.number >= from).map(Event::size).sum();
            // Who has seen a later one has seen these.
            state.events.iter_mut().filter(|event| event.number < from).for_each(Event::was_read);
        }
        state.last_reader += 1;
        let reader = state.last_reader;
        state.wake();
        state.readers.push(Seat { reader, waker: None });
        let begun = state.cursor - 1;
        let text = self.name.as_ref().filter(|_| primed);
        (reader, text.map(|name| Bytes::from(format!("id: {name}.{begun}\nretry: 3000\ndata:\n\n"))))
    }

    /// Gives the place back; who read before goes on.
    pub(super) fn leave(&self, reader: u64) {
        let mut state = self.state();
        state.readers.retain(|seat| seat.reader != reader);
        state.wake();
    }

    /// What this reader gets next.
    pub(super) fn poll_next(&self, reader: u64, context: &Context<'_>) -> Poll<Next> {
        let mut state = self.state();
        if state.phase == Phase::Lost {
            return Poll::Ready(Next::Lost);
        }
        let Some(place) = state.readers.iter().position(|seat| seat.reader == reader) else {
            return Poll::Ready(Next::End);
        };
        let is_last = place + 1 == state.readers.len();
        if is_last && state.cursor < state.next {
            return Poll::Ready(Next::Text(self.take(&mut state)));
        }
        if state.phase == Phase::Ended {
            return Poll::Ready(Next::End);
        }
        state.readers[place].waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// The events that wait, as far as they fit into one write.
    fn take(&self, state: &mut State) -> Bytes {
        let from = state.cursor;
        let skip = state.events.partition_point(|event| event.number < from);
        let mut size = 0;
        let waiting: Vec<Bytes> = state
            .events
            .range_mut(skip..)
            .take_while(|event| {
                let first = size == 0;
                size += event.text.len();
                first || size <= CHUNK
            })
            .map(|event| {
                event.was_read();
                event.text.clone()
            })
            .collect();
        state.cursor += waiting.len() as u64;
        let taken: usize = waiting.iter().map(|text| text.len() + OVERHEAD).sum();
        state.unread -= taken;
        if self.name.is_none() {
            self.drop_first(state, waiting.len());
        }
        match <[Bytes; 1]>::try_from(waiting) {
            Ok([one]) => one,
            Err(several) => Bytes::from(several.concat()),
        }
    }

    /// Who reads is too slow: it may come back, if it can say what it has seen.
    fn give_up_on_readers(&self, state: &mut State) {
        if self.name.is_none() {
            state.phase = Phase::Lost;
            self.forget_all(state);
            return;
        }
        for seat in state.readers.drain(..) {
            if let Some(waker) = seat.waker {
                waker.wake();
            }
        }
    }

    /// Drops the oldest events, but never the newest: that may be the answer.
    fn make_room(&self, state: &mut State, limit: usize) {
        while state.held > limit && state.events.len() > 1 {
            self.drop_first(state, 1);
        }
    }

    fn forget_all(&self, state: &mut State) {
        self.drop_first(state, usize::MAX);
    }

    fn drop_first(&self, state: &mut State, count: usize) {
        for _ in 0..count {
            let Some(event) = state.events.pop_front() else { break };
            state.held -= event.size();
            self.keep.remove(event.size());
            if event.number >= state.cursor {
                state.unread -= event.size();
                state.cursor = event.number + 1;
            }
        }
    }

    /// An event as it is sent.
    fn event(&self, number: u64, message: &[u8]) -> Bytes {
        let mut text = Vec::with_capacity(message.len() + 64);
        if let Some(name) = &self.name {
            text.extend_from_slice(b"id: ");
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(format!(".{number}\n").as_bytes());
        }
        text.extend_from_slice(b"event: message\ndata: ");
        // JSON on one line: what it holds of line ends is escaped.
        text.extend_from_slice(message);
        text.extend_from_slice(b"\n\n");
        Bytes::from(text)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Event {
    /// Somebody got it.
    fn was_read(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            receipt.written();
        }
    }

    fn size(&self) -> usize {
        self.text.len() + OVERHEAD
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(opener) = self.opener.take() {
            opener.wake();
        }
        for seat in &mut self.readers {
            if let Some(waker) = seat.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Outlet for Stream {
    fn send(&self, message: Value) -> bool {
        self.push(message.to_string().as_bytes())
    }

    fn send_noted(&self, message: Value, receipt: Receipt) {
        self.push_with(message.to_string().as_bytes(), Some(receipt));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.keep.remove(state.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::keep::{ALL, LITTLE};

    fn stream(name: Option<&str>, most: usize) -> Arc<Stream> {
        Stream::new(name.map(str::to_owned), 1, most, Arc::default())
    }

    fn next(stream: &Stream, reader: u64) -> Option<Result<String, bool>> {
        match stream.poll_next(reader, &Context::from_waker(Waker::noop())) {
            Poll::Ready(Next::Text(text)) => Some(Ok(String::from_utf8(text.to_vec()).unwrap())),
            Poll::Ready(Next::End) => Some(Err(true)),
            Poll::Ready(Next::Lost) => Some(Err(false)),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_comes_back_gets_what_it_missed_and_nothing_else() {
        let stream = stream(Some("s"), REQUEST);
        let (first, primed) = stream.enter(None, true);
        assert_eq!(primed.unwrap(), "id: s.0\nretry: 3000\ndata:\n\n");
        assert!(stream.push(b"1") && stream.push(b"2"));
        let read = next(&stream, first).unwrap().unwrap();
        assert_eq!(read, "id: s.1\nevent: message\ndata: 1\n\nid: s.2\nevent: message\ndata: 2\n\n");
        stream.leave(first);
        stream.push(b"3");
        stream.end();
        let (again, _) = stream.enter(Some(1), false);
        let read = next(&stream, again).unwrap().unwrap();
        assert_eq!(read, "id: s.2\nevent: message\ndata: 2\n\nid: s.3\nevent: message\ndata: 3\n\n");
        assert_eq!(next(&stream, again), Some(Err(true)));
        let (odd, _) = stream.enter(Some(u64::MAX), false);
        assert_eq!(next(&stream, odd), Some(Err(true)));
    }

    #[test]
    fn a_message_goes_to_the_newest_reader_and_to_the_one_before_when_it_has_left() {
        let stream = stream(Some("s"), REQUEST);
        let (old, _) = stream.enter(None, false);
        let (new, _) = stream.enter(None, false);
        stream.push(b"1");
        assert_eq!(next(&stream, old), None);
        assert!(next(&stream, new).unwrap().unwrap().contains("data: 1"));
        stream.leave(new);
        assert_eq!(next(&stream, old), None);
        stream.push(b"2");
        assert!(next(&stream, old).unwrap().unwrap().contains("data: 2"));
    }

    #[test]
    fn who_reads_too_slowly_loses_the_stream_and_not_the_memory() {
        let big = vec![b'x'; 400];
        let named = stream(Some("s"), 1000);
        let (reader, _) = named.enter(None, false);
        for _ in 0..100 {
            assert!(named.push(&big));
        }
        assert_eq!(next(&named, reader), Some(Err(true)));
        assert!(named.state().held <= 1000);
        let (again, _) = named.enter(Some(1), false);
        assert!(next(&named, again).unwrap().unwrap().starts_with("id: s.100\n"));

        let nameless = stream(None, 1000);
        let (reader, _) = nameless.enter(None, true);
        while nameless.push(&big) {}
        assert_eq!(next(&nameless, reader), Some(Err(false)));
        let state = nameless.state();
        assert_eq!((state.held, state.unread), (0, 0));
    }

    #[test]
    fn what_nobody_reads_is_held_within_bounds_by_each_stream_and_by_all() {
        const EVENT: usize = 8 << 10;
        let (keep, message) = (Arc::<Keep>::default(), vec![b'x'; EVENT]);
        for most in [REQUEST, STANDALONE] {
            for has_reader in [true, false] {
                let stream = Stream::new(Some("s".to_owned()), 1, most, Arc::clone(&keep));
                if has_reader {
                    stream.enter(None, false);
                }
                for _ in 0..1_000 {
                    stream.push(&message);
                    assert!(keep.held() <= most, "{}", keep.held());
                }
                assert!(keep.held() > EVENT, "the newest is kept");
            }
        }
        // Nobody can come back for what has no name.
        let nameless = Stream::new(None, 1, REQUEST, Arc::clone(&keep));
        nameless.enter(None, false);
        while nameless.push(&message) {
            assert!(keep.held() <= REQUEST + 2 * EVENT);
        }
        assert_eq!(keep.held(), 0);

        let streams: Vec<_> =
            (0..200).map(|n| Stream::new(Some(format!("s.{n}")), n, REQUEST, Arc::clone(&keep))).collect();
        let mut highest = 0;
        for _ in 0..200 {
            for stream in &streams {
                stream.push(&message);
                highest = highest.max(keep.held());
            }
        }
        assert!(highest > ALL / 2 && highest <= ALL + streams.len() * 2 * LITTLE, "{highest}");
        drop(streams);
        assert_eq!(keep.held(), 0);
    }

    #[test]
    fn one_message_may_be_larger_than_what_is_kept() {
        let stream = stream(None, 10);
        let (reader, _) = stream.enter(None, false);
        assert!(stream.push(&[b'x'; 4000]));
        assert!(next(&stream, reader).unwrap().unwrap().len() > 4000);
    }
}
