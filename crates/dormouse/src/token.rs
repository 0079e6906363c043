//! Tokens: who may use a hub over the network, and as whom.
//!
//! A token is 256 random bits, so its plain hash is enough to store: there is nothing to guess.
//! The secret is shown once, when it is made, and kept nowhere.
//!
//! # Invariants
//!
//! * [`Tokens::verify`] compares with every token, each in constant time.
//! * Who came in by a token hears of its end ([`Tokens::revoked`]), whichever hub revoked it.
//! * A stored token that cannot be read is an error when the hub opens. Ignoring it could leave
//!   a hub without any token, and such a hub asks for none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dormouse_storage::{FromOthers, Storage, StorageError, Table, Write};
use dormouse_types::{Scope, Timestamp};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tracing::warn;

/// What every secret begins with, so that scanners for leaked secrets can find it.
const PREFIX: &str = "dormouse_";
/// How soon tokens that could not be read are read again.
const AGAIN: Duration = Duration::from_secs(1);

/// What a token allows, as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The token's name.
    pub name: String,
    /// The store, or one agent.
    pub scope: Scope,
}

/// What is known of a token; not its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A token just made: the only time that its secret is shown. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken {
    /// What will be known of it.
    pub info: TokenInfo,
    /// The secret, to be sent as a bearer token.
    pub secret: String,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("info", &self.info).finish_non_exhaustive()
    }
}

/// Why a token was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is no name.
    #[error("a token's name has 1 to 100 characters and no control characters")]
    Name,
    /// There is one of that name.
    #[error("a token named `{name}` exists already")]
    Taken {
        /// The name.
        name: String,
    },
    /// There is none of that name.
    #[error("no token is named `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The system gave no random bits.
    #[error("the system gives no random bits")]
    Random,
    /// It could not be stored.
    #[error("the tokens could not be changed")]
    Storage(#[from] StorageError),
}

/// A token as it is stored under its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    scope: Scope,
    /// The secret's BLAKE3, in hex.
    hash: String,
    created_at: Timestamp,
}

#[derive(Debug, Clone)]
struct Known {
    info: TokenInfo,
    hash: [u8; blake3::OUT_LEN],
}

/// The tokens of a hub. Cheap to clone; every clone sees the same tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    storage: Arc<dyn Storage>,
    /// Watched by those who came in by one of them.
    known: watch::Sender<Arc<Vec<Known>>>,
    /// One change or reading at a time: look, store and publish must agree.
    changing: tokio::sync::Mutex<()>,
}

impl Tokens {
    /// Reads the stored tokens.
    ///
    /// # Errors
    /// [`StorageError`], also when a record is damaged.
    pub async fn open(storage: Arc<dyn Storage>) -> Result<Self, StorageError> {
        let known = watch::Sender::new(Arc::new(read(&*storage).await?));
        Ok(Self { shared: Arc::new(Shared { storage, known, changing: tokio::sync::Mutex::new(()) }) })
    }

    /// Takes up what other hubs on the same storage make and revoke, as long as somebody holds
    /// these tokens.
    pub(crate) fn follow_others(&self) {
        let Some(mut feed) = self.shared.storage.feed() else { return };
        let tokens = Arc::downgrade(&self.shared);
        // Ends with the tokens or the storage; holds neither.
        tokio::spawn(async move {
            // What changed between the first reading and the listening.
            let mut again = Some(Duration::ZERO);
            loop {
                let news = match again {
                    None => feed.recv().await,
                    Some(after) => {
                        tokio::time::timeout(after, feed.recv()).await.unwrap_or(Ok(FromOthers::Missed))
                    }
                };
                let concerns = match news {
                    Ok(FromOthers::Written(tables)) => again.is_some() || tables.contains(&Table::Tokens),
                    Ok(FromOthers::Told(_)) => again.is_some(),
                    Ok(FromOthers::Missed) | Err(RecvError::Lagged(_)) => true,
                    Err(RecvError::Closed) => return,
                };
                let Some(shared) = tokens.upgrade() else { return };
                if !concerns {
                    continue;
                }
                let _changing = shared.changing.lock().await;
                match shared.reread().await {
                    Ok(()) => again = None,
                    Err(StorageError::Closed) => return,
                    Err(error) => {
                        if again != Some(AGAIN) {
                            warn!(%error, "tokens that other hubs changed cannot be read; it is tried again");
                        }
                        // Soon: one that was revoked must open nothing.
                        again = Some(AGAIN);
                    }
                }
            }
        });
    }

