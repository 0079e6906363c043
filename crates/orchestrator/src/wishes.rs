//! What people want of single servers, over what is configured. Kept, so that a server that was
//! disconnected stays so when the hub starts anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use dormouse_storage::{Storage, StorageError, Table, Write, joined_key};
use dormouse_types::{Scope, ServerKey, Wanted};
use serde_json::json;

/// A person's word on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) wanted: Wanted,
    pub(crate) reason: Option<String>,
}

/// The wishes of a hub.
#[derive(Debug)]
pub(crate) struct Wishes {
    storage: Arc<dyn Storage>,
    all: Mutex<HashMap<ServerKey, Wish>>,
    /// Reading or writing: what is read must not be older than what was written meanwhile.
    turn: tokio::sync::Mutex<()>,
}

impl Wishes {
    pub(crate) async fn open(storage: Arc<dyn Storage>) -> Result<Self, StorageError> {
        let all = Mutex::new(read(&*storage).await?);
        Ok(Self { storage, all, turn: tokio::sync::Mutex::default() })
    }

    /// Takes up what other hubs stored; gives what is new.
    pub(crate) async fn take_up(&self) -> Result<Vec<(ServerKey, Option<Wish>)>, StorageError> {
        let _turn = self.turn.lock().await;
        let now = read(&*self.storage).await?;
        let mut all = self.lock();
        let gone =
            all.keys().filter(|server| !now.contains_key(*server)).map(|server| (server.clone(), None));
        let come = now.iter().filter(|(server, wish)| all.get(*server) != Some(*wish));
        let come = come.map(|(server, wish)| (server.clone(), Some(wish.clone())));
        let new = gone.chain(come).collect();
        *all = now;
        Ok(new)
    }

    pub(crate) fn of(&self, server: &ServerKey) -> Option<Wish> {
        self.lock().get(server).cloned()
    }

    /// Takes a wish, or takes it back.
    pub(crate) async fn set(&self, server: &ServerKey, wish: Option<Wish>) -> Result<(), StorageError> {
        let _turn = self.turn.lock().await;
        let (table, key) = (Table::Settings, stored(server));
        let write = match &wish {
            None if self.of(server).is_none() => return Ok(()),
            None => Write::Delete { table, key },
            Some(Wish { wanted, reason }) => {
                let value = json!({"wish": {"server": server, "wanted": word(*wanted), "reason": reason}});
                Write::Put { table, key, value }
            }
        };
        self.storage.write(vec![write]).await?;
        match wish {
            Some(wish) => self.lock().insert(server.clone(), wish),
            None => self.lock().remove(server),
        };
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServerKey, Wish>> {
        self.all.lock().expect("nothing panics while it holds the wishes")
    }
}

async fn read(storage: &dyn Storage) -> Result<HashMap<ServerKey, Wish>, StorageError> {
    let kept = storage.all(Table::Settings).await?.into_iter().filter_map(|(_, value)| {
        let wish = value.get("wish")?;
        let key: ServerKey = serde_json::from_value(wish.get("server")?.clone()).ok()?;
        let wanted = wanted(wish.get("wanted")?.as_str()?)?;
        let reason = wish.get("reason").and_then(|reason| reason.as_str()).map(str::to_owned);
        Some((key, Wish { wanted, reason }))
    });
    Ok(kept.collect())
}

fn stored(server: &ServerKey) -> String {
    match &server.scope {
        Scope::Store => joined_key(["wish", "store", server.name.as_str()]),
        Scope::Agent(agent) => joined_key(["wish", "agent", agent.as_str(), server.name.as_str()]),
    }
}

fn word(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::OnDemand => "on_demand",
        Wanted::Always => "always",
        Wanted::Stopped => "stopped",
    }
}

fn wanted(text: &str) -> Option<Wanted> {
    [Wanted::OnDemand, Wanted::Always, Wanted::Stopped].into_iter().find(|wanted| word(*wanted) == text)
}

#[cfg(test)]
mod tests {
    use dormouse_storage::{ConversationKey, Memory, async_trait};
    use dormouse_types::Message;
    use serde_json::Value;

    use super::*;

    /// A storage whose lists are on their way for a while.
    #[derive(Debug, Default)]
    struct Slow(Memory);

    #[async_trait]
    impl Storage for Slow {
        async fn append(&self, of: &ConversationKey, messages: &[Message]) -> Result<(), StorageError> {
            self.0.append(of, messages).await
        }
        async fn history(&self, of: &ConversationKey) -> Result<Vec<Message>, StorageError> {
            self.0.history(of).await
        }
        async fn clear(&self, of: &ConversationKey) -> Result<(), StorageError> {
            self.0.clear(of).await
        }
        async fn get(&self, table: Table, key: &str) -> Result<Option<Value>, StorageError> {
            self.0.get(table, key).await
        }
        async fn all(&self, table: Table) -> Result<Vec<(String, Value)>, StorageError> {
            let all = self.0.all(table).await;
            tokio::task::yield_now().await;
            all
        }
        async fn write(&self, batch: Vec<Write>) -> Result<(), StorageError> {
            self.0.write(batch).await
        }
        async fn conversations(&self) -> Result<Vec<ConversationKey>, StorageError> {
            self.0.conversations().await
        }
        async fn close(&self) {
            self.0.close().await;
        }
    }

    #[tokio::test]
    async fn a_wish_is_not_lost_to_what_was_read_before_it() {
        let wishes = Wishes::open(Arc::new(Slow::default())).await.unwrap();
        let server = ServerKey::store("calc".parse().unwrap());
        let wish = Wish { wanted: Wanted::Stopped, reason: None };
        let (news, set) = tokio::join!(wishes.take_up(), wishes.set(&server, Some(wish.clone())));
        set.unwrap();
        assert_eq!((news.unwrap(), wishes.of(&server)), (Vec::new(), Some(wish)));
    }
}
