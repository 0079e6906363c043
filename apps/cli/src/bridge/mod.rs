//! Between a client of MCP on standard input and output, and the hub of the space.
//!
//! The bridge copies lines. The hub behind it may end or be replaced: the bridge comes again to
//! the next one, goes on in the same session, and hands on what was not taken. So it knows which
//! requests are under way ([`ledger`]), and nothing more of MCP.
//!
//! # Invariants
//!
//! * Standard output carries messages of MCP only.
//! * Memory is bounded: who does not read makes the other side wait.

mod ledger;
mod link;
mod message;

use std::io;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use dormouse_gateway::stdio::{LONGEST, Line, Lines};
use serde_json::json;
use tokio::io::{AsyncWriteExt, Stdout};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use self::ledger::{Ledger, Passage, Unanswered};
pub(crate) use self::link::{Link, NoLink};
use crate::exit::Exit;
use crate::failure::Failure;

/// How long answers may take once the client has closed its side.
const FAREWELL: Duration = Duration::from_secs(10);

/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How many bytes of small lines are written at once.
const BATCH: usize = 64 * 1024;

/// A client on standard input and output, and what it is owed.
#[derive(Debug)]
pub(crate) struct Bridge {
    from_client: mpsc::Receiver<Line>,
    to_client: tokio::sync::Mutex<ToClient>,
    ledger: Mutex<Ledger>,
    /// The ledger has room again, or something to send.
    changed: Notify,
    /// Since when the client has closed its side.
    left: Option<Instant>,
    /// How it ended for a client that closed its side too early.
    unanswered: Exit,
}

/// Why nothing is copied any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client does not read, or has left and was answered.
    Client,
    /// The hub closed the stream.
    Hub,
}

impl Bridge {
    /// Begins to read what the client says.
    pub(crate) fn begin() -> Self {
        // The reader ends with the input, or with the bridge.
        let (client, from_client) = mpsc::channel(4);
        tokio::spawn(async move {
            let mut lines = Lines::of(tokio::io::stdin());
            // What cannot be read is as good as closed.
            while let Ok(Some(line)) = lines.next().await {
                if client.send(line).await.is_err() {
                    break;
                }
            }
        });
        Self {
            from_client,
            to_client: tokio::sync::Mutex::new(ToClient { stdout: tokio::io::stdout(), half: false }),
            ledger: Mutex::default(),
            changed: Notify::new(),
            left: None,
            unanswered: Exit::Ok,
        }
    }

    /// Copies until the client leaves. `hub` leads to the space's hub, in a session if one is
    /// named, as often as one is needed. How it ends says whether a client that closed its side was
    /// answered whatever it asked.
    pub(crate) async fn run(
        mut self,
        hub: impl AsyncFn(Option<String>) -> Result<Link, Failure>,
    ) -> Result<Exit, Failure> {
        loop {
            let session = self.ledger().session().map(str::to_owned);
            let link = match self.meanwhile(hub(session)).await {
                Ok(Some(link)) => link,
                Ok(None) => return Ok(self.part().await),
                Err(failure) => {
                    let why = failure.to_string();
                    let told = self.ledger().abandoned(why.trim_start_matches("error: "));
                    for line in told {
                        // The failure is what counts.
                        let _ = self.tell(&line).await;
                    }
                    return Err(failure);
                }
            };
            match self.carry(link).await {
                End::Client => return Ok(self.part().await),
                End::Hub => {}
            }
            let told = self.ledger().broken();
            if self.left.is_some() && !told.is_empty() {
                self.unanswered = Exit::OutcomeUnknown;
            }
            for line in told {
                if self.tell(&line).await.is_err() {
                    return Ok(self.unanswered);
                }
            }
        }
    }

    /// Parts from the client. What it asked before it closed its side, and what was not answered in
    /// time, is answered with an error: it may read to the end, and must not take silence for success.
    async fn part(&mut self) -> Exit {
        if self.left.is_none() {
            return self.unanswered;
        }
        let Unanswered { told, begun } = self.ledger().parted(FAREWELL);
        if !told.is_empty() {
            self.unanswered = if begun { Exit::OutcomeUnknown } else { Exit::NoHub };
        }
        let telling = async {
            for line in &told {
                self.tell(line).await?;
            }
            io::Result::Ok(())
        };
        // Who does not read does not want to know.
        let _ = tokio::time::timeout(LAST_WORDS, telling).await;
        self.unanswered
    }

    /// Waits for a hub, and listens to the client meanwhile; `None` once it has left and nothing is
    /// owed to it, or it was kept waiting for too long.
    async fn meanwhile(
        &mut self,
        hub: impl Future<Output = Result<Link, Failure>>,
    ) -> Result<Option<Link>, Failure> {
        let mut hub = std::pin::pin!(hub);
        loop {
            if self.left.is_some() && self.ledger().is_settled() {
                return Ok(None);
            }
            let listening = self.left.is_none() && self.ledger().has_room();
            tokio::select! {
                link = &mut hub => return link.map(Some),
                line = self.from_client.recv(), if listening => {
                    if self.take(line).await.is_err() {
                        return Ok(None);
                    }
                }
                () = farewell(self.left) => return Ok(None),
            }
        }
    }

