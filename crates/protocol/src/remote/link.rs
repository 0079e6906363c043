//! What one connection to a server at a URL consists of: its requests under way and its streams.
//!
//! A request runs in the task of whoever waits for its answer. For the server's own requests it
//! stands below rmcp's service loop as its transport, as the stdio wire does; rmcp's own HTTP
//! transport parses results into types that drop what they do not know.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, ready};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest_rmcp::header::{HeaderMap, HeaderValue};
use reqwest_rmcp::{Method, StatusCode};
use rmcp::RoleClient;
use rmcp::service::TxJsonRpcMessage;
use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::handshake::{self, Hello, LAST_EVENT, Session};
use super::header::{self, Repeated};
use super::response::Response;
use super::site::{Ask, Site, content_type, failure, not_mcp, whole};
use super::sse::{Event, Events};
use crate::error::CallError;
use crate::wire::{Answer, Incoming, Request, Stream, Taken, Ticket, Wire};

/// How often a broken stream is taken up again before its answer is given up.
const MOST_RESUMES: u32 = 5;
/// How often in a row the stream of announcements may fail before the connection counts as lost.
const MOST_LISTENS: u32 = 5;
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One connection.
pub(crate) struct Link {
    pub(super) site: Site,
    pub(super) wire: Arc<Wire>,
    pub(super) incoming: mpsc::Sender<Incoming>,
    /// Cancelled when the connection ends, from whichever side.
    pub(crate) closed: CancellationToken,
    pub(super) hello: Hello,
    pub(super) way: Way,
}

/// How messages go out.
pub(super) enum Way {
    /// Streamable HTTP: an answer comes on the response of its request.
    Streamable {
        session: RwLock<Arc<Session>>,
        /// Held while a lost session is replaced.
        renewing: tokio::sync::Mutex<()>,
        repeated: RwLock<Repeated>,
    },
    /// HTTP+SSE: all answers come on the one stream.
    Events {
        /// Where messages are posted to.
        post: Url,
    },
}

/// Without its address, whose query may be secret.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.site.url.origin().ascii_serialization();
        f.debug_struct("Link").field("origin", &origin).finish_non_exhaustive()
    }
}

/// rmcp's transport over a link.
#[derive(Debug)]
pub(crate) struct HttpTransport {
    pub(super) link: Arc<Link>,
    pub(super) incoming: mpsc::Receiver<Incoming>,
}

impl Transport<RoleClient> for HttpTransport {
    type Error = io::Error;

    fn name() -> Cow<'static, str> {
        "http".into()
    }

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        // The hub's own requests do not come this way: these are its answers to the server.
        let text = serde_json::to_vec(&item).map_err(io::Error::from);
        ready(text.map(|text| self.link.begin_to_tell(text)))
    }

    /// Cancel-safe: the channel keeps what is not taken.
    async fn receive(&mut self) -> Option<Incoming> {
        tokio::select! {
            () = self.link.closed.cancelled() => None,
            message = self.incoming.recv() => message,
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        self.link.closed.cancel();
        Ok(())
    }
}

impl Link {
    /// Sends a request and waits for its answer; `None` when the connection has ended before.
    ///
    /// It runs in the task of whoever waits: dropped, it ends the request and its stream.
    pub(crate) async fn exchange(
        &self,
        request: &Request<'_>,
        ticket: &Arc<Ticket>,
        mut answered: oneshot::Receiver<Answer>,
    ) -> Option<Answer> {
        let exchange = async {
            let ended = tokio::select! {
                biased;
                // In a box: what is awaited is moved through all that wait for it, and this is large.
                ended = Box::pin(self.send(request, ticket)) => ended,
                // It came on another stream.
                answer = &mut answered => return answer.ok(),
            };
            match ended {
                Ok(()) => answered.await.ok(),
                Err(fault) => Some(answered.try_recv().unwrap_or(Err(fault))),
            }
        };
        self.closed.run_until_cancelled(exchange).await.flatten()
    }

