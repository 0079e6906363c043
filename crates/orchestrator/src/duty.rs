//! Duties that one of several hubs has at a time, such as to contact a new server for all.
//!
//! # Invariants
//!
//! * What is stored under a duty names it, by [`Led::write`]: a hub that was away for longer than
//!   its lease stores nothing over what the next holder did.
//! * When nobody can say whose a duty is, each hub does it by itself rather than none.

use std::convert::Infallible;
use std::time::Duration;

use dormouse_storage::{Fence, Storage, Write};

/// A duty of this hub, while its lease lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Led {
    duty: String,
    fence: Fence,
}

/// Whose a duty is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// This hub's; `None` where no other hub has to be kept out, or nobody knows of one.
    Ours(Option<Led>),
    /// Another hub's.
    Theirs,
}

impl Turn {
    /// Takes or renews a duty.
    pub(crate) async fn take(storage: &dyn Storage, duty: String, lease: Duration) -> Self {
        if !storage.is_shared() {
            return Self::Ours(None);
        }
        match storage.lead(&duty, lease).await {
            Ok(Some(fence)) => Self::Ours(Some(Led { duty, fence })),
            Ok(None) => Self::Theirs,
            Err(_) => Self::Ours(None),
        }
    }
}

impl Led {
    /// What fails a batch once the duty is another hub's.
    pub(crate) fn write(&self) -> Write {
        Write::Led { duty: self.duty.clone(), fence: self.fence }
    }

    /// Renews the lease again and again, for as long as this is polled.
    pub(crate) async fn hold(&self, storage: &dyn Storage, lease: Duration) -> Infallible {
        loop {
            tokio::time::sleep(lease / 3).await;
            // Lost or not: the fence says so when something is stored.
            let _ = storage.lead(&self.duty, lease).await;
        }
    }
}
