//! The storage that several hubs share: a space in Redis.
//!
//! Every change is one Lua script: atomic, counted, and told to the other hubs in the same step.
//! All keys of a space lie in one slot, so that this is true in a cluster as well; `keys.rs` lists
//! them. Addresses: `redis://[user:password@]host[:port][/database]`, `rediss://` with TLS (the
//! system's certificates, or those of the file that `SSL_CERT_FILE` names), `redis-cluster://host:port?node=host:port`,
//! `redis-sentinel://host:port?sentinelServiceName=NAME&node=host:port`.
//!
//! # Invariants
//!
//! * Every command has a limit of time, and every connection comes back by itself.
//! * A change is sent once. When its answer is lost, the caller hears so and nobody repeats it.
//! * No address, password or value is part of an error or of the log.

mod error;
mod feed;
mod keys;
mod line;
mod scripts;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dormouse_types::Message;
use fred::prelude::{
    Builder, ClientLike, Config, Error, HashesInterface, ListInterface, LuaInterface, Options,
    PubsubInterface, SetsInterface, Value as Answer,
};
use fred::types::{ClusterHash, ConnectHandle, CustomCommand};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit, broadcast};
use tokio::task::JoinHandle;

use crate::key::{conversation_key, conversation_of};
use crate::{ConversationKey, Fence, FromOthers, MESSAGES_KEPT, Storage, StorageError, Table, Write};
use feed::{Batches, Feed, Sent};
use keys::Keys;
use line::{Light, Line};
use scripts::Batch;

pub use error::OpenError;

/// The version of the layout in `keys.rs`. A space with a greater one is refused.
const FORMAT: u64 = 1;
/// How many calls run at once; closing waits for all of them.
const CALLS: u32 = 1 << 20;
/// How many messages a listener may be behind.
const BEHIND: usize = 1024;
/// How often an expectation in another spelling is tried again.
const SPELLINGS: usize = 8;

/// Which space, where, and how long to wait.
#[derive(Clone)]
pub struct RedisSettings {
    /// The address, with the password if there is one.
    pub url: String,
    /// The name of the space: hubs with the same one share it.
    pub space_id: String,
    /// How long a command may take; a call takes at most twice as long.
    pub command_timeout: Duration,
    /// How many replicas must have a change before it is acknowledged.
    pub replicas: u32,
    /// How many messages of a conversation are kept.
    pub messages_kept: usize,
}

impl RedisSettings {
    /// A space at an address, with 2 s for a command and no replica to wait for.
    pub fn new(url: impl Into<String>, space_id: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            space_id: space_id.into(),
            command_timeout: Duration::from_secs(2),
            replicas: 0,
            messages_kept: MESSAGES_KEPT,
        }
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("space_id", &self.space_id)
            .field("command_timeout", &self.command_timeout)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

/// A space in Redis.
pub struct Redis {
    /// Host and port of one of its servers, for people.
    server: String,
    keys: Keys,
    /// Who we are among the hubs; new with each opening.
    hub: String,
    reads: Line,
    /// Apart from the reads, which shall not wait for replicas.
    writes: Line,
    within: Duration,
    replicas: u32,
    messages_kept: usize,
    others: broadcast::Sender<FromOthers>,
    listening: Light,
    feed: JoinHandle<()>,
    feed_connection: ConnectHandle,
    calls: Semaphore,
    batches: Arc<Batches>,
    /// The duties of this hub, with the ends of their leases.
    duties: Mutex<HashMap<String, Instant>>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("server", &self.server)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects to a space, which need not be there yet.
    ///
    /// # Errors
    /// [`OpenError`]; within three times the command timeout.
    pub async fn open(settings: RedisSettings) -> Result<Self, OpenError> {
        let RedisSettings { url, space_id, command_timeout: within, replicas, messages_kept } = settings;
        let is_id = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if space_id.is_empty() || space_id.len() > 100 || !space_id.chars().all(is_id) {
            return Err(OpenError::SpaceId { id: space_id });
        }
        let config = address(&url)?;
        let server = config.server.hosts().first().map(ToString::to_string).unwrap_or_default();
        let keys = Keys::new(&space_id, config.database);
        let hub = new_hub();
        let builder = line::builder(config, within);
        let (others, _) = broadcast::channel(BEHIND);
        let connected = connect(&builder, within, &keys, &hub, &others).await;
        let (reads, writes, feed, messages, feed_connection) =
            connected.map_err(|error| OpenError::new(&server, &error))?;

        let script = reads.client().eval::<Vec<Option<u64>>, _, _, _>(
            scripts::HELLO,
            vec![keys.meta()],
            None::<String>,
        );
        let found = script.await.map_err(|error| OpenError::new(&server, &error))?;
        if let Some(found) = found.first().copied().flatten().filter(|found| *found > FORMAT) {
            feed_connection.abort();
            return Err(OpenError::Newer { found, known: FORMAT });
        }

        let (listening, batches) = (feed.light.clone(), feed.batches.clone());
        let feed = tokio::spawn(feed.run(messages));
        Ok(Self {
            server,
            keys,
            hub,
            reads,
            writes,
            within,
            replicas,
            messages_kept,
            others,
            listening,
            feed,
            feed_connection,
            calls: Semaphore::new(CALLS as usize),
            batches,
            duties: Mutex::default(),
        })
    }

