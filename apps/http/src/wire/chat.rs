//! Conversations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Message, Role};

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatMessage {
    /// `user` or `assistant`.
    #[schema(value_type = String, example = "user")]
    pub role: Role,
    /// What was said.
    pub content: String,
    /// When, in UTC.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: String,
}

impl From<Message> for ChatMessage {
    fn from(message: Message) -> Self {
        let Message { role, content, timestamp } = message;
        Self { role, content, timestamp: timestamp.to_string() }
    }
}

/// A conversation was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cleared {
    /// Its session id.
    pub cleared: String,
}
