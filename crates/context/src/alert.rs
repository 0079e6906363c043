//! The verbs on alerts: what a person should look at.

use dormouse_registry::NoSuchServer;
use dormouse_types::{Alert, AlertLevel, Scope, ServerName};

use crate::context::Context;

/// The longest title of an alert, in characters.
const LONGEST_TITLE: usize = 200;
/// The longest message of an alert, in characters.
const LONGEST_MESSAGE: usize = 2_000;

/// Something that somebody wants a person to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlert {
    /// How bad it is.
    pub level: AlertLevel,
    /// What it is about, in 1 to 200 characters.
    pub title: String,
    /// What happened, in at most 2,000 characters.
    pub message: String,
    /// The server that it is about, by its name in the context that raises it.
    pub server: Option<ServerName>,
}

/// Why an alert was not raised, or none was cleared.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// No server has that name here.
    #[error(transparent)]
    UnknownServer(#[from] NoSuchServer),
    /// An agent sees only what concerns its servers.
    #[error("an agent's alert must name a server that it sees")]
    NoServer,
    /// A text has not the length that it may have.
    #[error("`{field}` has {length} characters; it must have {least} to {most}")]
    Length {
        /// The text.
        field: &'static str,
        /// How long it is.
        length: usize,
        /// The fewest characters.
        least: usize,
        /// The most characters.
        most: usize,
    },
    /// Alerts are cleared for all who see them.
    #[error("alerts are cleared in the store; an agent cannot")]
    StoreOnly,
}

impl Context {
    /// What a person should look at, oldest first; at most 500. An agent sees what concerns the
    /// servers that it sees.
    pub fn alerts(&self) -> Vec<Alert> {
        let catalog = self.registry().snapshot();
        let seen = |alert: &Alert| match (self.scope(), &alert.server) {
            (Scope::Store, _) => true,
            (scope, Some(server)) => catalog.sees(scope, server),
            (Scope::Agent(_), None) => false,
        };
        self.orchestrator().alerts().into_iter().filter(seen).collect()
    }

    /// Raises an alert: whoever listens is told, and it is listed with those that the hub raises.
    ///
    /// # Errors
    /// [`AlertError`]
    pub fn raise_alert(&self, alert: &NewAlert) -> Result<Alert, AlertError> {
        let NewAlert { level, title, message, server } = alert;
        for (field, text, least, most) in
            [("title", title, 1, LONGEST_TITLE), ("message", message, 0, LONGEST_MESSAGE)]
        {
            let length = text.trim().chars().count();
            if !(least..=most).contains(&length) {
                return Err(AlertError::Length { field, length, least, most });
            }
        }
        let server = match (self.scope(), server) {
            (_, Some(name)) => Some(self.key_of(name)?),
            (Scope::Store, None) => None,
            (Scope::Agent(_), None) => return Err(AlertError::NoServer),
        };
        Ok(self.orchestrator().raise_alert(*level, title.trim(), message.trim(), server))
    }

    /// Forgets all alerts and says how many there were. What is still wrong is told again when it
    /// was well in between.
    ///
    /// # Errors
    /// [`AlertError::StoreOnly`]
    pub fn clear_alerts(&self) -> Result<usize, AlertError> {
        match self.scope() {
            Scope::Store => Ok(self.orchestrator().clear_alerts()),
            Scope::Agent(_) => Err(AlertError::StoreOnly),
        }
    }
}