    /// Makes a token and returns its secret, which is shown only here.
    ///
    /// # Errors
    /// [`TokenError`]
    pub async fn create(&self, name: &str, scope: Scope) -> Result<NewToken, TokenError> {
        if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(TokenError::Name);
        }
        let _changing = self.shared.changing.lock().await;
        if self.known().iter().any(|known| known.info.name == name) {
            return Err(TokenError::Taken { name: name.to_owned() });
        }
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).map_err(|_| TokenError::Random)?;
        let secret = format!("{PREFIX}{}", blake3::Hash::from_bytes(bits).to_hex());
        let hash = blake3::hash(secret.as_bytes()).to_hex().to_string();
        let record = Record { scope: scope.clone(), hash, created_at: Timestamp::now() };
        let info = TokenInfo { name: name.to_owned(), scope, created_at: record.created_at };
        let value = serde_json::to_value(record).expect("a record is plain data");
        let (table, key) = (Table::Tokens, name.to_owned());
        let batch =
            vec![Write::Expect { table, key: key.clone(), value: None }, Write::Put { table, key, value }];
        match self.shared.storage.write(batch).await {
            // Another hub made one a moment ago.
            Err(StorageError::Conflict { .. }) => return Err(TokenError::Taken { name: name.to_owned() }),
            written => written?,
        }
        let hash = *blake3::hash(secret.as_bytes()).as_bytes();
        let known = self.known().iter().cloned().chain([Known { info: info.clone(), hash }]).collect();
        self.shared.publish(known);
        Ok(NewToken { info, secret })
    }

    /// Forgets a token; from now on it opens nothing.
    ///
    /// # Errors
    /// [`TokenError`]
    pub async fn revoke(&self, name: &str) -> Result<(), TokenError> {
        let _changing = self.shared.changing.lock().await;
        if !self.known().iter().any(|known| known.info.name == name) {
            return Err(TokenError::Unknown { name: name.to_owned() });
        }
        let write = Write::Delete { table: Table::Tokens, key: name.to_owned() };
        self.shared.storage.write(vec![write]).await?;
        self.shared.publish(self.known().iter().filter(|known| known.info.name != name).cloned().collect());
        Ok(())
    }

    /// The tokens by name, without their secrets.
    pub fn list(&self) -> Vec<TokenInfo> {
        self.known().iter().map(|known| known.info.clone()).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known().is_empty()
    }

    /// What a secret allows; `None` when it is nobody's.
    pub fn verify(&self, secret: &str) -> Option<Grant> {
        granted(&self.known(), &blake3::hash(secret.as_bytes()))
    }

    /// Returns as soon as a secret does not open what it opens now; at once if that is nothing.
    /// Cancel-safe, and it holds neither the secret nor these tokens.
    pub fn revoked(&self, secret: &str) -> impl Future<Output = ()> + Send + 'static + use<> {
        let presented = blake3::hash(secret.as_bytes());
        let mut known = self.shared.known.subscribe();
        let now = granted(&known.borrow(), &presented);
        async move {
            // Fails when the hub is gone, which opens nothing.
            let _ = known.wait_for(|known| now.is_none() || granted(known, &presented) != now).await;
        }
    }

    /// Returns as soon as there is a token, at once if there is one: from then on nobody gets in
    /// without. Cancel-safe, and it does not hold these tokens.
    pub fn needed(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut known = self.shared.known.subscribe();
        async move {
            let _ = known.wait_for(|known| !known.is_empty()).await;
        }
    }

    fn known(&self) -> Arc<Vec<Known>> {
        self.shared.known.borrow().clone()
    }
}

impl Shared {
    /// For who holds `changing`: what is read must not be older than what was changed here.
    async fn reread(&self) -> Result<(), StorageError> {
        self.publish(read(&*self.storage).await?);
        Ok(())
    }

    fn publish(&self, mut known: Vec<Known>) {
        known.sort_by(|one, other| one.info.name.cmp(&other.info.name));
        self.known.send_replace(Arc::new(known));
    }
}

