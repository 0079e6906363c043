//! A map that is cheap to copy and change a little: a fixed number of shared small maps.
//!
//! A copy is [`SHARDS`] reference counts. A change copies the one shard that it falls into,
//! so a new version of an index over 10,000 tools that differs in ten costs hundreds of
//! entries, not 10,000.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

const SHARDS: usize = 128;

#[derive(Debug)]
pub(crate) struct Shards<K, V> {
    shards: Vec<Arc<HashMap<K, V>>>,
    place: RandomState,
}

impl<K, V> Clone for Shards<K, V> {
    fn clone(&self) -> Self {
        Self { shards: self.shards.clone(), place: self.place.clone() }
    }
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        let empty = Arc::new(HashMap::new());
        Self { shards: vec![empty; SHARDS], place: RandomState::new() }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Shards<K, V> {
    fn index<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        // The low bits: hash maps take the high ones for their groups.
        usize::try_from(self.place.hash_one(key) % SHARDS as u64).expect("less than SHARDS")
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.shards[self.index(key)].get(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let index = self.index(&key);
        Arc::make_mut(&mut self.shards[index]).insert(key, value);
    }

    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let index = self.index(key);
        Arc::make_mut(&mut self.shards[index]).remove(key);
    }

    /// The value of a key, to be changed; a new one if there is none.
    pub(crate) fn at(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let index = self.index(&key);
        Arc::make_mut(&mut self.shards[index]).entry(key).or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }
}
