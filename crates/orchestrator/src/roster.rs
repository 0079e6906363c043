//! Which instances there are: one current version a server, and older ones on their way out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use dormouse_lifecycle::Phase;
use dormouse_registry::Entry;
use dormouse_types::ServerKey;

use crate::engine::Engine;
use crate::instance::Instance;

/// The instances of a hub. A server that was never needed has none.
#[derive(Debug)]
pub(crate) struct Roster {
    engine: Arc<Engine>,
    instances: Mutex<Instances>,
}

#[derive(Debug, Default)]
struct Instances {
    current: HashMap<ServerKey, Arc<Instance>>,
    leaving: Vec<Weak<Instance>>,
    ended: bool,
}

impl Roster {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, instances: Mutex::default() }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The instance of this very version; an older one is retired. `None` once the hub ends.
    pub(crate) fn instance(&self, entry: &Entry) -> Option<Arc<Instance>> {
        let (instance, older) = {
            let mut all = self.lock();
            if all.ended {
                return None;
            }
            match all.current.get(&entry.key) {
                Some(instance) if instance.is(&entry.content_hash, &entry.config) => {
                    return Some(instance.clone());
                }
                _ => {}
            }
            let older = all.remove(&entry.key);
            let instance = Instance::new(
                entry.key.clone(),
                entry.content_hash.clone(),
                entry.config.clone(),
                self.engine.clone(),
            );
            all.current.insert(entry.key.clone(), instance.clone());
            (instance, older)
        };
        if let Some(older) = older {
            older.retire();
        }
        Some(instance)
    }

    /// The instance, if the server was ever needed in its current version.
    pub(crate) fn known(&self, key: &ServerKey) -> Option<Arc<Instance>> {
        self.lock().current.get(key).cloned()
    }

    /// Retires what is not of this entry any more; `None` says that the server is gone.
    pub(crate) fn changed(&self, key: &ServerKey, entry: Option<&Entry>) {
        let older = {
            let mut all = self.lock();
            match (all.current.get(key), entry) {
                (Some(instance), Some(entry)) if instance.is(&entry.content_hash, &entry.config) => None,
                (Some(_), _) => all.remove(key),
                (None, _) => None,
            }
        };
        if let Some(older) = older {
            older.retire();
        }
    }

    /// Puts a server to sleep, so that what starts next is a new process. Returns whose end is to be
    /// awaited.
    pub(crate) fn detach(&self, key: &ServerKey) -> Vec<Arc<Instance>> {
        if let Some(instance) = self.known(key) {
            instance.condemn();
        }
        self.let_go(key)
    }

    /// Puts a server to sleep; its calls finish first. Returns whose end is to be awaited. Others
    /// may go on with the process that it shared, and it may join them again.
    ///
    /// An instance that calls use leaves for good, and the next call is one for a new process: else
    /// those that overlap would keep it awake for ever.
    pub(crate) fn let_go(&self, key: &ServerKey) -> Vec<Arc<Instance>> {
        let current = self.known(key);
        if let Some(instance) = &current
            && instance.detach()
        {
            // Before there can be another: what that one says of the server comes later.
            instance.retire();
            let mut all = self.lock();
            if all.current.get(key).is_some_and(|now| Arc::ptr_eq(now, instance)) {
                all.remove(key);
            }
        }
        let older = self.lock().leaving.iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
        current.into_iter().chain(older.into_iter().filter(|instance| instance.key() == key)).collect()
    }

    /// Retires all and takes no new ones. Returns those whose end is to be awaited.
    pub(crate) fn end(&self) -> Vec<Arc<Instance>> {
        let all: Vec<Arc<Instance>> = {
            let mut all = self.lock();
            all.ended = true;
            let current = std::mem::take(&mut all.current);
            let leaving = std::mem::take(&mut all.leaving);
            current.into_values().chain(leaving.iter().filter_map(Weak::upgrade)).collect()
        };
        for instance in &all {
            instance.retire();
        }
        all
    }

    /// The current instances.
    pub(crate) fn all(&self) -> Vec<Arc<Instance>> {
        self.lock().current.values().cloned().collect()
    }

    /// How many instances have a process or are about to.
    pub(crate) fn awake(&self) -> usize {
        let all = self.lock();
        let leaving = all.leaving.iter().filter_map(Weak::upgrade);
        let awake = |instance: &Arc<Instance>| {
            !matches!(
                *instance.phases().borrow(),
                Phase::Dormant | Phase::Waiting | Phase::Down | Phase::Gone
            )
        };
        all.current.values().filter(|i| awake(i)).count() + leaving.filter(awake).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Instances> {
        self.instances.lock().expect("nothing panics while it holds the roster")
    }
}

impl Instances {
    fn remove(&mut self, key: &ServerKey) -> Option<Arc<Instance>> {
        let older = self.current.remove(key)?;
        self.leaving.retain(|instance| instance.strong_count() > 0);
        self.leaving.push(Arc::downgrade(&older));
        Some(older)
    }
}