    /// Sends a request and, over streamable HTTP, reads its stream up to the answer.
    async fn send(&self, request: &Request<'_>, ticket: &Arc<Ticket>) -> Result<(), CallError> {
        let body = Bytes::from(request.text(self.is_modern()));
        let mut renewed = false;
        loop {
            let (session, response) = self.post(request, &body, ticket).await?;
            let status = response.status();
            let Some(session) = session else {
                // Over HTTP+SSE the answer comes on the stream.
                return if status.is_success() { Ok(()) } else { Err(failure(response).await.0) };
            };
            if status.is_success() {
                return self.read(request, response, ticket).await;
            }
            let (fault, json) = failure(response).await;
            if !renewed && is_lost(status, &session, json.as_ref()) {
                // The server does not know the session, so it cannot have acted on the request.
                renewed = true;
                self.renew(&session).await?;
                ticket.unsend();
                continue;
            }
            // Some servers say by the status too what they say by the answer. A proxy's 5xx with
            // JSON of its own is no answer.
            return Err(json.as_ref().and_then(handshake::refusal).unwrap_or(fault));
        }
    }

    /// Posts a request. Over streamable HTTP also tells in which session.
    async fn post(
        &self,
        request: &Request<'_>,
        body: &Bytes,
        ticket: &Arc<Ticket>,
    ) -> Result<(Option<Arc<Session>>, Response), CallError> {
        let (session, url, headers) = match &self.way {
            Way::Events { post } => (None, post, HeaderMap::new()),
            Way::Streamable { repeated, .. } => {
                let session = self.session();
                let mut headers = session.headers();
                if session.modern {
                    let repeated = repeated.read().unwrap_or_else(PoisonError::into_inner);
                    header::repeat(request.method, request.params, &repeated, &mut headers);
                }
                (Some(session), &self.site.url, headers)
            }
        };
        let body = Some(body.clone());
        let twice = request.method != "tools/call";
        let ticket = Some(ticket);
        let response =
            self.site.send(Ask { method: Method::POST, url, headers, body, ticket, twice }).await?;
        Ok((session, response))
    }

