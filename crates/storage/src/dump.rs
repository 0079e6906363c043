//! Everything that a storage holds as lines of JSON, to look at, keep, or take elsewhere.
//!
//! ```text
//! {"dormouse":"storage","format":1,"records":2,"conversations":1}
//! {"table":"settings","key":"k","value":{"a":1}}
//! {"table":"tool_names","key":"l","value":"calc_add"}
//! {"scope":"agent-1","session":"s","messages":[{"role":"user","content":"…","timestamp":"…"}]}
//! ```
//!
//! # Invariants
//!
//! * A dump is read to its end and checked before the first of it is stored: one that was cut off,
//!   or that a newer Dormouse wrote, changes nothing.
//! * Loading one twice is loading it once. What is in the storage and not in the dump stays.
//! * A dump is no secret of its own, and as private as its conversations: who writes it to a file
//!   lets nobody else read that.

use std::io;
use std::time::Duration;

use dormouse_types::{Message, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

use crate::{ConversationKey, Fence, Storage, StorageError, Table, Write};

/// The version of the lines. A dump with a greater one is refused.
const FORMAT: u64 = 1;
/// How many records are stored in one step.
const BATCH: usize = 500;
/// What only one at a time does with a storage that several can reach.
const DUTY: &str = "fill the storage";
/// How long one step may take.
const LEASE: Duration = Duration::from_secs(60);

/// How much a dump holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dumped {
    /// Records of all tables.
    pub records: usize,
    /// Conversations, with all that is kept of them.
    pub conversations: usize,
}

