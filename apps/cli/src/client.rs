//! The client of a hub: HTTP, over the space's socket or without any.
//!
//! Every command speaks HTTP with its hub, also when the hub lives in the same process: there is
//! one way to do a thing, and what the command can do, any program can.
//!
//! # Invariants
//!
//! * A request is sent at most once. A hub that goes away while it works on one leaves an
//!   outcome that nobody knows, and that is what the failure says.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use dormouse_http::Problem;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::events::Events;
use crate::exit::Exit;
use crate::failure::Failure;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub(crate) type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Fault>;

/// A hub in this process, to be asked without a socket.
pub(crate) type Inside = BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, Infallible>;

/// How long a hub may take to say that it is there.
const GREETING: Duration = Duration::from_secs(5);

/// What may stand in a segment of a path as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The largest answer that is read as a whole; ten thousand tools are some ten of these megabytes.
const LARGEST: usize = 256 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The request was not sent.
    Unsent(Fault),
    /// The connection broke while the answer was due.
    Broken(Fault),
}

/// What a request wants, as far as it matters when the hub goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// To know something.
    None,
    /// To run a tool.
    Call,
    /// To change something else.
    Change,
}

enum Transport {
    Socket(SendRequest<Full<Bytes>>),
    Inside(Inside),
}

/// A client of one hub.
pub(crate) struct HubClient(Transport);

impl std::fmt::Debug for HubClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let transport = match self.0 {
            Transport::Socket(_) => "Socket",
            Transport::Inside(_) => "Inside",
        };
        f.debug_tuple("HubClient").field(&transport).finish()
    }
}

/// Why a socket leads to no hub.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nobody listens, or whoever did is going away.
    Nobody,
    /// Somebody else's process listens.
    Foreign,
}

impl HubClient {
    /// The client of a hub in this process.
    pub(crate) fn inside(hub: Inside) -> Self {
        Self(Transport::Inside(hub))
    }

    /// Whether the hub is in this process, and ends with the command.
    pub(crate) fn is_inside(&self) -> bool {
        matches!(self.0, Transport::Inside(_))
    }

    /// The client of the hub that listens on a socket. It has said that it is there, and stays
    /// as long as this client does.
    pub(crate) async fn connect(socket: &Path) -> Result<Self, NoAnswer> {
        let greeted = tokio::time::timeout(GREETING, async {
            let stream = reach(socket).await?;
            let handshake = http1::handshake(TokioIo::new(stream)).await;
            let (sender, connection) = handshake.map_err(|_| NoAnswer::Nobody)?;
            // Ends with the sender, which this client holds.
            tokio::spawn(connection);
            let mut client = Self(Transport::Socket(sender));
            let greeting = client.send(Method::GET, "/health", None).await.map_err(|_| NoAnswer::Nobody)?;
            let status = greeting.status();
            read(greeting.into_body()).await.map_err(|_| NoAnswer::Nobody)?;
            if status.is_success() { Ok(client) } else { Err(NoAnswer::Nobody) }
        });
        greeted.await.unwrap_or(Err(NoAnswer::Nobody))
    }

