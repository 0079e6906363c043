//! The verbs on conversations.

use dormouse_storage::ConversationKey;
use dormouse_types::{Message, SessionId};

use crate::context::Context;
use crate::error::ConversationError;

impl Context {
    pub(crate) fn conversation(&self, session: &SessionId) -> ConversationKey {
        ConversationKey { scope: self.scope().clone(), session: session.clone() }
    }

    /// The conversation of a session id in this context, oldest message first.
    ///
    /// # Errors
    /// [`ConversationError`]
    pub async fn history(&self, session: &SessionId) -> Result<Vec<Message>, ConversationError> {
        Ok(self.storage().history(&self.conversation(session)).await?)
    }

    /// Forgets a conversation; an unknown one is no error.
    ///
    /// # Errors
    /// [`ConversationError`]
    pub async fn clear_history(&self, session: &SessionId) -> Result<(), ConversationError> {
        Ok(self.storage().clear(&self.conversation(session)).await?)
    }

    /// Forgets every conversation of this context and says how many there were. Those of agents
    /// are theirs: the store forgets its own.
    ///
    /// # Errors
    /// [`ConversationError`]; some may be forgotten by then.
    pub async fn forget_conversations(&self) -> Result<usize, ConversationError> {
        let all = self.storage().conversations().await?;
        let own: Vec<ConversationKey> = all.into_iter().filter(|of| of.scope == *self.scope()).collect();
        for conversation in &own {
            self.storage().clear(conversation).await?;
        }
        Ok(own.len())
    }
}
