//! One server as HTTP sees it: what goes with each request, redirects, sign-in, bounded bodies.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use reqwest_rmcp::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT,
    WWW_AUTHENTICATE,
};
use reqwest_rmcp::{Body, Client, Method, StatusCode};
use serde_json::Value;
use tokio_util::bytes::Bytes;
use url::Url;

use super::client::AGENT;
use super::direct::Direct;
use super::response::Response;
use super::{Endpoint, RemoteClient, Signer};
use crate::error::{CallError, SignInError};
use crate::wire::{LONGEST, Ticket};

/// The most redirects of one request.
const MOST_REDIRECTS: usize = 5;
/// How much of an error's body is read.
const ERROR_BODY: usize = 64 << 10;
/// How much of it is told.
const ERROR_WORDS: usize = 200;
/// How many headers a request has besides the server's own and its own: that of a token, what is
/// accepted and sent, who sends it and where to.
const OURS: usize = 5;

const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// One server.
pub(super) struct Site {
    http: Http,
    pub(super) url: Url,
    headers: HeaderMap,
    signer: Option<Arc<dyn Signer>>,
}

/// How its HTTP is spoken.
enum Http {
    Direct(Direct),
    /// With TLS, proxies and all that there is.
    Client(Client),
}

/// One request to it.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// The claim of whoever waits for the answer.
    pub(super) ticket: Option<&'a Arc<Ticket>>,
    /// Whether it does no harm to send it twice.
    pub(super) twice: bool,
}

