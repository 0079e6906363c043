//! Streams of lines, and what reasoning models hide in them.

use std::time::Duration;

use futures::{Stream, StreamExt};

use super::{MAX_TEXT_BYTES, ModelError, Tokens, fault, json};

/// The longest line of a stream: each carries one token, or one whole short answer.
const MAX_LINE_BYTES: usize = 1024 * 1024;

/// Reads a body line by line. `take` gives true when the stream has said that it is complete.
pub(super) async fn lines<B: AsRef<[u8]>>(
    mut body: impl Stream<Item = Result<B, reqwest::Error>> + Unpin,
    (url, limit): (&str, Duration),
    mut take: impl FnMut(&str) -> Result<bool, ModelError>,
) -> Result<(), ModelError> {
    let mut pending: Vec<u8> = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| fault(&error, url, limit))?;
        for piece in chunk.as_ref().split_inclusive(|byte| *byte == b'\n') {
            pending.extend_from_slice(piece);
            if pending.len() > MAX_LINE_BYTES {
                return Err(ModelError::Garbage { problem: "a line has no end".to_owned() });
            }
            if pending.ends_with(b"\n") {
                let line = std::mem::take(&mut pending);
                if take(String::from_utf8_lossy(&line).trim())? {
                    return Ok(());
                }
            }
        }
    }
    // A last line may lack its end.
    match take(String::from_utf8_lossy(&pending).trim())? {
        true => Ok(()),
        false => Err(ModelError::CutOff),
    }
}

/// Collects the pieces of a text, passes them on, and keeps back what a model thinks aloud.
pub(super) struct Collector<'t> {
    raw: String,
    told: usize,
    tokens: &'t Tokens<'t>,
}

impl<'t> Collector<'t> {
    pub(super) fn new(tokens: &'t Tokens<'t>) -> Self {
        Self { raw: String::new(), told: 0, tokens }
    }

    /// Takes a piece; true when the text is as long as any may be.
    pub(super) fn push(&mut self, piece: &str) -> bool {
        self.raw.push_str(piece);
        let visible = self.visible();
        if visible.len() > self.told && visible.is_char_boundary(self.told) {
            (self.tokens)(&visible[self.told..]);
            self.told = visible.len();
        }
        self.raw.len() > MAX_TEXT_BYTES
    }

    /// What may be shown so far: no thought, and nothing that may yet become the mark of one.
    fn visible(&self) -> String {
        let start = self.raw.trim_start();
        if !start.starts_with('<') {
            return self.raw.clone();
        }
        if start.len() < "<think>".len() && "<think>".starts_with(start) {
            return String::new();
        }
        json::without_thoughts(start).trim_start().to_owned()
    }

    /// The text, or what is wrong with it.
    pub(super) fn finish(self) -> Result<String, ModelError> {
        let text = self.visible().trim().to_owned();
        if text.is_empty() {
            return Err(ModelError::Garbage { problem: "it is empty".to_owned() });
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    async fn read(chunks: &[&[u8]]) -> Result<Vec<String>, ModelError> {
        let mut lines_read = Vec::new();
        let body = futures::stream::iter(chunks.iter().map(|chunk| Ok(chunk.to_vec())).collect::<Vec<_>>());
        let place = ("http://x", Duration::from_secs(1));
        lines(body, place, |line| {
            lines_read.push(line.to_owned());
            Ok(line == "end")
        })
        .await?;
        Ok(lines_read)
    }

    #[tokio::test]
    async fn a_character_in_two_chunks_is_one_character() {
        let found = read(&[b"h\xc3", b"\xa9llo\nwor", b"ld\nend\nrest"]).await.unwrap();
        assert_eq!(found, ["héllo", "world", "end"]);
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_is_told() {
        assert!(matches!(read(&[b"a\nb"]).await, Err(ModelError::CutOff)));
        assert!(matches!(read(&[]).await, Err(ModelError::CutOff)));
        assert_eq!(read(&[b"a\nend"]).await.unwrap(), ["a", "end"]);
    }

    #[test]
    fn thoughts_reach_nobody() {
        let told = Mutex::new(String::new());
        let tokens = |token: &str| told.lock().unwrap().push_str(token);
        let mut collector = Collector::new(&tokens);
        for piece in ["<th", "ink>", "hm, 42? ", "</thi", "nk>", "\n\nIt is ", "42", "."] {
            collector.push(piece);
        }
        assert_eq!(collector.finish().unwrap(), "It is 42.");
        assert_eq!(*told.lock().unwrap(), "It is 42.");
    }
}