    /// Begins to send what needs no answer. Its task ends with the connection at the latest.
    pub(crate) fn begin_to_tell(self: &Arc<Self>, text: Vec<u8>) {
        let link = Arc::clone(self);
        // Who drops a call as the runtime ends tells nobody.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let told = link.closed.run_until_cancelled(link.tell(text)).await;
            if let Some(Err(error)) = told {
                tracing::debug!(%error, "a server did not take what needs no answer");
            }
        });
    }

    async fn tell(&self, text: Vec<u8>) -> Result<(), CallError> {
        let (url, headers) = match &self.way {
            Way::Events { post } => (post, HeaderMap::new()),
            Way::Streamable { .. } => (&self.site.url, self.session().headers()),
        };
        let body = Some(Bytes::from(text));
        let ask = Ask { method: Method::POST, url, headers, body, ticket: None, twice: true };
        let mut response = self.site.send(ask).await?;
        if response.status().is_success() {
            response.settle();
            Ok(())
        } else {
            Err(failure(response).await.0)
        }
    }

    /// Reads the answer to a request, and what comes before it.
    async fn read(
        &self,
        request: &Request<'_>,
        response: Response,
        ticket: &Arc<Ticket>,
    ) -> Result<(), CallError> {
        let kind = content_type(&response);
        match kind.as_str() {
            "application/json" => {
                let body = whole(response).await?;
                if self.take(request, &body, ticket).await? {
                    return Ok(());
                }
                Err(CallError::Unreadable { why: "the JSON that came is not the answer".to_owned() })
            }
            "text/event-stream" => self.read_events(request, response, ticket).await,
            "" if response.content_length() == Some(0) || response.status() == StatusCode::ACCEPTED => {
                Err(CallError::Unreadable { why: "it is empty".to_owned() })
            }
            kind => Err(not_mcp(kind)),
        }
    }

    async fn read_events(
        &self,
        request: &Request<'_>,
        response: Response,
        ticket: &Arc<Ticket>,
    ) -> Result<(), CallError> {
        let mut place = Place::default();
        let mut events = Events::new(response);
        loop {
            let ended = loop {
                match events.next().await {
                    Ok(Some(event)) => {
                        place.note(&event);
                        if event.data.is_empty() {
                            continue;
                        }
                        if self.take(request, &event.data, ticket).await? {
                            events.finish();
                            return Ok(());
                        }
                    }
                    Ok(None) => {
                        break CallError::Broken { why: "its stream ended without the answer".to_owned() };
                    }
                    Err(error @ CallError::Unreadable { .. }) => return Err(error),
                    Err(error) => break error,
                }
            };
            // A server may end a stream that it has numbered, and go on where it is asked to.
            events = self.resume(&mut place, ended).await?;
        }
    }

    /// Takes one message on the way to the answer of a request. Whether it was the answer.
    async fn take(
        &self,
        request: &Request<'_>,
        text: &[u8],
        ticket: &Arc<Ticket>,
    ) -> Result<bool, CallError> {
        let mut message = handshake::parse(text)?;
        if request.method == "tools/list" {
            self.learn(&mut message);
        }
        Ok(self.deliver(request.id, message, text, Stream::Answering(ticket)).await)
    }

    async fn resume(&self, place: &mut Place, ended: CallError) -> Result<Events, CallError> {
        let Some(last) = place.last.clone() else { return Err(ended) };
        loop {
            if place.resumes == MOST_RESUMES {
                return Err(ended);
            }
            place.resumes += 1;
            tokio::time::sleep(place.pause()).await;
            let mut headers = self.session().headers();
            headers.insert(LAST_EVENT, last.clone());
            let ask = Ask {
                method: Method::GET,
                url: &self.site.url,
                headers,
                body: None,
                ticket: None,
                twice: true,
            };
            match self.site.send(ask).await {
                Ok(response)
                    if response.status().is_success() && content_type(&response) == "text/event-stream" =>
                {
                    return Ok(Events::new(response));
                }
                Ok(_) => return Err(ended),
                Err(_) => {}
            }
        }
    }

    /// Hands a message on. Whether it was the answer to this request.
    async fn deliver(&self, id: i64, message: Value, line: &[u8], stream: Stream<'_>) -> bool {
        let messages = match message {
            Value::Array(messages) => messages,
            message => vec![message],
        };
        let mut answered = false;
        for message in messages {
            match self.wire.accept(message, line, stream) {
                Taken::Done => {}
                Taken::Answer(number) => answered |= number == id,
                // Fails when the connection has ended, and then nobody waits.
                Taken::Incoming(message) => drop(self.incoming.send(*message).await),
            }
        }
        answered
    }

    /// Delivers what came on a stream for everything.
    pub(super) async fn deliver_shared(&self, message: Value, line: &[u8]) {
        self.deliver(0, message, line, Stream::Shared).await;
    }

    fn learn(&self, message: &mut Value) {
        if let Way::Streamable { repeated, .. } = &self.way
            && self.is_modern()
        {
            let mut repeated = repeated.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(page) = message.get_mut("result") {
                header::learn(page, &mut repeated);
            }
        }
    }

    fn session(&self) -> Arc<Session> {
        match &self.way {
            Way::Streamable { session, .. } => {
                Arc::clone(&session.read().unwrap_or_else(PoisonError::into_inner))
            }
            Way::Events { .. } => unreachable!("only streamable HTTP has sessions"),
        }
    }

    /// Whether each request speaks for itself (2026-07-28).
    pub(crate) fn is_modern(&self) -> bool {
        match &self.way {
            Way::Streamable { .. } => self.session().modern,
            Way::Events { .. } => false,
        }
    }

    /// Replaces a session that the server has forgotten. Many may find that out at once.
    async fn renew(&self, lost: &Session) -> Result<(), CallError> {
        let Way::Streamable { session, renewing, .. } = &self.way else { return Ok(()) };
        let _one = renewing.lock().await;
        if self.session().number != lost.number {
            return Ok(());
        }
        match handshake::initialize(&self.site, &self.hello).await {
            Ok((greeting, mut new)) => {
                new.number = lost.number + 1;
                self.subscribe_again(&new).await;
                *session.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                self.wire.set_greeting(greeting);
                // What forgets its sessions has most often been started anew, perhaps as a new version.
                self.wire.list_changed.send_modify(|count| *count += 1);
                Ok(())
            }
            Err(error) => {
                tracing::debug!(%error, "a lost session cannot be replaced");
                self.closed.cancel();
                // Whatever it was, the request itself was not acted on.
                Err(CallError::Unreachable { why: error.to_string() })
            }
        }
    }

    /// Asks for what the lost session was asked for. What changed meanwhile nobody knows.
    async fn subscribe_again(&self, session: &Session) {
        let subscribed = self.wire.subscribed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for uri in subscribed {
            if let Err(error) = handshake::subscribe(&self.site, session, &uri).await {
                tracing::debug!(%error, "a subscription cannot be made again");
            }
            self.wire.note_update(&uri);
        }
    }

    /// Keeps the stream of what the server says unasked, until the connection ends.
    pub(crate) async fn listen(self: Arc<Self>) {
        let closed = self.closed.clone();
        closed.run_until_cancelled(self.keep_listening()).await;
    }

    async fn keep_listening(&self) {
        let (mut place, mut failures, mut first) = (Place::default(), 0, true);
        loop {
            let session = self.session();
            match self.site.send(self.listening(&session, &place)).await {
                Ok(response) if response.status().is_success() => {
                    if content_type(&response) != "text/event-stream" {
                        return;
                    }
                    failures = 0;
                    if session.modern && !std::mem::take(&mut first) {
                        // Nobody repeats what was announced meanwhile.
                        self.wire.list_changed.send_modify(|count| *count += 1);
                    }
                    let begun = tokio::time::Instant::now();
                    if !self.hear(response, &mut place).await {
                        return;
                    }
                    place.resumes = if begun.elapsed() > LONGEST_PAUSE { 0 } else { place.resumes + 1 };
                }
                Ok(response) => {
                    let status = response.status();
                    let (_, json) = failure(response).await;
                    if !is_lost(status, &session, json.as_ref()) || self.renew(&session).await.is_err() {
                        return;
                    }
                    place = Place::default();
                    continue;
                }
                Err(CallError::Unreachable { .. } | CallError::Broken { .. }) => {
                    failures += 1;
                    place.resumes += 1;
                    if failures == MOST_LISTENS {
                        self.closed.cancel();
                        return;
                    }
                }
                Err(_) => return,
            }
            tokio::time::sleep(place.pause()).await;
        }
    }

    fn listening(&self, session: &Session, place: &Place) -> Ask<'_> {
        let url = &self.site.url;
        if session.modern {
            let mut message = json!({
                "jsonrpc": "2.0", "id": "listen", "method": "subscriptions/listen",
                "params": { "notifications": {
                    "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
                } },
            });
            let headers = session.dress(&mut message, &self.hello, &Repeated::new());
            let body = Some(Bytes::from(message.to_string()));
            return Ask { method: Method::POST, url, headers, body, ticket: None, twice: true };
        }
        let mut headers = session.headers();
        if let Some(last) = &place.last {
            headers.insert(LAST_EVENT, last.clone());
        }
        Ask { method: Method::GET, url, headers, body: None, ticket: None, twice: true }
    }

    /// Reads announcements to the end of their stream; false when the server wants none of it.
    async fn hear(&self, response: Response, place: &mut Place) -> bool {
        let mut events = Events::new(response);
        while let Ok(Some(event)) = events.next().await {
            place.note(&event);
            let Ok(message) = handshake::parse(&event.data) else { continue };
            if message.get("error").is_some() {
                return false;
            }
            // Its own answer ends a subscription, and is for nobody else.
            if message["id"] != "listen" || message.get("method").is_some() {
                self.deliver_shared(message, &event.data).await;
            }
        }
        true
    }

    /// Tells the server that its session is over, if it keeps one.
    pub(crate) async fn part(&self) {
        let Way::Streamable { .. } = &self.way else { return };
        let session = self.session();
        if !session.is_kept() {
            return;
        }
        let headers = session.headers();
        let ask = Ask {
            method: Method::DELETE,
            url: &self.site.url,
            headers,
            body: None,
            ticket: None,
            twice: true,
        };
        if let Err(error) = self.site.send(ask).await {
            tracing::debug!(%error, "a server did not take the end of its session");
        }
    }
}