    /// Asks for something, as the value that it is.
    pub(crate) async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        parse(&self.exchange(Method::GET, path, None, Effect::None).await?)
    }

    /// Asks for a text.
    pub(crate) async fn get_text(&mut self, path: &str) -> Result<String, Failure> {
        let bytes = self.exchange(Method::GET, path, None, Effect::None).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Has something changed.
    pub(crate) async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        parse(&self.exchange(Method::POST, path, Some(json(body)?), Effect::Change).await?)
    }

    /// Tells the hub something that it answers with nothing.
    pub(crate) async fn tell(&mut self, path: &str) -> Result<(), Failure> {
        self.exchange(Method::POST, path, Some(Bytes::new()), Effect::Change).await.map(drop)
    }

    /// Has something replaced.
    pub(crate) async fn put<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        parse(&self.exchange(Method::PUT, path, Some(json(body)?), Effect::Change).await?)
    }

    /// Has a part of something changed.
    pub(crate) async fn patch<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        parse(&self.exchange(Method::PATCH, path, Some(json(body)?), Effect::Change).await?)
    }

    /// Asks for something that a body describes, and changes nothing.
    pub(crate) async fn look_up<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        parse(&self.exchange(Method::POST, path, Some(json(body)?), Effect::None).await?)
    }

    /// Has a tool called.
    pub(crate) async fn call<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        parse(&self.exchange(Method::POST, path, Some(json(body)?), Effect::Call).await?)
    }

    /// Has something removed.
    pub(crate) async fn delete<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        parse(&self.exchange(Method::DELETE, path, None, Effect::Change).await?)
    }

    /// Has something done, and told while it happens.
    pub(crate) async fn stream(&mut self, path: &str, body: &impl Serialize) -> Result<Events, Failure> {
        let response = self.send(Method::POST, path, Some((json(body)?, "text/event-stream"))).await;
        let response = response.map_err(|error| error.failure(Effect::Call))?;
        if response.status().is_success() {
            return Ok(Events::of(response.into_body()));
        }
        Err(refusal(response, Effect::Call).await)
    }

    /// Listens to what happens, from the event after that one on.
    pub(crate) async fn listen(&mut self, path: &str, last_id: Option<&str>) -> Result<Events, Failure> {
        let mut request = Request::builder().method(Method::GET).uri(path);
        if let Some(last_id) = last_id {
            request = request.header("last-event-id", last_id);
        }
        let response = self.dispatch(request, Bytes::new()).await;
        let response = response.map_err(|error| error.failure(Effect::None))?;
        if response.status().is_success() {
            return Ok(Events::of(response.into_body()));
        }
        Err(refusal(response, Effect::None).await)
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        effect: Effect,
    ) -> Result<Bytes, Failure> {
        let body = body.map(|body| (body, "application/json"));
        let response = self.send(method, path, body).await.map_err(|error| error.failure(effect))?;
        if !response.status().is_success() {
            return Err(refusal(response, effect).await);
        }
        read(response.into_body()).await.map_err(|error| error.failure(effect))
    }

    /// Sends a request with a JSON body, if it has one, and with what it accepts.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<(Bytes, &str)>,
    ) -> Result<Response<Body>, Unanswered> {
        let mut request = Request::builder().method(method).uri(path);
        let body = match body {
            Some((body, accept)) => {
                request =
                    request.header(header::ACCEPT, accept).header(header::CONTENT_TYPE, "application/json");
                body
            }
            None => Bytes::new(),
        };
        self.dispatch(request, body).await
    }

    async fn dispatch(&mut self, request: Builder, body: Bytes) -> Result<Response<Body>, Unanswered> {
        let request = request.header(header::HOST, "localhost");
        let request = request.body(Full::new(body)).map_err(|error| Unanswered::Unsent(error.into()))?;
        match &mut self.0 {
            Transport::Inside(hub) => match hub.clone().oneshot(request).await {
                Ok(response) => Ok(response),
                Err(never) => match never {},
            },
            Transport::Socket(sender) => {
                sender.ready().await.map_err(|error| Unanswered::Unsent(error.into()))?;
                let response = sender.send_request(request).await.map_err(|error| {
                    // Hyper cancels only what it has not begun to write.
                    match error.is_canceled() {
                        true => Unanswered::Unsent(error.into()),
                        false => Unanswered::Broken(error.into()),
                    }
                })?;
                Ok(response.map(|body| body.map_err(Fault::from).boxed_unsync()))
            }
        }
    }
}

impl Unanswered {
    fn failure(self, effect: Effect) -> Failure {
        let (exit, message, error) = match (self, effect) {
            (Self::Broken(error), Effect::Call) => {
                (Exit::OutcomeUnknown, "the hub went away; the tool may have run", error)
            }
            (Self::Broken(error), Effect::Change) => {
                (Exit::NoHub, "the hub went away; the change may have been made", error)
            }
            (Self::Broken(error), Effect::None) | (Self::Unsent(error), _) => {
                (Exit::NoHub, "the hub went away", error)
            }
        };
        Failure::new(exit, message).caused_by(&*error)
    }

