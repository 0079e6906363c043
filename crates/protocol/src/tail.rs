//! The last lines of a server's standard error.
//!
//! The pipe is always drained, whatever comes: a full pipe would block the server. Memory and
//! work are bounded: of what is read at once only the last lines are looked at.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;

/// How many lines are kept.
const LINES: usize = 50;
/// How many bytes of a line are kept.
const WIDTH: usize = 2_000;

/// The tail of one server's standard error.
#[derive(Debug)]
pub(crate) struct Tail {
    kept: Mutex<Kept>,
    ended: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Vec<u8>>,
    /// The line under way, cut at the width.
    open: Vec<u8>,
}

impl Tail {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), ended: watch::Sender::new(false) })
    }

    /// The tail of a server that has no standard error.
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), ended: watch::Sender::new(true) })
    }

    /// Drains the pipe to its end.
    pub(crate) async fn drain(&self, mut pipe: pipe::Receiver) {
        let mut chunk = vec![0; 16 << 10];
        loop {
            match pipe.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(count) => self.kept().take(&chunk[..count]),
            }
        }
        self.ended.send_replace(true);
    }

    /// Waits until everything that the server wrote is in.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// The lines, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        let kept = self.kept();
        let open = Some(&kept.open).filter(|open| !open.is_empty());
        let lines = kept.lines.iter().chain(open);
        let skip = (kept.lines.len() + usize::from(open.is_some())).saturating_sub(LINES);
        lines.skip(skip).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn take(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            self.extend_open(bytes);
            return;
        };
        // Where the last `LINES` lines begin, if there are more.
        let ends = bytes[..last].iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
        let start = match ends.map(|(at, _)| at).nth(LINES - 1) {
            Some(at) => {
                self.open.clear();
                at + 1
            }
            None => 0,
        };
        for line in bytes[start..last].split(|byte| *byte == b'\n') {
            self.extend_open(line);
            let line = std::mem::take(&mut self.open);
            if self.lines.len() == LINES {
                self.lines.pop_front();
            }
            self.lines.push_back(line.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(line));
        }
        self.extend_open(&bytes[last + 1..]);
    }

    fn extend_open(&mut self, bytes: &[u8]) {
        let room = WIDTH - self.open.len();
        self.open.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]], expected: &[&str]) {
        let tail = Tail::new();
        for chunk in chunks {
            tail.kept().take(chunk);
        }
        assert_eq!(tail.lines(), expected);
    }

    #[test]
    fn lines_are_joined_over_chunks_and_an_open_one_shows() {
        check(&[b"a\nb", b"c\r\n", b"\nd"], &["a", "bc", "", "d"]);
        check(&[b"\n"], &[""]);
        check(&[], &[]);
    }

    #[test]
    fn only_the_last_fifty_lines_are_kept() {
        let many: String = (0..1000).map(|number| format!("{number}\n")).collect();
        let expected: Vec<String> = (950..1000).map(|number| number.to_string()).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(&[b"old\nhalf", many.as_bytes()], &expected);
        for step in [1, 7, 64] {
            let chunks: Vec<&[u8]> = many.as_bytes().chunks(step).collect();
            check(&chunks, &expected);
        }
        let mut with_open = many.clone();
        with_open.push_str("open");
        let mut expected = expected[1..].to_vec();
        expected.push("open");
        check(&[with_open.as_bytes()], &expected);
    }

    #[test]
    fn exactly_fifty_lines_keep_the_start_of_the_first() {
        let lines: String = (0..50).map(|number| format!("{number}\n")).collect();
        let mut expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        expected[0] = "x0".to_owned();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(&[b"x", lines.as_bytes()], &expected);
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = vec![b'x'; 10 * WIDTH];
        let tail = Tail::new();
        tail.kept().take(&long);
        tail.kept().take(b"\nnext\n");
        let lines = tail.lines();
        assert_eq!((lines[0].len(), lines[1].as_str()), (WIDTH, "next"));
    }
}
