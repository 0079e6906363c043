//! Lines on their way to a server's standard input.
//!
//! Pushing writes at once as far as the pipe takes it, in the task of whoever pushes: no hop
//! to a writer task on the warm path. What does not fit is written later, in order.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::unix::pipe;
use tokio::sync::Notify;

use super::flights::Ticket;

/// The way out to one server. Ends with its pipe.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Tells the writer that lines wait, or that the pipe is closed.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    pipe: Option<Arc<pipe::Sender>>,
    /// Grows only by calls that run, each with a deadline, and by answers to the server itself.
    waiting: VecDeque<Line>,
    /// How much of the first line is written.
    written: usize,
}

#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    ticket: Option<Arc<Ticket>>,
}

impl Outbox {
    pub(crate) fn new(pipe: pipe::Sender) -> Arc<Self> {
        let state = State { pipe: Some(Arc::new(pipe)), waiting: VecDeque::new(), written: 0 };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    /// Sends a line, which ends in a newline. With a ticket it is left out once that is withdrawn.
    ///
    /// # Errors
    /// The pipe is closed; then the line will not be sent.
    pub(crate) fn push(&self, bytes: Vec<u8>, ticket: Option<Arc<Ticket>>) -> io::Result<()> {
        let mut state = self.state();
        let idle = state.waiting.is_empty();
        state.waiting.push_back(Line { bytes, ticket });
        if state.pipe.is_none() {
            state.give_up();
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if idle && !state.write()? {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Closes the pipe: the server sees the end of its input. What was not sent is dropped.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.pipe = None;
        state.give_up();
        self.changed.notify_one();
    }

    /// Writes what did not fit at once, until the pipe is closed.
    pub(crate) async fn run(&self) {
        loop {
            let pipe = {
                let state = self.state();
                let Some(pipe) = &state.pipe else { return };
                (!state.waiting.is_empty()).then(|| Arc::clone(pipe))
            };
            match pipe {
                None => self.changed.notified().await,
                Some(pipe) => {
                    tokio::select! {
                        _ = pipe.writable() => {}
                        () = self.changed.notified() => {}
                    }
                    drop(pipe);
                    // An error closes the pipe, which ends the loop above.
                    let _ = self.state().write();
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes as much as the pipe takes. Returns whether everything is written.
    fn write(&mut self) -> io::Result<bool> {
        let Some(pipe) = self.pipe.clone() else { return Ok(true) };
        while let Some(line) = self.waiting.front() {
            let begins = self.written == 0;
            let withdrawn = begins && line.ticket.as_ref().is_some_and(|ticket| !ticket.begin_sending());
            if withdrawn {
                self.waiting.pop_front();
                continue;
            }
            match pipe.try_write(&line.bytes[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    if self.written == line.bytes.len() {
                        self.written = 0;
                        self.waiting.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if begins && let Some(ticket) = &line.ticket {
                        ticket.unsend();
                    }
                    return Ok(false);
                }
                Err(error) => {
                    self.pipe = None;
                    self.give_up();
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    /// Drops what was not sent, and says so to those who wait for it.
    fn give_up(&mut self) {
        // A line of which only its end is missing may have been read as a whole.
        let nearly = self.waiting.front().is_some_and(|line| self.written + 1 >= line.bytes.len());
        for line in self.waiting.drain(..).skip(usize::from(nearly)) {
            if let Some(ticket) = line.ticket {
                ticket.fail_sending();
            }
        }
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn lines_arrive_in_order_through_a_full_pipe() {
        let (sender, mut receiver) = pipe::pipe().unwrap();
        let outbox = Outbox::new(sender);
        let writer = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.run().await }
        });
        let mut expected = Vec::new();
        for number in 0..2000 {
            let mut line = format!("{number}:{}", "x".repeat(500)).into_bytes();
            line.push(b'\n');
            expected.extend_from_slice(&line);
            outbox.push(line, None).unwrap();
        }
        let mut seen = vec![0; expected.len()];
        receiver.read_exact(&mut seen).await.unwrap();
        assert!(seen == expected);
        outbox.close();
        writer.await.unwrap();
        assert_eq!(receiver.read(&mut seen).await.unwrap(), 0, "the pipe is closed");
    }

    #[tokio::test]
    async fn a_withdrawn_line_is_never_written() {
        let (sender, mut receiver) = pipe::pipe().unwrap();
        let outbox = Outbox::new(sender);
        let filling = vec![b'x'; 100 << 10];
        outbox.push(filling.clone(), None).unwrap();
        let ticket = Ticket::new(None);
        outbox.push(b"withdrawn\n".to_vec(), Some(Arc::clone(&ticket))).unwrap();
        outbox.push(b"kept\n".to_vec(), None).unwrap();
        assert!(!ticket.withdraw(), "it was not sent yet");
        let writer = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.run().await }
        });
        let mut seen = vec![0; filling.len() + 5];
        receiver.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen[filling.len()..], b"kept\n");
        outbox.close();
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn what_a_dead_server_did_not_read_was_not_sent() {
        let (sender, receiver) = pipe::pipe().unwrap();
        let outbox = Outbox::new(sender);
        let (half, unsent) = (Ticket::new(None), Ticket::new(None));
        outbox.push(vec![b'x'; 100 << 10], Some(Arc::clone(&half))).unwrap();
        outbox.push(b"later\n".to_vec(), Some(Arc::clone(&unsent))).unwrap();
        drop(receiver);
        outbox.run().await;
        assert!(!half.withdraw() && !unsent.withdraw());
        let late = Ticket::new(None);
        assert!(outbox.push(b"late\n".to_vec(), Some(Arc::clone(&late))).is_err());
        assert!(!late.withdraw());
    }
}
