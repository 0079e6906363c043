//! The headers of MCP, and what they may say beside a body.

use ::http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;

use super::accept::single;
use super::mirrored::{check_params, decoded};
use super::reply::{Refused, invalid, refused};
use crate::caller::unsupported;
use crate::message::{Fault, HEADER_MISMATCH, Id, Request};
use crate::revision::Revision;

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// What `MCP-Protocol-Version` says.
pub(super) fn version(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    single(headers, &VERSION).map_err(|why| invalid(StatusCode::BAD_REQUEST, &why))
}

/// Whether the header alone says that a request is of the stateless life.
pub(super) fn is_stateless(version: Option<&str>) -> bool {
    version == Some(Revision::V2026_07_28.as_str())
}

/// Checks that a request of a session speaks the session's revision. Clients before 2025-06-18 say
/// none; and some say 2025-03-26 whatever was agreed, as servers take a missing header to mean.
pub(super) fn agrees(version: Option<&str>, session: Revision, id: Option<&Id>) -> Result<(), Refused> {
    let Some(version) = version else { return Ok(()) };
    match Revision::read(version) {
        Some(said) if said == session || said == Revision::V2025_03_26 => Ok(()),
        Some(said) => {
            let why = format!("MCP-Protocol-Version says {said}, but this session speaks {session}");
            Err(super::reply::invalid_to(StatusCode::BAD_REQUEST, id, &why))
        }
        None => Err(Box::new(refused(StatusCode::BAD_REQUEST, id, &unsupported(version)))),
    }
}

/// Checks that a greeting asks for what its header says, if it says something.
pub(super) fn greets_alike(version: Option<&str>, request: &Request) -> Result<(), Refused> {
    let (Some(version), Some(asked)) =
        (version, request.params.get("protocolVersion").and_then(Value::as_str))
    else {
        return Ok(());
    };
    if version == asked {
        return Ok(());
    }
    let why = "MCP-Protocol-Version and `protocolVersion` of `initialize` say different revisions";
    Err(super::reply::invalid_to(StatusCode::BAD_REQUEST, Some(&request.id), why))
}

/// Checks that the headers of a stateless request say what its body says. `schema` is the input
/// schema of the tool that is called, if it is known.
pub(super) fn mirror(headers: &HeaderMap, request: &Request, schema: Option<&Value>) -> Result<(), Fault> {
    mirrored(headers, request, schema)
        .map_err(|why| Fault::new(HEADER_MISMATCH, format!("Header mismatch: {why}")))
}

fn mirrored(headers: &HeaderMap, request: &Request, schema: Option<&Value>) -> Result<(), String> {
    let method = single(headers, &METHOD)?.ok_or("the header Mcp-Method is missing")?;
    if method != request.method {
        return Err("Mcp-Method is not the method of the body".to_owned());
    }
    if let Some(named) = named(request) {
        let said = single(headers, &NAME)?.ok_or("the header Mcp-Name is missing")?;
        if decoded(said).ok_or("Mcp-Name is not valid base64")? != named {
            return Err("Mcp-Name is not the name in the body".to_owned());
        }
    }
    match (request.method.as_str(), schema) {
        ("tools/call", Some(schema)) => check_params(headers, schema, request.params.get("arguments")),
        _ => Ok(()),
    }
}

/// Checks that header and body name the same revision.
pub(super) fn same_version(version: Option<&str>, request: &Request) -> Result<(), Fault> {
    let said = request.meta("io.modelcontextprotocol/protocolVersion").and_then(Value::as_str);
    // Without a revision in the body, the body is what is wrong.
    let Some(said) = said else { return Ok(()) };
    let why = match version {
        Some(version) if version == said => return Ok(()),
        Some(_) => "MCP-Protocol-Version is not the revision that the body names",
        None => "the header MCP-Protocol-Version is missing",
    };
    Err(Fault::new(HEADER_MISMATCH, format!("Header mismatch: {why}")))
}

/// What `Mcp-Name` must say.
fn named(request: &Request) -> Option<&str> {
    let member = match request.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    request.params.get(member)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::Incoming;

    fn call(arguments: &Value) -> Request {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "deploy", "arguments": arguments } });
        let Ok(Incoming::Request(request)) = Incoming::read(message) else { panic!() };
        request
    }

    fn check(said: &[(&'static str, &str)], arguments: Value) -> Result<(), Fault> {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(*name, value.parse().unwrap());
        }
        let schema = json!({ "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "at": { "type": "object", "properties": { "level": { "type": "integer", "x-mcp-header": "Level" } } },
        }});
        mirror(&headers, &call(&arguments), Some(&schema))
    }

    #[test]
    fn headers_say_what_the_body_says() {
        let good = [("mcp-method", "tools/call"), ("mcp-name", "deploy")];
        let with = |more: &[(&'static str, &'static str)]| [&good[..], more].concat();
        assert_eq!(check(&good, json!({})), Ok(()));
        assert_eq!(check(&[good[0], ("mcp-name", "=?base64?ZGVwbG95?=")], json!({})), Ok(()));
        assert_eq!(check(&with(&[("mcp-param-region", "eu")]), json!({ "region": "eu" })), Ok(()));
        assert_eq!(
            check(&with(&[("mcp-param-region", "=?base64?w6k=?=")]), json!({ "region": "é" })),
            Ok(())
        );
        assert_eq!(check(&with(&[("mcp-param-level", "42.0")]), json!({ "at": { "level": 42 } })), Ok(()));
        assert_eq!(check(&with(&[("mcp-param-other", "x")]), json!({})), Ok(()));
        assert_eq!(check(&good, json!({ "region": null })), Ok(()));
        for (said, arguments) in [
            (&good[1..], json!({})),
            (&good[..1], json!({})),
            (&[good[0], ("mcp-name", "Deploy")], json!({})),
            (&[good[0], ("mcp-name", "=?base64?ZGVwbG95=?=")], json!({})),
            (&with(&[("mcp-name", "deploy")]), json!({})),
            (&[("mcp-method", "TOOLS/CALL"), good[1]], json!({})),
            (&good, json!({ "region": "eu" })),
            (&with(&[("mcp-param-region", "us")]), json!({ "region": "eu" })),
            (&with(&[("mcp-param-region", "eu")]), json!({})),
            (&with(&[("mcp-param-region", "=?base64?SGVsbG8?=")]), json!({ "region": "Hello" })),
            (&with(&[("mcp-param-level", "43")]), json!({ "at": { "level": 42 } })),
            (&with(&[("mcp-param-region", "eu"), ("mcp-param-region", "eu")]), json!({ "region": "eu" })),
        ] {
            let fault = check(said, arguments).unwrap_err();
            assert_eq!(fault.code, HEADER_MISMATCH, "{said:?}");
        }
    }
}
