//! `initialize` and `server/discover`: what an endpoint is and can.

use serde_json::{Value, json};

use super::lists::{SCOPE, TTL_MS};
use crate::endpoint::Endpoint;
use crate::revision::Revision;

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
    let supported: Vec<&str> = Revision::ALL.iter().map(|revision| revision.as_str()).collect();
    let info = endpoint.server_info();
    let mut result = json!({
        "resultType": "complete",
        "supportedVersions": supported,
        "capabilities": endpoint.capabilities(true),
        "serverInfo": info.clone(),
        "ttlMs": TTL_MS,
        "cacheScope": SCOPE,
        "_meta": { "io.modelcontextprotocol/serverInfo": info },
    });
    if let Some(instructions) = endpoint.instructions() {
        result["instructions"] = Value::String(instructions);
    }
    result
}