/// Why a dump was not made or not loaded.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The storage failed, or somebody else fills it ([`StorageError::Fenced`]). Of a load, the batches
    /// before are stored; loading again completes it.
    #[error("the storage failed")]
    Storage(#[from] StorageError),
    /// The dump could not be written.
    #[error("the dump cannot be written")]
    Write(#[source] io::Error),
    /// The dump could not be read.
    #[error("the dump cannot be read")]
    Read(#[source] io::Error),
    /// The first line is none of ours.
    #[error("this is no dump of a storage: its first line says something else")]
    NoDump,
    /// A newer Dormouse wrote it.
    #[error("the dump has format {found}, and this version knows up to {known}: a newer Dormouse wrote it")]
    Newer {
        /// Its format.
        found: u64,
        /// The newest format that is known here.
        known: u64,
    },
    /// A line is no record and no conversation.
    #[error("line {line} of the dump is damaged")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A line is of a table that there is not.
    #[error("line {line} of the dump is of the table `{table}`, which is unknown")]
    UnknownTable {
        /// Which, from 1.
        line: usize,
        /// Its table.
        table: String,
    },
    /// It does not hold what its first line says: it was cut off, or put together by hand.
    #[error(
        "the dump says that it has {} records and {} conversations, and has {} and {}",
        said.records, said.conversations, found.records, found.conversations
    )]
    Incomplete {
        /// What the first line says.
        said: Dumped,
        /// What is there.
        found: Dumped,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    dormouse: String,
    format: u64,
    #[serde(default)]
    records: usize,
    #[serde(default)]
    conversations: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Record {
        table: String,
        key: String,
        value: Value,
    },
    Conversation {
        /// `None` is the store.
        scope: Option<String>,
        session: String,
        messages: Vec<Message>,
    },
}

/// All of a storage, in memory.
#[derive(Debug, Default)]
struct Content {
    records: Vec<(Table, String, Value)>,
    conversations: Vec<(ConversationKey, Vec<Message>)>,
}

/// Writes everything that a storage holds.
///
/// What is changed meanwhile may be there in parts; stop the hub for an exact copy.
///
/// # Errors
/// [`DumpError`]; then what was written is no whole dump, and cannot be loaded.
pub async fn dump(from: &dyn Storage, to: &mut (dyn AsyncWrite + Unpin + Send)) -> Result<Dumped, DumpError> {
    let content = read_all(from).await?;
    let dumped = content.size();
    let header = Header {
        dormouse: "storage".to_owned(),
        format: FORMAT,
        records: dumped.records,
        conversations: dumped.conversations,
    };
    write_line(to, &header).await?;
    for (table, key, value) in content.records {
        write_line(to, &Line::Record { table: table.as_str().to_owned(), key, value }).await?;
    }
    for (key, messages) in content.conversations {
        let scope = match key.scope {
            Scope::Store => None,
            Scope::Agent(agent) => Some(agent.to_string()),
        };
        write_line(to, &Line::Conversation { scope, session: key.session.to_string(), messages }).await?;
    }
    to.flush().await.map_err(DumpError::Write)?;
    Ok(dumped)
}

/// Stores everything that a dump holds, over what is there under the same keys.
///
/// # Errors
/// [`DumpError`]; nothing is stored, unless it is [`DumpError::Storage`].
pub async fn load(
    to: &dyn Storage,
    from: &mut (dyn AsyncBufRead + Unpin + Send),
) -> Result<Dumped, DumpError> {
    let content = parse(from).await?;
    store_all(to, content).await
}

/// Copies everything from one storage to another one, over what is there under the same keys.
///
/// # Errors
/// [`DumpError::Storage`]; doing it again completes it.
pub async fn migrate(from: &dyn Storage, to: &dyn Storage) -> Result<Dumped, DumpError> {
    store_all(to, read_all(from).await?).await
}

impl Content {
    fn size(&self) -> Dumped {
        Dumped { records: self.records.len(), conversations: self.conversations.len() }
    }
}

async fn read_all(from: &dyn Storage) -> Result<Content, StorageError> {
    let mut content = Content::default();
    for table in Table::ALL {
        let all = from.all(table).await?;
        content.records.extend(all.into_iter().map(|(key, value)| (table, key, value)));
    }
    let mut keys = from.conversations().await?;
    keys.sort_by_cached_key(|key| (key.scope.clone(), key.session.to_string()));
    for key in keys {
        let messages = from.history(&key).await?;
        // It may have been cleared since it was listed.
        if !messages.is_empty() {
            content.conversations.push((key, messages));
        }
    }
    Ok(content)
}

async fn store_all(to: &dyn Storage, content: Content) -> Result<Dumped, DumpError> {
    let size = content.size();
    let fence = leads(to).await?;
    let mut records = content.records.into_iter();
    loop {
        let put = |(table, key, value)| Write::Put { table, key, value };
        let mut batch: Vec<Write> = records.by_ref().take(BATCH).map(put).collect();
        if batch.is_empty() {
            break;
        }
        batch.push(still_leads(to, fence).await?);
        to.write(batch).await?;
    }
    for (key, messages) in content.conversations {
        if to.history(&key).await? != messages {
            still_leads(to, fence).await?;
            to.clear(&key).await?;
            to.append(&key, &messages).await?;
        }
    }
    Ok(size)
}

/// Takes or renews the duty.
async fn leads(to: &dyn Storage) -> Result<Fence, StorageError> {
    let fence = to.lead(DUTY, LEASE).await?;
    fence.ok_or_else(|| StorageError::Fenced { duty: DUTY.to_owned() })
}

/// Renews it; what fails a batch once it is somebody else's.
async fn still_leads(to: &dyn Storage, fence: Fence) -> Result<Write, StorageError> {
    match leads(to).await? {
        now if now == fence => Ok(Write::Led { duty: DUTY.to_owned(), fence }),
        // Somebody else may have come and gone.
        _ => Err(StorageError::Fenced { duty: DUTY.to_owned() }),
    }
}

async fn write_line(
    to: &mut (dyn AsyncWrite + Unpin + Send),
    line: &impl Serialize,
) -> Result<(), DumpError> {
    let mut text = serde_json::to_vec(line).expect("keys are text and values are JSON");
    text.push(b'\n');
    to.write_all(&text).await.map_err(DumpError::Write)
}

async fn parse(from: &mut (dyn AsyncBufRead + Unpin + Send)) -> Result<Content, DumpError> {
    let mut lines = from.lines();
    let first = lines.next_line().await.map_err(DumpError::Read)?.unwrap_or_default();
    let header: Header = serde_json::from_str(&first).map_err(|_| DumpError::NoDump)?;
    if header.dormouse != "storage" {
        return Err(DumpError::NoDump);
    }
    if header.format > FORMAT {
        return Err(DumpError::Newer { found: header.format, known: FORMAT });
    }
    let mut content = Content::default();
    let mut line = 1;
    while let Some(text) = lines.next_line().await.map_err(DumpError::Read)? {
        line += 1;
        if text.trim().is_empty() {
            continue;
        }
        let damaged = |source| DumpError::Line { line, source };
        match serde_json::from_str(&text).map_err(damaged)? {
            Line::Record { table, key, value } => {
                let known = Table::ALL.into_iter().find(|known| known.as_str() == table);
                let known = known.ok_or(DumpError::UnknownTable { line, table })?;
                content.records.push((known, key, value));
            }
            Line::Conversation { scope, session, messages } => {
                let invalid = |error: &dyn std::fmt::Display| damaged(serde::de::Error::custom(error));
                let scope = match scope {
                    None => Scope::Store,
                    Some(agent) => Scope::Agent(agent.parse().map_err(|error| invalid(&error))?),
                };
                let session = session.parse().map_err(|error| invalid(&error))?;
                content.conversations.push((ConversationKey { scope, session }, messages));
            }
        }
    }
    let said = Dumped { records: header.records, conversations: header.conversations };
    let found = content.size();
    if said != found {
        return Err(DumpError::Incomplete { said, found });
    }
    Ok(content)
}
