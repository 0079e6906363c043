//! How many sessions there may be.
//!
//! Many clients begin a session each time and end none. Where there are as many as there may be,
//! those go that were used longest ago; never one with a stream or a request under way here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dormouse::{Table, Timestamp, chain};
use tracing::{debug, info};

use super::{Sessions, unreadable, used_at};
use crate::message::{Fault, INTERNAL_ERROR};

/// The part of all that goes at once: each time, all are looked through.
const PART: usize = 100;

impl Sessions {
    /// Makes room for one more, if need be; whether some had to go.
    pub(crate) async fn make_room(&self) -> Result<bool, Fault> {
        let is_full = || self.stored.load(Ordering::Relaxed) >= self.most;
        if !is_full() {
            return Ok(false);
        }
        let _one_at_a_time = self.room.lock().await;
        if !is_full() {
            return Ok(false);
        }
        let all = match self.storage.all(Table::Sessions).await {
            Ok(all) => all,
            Err(error) => {
                // While none can be read, none is stored either.
                debug!(error = chain(&error), "sessions cannot be counted");
                return Ok(false);
            }
        };
        self.stored.store(all.len(), Ordering::Relaxed);
        if !is_full() {
            return Ok(false);
        }
        let going = all.len() - self.most + 1 + self.most / PART;
        let mut idle: Vec<(Timestamp, String)> = {
            let live = self.live();
            let now = Timestamp::now();
            let idle = |(id, record)| match live.sessions.get(&id) {
                // Who holds it uses it.
                Some(session) if Arc::strong_count(session) > 1 => None,
                Some(session) => Some((now - session.idle(), id)),
                None => Some((used_at(&record).unwrap_or(Timestamp::MIN), id)),
            };
            all.into_iter().filter_map(idle).collect()
        };
        if idle.is_empty() {
            let words = format!(
                "there are {} sessions, as many as may be (`mcp.max_sessions`), and all are in use",
                self.most
            );
            return Err(Fault::new(INTERNAL_ERROR, words));
        }
        idle.sort_unstable();
        let ids: Vec<String> = idle.into_iter().take(going).map(|(_, id)| id).collect();
        info!(count = ids.len(), "sessions end that were used longest ago: there are as many as may be");
        self.end_all(&ids).await.map_err(unreadable)?;
        Ok(true)
    }
}
