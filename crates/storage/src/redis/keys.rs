//! Where a space keeps what: all under one prefix, whose braces put it into one slot of a cluster.
//!
//! | key | type | content |
//! |---|---|---|
//! | `dormouse:{ID}:TABLE` | hash | the records of a table: key → JSON |
//! | `dormouse:{ID}:chat:CONVERSATION` | list | JSON of the newest messages, as in the seed |
//! | `dormouse:{ID}:chats` | set | the conversations that there are |
//! | `dormouse:{ID}:meta` | hash | `format` of all this, `version`: how many batches were written, and `fence`: how many holders all duties had |
//! | `dormouse:{ID}:lead:DUTY` | hash | `hub` and `fence` of the holder; expires with the lease |
//! | `dormouse:{ID}:feed` | channel | what hubs tell each other; with `:N` in database N |

use crate::Table;

#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
    database: Option<u8>,
}

impl Keys {
    pub(super) fn new(space: &str, database: Option<u8>) -> Self {
        Self { prefix: format!("dormouse:{{{space}}}"), database: database.filter(|number| *number != 0) }
    }

    pub(super) fn table(&self, table: Table) -> String {
        self.of(table.as_str())
    }

    pub(super) fn conversation(&self, name: &str) -> String {
        self.of(&format!("chat:{name}"))
    }

    pub(super) fn conversations(&self) -> String {
        self.of("chats")
    }

    pub(super) fn meta(&self) -> String {
        self.of("meta")
    }

    pub(super) fn duty(&self, duty: &str) -> String {
        self.of(&format!("lead:{duty}"))
    }

    /// Channels know no databases, so that the number is part of the name.
    pub(super) fn channel(&self) -> String {
        match self.database {
            None => self.of("feed"),
            Some(number) => self.of(&format!("feed:{number}")),
        }
    }

    fn of(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }
}
