//! A request as it goes out: what the caller gave, and what the hub puts into its `_meta`.

use std::sync::Arc;

use dormouse_types::BackChannel;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

/// The revision in which each request speaks for itself.
pub(crate) const MODERN: &str = "2026-07-28";

/// What each request of that revision says in its `_meta`. Requests of other revisions do not.
const REVISION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// A request, borrowed from whoever makes it: nothing of it is copied but onto the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) id: i64,
    pub(crate) method: &'a str,
    pub(crate) params: Option<&'a Map<String, Value>>,
    /// For whom it is; `None` is the hub itself.
    pub(crate) back: Option<&'a Arc<dyn BackChannel>>,
}

impl Request<'_> {
    /// Its text, in a revision that begins with `initialize` or in the one without.
    pub(crate) fn text(&self, modern: bool) -> Vec<u8> {
        let mut text = Vec::with_capacity(256);
        let frame = Frame { request: self, modern };
        serde_json::to_writer(&mut text, &frame).expect("values and texts are JSON");
        text
    }
}

/// A notification of the hub.
pub(crate) fn notification(method: &str, params: &Value) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string().into_bytes()
}

/// Who we are, for every revision.
pub(crate) fn info() -> Value {
    json!({ "name": "dormouse", "version": env!("CARGO_PKG_VERSION") })
}

struct Frame<'a> {
    request: &'a Request<'a>,
    modern: bool,
}

impl Serialize for Frame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Request { id, method, params, back } = *self.request;
        let meta = Meta {
            given: params.and_then(|params| params.get("_meta")).and_then(Value::as_object),
            token: back.is_some_and(|back| back.wants_progress()).then_some(id),
            speaks: self.modern.then_some(back),
        };
        let mut frame = serializer.serialize_map(None)?;
        frame.serialize_entry("jsonrpc", "2.0")?;
        frame.serialize_entry("id", &id)?;
        frame.serialize_entry("method", method)?;
        if params.is_some() || !meta.is_empty() {
            frame.serialize_entry("params", &Params { given: params, meta })?;
        }
        frame.end()
    }
}

struct Params<'a> {
    given: Option<&'a Map<String, Value>>,
    meta: Meta<'a>,
}

impl Serialize for Params<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut params = serializer.serialize_map(None)?;
        for (name, value) in self.given.into_iter().flatten().filter(|(name, _)| *name != "_meta") {
            params.serialize_entry(name, value)?;
        }
        if !self.meta.is_empty() {
            params.serialize_entry("_meta", &self.meta)?;
        }
        params.end()
    }
}

struct Meta<'a> {
    given: Option<&'a Map<String, Value>>,
    /// Our own, since the caller's means nothing to the wire.
    token: Option<i64>,
    /// For whom a request speaks that speaks for itself.
    speaks: Option<Option<&'a Arc<dyn BackChannel>>>,
}

impl Meta<'_> {
    fn passed(&self) -> impl Iterator<Item = (&String, &Value)> {
        let ours = ["progressToken", REVISION, CLIENT, CAPABILITIES, LOG_LEVEL];
        self.given.into_iter().flatten().filter(move |(name, _)| !ours.contains(&name.as_str()))
    }

    fn is_empty(&self) -> bool {
        self.token.is_none() && self.speaks.is_none() && self.passed().next().is_none()
    }
}

impl Serialize for Meta<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut meta = serializer.serialize_map(None)?;
        for (name, value) in self.passed() {
            meta.serialize_entry(name, value)?;
        }
        if let Some(token) = self.token {
            meta.serialize_entry("progressToken", &token)?;
        }
        if let Some(back) = self.speaks {
            meta.serialize_entry(REVISION, MODERN)?;
            meta.serialize_entry(CLIENT, &info())?;
            match back {
                Some(back) => meta.serialize_entry(CAPABILITIES, &*back.capabilities())?,
                None => meta.serialize_entry(CAPABILITIES, &Map::new())?,
            }
            if let Some(level) = back.and_then(|back| back.log_level()) {
                meta.serialize_entry(LOG_LEVEL, &level)?;
            }
        }
        meta.end()
    }
}

#[cfg(test)]
mod tests {
    use dormouse_types::{CallEvent, NoBackChannel};

    use super::*;

    #[derive(Debug)]
    struct Caller;

    impl BackChannel for Caller {
        fn notify(&self, _: CallEvent) {}

        fn capabilities(&self) -> Arc<Value> {
            Arc::new(json!({ "elicitation": {} }))
        }

        fn log_level(&self) -> Option<String> {
            Some("debug".to_owned())
        }
    }

    fn sent(params: Value, back: Option<Arc<dyn BackChannel>>, modern: bool) -> Value {
        let request =
            Request { id: 7, method: "tools/call", params: params.as_object(), back: back.as_ref() };
        let mut sent: Value = serde_json::from_slice(&request.text(modern)).unwrap();
        assert_eq!(
            (&sent["jsonrpc"], &sent["id"], &sent["method"]),
            (&json!("2.0"), &json!(7), &json!("tools/call"))
        );
        sent["params"].take()
    }

    #[test]
    fn meta_passes_but_for_what_is_between_the_hub_and_the_server() {
        let given = json!({ "x": 1, "_meta": { "a": [1], "progressToken": "theirs", LOG_LEVEL: "info" } });
        let listening = sent(given.clone(), Some(Arc::new(Caller)), false);
        assert_eq!(listening, json!({ "x": 1, "_meta": { "a": [1], "progressToken": 7 } }));
        let deaf = sent(given.clone(), Some(Arc::new(NoBackChannel)), false);
        assert_eq!(deaf, json!({ "x": 1, "_meta": { "a": [1] } }));
        let nothing_left = json!({ "_meta": { "progressToken": 1, CLIENT: {} } });
        assert_eq!(sent(nothing_left, None, false), json!({}));
        assert_eq!(sent(json!(null), None, false), json!(null));
    }

    #[test]
    fn a_request_that_speaks_for_itself_speaks_for_its_caller() {
        let given = json!({ "_meta": { CAPABILITIES: { "roots": {} }, "trace": "t" } });
        let speaking = sent(given, Some(Arc::new(Caller)), true);
        assert_eq!(
            speaking["_meta"],
            json!({ "trace": "t", "progressToken": 7, REVISION: MODERN, CLIENT: info(),
                CAPABILITIES: { "elicitation": {} }, LOG_LEVEL: "debug" })
        );
        let own = sent(json!(null), None, true);
        assert_eq!(own["_meta"], json!({ REVISION: MODERN, CLIENT: info(), CAPABILITIES: {} }));
    }
}
