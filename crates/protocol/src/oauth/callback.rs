//! Where a person's browser comes back to: one page on this machine, for one sign-in.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use url::Url;

use super::authority::Returned;

const PATH: &str = "/callback";
/// A browser opens a few connections that it does not use.
const MOST_CONNECTIONS: usize = 16;
const SLOWEST_HEAD: Duration = Duration::from_secs(10);
const SLOWEST_GOODBYE: Duration = Duration::from_secs(2);

/// A listener on a free port of 127.0.0.1.
pub(super) struct Callback {
    listener: TcpListener,
    port: u16,
    connections: JoinSet<()>,
}

/// How the browser came back: with a code, or with OAuth's word for "no".
pub(super) type Answer = Result<Returned, String>;

/// An answer, and the page that the browser still waits for.
pub(super) struct Arrival {
    pub(super) answer: Answer,
    page: oneshot::Sender<&'static str>,
}

/// Who hears of the one arrival.
struct Door {
    state: String,
    hosts: [String; 2],
    arrival: Mutex<Option<oneshot::Sender<Arrival>>>,
}

impl Callback {
    pub(super) async fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port, connections: JoinSet::new() })
    }

    pub(super) fn redirect(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Waits for the browser. What does not carry `state` is turned away and changes nothing.
    pub(super) async fn arrival(&mut self, state: &str) -> io::Result<Arrival> {
        let (sender, mut arrived) = oneshot::channel();
        let door = Arc::new(Door {
            state: state.to_owned(),
            hosts: [format!("127.0.0.1:{}", self.port), format!("localhost:{}", self.port)],
            arrival: Mutex::new(Some(sender)),
        });
        loop {
            tokio::select! {
                arrival = &mut arrived => return arrival.map_err(io::Error::other),
                Some(_) = self.connections.join_next() => {}
                accepted = self.listener.accept(), if self.connections.len() < MOST_CONNECTIONS => {
                    let (stream, _) = accepted?;
                    let door = Arc::clone(&door);
                    self.connections.spawn(async move {
                        let service = service_fn(|request| {
                            let door = Arc::clone(&door);
                            async move { Ok::<_, Infallible>(door.open(&request).await) }
                        });
                        // A connection that breaks is the browser's affair.
                        let _ = hyper::server::conn::http1::Builder::new()
                            .timer(TokioTimer::new())
                            .header_read_timeout(SLOWEST_HEAD)
                            .keep_alive(false)
                            .max_buf_size(16 * 1024)
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
            }
        }
    }

    /// Shows the last page, and ends once the browser has it.
    pub(super) async fn leave(mut self, arrival: Arrival, page: Page) {
        // The browser may have gone.
        let _ = arrival.page.send(page.text());
        drop(self.listener);
        let all = async { while self.connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(SLOWEST_GOODBYE, all).await;
    }
}

/// What the person reads in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    SignedIn,
    Denied,
    Failed,
}

impl Page {
    fn text(self) -> &'static str {
        match self {
            Self::SignedIn => "You are signed in. You can close this window.",
            Self::Denied => "The sign-in was denied. You can close this window.",
            Self::Failed => "The sign-in failed; the hub says why. You can close this window.",
        }
    }
}

impl Door {
    async fn open(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        // A name of somebody else that leads here would let their page ask in the person's browser.
        if !host.is_some_and(|host| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))) {
            return page(StatusCode::FORBIDDEN, "This page is only for this machine.");
        }
        if request.uri().path() != PATH {
            return page(StatusCode::NOT_FOUND, "There is nothing here.");
        }
        if request.method() != Method::GET {
            return page(StatusCode::METHOD_NOT_ALLOWED, "This page can only be read.");
        }
        let Some(answer) = self.answer(request.uri().query().unwrap_or_default()) else {
            return page(StatusCode::BAD_REQUEST, "This is not the sign-in that the hub waits for.");
        };
        let waiting = self.arrival.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(waiting) = waiting else {
            return page(StatusCode::CONFLICT, "This sign-in has been answered already.");
        };
        let (sender, shown) = oneshot::channel();
        let gone = "The hub stopped waiting for this sign-in.";
        if waiting.send(Arrival { answer, page: sender }).is_err() {
            return page(StatusCode::GONE, gone);
        }
        page(StatusCode::OK, shown.await.unwrap_or(gone))
    }

    fn answer(&self, query: &str) -> Option<Answer> {
        // The base only makes a URL of a query.
        let mut url = Url::parse("http://127.0.0.1/").ok()?;
        url.set_query(Some(query));
        let only = |name: &str| {
            let mut all =
                url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
            let first = all.next();
            if all.next().is_some() { None } else { first }
        };
        let state = only("state").filter(|state| *state == self.state)?;
        if let Some(code) = only("error") {
            let word = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
            return Some(Err(code.chars().filter(word).take(60).collect()));
        }
        Some(Ok(Returned { code: only("code")?, state, issuer: only("iss") }))
    }
}

fn page(status: StatusCode, words: &'static str) -> Response<Full<Bytes>> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Dormouse</title>\
         <body><p>{words}</p></body></html>\n"
    );
    let mut response = Response::new(Full::new(Bytes::from(html)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
        // The address holds the code.
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    response
}
