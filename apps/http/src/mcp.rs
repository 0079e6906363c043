//! What MCP clients meet before and beside the gateway: refusals in their language, where tokens
//! are explained, and one gateway for all doors of a hub.

use std::fmt;
use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use dormouse_gateway::Gateway;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::app::App;
use crate::domain::{AgentId, Hub};
use crate::guard;
use crate::problem::{Code, Problem};

/// Where the metadata of protected resources lies (RFC 9728).
pub(crate) const METADATA: &str = "/.well-known/oauth-protected-resource";

/// The longest problem document that is put into other words.
const LONGEST_PROBLEM: usize = 256 << 10;

/// The gateway of a hub, shared by all its doors. Cheap to clone; it is made when it is needed.
#[derive(Clone, Default)]
pub struct SharedGateway(Arc<OnceLock<Running>>);

struct Running {
    gateway: Gateway,
    /// Ends the gateway's streams when the hub ends.
    _ends: Option<AbortOnDropHandle<()>>,
}

impl SharedGateway {
    pub(crate) fn of(&self, hub: &Hub, ending: &CancellationToken) -> &Gateway {
        let running = self.0.get_or_init(|| {
            let gateway = Gateway::new(hub);
            let (ends, ending) = (gateway.clone(), ending.clone());
            let watch = async move {
                ending.cancelled().await;
                ends.end();
            };
            let runtime = tokio::runtime::Handle::try_current().ok();
            let ends = runtime.map(|runtime| AbortOnDropHandle::new(runtime.spawn(watch)));
            Running { gateway, _ends: ends }
        });
        &running.gateway
    }
}

impl fmt::Debug for SharedGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedGateway").field("made", &self.0.get().is_some()).finish()
    }
}

/// Whether MCP clients talk to this path.
fn is_endpoint(path: &str) -> bool {
    match path.strip_prefix("/agents/").and_then(|rest| rest.split_once('/')) {
        Some((_, rest)) => rest == "mcp",
        None => path == "/mcp",
    }
}

/// Says refusals of the guard and of the router to MCP clients as JSON-RPC errors, and tells those
/// who need a token where that is explained.
pub(crate) async fn in_their_words<F: Future<Output = Response>>(
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    if !is_endpoint(request.uri().path()) {
        return next(request).await;
    }
    let place = Place::of(&request);
    let response = next(request).await;
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/problem+json");
    if is_problem { in_rpc(response, place).await } else { response }
}

async fn in_rpc(response: Response, place: Place) -> Response {
    let (parts, body) = response.into_parts();
    let problem = match to_bytes(body, LONGEST_PROBLEM).await {
        Ok(bytes) => serde_json::from_slice::<Problem>(&bytes).ok(),
        Err(_) => None,
    };
    let problem = problem.unwrap_or_else(|| Problem::new(Code::Internal, "the error has no words"));
    let data = json!({ "code": problem.code });
    let mut response = dormouse_gateway::http::refused(parts.status, &problem.detail, data)
        .map(axum::body::Body::new)
        .into_response();
    for name in [header::ALLOW, header::WWW_AUTHENTICATE] {
        if let Some(value) = parts.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    let said = parts.headers.get(header::WWW_AUTHENTICATE).and_then(|said| said.to_str().ok());
    if let (Some(said), Some(base)) = (said, place.base()) {
        let path = place.uri.path();
        let challenge = format!(r#"{said}, resource_metadata="{base}{METADATA}{path}""#);
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
    }
    response
}

/// What a request was sent to. Taken from each, and written out only for who is refused.
struct Place {
    host: Option<HeaderValue>,
    /// A proxy before the hub does TLS.
    secure: bool,
    uri: Uri,
}

impl Place {
    fn of(request: &Request) -> Self {
        Self::at(request.headers(), request.uri().clone())
    }

    fn at(headers: &HeaderMap, uri: Uri) -> Self {
        let secure = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes() == b"https");
        Self { host: headers.get(header::HOST).cloned(), secure, uri }
    }

    /// What the hub is called by this client.
    fn base(&self) -> Option<String> {
        let host = match self.uri.authority() {
            Some(authority) => authority.as_str(),
            None => self.host.as_ref()?.to_str().ok()?,
        };
        // It is put between quotes.
        if host.contains(['"', '\\', ' ']) {
            return None;
        }
        Some(format!("{}://{host}", if self.secure { "https" } else { "http" }))
    }
}

/// What needs a token, and how it is sent: the whole hub.
pub(crate) async fn whole(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    metadata(&app, &Place::at(&headers, uri), "")
}

/// What needs a token, and how it is sent: one endpoint.
pub(crate) async fn endpoint(
    State(app): State<App>,
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let path = format!("/{path}");
    let agent = path.strip_prefix("/agents/").and_then(|rest| rest.strip_suffix("/mcp"));
    if !is_endpoint(&path) || agent.is_some_and(|agent| AgentId::try_new(agent).is_err()) {
        return Err(nothing());
    }
    metadata(&app, &Place::at(&headers, uri), &path)
}

fn metadata(app: &App, place: &Place, path: &str) -> Result<Json<Value>, Problem> {
    let base = place.base().filter(|_| guard::needs_token(app)).ok_or_else(nothing)?;
    let mut metadata = json!({
        "resource": format!("{base}{path}"),
        "resource_name": "Dormouse",
        "bearer_methods_supported": ["header"],
    });
    // Its own tokens are issued by no such server; only who runs the hub knows of one before it.
    let issuers = &app.settings().authorization_servers;
    if !issuers.is_empty() {
        metadata["authorization_servers"] = json!(issuers);
    }
    Ok(Json(metadata))
}

fn nothing() -> Problem {
    Problem::new(Code::NotFound, "see /docs for what there is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_told_by_their_paths() {
        for (path, is) in [
            ("/mcp", true),
            ("/agents/a/mcp", true),
            ("/mcp/", false),
            ("/agents/mcp", false),
            ("/agents/a/b/mcp", false),
            ("/tools", false),
        ] {
            assert_eq!(is_endpoint(path), is, "{path}");
        }
    }
}