    /// Takes a line of the client, or its end.
    async fn take(&mut self, line: Option<Line>) -> io::Result<()> {
        match line {
            Some(Line::Text(line)) => self.ledger().note(line.into()),
            Some(Line::TooLong) => self.tell(&too_long()).await?,
            None => self.left = Some(Instant::now()),
        }
        Ok(())
    }

    /// Copies both ways until one side ends.
    async fn carry(&mut self, link: Link) -> End {
        let Link { mut from_hub, mut to_hub, session } = link;
        self.ledger().begin(session);
        let mut left = self.left;
        let Self { from_client, to_client, ledger, changed, .. } = self;
        let (from_client, to_client, ledger, changed) = (from_client, &*to_client, &*ledger, &*changed);
        let lock = || ledger.lock().expect("nothing panics while it holds the ledger");

        let up = async {
            loop {
                loop {
                    // A guard in the head of a `while let` would be held while it is sent.
                    let batch = next_batch(&mut lock());
                    let Some(batch) = batch else { break };
                    // The hub's end is seen where it is read, after all that it said.
                    if to_hub.write_all(&batch).await.is_err() {
                        return std::future::pending().await;
                    }
                }
                if to_hub.flush().await.is_err() {
                    return std::future::pending().await;
                }
                if left.is_some() {
                    let _ = to_hub.shutdown().await;
                    farewell(left).await;
                    return left;
                }
                let room = lock().has_room();
                tokio::select! {
                    line = from_client.recv(), if room => match line {
                        Some(Line::Text(line)) => lock().note(line.into()),
                        Some(Line::TooLong) => {
                            if write(to_client, &too_long()).await.is_err() {
                                return left;
                            }
                        }
                        None => left = Some(Instant::now()),
                    },
                    () = changed.notified() => {}
                }
            }
        };
        let down = async {
            while let Ok(Some(line)) = from_hub.next().await {
                let Line::Text(line) = line else { continue };
                let copied = match line.strip_prefix(b"#") {
                    Some(word) => {
                        heed(&mut lock(), word);
                        changed.notify_one();
                        Ok(())
                    }
                    None => {
                        let passage = lock().passes(&line);
                        if passage == Passage::Client { copy(to_client, line).await } else { Ok(()) }
                    }
                };
                let flushed = match copied {
                    // Several lines that came together go together.
                    Ok(()) if from_hub.has_more() => Ok(()),
                    Ok(()) => to_client.lock().await.flush().await,
                    Err(error) => Err(error),
                };
                if flushed.is_err() {
                    return End::Client;
                }
            }
            match to_client.lock().await.flush().await {
                Ok(()) => End::Hub,
                Err(_) => End::Client,
            }
        };
        let end = tokio::select! {
            end = down => end,
            _ = up => End::Client,
        };
        // `left` belongs to the stream until here.
        if self.left.is_none() && self.from_client.is_closed() && self.from_client.is_empty() {
            self.left = Some(Instant::now());
        }
        if self.left.is_some() && end == End::Hub {
            self.ledger().left();
        }
        match self.left {
            Some(_) if self.ledger().is_settled() => End::Client,
            _ => end,
        }
    }

    /// Says something to the client.
    async fn tell(&self, line: &str) -> io::Result<()> {
        write(&self.to_client, line).await
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nothing panics while it holds the ledger")
    }
}

/// Returns when a client that has left was waited for long enough; never while it is there.
async fn farewell(left: Option<Instant>) {
    match left {
        Some(left) => tokio::time::sleep_until(left + FAREWELL).await,
        None => std::future::pending().await,
    }
}

/// Lines to send, as many as are worth one write.
fn next_batch(ledger: &mut Ledger) -> Option<Vec<u8>> {
    let mut batch = Vec::new();
    while batch.len() < BATCH
        && let Some(line) = ledger.next()
    {
        batch.extend_from_slice(&line);
        batch.push(b'\n');
    }
    (!batch.is_empty()).then_some(batch)
}

/// What the hub tells of the lines that it got.
fn heed(ledger: &mut Ledger, word: &[u8]) {
    let Some((word, value)) = std::str::from_utf8(word).ok().and_then(|word| word.split_once(' ')) else {
        return;
    };
    match (word, value.parse::<u64>()) {
        ("taken", Ok(lines)) => ledger.taken(lines),
        ("refused", Ok(line)) => ledger.refused(line),
        // A newer hub may tell more.
        _ => {}
    }
}

/// Standard output.
#[derive(Debug)]
struct ToClient {
    stdout: Stdout,
    /// A line was begun, and its end may never have been written.
    half: bool,
}

impl ToClient {
    async fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush().await
    }
}

async fn write(to_client: &tokio::sync::Mutex<ToClient>, line: &str) -> io::Result<()> {
    copy(to_client, line.into()).await?;
    to_client.lock().await.flush().await
}

/// Writes a line. It may wait for a flush.
async fn copy(to_client: &tokio::sync::Mutex<ToClient>, mut line: Vec<u8>) -> io::Result<()> {
    line.push(b'\n');
    let mut out = to_client.lock().await;
    if out.half {
        // What was left of it would spoil this one too.
        out.stdout.write_all(b"\n").await?;
    }
    out.half = true;
    out.stdout.write_all(&line).await?;
    out.half = false;
    Ok(())
}

fn too_long() -> String {
    let message = format!("a message has at most {LONGEST} bytes");
    json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": message}}).to_string()
}
