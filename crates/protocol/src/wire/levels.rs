//! Which log a server of the older kind is to send: it knows one level for all of its callers.
//!
//! It is told the most verbose one that a running call wants, and each caller picks from what comes
//! what he wants.

use std::sync::{Mutex, MutexGuard, PoisonError};

use dormouse_types::LOG_LEVELS;

/// What running calls want, and what the server was told.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    state: Mutex<State>,
    /// Held while the server is told, so that what it hears last is what counts.
    telling: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// How many running calls want each level, the most verbose first.
    wanted: [usize; LOG_LEVELS.len()],
    told: Option<usize>,
}

/// A call that runs. As long as this is held, the level that it wants is wanted.
#[derive(Debug)]
pub(crate) struct Wanting<'a> {
    levels: &'a Levels,
    rank: usize,
}

/// The right to tell the server a level.
#[derive(Debug)]
pub(crate) struct Telling<'a> {
    levels: &'a Levels,
    rank: usize,
    _alone: tokio::sync::MutexGuard<'a, ()>,
}

impl Levels {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a call wants a level; `None` if it is none of MCP's.
    pub(crate) fn want(&self, level: &str) -> Option<Wanting<'_>> {
        let rank = LOG_LEVELS.iter().position(|known| *known == level)?;
        self.state().wanted[rank] += 1;
        Some(Wanting { levels: self, rank })
    }

    /// What the server is to be told, if it was told otherwise. Waits while somebody tells it.
    pub(crate) async fn due(&self) -> Option<Telling<'_>> {
        self.state().due()?;
        let alone = self.telling.lock().await;
        let mut state = self.state();
        let rank = state.due()?;
        // Until it has answered, nobody knows.
        state.told = None;
        Some(Telling { levels: self, rank, _alone: alone })
    }

    /// It has begun anew.
    pub(crate) fn forget(&self) {
        self.state().told = None;
    }
}

impl State {
    /// The most verbose level that is wanted, unless the server knows.
    fn due(&self) -> Option<usize> {
        let most = self.wanted.iter().position(|calls| *calls > 0)?;
        (self.told != Some(most)).then_some(most)
    }
}

impl Telling<'_> {
    pub(crate) fn level(&self) -> &'static str {
        LOG_LEVELS[self.rank]
    }

    /// The server has heard it.
    pub(crate) fn done(self) {
        self.levels.state().told = Some(self.rank);
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.levels.state().wanted[self.rank] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(levels: &Levels) -> Option<&'static str> {
        let telling = levels.due().await?;
        let level = telling.level();
        telling.done();
        Some(level)
    }

    #[tokio::test]
    async fn the_most_verbose_of_the_running_calls_counts() {
        let levels = Levels::default();
        assert_eq!(told(&levels).await, None);
        let _error = levels.want("error");
        assert_eq!(told(&levels).await, Some("error"));
        let debug = levels.want("debug");
        assert_eq!(told(&levels).await, Some("debug"));
        let _warning = levels.want("warning");
        assert_eq!(told(&levels).await, None, "who wants less changes nothing");
        drop(debug);
        assert_eq!(told(&levels).await, Some("warning"));
        assert!(levels.want("loud").is_none());
    }

    #[tokio::test]
    async fn what_nobody_knows_to_have_been_heard_is_told_again() {
        let levels = Levels::default();
        let _one = levels.want("info");
        drop(levels.due().await);
        assert_eq!(told(&levels).await, Some("info"));
        levels.forget();
        assert_eq!(told(&levels).await, Some("info"));
    }
}
