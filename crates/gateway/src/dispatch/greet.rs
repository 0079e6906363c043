//! `initialize` and `server/discover`: what an endpoint is and can.

use serde_json::{Value, json};

use super::lists::{SCOPE, first_contacts, ttl_ms};
use crate::endpoint::Endpoint;
use crate::revision::Revision;

/// Waits, where the one server says what an endpoint is, until it has spoken for the first time.
/// With several servers a greeting does not depend on any of them.
pub(crate) async fn introduced(endpoint: &Endpoint) {
    if endpoint.only().is_some() {
        first_contacts(endpoint).await;
    }
}

/// The result of `initialize`.
pub(crate) async fn greeting(endpoint: &Endpoint, revision: Revision) -> Value {
    let mut result = json!({
        "protocolVersion": revision.as_str(),
        "capabilities": endpoint.capabilities(false),
        "serverInfo": endpoint.server_info(),
    });
    if let Some(instructions) = endpoint.instructions() {
        result["instructions"] = Value::String(instructions);
    }
    result
}

/// The result of `server/discover`.
pub(super) async fn discovery(endpoint: &Endpoint) -> Value {
    introduced(endpoint).await;
    let ttl_ms = ttl_ms(endpoint);
    let supported: Vec<&str> = Revision::ALL.iter().map(|revision| revision.as_str()).collect();
    let info = endpoint.server_info();
    let mut result = json!({
        "resultType": "complete",
        "supportedVersions": supported,
        "capabilities": endpoint.capabilities(true),
        "serverInfo": info.clone(),
        "ttlMs": ttl_ms,
        "cacheScope": SCOPE,
        "_meta": { "io.modelcontextprotocol/serverInfo": info },
    });
    if let Some(instructions) = endpoint.instructions() {
        result["instructions"] = Value::String(instructions);
    }
    result
}