/// What a secret of this hash allows.
fn granted(known: &[Known], presented: &blake3::Hash) -> Option<Grant> {
    let mut grant = None;
    for Known { info, hash } in known {
        if bool::from(hash.ct_eq(presented.as_bytes())) {
            grant = Some(Grant { name: info.name.clone(), scope: info.scope.clone() });
        }
    }
    grant
}

async fn read(storage: &dyn Storage) -> Result<Vec<Known>, StorageError> {
    let damaged = |error| StorageError::damaged(Table::Tokens, error);
    let mut known = Vec::new();
    for (name, value) in storage.all(Table::Tokens).await? {
        let Record { scope, hash, created_at } = serde_json::from_value(value).map_err(damaged)?;
        let hash = blake3::Hash::from_hex(&hash)
            .map_err(|error| damaged(<serde_json::Error as serde::de::Error>::custom(error)))?;
        known.push(Known { info: TokenInfo { name, scope, created_at }, hash: *hash.as_bytes() });
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dormouse_storage::Memory;
    use dormouse_types::AgentId;
    use serde_json::json;

    #[tokio::test]
    async fn a_token_opens_its_scope_until_it_is_revoked() {
        let storage: Arc<dyn Storage> = Arc::new(Memory::default());
        let tokens = Tokens::open(storage.clone()).await.unwrap();
        let agent = Scope::Agent(AgentId::try_new("a1").unwrap());
        let NewToken { secret, .. } = tokens.create("ci", agent.clone()).await.unwrap();
        assert!(matches!(tokens.create("ci", Scope::Store).await, Err(TokenError::Taken { .. })));

        let again = Tokens::open(storage).await.unwrap();
        assert_eq!(again.verify(&secret), Some(Grant { name: "ci".into(), scope: agent }));
        assert_eq!(again.verify("dormouse_"), None);
        again.revoke("ci").await.unwrap();
        assert_eq!(again.verify(&secret), None);
        assert!(again.is_empty());
    }

    #[tokio::test]
    async fn who_came_in_by_a_token_hears_when_that_very_one_is_revoked() {
        let tokens = Tokens::open(Arc::new(Memory::default())).await.unwrap();
        let is_over = |end: &mut std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
            end.as_mut().poll(context).is_ready()
        };
        let mut open: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(tokens.needed());
        assert!(!is_over(&mut open));
        let made = tokens.create("ci", Scope::Store).await.unwrap();
        assert!(is_over(&mut open));
        let mut inside: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(tokens.revoked(&made.secret));
        tokens.create("other", Scope::Store).await.unwrap();
        tokens.revoke("other").await.unwrap();
        assert!(!is_over(&mut inside));
        tokens.revoke("ci").await.unwrap();
        // One of the same name is another one.
        tokens.create("ci", Scope::Store).await.unwrap();
        assert!(is_over(&mut inside));
        tokens.revoked("nobody's").await;
    }

    #[tokio::test]
    async fn of_two_hubs_one_gets_a_name() {
        let storage: Arc<dyn Storage> = Arc::new(Memory::default());
        let (one, other) =
            (Tokens::open(storage.clone()).await.unwrap(), Tokens::open(storage.clone()).await.unwrap());
        let made = one.create("ci", Scope::Store).await.unwrap();
        // It has not heard of the first one yet.
        assert!(matches!(other.create("ci", Scope::Store).await, Err(TokenError::Taken { .. })));
        let again = Tokens::open(storage).await.unwrap();
        assert!(again.verify(&made.secret).is_some());
    }

    #[tokio::test]
    async fn no_secret_is_stored_or_shown() {
        let storage: Arc<dyn Storage> = Arc::new(Memory::default());
        let tokens = Tokens::open(storage.clone()).await.unwrap();
        let made = tokens.create("me", Scope::Store).await.unwrap();
        let stored = format!("{:?}", storage.all(Table::Tokens).await.unwrap());
        let bits = made.secret.strip_prefix(PREFIX).unwrap();
        assert!(!stored.contains(bits) && !format!("{made:?} {tokens:?}").contains(bits));
    }

    #[tokio::test]
    async fn a_damaged_token_is_not_forgotten() {
        let storage: Arc<dyn Storage> = Arc::new(Memory::default());
        let value = json!({"scope": "store", "hash": "12"});
        let write = Write::Put { table: Table::Tokens, key: "x".into(), value };
        storage.write(vec![write]).await.unwrap();
        assert!(matches!(Tokens::open(storage).await, Err(StorageError::Damaged { .. })));
    }
}
