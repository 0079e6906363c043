//! Messages of MCP on a stream of bytes: a line each.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// The longest message that is read; what servers are allowed too.
pub const LONGEST: usize = 16 * 1024 * 1024;

/// One message, or what stands in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The line, without its end.
    Text(Vec<u8>),
    /// It was longer than a message may be, and was skipped.
    TooLong,
}

/// Reads lines, and never holds more of one than a message may have.
#[derive(Debug)]
pub struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    skipping: bool,
    longest: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads lines of a stream.
    pub fn of(input: R) -> Self {
        Self::up_to(LONGEST, input)
    }

    /// Reads lines of a stream that may have so many bytes.
    pub fn up_to(longest: usize, input: R) -> Self {
        let input = BufReader::with_capacity(64 * 1024, input);
        Self { input, line: Vec::new(), skipping: false, longest }
    }

    /// Whether a whole line can be had without waiting.
    pub fn has_more(&self) -> bool {
        self.input.buffer().contains(&b'\n')
    }

    /// The next line that is not empty; `None` at the end. What a cancelled call has read is not
    /// lost.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let read = self.input.fill_buf().await?;
            let at_end = read.is_empty();
            let line_end = read.iter().position(|byte| *byte == b'\n');
            let part = &read[..line_end.unwrap_or(read.len())];
            if self.line.len() + part.len() > self.longest {
                self.skipping = true;
                self.line = Vec::new();
            }
            if !self.skipping {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(line_end.is_some());
            self.input.consume(used);
            if line_end.is_none() && !at_end {
                continue;
            }
            if std::mem::take(&mut self.skipping) {
                return Ok(Some(Line::TooLong));
            }
            let mut line = std::mem::take(&mut self.line);
            line.truncate(line.trim_ascii_end().len());
            if !line.trim_ascii().is_empty() {
                return Ok(Some(Line::Text(line)));
            }
            if at_end {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(input: &[u8]) -> Vec<Line> {
        let mut lines = Lines::of(input);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    fn text(line: &str) -> Line {
        Line::Text(line.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn empty_lines_and_returns_are_no_messages() {
        assert_eq!(read(b"{}\r\n\n  \r\n[]\nlast").await, [text("{}"), text("[]"), text("last")]);
        assert_eq!(read(b"").await, []);
    }

    #[tokio::test]
    async fn what_is_too_long_is_skipped_and_the_next_is_read() {
        let mut input = vec![b'x'; LONGEST + 1];
        input.extend_from_slice(b"\n{}\n");
        input.extend(std::iter::repeat_n(b'y', LONGEST));
        let lines = read(&input).await;
        assert_eq!(lines[..2], [Line::TooLong, text("{}")]);
        assert!(matches!(&lines[2], Line::Text(whole) if whole.len() == LONGEST));
    }
}