    async fn call(&self) -> Result<SemaphorePermit<'_>, StorageError> {
        self.calls.acquire().await.map_err(|_| StorageError::Closed)
    }

    /// Reads may be tried anew when a cluster has moved.
    fn reading(&self) -> fred::clients::WithOptions<fred::clients::Client> {
        self.reads.client().with_options(&Options { max_attempts: Some(3), ..Options::default() })
    }

    /// Runs a script that changes something, and waits for the replicas if there are to be some.
    async fn change(
        &self,
        script: String,
        keys: Vec<String>,
        arguments: Vec<String>,
    ) -> Result<Answer, StorageError> {
        let client = self.writes.client();
        if self.replicas == 0 {
            return self.writes.run(client.eval(script, keys, arguments)).await;
        }
        // One pipeline: the wait must be on the connection of the change, or it says nothing.
        let slot = ClusterHash::Custom(fred::util::redis_keyslot(self.keys.meta().as_bytes()));
        let limit = u64::try_from(self.within.as_millis() / 2).unwrap_or(u64::MAX);
        let both = async {
            let both = client.pipeline();
            let mut whole = vec![script, keys.len().to_string()];
            whole.extend(keys.into_iter().chain(arguments));
            let eval = CustomCommand::new_static("EVAL", slot.clone(), false);
            let _: Answer = both.custom(eval, whole).await?;
            let wait = CustomCommand::new_static("WAIT", slot, false);
            let _: Answer = both.custom(wait, vec![self.replicas.to_string(), limit.to_string()]).await?;
            both.all::<(Answer, u32)>().await
        };
        let (answer, reached) = self.writes.run(both).await?;
        // An array says what was not as expected; then nothing was changed that they could have.
        if reached < self.replicas && !matches!(answer, Answer::Array(_)) {
            let reason = format!("the change is on {reached} of {} replicas, and may be lost", self.replicas);
            return Err(StorageError::Unreachable { reason });
        }
        Ok(answer)
    }

