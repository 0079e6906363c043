//! How a conversation over pipes begins: by `initialize`, or, where the server does not know that
//! any more, by `server/discover`.

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Inner, Offers};
use crate::error::CallError;
use crate::wire::{MODERN, info};

/// The newest revision that begins with `initialize`.
const NEWEST: &str = "2025-11-25";

impl Inner {
    /// Greets the server; what it said of itself is kept.
    ///
    /// # Errors
    /// [`CallError`] of `initialize`, also where `server/discover` was tried after it.
    pub(super) async fn greet(&self, offers: Offers, until: Instant) -> Result<(), CallError> {
        let params = Map::from_iter([
            ("protocolVersion".to_owned(), Value::from(NEWEST)),
            ("capabilities".to_owned(), offers.capabilities()),
            ("clientInfo".to_owned(), info()),
        ]);
        match self.request("initialize", Some(&params), until, None).await {
            Ok(greeting) if greeting.get("protocolVersion").is_some_and(Value::is_string) => {
                self.wire.set_greeting(greeting);
                self.line.tell("notifications/initialized", &json!({}));
                Ok(())
            }
            Ok(_) => {
                Err(CallError::Unreadable { why: "something that is no answer to `initialize`".to_owned() })
            }
            Err(refused @ CallError::Refused { .. }) => match self.discover(until).await {
                Ok(()) => Ok(()),
                // It has refused both, and the first is the one that most servers know.
                Err(CallError::Refused { .. } | CallError::Unreadable { .. }) => Err(refused),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn discover(&self, until: Instant) -> Result<(), CallError> {
        self.line.set_modern(true);
        let found = self.request("server/discover", None, until, None).await;
        let greeting = found.and_then(discovered);
        self.line.set_modern(greeting.is_ok());
        self.wire.set_greeting(greeting?);
        Ok(())
    }
}

/// What a server of 2026-07-28 says of itself, with the members where all earlier ones have them.
///
/// # Errors
/// It does not speak that revision.
pub(crate) fn discovered(mut result: Value) -> Result<Value, CallError> {
    let speaks = |result: &Value| {
        let supported = result.get("supportedVersions")?.as_array()?;
        Some(supported.iter().any(|revision| revision == MODERN))
    };
    if speaks(&result) != Some(true) {
        return Err(CallError::Unreadable { why: format!("it does not say that it speaks {MODERN}") });
    }
    if result.get("serverInfo").is_none()
        && let Some(info) = result["_meta"].get("io.modelcontextprotocol/serverInfo").cloned()
    {
        result["serverInfo"] = info;
    }
    result["protocolVersion"] = json!(MODERN);
    Ok(result)
}
