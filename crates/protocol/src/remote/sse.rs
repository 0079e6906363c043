//! Reads a stream of server-sent events, within bounds.

use super::direct::TO_END;
use super::response::Response;
use crate::error::CallError;
use crate::wire::LONGEST;

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its kind; empty is a message.
    pub(super) kind: String,
    pub(super) data: Vec<u8>,
    /// Where to go on after it, if the stream breaks.
    pub(super) id: Option<String>,
    /// How long to wait before going on, in milliseconds.
    pub(super) retry: Option<u64>,
}

/// A response read as events.
#[derive(Debug)]
pub(super) struct Events {
    response: Response,
    parser: Parser,
}

impl Events {
    pub(super) fn new(response: Response) -> Self {
        Self { response, parser: Parser::default() }
    }

    /// Wants no more of it. Its rest is still read, if it comes soon, so that its HTTP connection
    /// can be used again.
    pub(super) fn finish(mut self) {
        if !self.response.settle() {
            tokio::spawn(tokio::time::timeout(TO_END, async move {
                while let Ok(Some(_)) = self.next().await {}
            }));
        }
    }

    /// The next event; `None` at the end of the stream. Cancel-safe.
    ///
    /// # Errors
    /// The stream broke, or an event is too long.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, CallError> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            if self.parser.held() > LONGEST {
                let why = format!("an event of it has more than {LONGEST} bytes");
                return Err(CallError::Unreadable { why });
            }
            match self.response.chunk().await? {
                Some(chunk) => self.parser.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

#[derive(Debug, Default)]
struct Parser {
    buffer: Vec<u8>,
    /// Where the line under way begins.
    start: usize,
    /// Up to where no line end was seen.
    scanned: usize,
    open: Event,
    has_data: bool,
    begun: bool,
}

impl Parser {
    fn held(&self) -> usize {
        self.buffer.len() - self.start + self.open.data.len()
    }

    /// The next whole event of what has come. Lines end in LF or CRLF; the lone CR that HTML's
    /// standard allows too is used by nobody.
    fn next(&mut self) -> Option<Event> {
        while let Some(at) = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let end = self.scanned + at;
            let line = self.start..end;
            self.start = end + 1;
            self.scanned = self.start;
            if let Some(event) = self.line(line) {
                return Some(event);
            }
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        self.scanned = self.buffer.len();
        None
    }

    fn line(&mut self, line: std::ops::Range<usize>) -> Option<Event> {
        let mut line = &self.buffer[line];
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.open);
            let whole = std::mem::take(&mut self.has_data) || event.id.is_some() || event.retry.is_some();
            return whole.then_some(event);
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.open.data.push(b'\n');
                }
                self.open.data.extend_from_slice(value);
            }
            b"event" => self.open.kind = text(),
            b"id" if !value.contains(&0) => self.open.id = Some(text()),
            b"retry" => self.open.retry = text().parse().ok(),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &[(&str, &str, Option<&str>)]) {
        for step in [1, 3, 1000] {
            let mut parser = Parser::default();
            let mut seen = Vec::new();
            for chunk in input.as_bytes().chunks(step) {
                parser.buffer.extend_from_slice(chunk);
                while let Some(event) = parser.next() {
                    seen.push((event.kind, String::from_utf8(event.data).unwrap(), event.id));
                }
            }
            let seen: Vec<_> =
                seen.iter().map(|(kind, data, id)| (kind.as_str(), data.as_str(), id.as_deref())).collect();
            assert_eq!(seen, expected, "in steps of {step}");
        }
    }

    #[test]
    fn events_are_read_wherever_the_chunks_end() {
        check(
            ": hello\r\n\r\nevent: endpoint\r\ndata: /messages?x=1\r\n\r\ndata:a\ndata: b\n\nid: 7\ndata: c\n\n",
            &[("endpoint", "/messages?x=1", None), ("", "a\nb", None), ("", "c", Some("7"))],
        );
        check("\u{feff}data: x\n\ndata: half", &[("", "x", None)]);
        check("id: 1\nretry: 10\ndata:\n\n", &[("", "", Some("1"))]);
        check("\n\n\n: ping\n\n", &[]);
    }

    #[test]
    fn what_was_read_is_not_kept() {
        let mut parser = Parser::default();
        for _ in 0..1000 {
            parser.buffer.extend_from_slice(&[b"data: ".as_slice(), &[b'x'; 1000], b"\n\n"].concat());
            assert!(parser.next().is_some() && parser.next().is_none());
            assert_eq!(parser.held(), 0);
        }
        assert!(parser.buffer.capacity() < 10_000);
    }
}
