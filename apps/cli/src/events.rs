//! Server-sent events, read from a body as it comes.

use http_body_util::BodyExt;
use hyper::body::Bytes;

use crate::client::{Body, Unanswered};

/// One event: its name, its data, and its id where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentEvent {
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
}

/// The events of a body.
pub(crate) struct Events {
    body: Body,
    lines: Lines,
}

impl Events {
    pub(crate) fn of(body: Body) -> Self {
        Self { body, lines: Lines::default() }
    }

    /// The next event; `None` at the end of the body.
    pub(crate) async fn next(&mut self) -> Result<Option<SentEvent>, Unanswered> {
        loop {
            if let Some(event) = self.lines.event() {
                return Ok(Some(event));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.lines.take(frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(Unanswered::Broken(error)),
                None => return Ok(None),
            }
        }
    }
}

/// Bytes that are not yet an event; they may end within a line, or within a character.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Up to here there is no end of a line.
    searched: usize,
    name: String,
    data: Option<String>,
    id: Option<String>,
}

impl Lines {
    fn take(&mut self, bytes: Bytes) {
        self.bytes.extend_from_slice(&bytes);
    }

    /// The next whole event, if it is there.
    fn event(&mut self) -> Option<SentEvent> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                let name = std::mem::take(&mut self.name);
                let id = self.id.take();
                if let Some(data) = self.data.take() {
                    return Some(SentEvent { name, data, id });
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match (field, &mut self.data) {
                ("event", _) => self.name = value.to_owned(),
                ("data", Some(data)) => {
                    data.push('\n');
                    data.push_str(value);
                }
                ("data", none) => *none = Some(value.to_owned()),
                ("id", _) => self.id = Some(value.to_owned()),
                // Comments keep the connection alive; delays are for browsers.
                _ => {}
            }
        }
        None
    }

    fn line(&mut self) -> Option<String> {
        let Some(at) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            return None;
        };
        let rest = self.bytes.split_off(self.searched + at + 1);
        let mut line = std::mem::replace(&mut self.bytes, rest);
        self.searched = 0;
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_the_bytes_are_cut() {
        let wire =
            ": alive\n\nevent: plan\ndata: {\"a\":\ndata: \"ü\"}\nid: 7\n\nevent: token\r\ndata:x\r\n\r\n";
        for size in 1..wire.len() {
            let mut lines = Lines::default();
            let mut events = Vec::new();
            for piece in wire.as_bytes().chunks(size) {
                lines.take(Bytes::copy_from_slice(piece));
                events.extend(std::iter::from_fn(|| lines.event()));
            }
            let said: Vec<(&str, &str)> = events.iter().map(|e| (e.name.as_str(), e.data.as_str())).collect();
            assert_eq!(said, [("plan", "{\"a\":\n\"ü\"}"), ("token", "x")], "{size}");
            let ids: Vec<Option<&str>> = events.iter().map(|e| e.id.as_deref()).collect();
            assert_eq!(ids, [Some("7"), None], "{size}");
        }
    }

    #[test]
    fn half_an_event_is_none() {
        let mut lines = Lines::default();
        lines.take(Bytes::from_static(b"event: plan\ndata: {}\n"));
        assert_eq!(lines.event(), None);
    }
}