    /// The failure of a stream of events that broke off.
    pub(crate) fn of_listening(self) -> Failure {
        self.failure(Effect::None)
    }

    /// The failure of a query's stream that broke off.
    pub(crate) fn of_stream(self) -> Failure {
        self.failure(Effect::Call)
    }
}

/// Connects to a socket that is ours.
pub(crate) async fn reach(socket: &Path) -> Result<UnixStream, NoAnswer> {
    let stream = UnixStream::connect(socket).await.map_err(|_| NoAnswer::Nobody)?;
    // Where the socket lies in a folder of all users, anybody could have made it.
    let peer = stream.peer_cred().map_err(|_| NoAnswer::Nobody)?.uid();
    if peer != rustix::process::geteuid().as_raw() && peer != 0 {
        return Err(NoAnswer::Foreign);
    }
    Ok(stream)
}

/// Why a request that changes nothing was refused.
pub(crate) async fn refused(response: Response<Body>) -> Failure {
    refusal(response, Effect::None).await
}

/// The name as a segment of a path.
///
/// Its first letter is always encoded: a server may be called `register` and a tool `search`, which
/// are paths of their own.
pub(crate) fn segment(name: &str) -> String {
    // A segment of dots would be walked, not looked up.
    if name == ".." {
        return "%2E%2E".to_owned();
    }
    let (first, rest) = name.split_at(name.chars().next().map_or(0, char::len_utf8));
    let first: String = first.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("{first}{}", utf8_percent_encode(rest, SEGMENT))
}

/// The text as a value in a query.
pub(crate) fn value(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

async fn read(body: Body) -> Result<Bytes, Unanswered> {
    match http_body_util::Limited::new(body, LARGEST).collect().await {
        Ok(all) => Ok(all.to_bytes()),
        Err(error) => Err(Unanswered::Broken(error)),
    }
}

async fn refusal(response: Response<Body>, effect: Effect) -> Failure {
    let status = response.status();
    let bytes = match read(response.into_body()).await {
        Ok(bytes) => bytes,
        Err(error) => return error.failure(effect),
    };
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => problem.into(),
        // A hub of another version may know problems that we do not.
        Err(_) => unknown_problem(status, &bytes),
    }
}

fn unknown_problem(status: StatusCode, bytes: &[u8]) -> Failure {
    let document: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    let said = ["detail", "title"].into_iter().find_map(|member| document.get(member)?.as_str());
    let failure = Failure::new(Exit::Unexpected, format!("the hub refuses with status {status}"));
    failure.because(said)
}

fn json(body: &impl Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| Failure::of(Exit::Unexpected, &error))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        let failure = Failure::new(Exit::Unexpected, "the hub's answer cannot be read").caused_by(&error);
        failure.hint("the hub that runs may be of another version; end it and try again")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_segment() {
        for (name, written) in [
            ("calculator_calculate", "%63alculator_calculate"),
            ("register", "%72egister"),
            ("a/../b?c#d", "%61%2F..%2Fb%3Fc%23d"),
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("größe 7%", "%67r%C3%B6%C3%9Fe%207%25"),
            ("ö", "%C3%B6"),
        ] {
            assert_eq!(segment(name), written);
        }
    }

    #[test]
    fn a_lost_connection_is_told_by_what_was_asked() {
        let broken = || Unanswered::Broken("connection reset".into());
        assert_eq!(broken().failure(Effect::Call).exit(), Exit::OutcomeUnknown);
        assert_eq!(broken().failure(Effect::None).exit(), Exit::NoHub);
        let unsent = Unanswered::Unsent("connection reset".into());
        assert_eq!(unsent.failure(Effect::Call).exit(), Exit::NoHub);
    }
}
