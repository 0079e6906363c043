//! What a session knows of its lists, and what is on its way to it.
//!
//! A client is told at least once: what it knows changes when a message was written to somebody who
//! reads, and not before. What is on its way is not told again; where it got lost, it is.

use std::sync::{Arc, Weak};

use serde_json::Value;

use super::Session;
use crate::catalogue::{Digests, Kind};
use crate::message::notification;

/// What is on its way to a client, by list.
#[derive(Debug, Default)]
pub(super) struct Told([Option<String>; Kind::ALL.len()]);

impl Told {
    fn of(&mut self, list: Kind) -> &mut Option<String> {
        &mut self.0[list as usize]
    }
}

/// Goes with a message that tells of a change, and hears whether it was written to somebody who
/// reads. Dropped before, the client is to be told again.
#[derive(Debug)]
pub(crate) struct Receipt {
    session: Weak<Session>,
    list: Kind,
    digest: String,
    written: bool,
}

impl Receipt {
    /// The message was written.
    pub(crate) fn written(mut self) {
        self.written = true;
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let Some(session) = self.session.upgrade() else { return };
        {
            let mut state = session.state();
            let told = state.told.of(self.list);
            if told.as_ref() == Some(&self.digest) {
                *told = None;
            }
            if !self.written {
                return;
            }
            if let Some(seen) = &mut state.seen {
                *seen.of_mut(self.list) = std::mem::take(&mut self.digest);
            }
        }
        session.keep_soon();
    }
}

impl Session {
    /// Tells of the lists that read otherwise than those that it knows, or is being told of.
    pub(crate) fn tell_lists(self: &Arc<Self>, now: &Digests) {
        let (outlet, news) = {
            let mut state = self.state();
            let seen = state.seen.get_or_insert_with(|| now.clone()).clone();
            let mut news = Vec::new();
            for list in Kind::ALL {
                let told = state.told.of(list);
                if told.as_ref().unwrap_or(seen.of(list)) != now.of(list) {
                    *told = Some(now.of(list).clone());
                    news.push(list);
                }
            }
            (Arc::clone(&state.outlet), news)
        };
        for list in news {
            let (session, digest) = (Arc::downgrade(self), now.of(list).clone());
            let receipt = Receipt { session, list, digest, written: false };
            // Where nobody hears at the moment, the receipt is dropped, and it is told later.
            outlet.send_noted(notification(list.changed(), Value::Null), receipt);
        }
    }
}