    fn duties(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        // A map of names is whole whenever its holder panics.
        self.duties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Connected = (Line, Line, Feed, broadcast::Receiver<fred::types::Message>, ConnectHandle);

async fn connect(
    builder: &Builder,
    within: Duration,
    keys: &Keys,
    hub: &str,
    others: &broadcast::Sender<FromOthers>,
) -> Result<Connected, Error> {
    let reads = Line::open(builder, within, keys.meta()).await?;
    let writes = Line::open(builder, within, keys.meta()).await?;
    let (client, connection) = line::subscriber(builder, within).await?;
    let mut feed = Feed::new(client, keys.channel(), keys.meta(), hub.to_owned(), within, others.clone());
    match feed.begin().await {
        Ok(messages) => Ok((reads, writes, feed, messages, connection)),
        Err(error) => {
            connection.abort();
            Err(error)
        }
    }
}

/// Reads an address. Only these schemes: fred would take any other one for `redis://`.
fn address(url: &str) -> Result<Config, OpenError> {
    let invalid = |reason: &str| OpenError::Address { reason: reason.to_owned() };
    let (scheme, _) = url.split_once("://").ok_or_else(|| invalid("it does not begin with redis://"))?;
    let schemes = ["redis", "rediss", "redis-cluster", "rediss-cluster", "redis-sentinel", "rediss-sentinel"];
    if !schemes.contains(&scheme) {
        return Err(invalid(&format!("it begins with none of {}", schemes.join(", "))));
    }
    Config::from_url(url).map_err(|error| invalid(error.details()))
}

fn new_hub() -> String {
    // Unique is enough: nobody gains by guessing it.
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.feed.abort();
        self.feed_connection.abort();
    }
}

#[async_trait]
impl Storage for Redis {
    async fn append(&self, of: &ConversationKey, messages: &[Message]) -> Result<(), StorageError> {
        let _call = self.call().await?;
        if messages.is_empty() {
            return Ok(());
        }
        let name = conversation_key(&of.scope, &of.session);
        let keys = vec![self.keys.conversation(&name), self.keys.conversations(), self.keys.meta()];
        let mut arguments = vec![name, self.messages_kept.to_string(), FORMAT.to_string()];
        let newest = &messages[messages.len().saturating_sub(self.messages_kept)..];
        arguments
            .extend(newest.iter().map(|message| serde_json::to_string(message).expect("a message is JSON")));
        self.change(scripts::APPEND.to_owned(), keys, arguments).await.map(drop)
    }

    async fn history(&self, of: &ConversationKey) -> Result<Vec<Message>, StorageError> {
        let _call = self.call().await?;
        let key = self.keys.conversation(&conversation_key(&of.scope, &of.session));
        let texts: Vec<String> = self.reads.run(self.reading().lrange(key, 0, -1)).await?;
        let damaged =
            |source| StorageError::Damaged { table: "conversations", source: std::sync::Arc::new(source) };
        texts.iter().map(|text| serde_json::from_str(text).map_err(damaged)).collect()
    }

    async fn clear(&self, of: &ConversationKey) -> Result<(), StorageError> {
        let _call = self.call().await?;
        let name = conversation_key(&of.scope, &of.session);
        let keys = vec![self.keys.conversation(&name), self.keys.conversations()];
        self.change(scripts::CLEAR.to_owned(), keys, vec![name]).await.map(drop)
    }

    async fn get(&self, table: Table, key: &str) -> Result<Option<Value>, StorageError> {
        let _call = self.call().await?;
        let found: Option<String> = self.reads.run(self.reading().hget(self.keys.table(table), key)).await?;
        found.map(|text| parse(table, &text)).transpose()
    }

    async fn all(&self, table: Table) -> Result<Vec<(String, Value)>, StorageError> {
        let _call = self.call().await?;
        let found: Vec<(String, String)> =
            self.reads.run(self.reading().hgetall(self.keys.table(table))).await?;
        let mut all: Vec<(String, Value)> = found
            .into_iter()
            .map(|(key, text)| Ok((key, parse(table, &text)?)))
            .collect::<Result<_, StorageError>>()?;
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(all)
    }