/// Whether a server says that it does not know the session: 404, or with older ones 400 and words.
fn is_lost(status: StatusCode, session: &Session, json: Option<&Value>) -> bool {
    let says_so = || {
        let words = json.and_then(|json| json["error"]["message"].as_str()).unwrap_or_default();
        words.to_ascii_lowercase().contains("session")
    };
    session.is_kept() && (status == StatusCode::NOT_FOUND || status == StatusCode::BAD_REQUEST && says_so())
}

/// Where a stream was when it ended.
#[derive(Debug, Default)]
struct Place {
    last: Option<HeaderValue>,
    retry: Option<Duration>,
    resumes: u32,
}

impl Place {
    fn note(&mut self, event: &Event) {
        if let Some(id) = &event.id {
            self.last = HeaderValue::from_str(id).ok().filter(|id| !id.is_empty());
        }
        if let Some(retry) = event.retry {
            self.retry = Some(Duration::from_millis(retry).min(LONGEST_PAUSE));
        }
    }

    fn pause(&self) -> Duration {
        let growing = SHORTEST_PAUSE * 2u32.saturating_pow(self.resumes.saturating_sub(1).min(10));
        match self.retry {
            Some(retry) if self.resumes <= 1 => retry,
            _ => growing.min(LONGEST_PAUSE),
        }
    }
}
