//! The lists that are in memory.
//!
//! Anybody can name agents that do not exist, so there is an end to them. What is out of date goes
//! first, then what was not used for longest: one more endpoint costs the others nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse::Version;

use super::{Lists, Place};
use crate::endpoint::Endpoint;

/// How many endpoints' lists are kept.
const MOST: usize = 1_000;
/// How many are left when there were too many.
const LEFT: usize = 900;

/// The lists of all endpoints.
#[derive(Debug, Default)]
pub(crate) struct Catalogues {
    kept: Mutex<Kept>,
    /// How many were made.
    #[cfg(test)]
    pub(crate) made: std::sync::atomic::AtomicUsize,
}

#[derive(Debug, Default)]
struct Kept {
    lists: HashMap<Place, Used>,
    uses: u64,
}

#[derive(Debug)]
struct Used {
    lists: Arc<Lists>,
    /// A later use has a greater number.
    last: u64,
}

impl Catalogues {
    /// The lists of an endpoint as they are now.
    pub(crate) fn of(&self, endpoint: &Endpoint) -> Arc<Lists> {
        let version = endpoint.context().registry().snapshot().version();
        let place = endpoint.place();
        if let Some(lists) = self.kept().find(&place, version) {
            return lists;
        }
        // Nobody waits for somebody else's lists.
        let lists = Arc::new(Lists::make(endpoint, version));
        #[cfg(test)]
        self.made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.kept().put(place, Arc::clone(&lists));
        lists
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, place: &Place, version: Version) -> Option<Arc<Lists>> {
        self.uses += 1;
        let used = self.lists.get_mut(place).filter(|used| used.lists.version == version)?;
        used.last = self.uses;
        Some(Arc::clone(&used.lists))
    }

    fn put(&mut self, place: Place, lists: Arc<Lists>) {
        if self.lists.len() >= MOST && !self.lists.contains_key(&place) {
            self.make_room(lists.version);
        }
        self.uses += 1;
        self.lists.insert(place, Used { lists, last: self.uses });
    }

    fn make_room(&mut self, version: Version) {
        self.lists.retain(|_, used| used.lists.version >= version);
        let over = self.lists.len().saturating_sub(LEFT);
        if over == 0 {
            return;
        }
        let mut uses: Vec<u64> = self.lists.values().map(|used| used.last).collect();
        let (_, last, _) = uses.select_nth_unstable(over - 1);
        let last = *last;
        self.lists.retain(|_, used| used.last > last);
    }
}

#[cfg(test)]
mod tests {
    use dormouse::{AgentId, Scope};

    use super::*;
    use crate::mode::Mode;

    fn place(n: usize) -> Place {
        (Scope::Agent(AgentId::try_new(format!("a{n}")).unwrap()), Mode::All)
    }

    fn lists(version: u64) -> Arc<Lists> {
        Arc::new(Lists { version: Version(version), ..Lists::default() })
    }

    #[test]
    fn one_more_endpoint_costs_only_those_that_were_used_longest_ago() {
        let mut kept = Kept::default();
        for n in 0..MOST {
            kept.put(place(n), lists(1));
        }
        assert!(kept.find(&place(0), Version(1)).is_some());
        kept.put(place(MOST), lists(1));
        assert_eq!(kept.lists.len(), LEFT + 1);
        for n in [0, MOST - 1, MOST] {
            assert!(kept.find(&place(n), Version(1)).is_some(), "{n}");
        }
        assert!(kept.find(&place(1), Version(1)).is_none());
    }

    #[test]
    fn what_is_out_of_date_goes_first() {
        let mut kept = Kept::default();
        for n in 0..MOST {
            kept.put(place(n), lists(if n % 2 == 0 { 1 } else { 2 }));
        }
        kept.put(place(MOST), lists(2));
        assert_eq!(kept.lists.len(), MOST / 2 + 1);
        assert!(kept.find(&place(1), Version(2)).is_some());
    }
}