    async fn write(&self, batch: Vec<Write>) -> Result<(), StorageError> {
        let _call = self.call().await?;
        if batch.is_empty() {
            return Ok(());
        }
        // Nothing is sent, and so nothing is stored, while it is down.
        self.writes.ready().await?;
        let number = self.batches.next();
        let mut batch = Batch::new(batch, &self.hub, number);
        for _ in 0..SPELLINGS {
            let mut keys = vec![self.keys.meta()];
            keys.extend(batch.tables().iter().map(|table| self.keys.table(*table)));
            keys.extend(batch.duties().iter().map(|duty| self.keys.duty(duty)));
            let arguments = batch.arguments(&self.keys.channel(), FORMAT);
            let sent = Sent::new(&self.batches, &self.others, number, batch.written());
            let answer = self.change(batch.script(), keys, arguments).await;
            sent.ended(&answer);
            let Answer::Array(unmet) = answer? else { return Ok(()) };
            let place = unmet.first().and_then(Answer::as_usize).unwrap_or(0);
            let found = unmet.get(1).and_then(Answer::as_string);
            batch.agree(place, found.as_deref())?;
        }
        // It changes faster than we look.
        Err(batch.conflict())
    }

    async fn conversations(&self) -> Result<Vec<ConversationKey>, StorageError> {
        let _call = self.call().await?;
        let names: Vec<String> = self.reads.run(self.reading().smembers(self.keys.conversations())).await?;
        Ok(names.iter().filter_map(|name| conversation_of(name)).collect())
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn feed(&self) -> Option<broadcast::Receiver<FromOthers>> {
        Some(self.others.subscribe())
    }

    async fn others(&self) -> Result<usize, StorageError> {
        let _call = self.call().await?;
        // Every hub listens on the space's channel, this one too.
        let channel = self.keys.channel();
        let counts: HashMap<String, usize> =
            self.reads.run(self.reading().pubsub_numsub(channel.as_str())).await?;
        Ok(counts.get(&channel).copied().unwrap_or_default().saturating_sub(1))
    }

    async fn tell(&self, what: &Value) -> Result<(), StorageError> {
        let _call = self.call().await?;
        let message = format!("- {}", json!({"hub": self.hub, "told": what}));
        self.writes.run(self.writes.client().publish(self.keys.channel(), message)).await
    }

    async fn lead(&self, duty: &str, lease: Duration) -> Result<Option<Fence>, StorageError> {
        let _call = self.call().await?;
        let keys = vec![self.keys.duty(duty), self.keys.meta()];
        let arguments = vec![self.hub.clone(), lease.as_millis().max(1).to_string()];
        let answer = self.change(scripts::LEAD.to_owned(), keys, arguments).await?;
        let fence = answer.as_u64().filter(|fence| *fence > 0).map(Fence);
        let (mut duties, now) = (self.duties(), Instant::now());
        // What has ended by itself need not be let go of.
        duties.retain(|_, end| *end > now);
        match fence {
            Some(_) => duties.insert(duty.to_owned(), now + lease),
            None => duties.remove(duty),
        };
        Ok(fence)
    }

    fn is_reachable(&self) -> bool {
        !self.calls.is_closed() && self.reads.is_up() && self.writes.is_up() && self.listening.is_up()
    }

    async fn close(&self) {
        // Waits for the calls that run, and lets no other one begin.
        let Ok(all) = self.calls.acquire_many(CALLS).await else { return };
        self.calls.close();
        let duties = std::mem::take(&mut *self.duties());
        for duty in duties.into_keys() {
            // Else it ends with its lease.
            if self.writes.is_up() {
                let keys = vec![self.keys.duty(&duty)];
                let _ = self.change(scripts::RELEASE.to_owned(), keys, vec![self.hub.clone()]).await;
            }
        }
        self.feed.abort();
        self.feed_connection.abort();
        self.reads.close().await;
        self.writes.close().await;
        drop(all);
    }
}

fn parse(table: Table, text: &str) -> Result<Value, StorageError> {
    serde_json::from_str(text).map_err(|source| StorageError::damaged(table, source))
}
