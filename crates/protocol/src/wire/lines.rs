//! Reads a pipe line by line, within bounds.

use std::io;
use std::ops::Range;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest message that is taken, 16 MiB.
pub(crate) const LONGEST: usize = 16 << 20;
/// How much is read at once at least; a long line's buffer grows, and the reads with it.
const CHUNK: usize = 16 << 10;
/// How much of the two ends of an overlong line is kept, to tell whose answer it was.
const HEAD: usize = 1 << 10;
const TAIL: usize = 256;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A line, without its end; read it by [`Lines::get`] before the next call.
    Line(Range<usize>),
    /// A line over the limit, of which only the ends are left.
    TooLong { bytes: usize, head: Vec<u8>, tail: Vec<u8> },
    /// The end of the stream.
    End,
}

/// A reader of lines.
#[derive(Debug)]
pub(super) struct Lines<R> {
    pipe: R,
    buffer: Vec<u8>,
    /// Where the line under way begins.
    start: usize,
    /// Up to where no line end was seen.
    scanned: usize,
    /// An overlong line under way: how much of it was dropped, and its ends.
    skipped: Option<(usize, Vec<u8>, Vec<u8>)>,
    longest: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(pipe: R, longest: usize) -> Self {
        let buffer = Vec::with_capacity(CHUNK);
        Self { pipe, buffer, start: 0, scanned: 0, skipped: None, longest }
    }

    /// The bytes of a line just found.
    pub(super) fn get(&self, line: Range<usize>) -> &[u8] {
        &self.buffer[line]
    }

    /// The next line. Cancel-safe: what was read stays in the buffer.
    ///
    /// # Errors
    /// What the pipe says.
    pub(super) async fn next(&mut self) -> io::Result<Found> {
        loop {
            let new = &self.buffer[self.scanned..];
            if let Some(at) = new.iter().position(|byte| *byte == b'\n') {
                let end = self.scanned + at;
                return Ok(self.finish(end, end + 1));
            }
            self.scanned = self.buffer.len();
            self.drop_overlong();
            self.make_room();
            if self.pipe.read_buf(&mut self.buffer).await? == 0 {
                let end = self.buffer.len();
                let nothing = self.start == end && self.skipped.is_none();
                return Ok(if nothing { Found::End } else { self.finish(end, end) });
            }
        }
    }

    /// Ends the line under way at `end`; the next begins at `next`.
    fn finish(&mut self, end: usize, next: usize) -> Found {
        let line = self.start..end;
        self.start = next;
        self.scanned = next;
        match self.skipped.take() {
            Some(skipped) => {
                let (bytes, head, tail) = extend(skipped, &self.buffer[line]);
                Found::TooLong { bytes, head, tail }
            }
            None if line.len() > self.longest => {
                let skipped = (0, Vec::new(), Vec::new());
                let (bytes, head, tail) = extend(skipped, &self.buffer[line]);
                Found::TooLong { bytes, head, tail }
            }
            None => Found::Line(line),
        }
    }

    /// Gives up the bytes of a line that has become too long.
    fn drop_overlong(&mut self) {
        let held = self.buffer.len() - self.start;
        if held > self.longest || self.skipped.is_some() {
            let skipped = self.skipped.take().unwrap_or_default();
            self.skipped = Some(extend(skipped, &self.buffer[self.start..]));
            self.buffer.clear();
            self.start = 0;
            self.scanned = 0;
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 16 * CHUNK {
            // One huge answer shall not hold its memory for the life of the server.
            self.buffer = Vec::with_capacity(CHUNK);
        }
        if self.buffer.capacity() - self.buffer.len() < CHUNK / 4 {
            self.buffer.reserve(CHUNK);
        }
    }
}

fn extend(skipped: (usize, Vec<u8>, Vec<u8>), more: &[u8]) -> (usize, Vec<u8>, Vec<u8>) {
    let (bytes, mut head, mut tail) = skipped;
    let for_head = more.len().min(HEAD - head.len().min(HEAD));
    head.extend_from_slice(&more[..for_head]);
    tail.extend_from_slice(&more[more.len().saturating_sub(TAIL)..]);
    tail.drain(..tail.len().saturating_sub(TAIL));
    (bytes + more.len(), head, tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads everything through a pipe that hands out a few bytes at a time.
    async fn check(input: &[u8], longest: usize, expected: &[&str]) {
        for step in [1, 3, 1000] {
            let mut mock = tokio_test(input, step);
            let mut lines = Lines::new(&mut mock, longest);
            let mut seen = Vec::new();
            loop {
                match lines.next().await.unwrap() {
                    Found::Line(line) => {
                        seen.push(String::from_utf8_lossy(lines.get(line)).into_owned());
                    }
                    Found::TooLong { bytes, head, tail } => seen.push(format!(
                        "{bytes}:{}..{}",
                        String::from_utf8_lossy(&head),
                        String::from_utf8_lossy(&tail)
                    )),
                    Found::End => break,
                }
            }
            assert_eq!(seen, expected, "in steps of {step}");
        }
    }

    struct Steps<'a> {
        rest: &'a [u8],
        step: usize,
    }

    fn tokio_test(input: &[u8], step: usize) -> Steps<'_> {
        Steps { rest: input, step }
    }

    impl AsyncRead for Steps<'_> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            let (now, later) = self.rest.split_at(self.step.min(self.rest.len()));
            into.put_slice(now);
            self.rest = later;
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn lines_are_cut_wherever_the_reads_end() {
        check(b"one\n\ntwo\nthree", 100, &["one", "", "two", "three"]).await;
        check(b"", 100, &[]).await;
    }

    #[tokio::test]
    async fn an_overlong_line_leaves_its_ends_and_its_neighbours() {
        check(b"a\n0123456789\nb\n", 5, &["a", "10:0123456789..0123456789", "b"]).await;
        check(b"0123456789", 5, &["10:0123456789..0123456789"]).await;
        check(b"12345\n123456\n", 5, &["12345", "6:123456..123456"]).await;
    }

    #[tokio::test]
    async fn a_huge_line_is_not_kept_in_memory() {
        let mut input = vec![b'x'; 40 << 20];
        input.extend_from_slice(b"\nafter\n");
        let mut steps = tokio_test(&input, CHUNK);
        let mut lines = Lines::new(&mut steps, LONGEST);
        let Found::TooLong { bytes, head, tail } = lines.next().await.unwrap() else { panic!() };
        assert_eq!((bytes, head.len(), tail.len()), (40 << 20, HEAD, TAIL));
        let Found::Line(line) = lines.next().await.unwrap() else { panic!() };
        assert_eq!(lines.get(line), b"after");
        lines.next().await.unwrap();
        assert!(lines.buffer.capacity() < 1 << 20, "{}", lines.buffer.capacity());
    }
}
