//! What is kept of conversations: `[conversations]`.

use serde::{Deserialize, Serialize};

/// The fewest and the most messages that may be kept of a conversation. All of them are read for
/// each question, so more would cost more than they tell.
const RANGE: std::ops::RangeInclusive<usize> = 1..=1000;

/// What is kept of conversations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conversations {
    /// How many messages of each, the newest ones.
    pub messages_kept: usize,
}

impl Default for Conversations {
    fn default() -> Self {
        Self { messages_kept: dormouse_storage::MESSAGES_KEPT }
    }
}

impl Conversations {
    /// What is wrong with them.
    pub(crate) fn problem(&self) -> Option<String> {
        let (least, most) = RANGE.into_inner();
        let fits = RANGE.contains(&self.messages_kept);
        (!fits).then(|| format!("conversations.messages_kept: must be a whole number from {least} to {most}"))
    }
}