impl Site {
    /// # Errors
    /// What cannot be a server, in words.
    pub(super) async fn new(client: &RemoteClient, endpoint: &Endpoint) -> Result<Self, String> {
        if !matches!(endpoint.url.scheme(), "http" | "https") || endpoint.url.host().is_none() {
            return Err("its URL is no address of HTTP".to_owned());
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &endpoint.headers.0 {
            let wrong = || format!("the header `{name}` cannot be sent");
            let header: HeaderName = name.parse().map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        // Whoever names certificates wants to hear of those that cannot be read.
        let direct = Direct::to(&endpoint.url, client.settings()).filter(|_| endpoint.ca_file.is_none());
        let http = match direct {
            Some(direct) => Http::Direct(direct),
            None => {
                let http = client.http(endpoint.ca_file.as_deref()).await;
                Http::Client(http.map_err(|error| dormouse_types::chain(&error))?)
            }
        };
        Ok(Self { http, url: endpoint.url.clone(), headers, signer: endpoint.signer.clone() })
    }

    /// Sends a request and follows it to an answer that is neither a redirect nor a demand to
    /// sign in. Its status may be any other.
    pub(super) async fn send(&self, ask: Ask<'_>) -> Result<Response, CallError> {
        let mut url = Cow::Borrowed(ask.url);
        let (mut redirects, mut signed_again, mut broke) = (0, false, false);
        loop {
            let token = match &self.signer {
                Some(signer) => signer.token().await.map_err(CallError::SignIn)?,
                None => None,
            };
            let response = match self.once(&ask, &url, token.as_deref()).await {
                // Most often an HTTP connection that the server closed just as it was used again.
                Err(CallError::Broken { .. }) if ask.twice && !broke => {
                    broke = true;
                    if let Some(ticket) = ask.ticket {
                        ticket.unsend();
                    }
                    continue;
                }
                response => response?,
            };
            let status = response.status();
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                redirects += 1;
                url = Cow::Owned(redirected(&ask, &url, &response, redirects)?);
            } else if let Some(refused) = refusal(&response) {
                let again = match &self.signer {
                    Some(signer) if !signed_again => {
                        let challenge = challenge(response.headers());
                        let again = signer.refused(token.as_deref(), challenge.as_deref()).await;
                        again.map_err(CallError::SignIn)?
                    }
                    _ => false,
                };
                if !again {
                    return Err(CallError::SignIn(refused));
                }
                signed_again = true;
            } else {
                return Ok(response);
            }
            // Neither was acted on, so it may be sent again.
            if let Some(ticket) = ask.ticket {
                ticket.unsend();
            }
        }
    }

    async fn once(&self, ask: &Ask<'_>, url: &Url, token: Option<&str>) -> Result<Response, CallError> {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + ask.headers.len() + OURS);
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value = value
                .map_err(|_| SignInError::Failed { why: "its token cannot be sent".to_owned() })
                .map_err(CallError::SignIn)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers.insert(ACCEPT, if ask.method == Method::GET { EVENTS } else { BOTH });
        for (name, value) in &ask.headers {
            headers.insert(name, value.clone());
        }
        if ask.body.is_some() {
            headers.insert(CONTENT_TYPE, JSON);
        }
        let sent = Arc::new(AtomicBool::new(false));
        let body = Payload { bytes: ask.body.clone(), ticket: ask.ticket.cloned(), sent: Arc::clone(&sent) };
        let response = match &self.http {
            Http::Direct(direct) => {
                headers.insert(USER_AGENT, AGENT);
                let mut request = http::Request::new(body);
                *request.method_mut() = ask.method.clone();
                *request.headers_mut() = headers;
                direct.send(url, request).await.map_err(|error| words(&*error))
            }
            Http::Client(client) => {
                let mut request = client.request(ask.method.clone(), url.clone()).headers(headers);
                if ask.body.is_some() {
                    request = request.body(Body::wrap(body));
                }
                let response = request.send().await.map_err(|error| words(&error.without_url()));
                response.map(Response::Client)
            }
        };
        response.map_err(|why| {
            if sent.load(Ordering::Acquire) {
                CallError::Broken { why }
            } else {
                CallError::Unreachable { why }
            }
        })
    }
}

/// Where a redirect leads, if it may be followed.
fn redirected(ask: &Ask<'_>, from: &Url, response: &Response, redirects: usize) -> Result<Url, CallError> {
    let status = response.status().as_u16();
    let refuse = |why: &str| CallError::Status { status, why: why.to_owned() };
    if redirects > MOST_REDIRECTS {
        return Err(refuse("it redirects again and again"));
    }
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let to = location.and_then(|location| from.join(location).ok());
    let to = to.ok_or_else(|| refuse("it redirects to nowhere"))?;
    if to.origin() != from.origin() {
        let to = to.origin().ascii_serialization();
        return Err(refuse(&format!("it redirects to {to}, and requests do not leave their origin")));
    }
    // The others would make a GET of a POST.
    if ask.method != Method::GET && !matches!(status, 307 | 308) {
        return Err(refuse("it redirects in a way that drops the request"));
    }
    Ok(to)
}

/// Whether it is a demand to sign in: 401, or 403 with a challenge.
fn refusal(response: &Response) -> Option<SignInError> {
    let status = response.status();
    let demands = status == StatusCode::UNAUTHORIZED
        || status == StatusCode::FORBIDDEN && response.headers().contains_key(WWW_AUTHENTICATE);
    demands.then(|| SignInError::Refused { status: status.as_u16() })
}

/// What a server wants, of several the bearer token's.
fn challenge(headers: &HeaderMap) -> Option<String> {
    let all: Vec<&str> =
        headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let is_bearer = |value: &&&str| value.get(..6).is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    all.iter().find(is_bearer).or(all.first()).map(|&value| value.to_owned())
}

/// What an answer is made of, without its parameters.
pub(super) fn content_type(response: &Response) -> String {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Reads a whole body of up to 16 MiB.
pub(super) async fn whole(mut response: Response) -> Result<Vec<u8>, CallError> {
    let too_long = || CallError::Unreadable { why: format!("it has more than {LONGEST} bytes") };
    if response.content_length().is_some_and(|length| length > LONGEST as u64) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads an error: its words, and its JSON if it is some.
pub(super) async fn failure(mut response: Response) -> (CallError, Option<Value>) {
    let status = response.status().as_u16();
    let kind = content_type(&response);
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk[..chunk.len().min(ERROR_BODY - body.len())]);
        if body.len() == ERROR_BODY {
            break;
        }
    }
    let json: Option<Value> = serde_json::from_slice(&body).ok();
    let why = match &json {
        Some(json) => {
            let error = json.get("error");
            let said = error.and_then(|error| error.get("message")).or(error).or(json.get("message"));
            said.and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        None if kind.starts_with("text/plain") => String::from_utf8_lossy(&body).trim().to_owned(),
        None if body.is_empty() => String::new(),
        None => format!("a page of `{}`", shown(&kind)),
    };
    (CallError::Status { status, why: why.chars().take(ERROR_WORDS).collect() }, json)
}

/// An answer that is not MCP.
pub(super) fn not_mcp(kind: &str) -> CallError {
    let why = match kind {
        "" => "it has no content type, so it is not MCP".to_owned(),
        kind => format!("it is `{}`, not MCP", shown(kind)),
    };
    CallError::Unreadable { why }
}

fn shown(kind: &str) -> String {
    kind.chars().filter(|c| c.is_ascii_graphic()).take(80).collect()
}

/// The innermost cause: the outer ones say only that a request failed, and to which URL.
pub(super) fn words(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while let Some(cause) = inner.source() {
        inner = cause;
    }
    inner.to_string()
}

/// A body that knows when it left: a request whose body was never asked for was not sent.
pub(super) struct Payload {
    pub(super) bytes: Option<Bytes>,
    pub(super) ticket: Option<Arc<Ticket>>,
    pub(super) sent: Arc<AtomicBool>,
}

impl http_body::Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        if self.ticket.as_ref().is_some_and(|ticket| !ticket.begin_sending()) {
            return Poll::Ready(Some(Err(io::Error::other("the call was withdrawn"))));
        }
        self.sent.store(true, Ordering::Release);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
