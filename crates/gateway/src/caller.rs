//! Who asks, and where what belongs to the question goes.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::message::{Fault, Request, UNSUPPORTED_REVISION};
use crate::revision::Revision;
use crate::session::{Receipt, Session};

/// Where messages to a client go.
pub(crate) trait Outlet: Send + Sync + fmt::Debug {
    /// Sends a message; returns at once. False: nobody reads any more.
    fn send(&self, message: Value) -> bool;

    /// Sends a message of which somebody wants to know whether it was written to who reads.
    fn send_noted(&self, message: Value, receipt: Receipt);
}

/// An outlet that leads nowhere.
#[derive(Debug)]
pub(crate) struct Nowhere;

impl Outlet for Nowhere {
    fn send(&self, _message: Value) -> bool {
        false
    }

    fn send_noted(&self, _message: Value, _receipt: Receipt) {}
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) life: Life,
    /// Where what belongs to this request goes before its answer.
    pub(crate) outlet: Arc<dyn Outlet>,
}

/// How a client lives.
#[derive(Debug, Clone)]
pub(crate) enum Life {
    /// It greeted, and has a session.
    Session(Arc<Session>),
    /// Each of its requests speaks for itself.
    Stateless(Arc<Meta>),
}

/// What a request of 2026-07-28 says of its client.
#[derive(Debug)]
pub(crate) struct Meta {
    pub(crate) capabilities: Arc<Value>,
    pub(crate) log_level: Option<String>,
}

impl Caller {
    /// The caller of a request in the stateless life.
    pub(crate) fn stateless(request: &Request, outlet: Arc<dyn Outlet>) -> Result<Self, Fault> {
        let meta = Meta::read(request)?;
        Ok(Self { life: Life::Stateless(Arc::new(meta)), outlet })
    }

    /// The caller of a request in a session.
    pub(crate) fn in_session(session: Arc<Session>, outlet: Arc<dyn Outlet>) -> Self {
        Self { life: Life::Session(session), outlet }
    }

    pub(crate) fn is_stateless(&self) -> bool {
        matches!(self.life, Life::Stateless(_))
    }

    /// The lowest level of log messages that it wants; `None` when it did not say.
    pub(crate) fn log_level(&self) -> Option<String> {
        match &self.life {
            Life::Session(session) => session.log_level(),
            Life::Stateless(meta) => meta.log_level.clone(),
        }
    }
}

const PREFIX: &str = "io.modelcontextprotocol/";

/// Whether a request belongs to the stateless life, by what it says itself.
pub(crate) fn speaks_for_itself(request: &Request) -> bool {
    request.method == "server/discover" || request.meta("io.modelcontextprotocol/protocolVersion").is_some()
}

impl Meta {
    fn read(request: &Request) -> Result<Self, Fault> {
        let said = |name: &str| request.meta(&format!("{PREFIX}{name}")).filter(|value| !value.is_null());
        let mut missing = Vec::new();
        let revision = said("protocolVersion").and_then(Value::as_str);
        if revision.is_none() {
            missing.push("protocolVersion");
        }
        let capabilities = said("clientCapabilities").filter(|value| value.is_object());
        if capabilities.is_none() {
            missing.push("clientCapabilities");
        }
        if said("clientInfo").is_some_and(|info| !info.is_object()) {
            missing.push("clientInfo");
        }
        if let Some(revision) = revision
            && Revision::read(revision) != Some(Revision::V2026_07_28)
        {
            return Err(unsupported(revision));
        }
        let (Some(capabilities), true) = (capabilities, missing.is_empty()) else {
            let names: Vec<String> = missing.iter().map(|name| format!("{PREFIX}{name}")).collect();
            let words = format!("`_meta` lacks, or has in a wrong shape: {}", names.join(", "));
            return Err(Fault::invalid(words));
        };
        let log_level = said("logLevel").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { capabilities: Arc::new(capabilities.clone()), log_level })
    }
}

/// The error for a revision that is not spoken without a session.
pub(crate) fn unsupported(asked: &str) -> Fault {
    let supported: Vec<&str> = Revision::ALL.iter().map(|revision| revision.as_str()).collect();
    let asked: String = asked.chars().take(40).collect();
    Fault::new(UNSUPPORTED_REVISION, "Unsupported protocol version")
        .with_data(serde_json::json!({ "supported": supported, "requested": asked }))
}

/// Params without what is said to the hub only: who asks, and the progress token.
pub(crate) fn undressed(mut params: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(meta)) = params.get_mut("_meta") {
        meta.retain(|name, _| name != "progressToken" && !name.starts_with(PREFIX));
        if meta.is_empty() {
            params.shift_remove("_meta");
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::{INVALID_PARAMS, Incoming};

    fn request(meta: Value) -> Request {
        let message =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": meta } });
        let Ok(Incoming::Request(request)) = Incoming::read(message) else { panic!() };
        request
    }

    #[test]
    fn a_stateless_request_says_who_asks() {
        let whole = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
            "io.modelcontextprotocol/logLevel": "warning",
        });
        let meta = Meta::read(&request(whole)).unwrap();
        assert_eq!(*meta.capabilities, json!({ "elicitation": {} }));
        assert_eq!(meta.log_level.as_deref(), Some("warning"));
        let lacking =
            Meta::read(&request(json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" })));
        assert_eq!(lacking.unwrap_err().code, INVALID_PARAMS);
        let other = request(json!({
            "io.modelcontextprotocol/protocolVersion": "2099-01-01",
            "io.modelcontextprotocol/clientCapabilities": {},
        }));
        let fault = Meta::read(&other).unwrap_err();
        assert_eq!(
            (fault.code, &fault.data.unwrap()["requested"]),
            (UNSUPPORTED_REVISION, &json!("2099-01-01"))
        );
    }

    #[test]
    fn only_what_is_said_to_the_hub_is_taken_out() {
        let params = json!({ "name": "x", "_meta": {
            "progressToken": 1, "io.modelcontextprotocol/clientInfo": {}, "traceparent": "00-1" } });
        let Value::Object(params) = params else { panic!() };
        assert_eq!(
            Value::Object(undressed(params)),
            json!({ "name": "x", "_meta": { "traceparent": "00-1" } })
        );
    }
}
