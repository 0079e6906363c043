//! HTTP/1.1 to one server without TLS and without a proxy, in the task of whoever asks.
//!
//! A general HTTP client keeps each connection in a task of its own, so that with each request
//! tasks wake each other, mostly on two threads: here that cost more than all else that a call
//! did. A connection of ours lies in the request, then in its answer's body, and between requests
//! in a list, where nothing runs.

use std::error::Error;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::bytes::Bytes;
use tower::ServiceExt;
use url::{Position, Url};

use super::RemoteSettings;
use super::response::Response;
use super::site::Payload;

/// How long the rest of an answer may take that nobody needs, so that its connection can be used
/// again.
pub(super) const TO_END: Duration = Duration::from_millis(500);
/// How many frames of such a rest are read at most.
const REST: usize = 16;
/// As reqwest has it: a peer that is gone is noticed within a minute.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVES: u32 = 3;

/// What went wrong below HTTP's answer.
pub(super) type Fault = Box<dyn Error + Send + Sync>;

/// The way to one server.
#[derive(Debug)]
pub(super) struct Direct {
    connector: HttpConnector,
    /// How long a connection may take to be made.
    connect: Duration,
    origin: Uri,
    host: HeaderValue,
    pool: Arc<Pool>,
}

impl Direct {
    /// The way to where a URL leads, if it is one without TLS, proxy and credentials in the URL.
    pub(super) fn to(url: &Url, settings: &RemoteSettings) -> Option<Self> {
        let plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
        if !plain || !settings.proxies.are_none() {
            return None;
        }
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(settings.connect));
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE));
        connector.set_keepalive_retries(Some(KEEPALIVES));
        Some(Self {
            connector,
            connect: settings.connect,
            origin: Uri::builder().scheme("http").authority(authority).path_and_query("/").build().ok()?,
            host: HeaderValue::from_str(authority).ok()?,
            pool: Arc::new(Pool { idle: Mutex::default(), keep: settings.idle }),
        })
    }

    /// Sends a request to an address of this origin.
    ///
    /// It runs in the caller's task: dropped, or with its body dropped, it ends the connection.
    ///
    /// # Errors
    /// The connection could not be made, or broke.
    pub(super) async fn send(&self, url: &Url, mut request: Request<Payload>) -> Result<Response, Fault> {
        *request.uri_mut() = url[Position::BeforePath..Position::AfterQuery].parse()?;
        request.headers_mut().insert(HOST, self.host.clone());
        while let Some(open) = self.pool.take() {
            match self.send_on(open, request).await {
                Ok(response) => return Ok(response),
                // The server had closed it meanwhile, and nothing was written.
                Err(mut refused) => match refused.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(refused.into_error().into()),
                },
            }
        }
        let open = Box::pin(self.open()).await?;
        self.send_on(open, request).await.map_err(|refused| refused.into_error().into())
    }

    async fn send_on(
        &self,
        mut open: Box<Open>,
        request: Request<Payload>,
    ) -> Result<Response, TrySendError<Request<Payload>>> {
        let mut answer = pin!(open.sender.try_send_request(request));
        let response = std::future::poll_fn(|cx| {
            // The connection writes the request and reads the answer. When it ends, that is one too.
            let _ = open.poll(cx);
            answer.as_mut().poll(cx)
        });
        let (head, body) = response.await?.into_parts();
        let body = Carried { body: Some((body, open)), pool: Arc::clone(&self.pool), settled: false };
        Ok(Response::Direct { head, body })
    }

    async fn open(&self) -> Result<Box<Open>, Fault> {
        let connecting = self.connector.clone().oneshot(self.origin.clone());
        let stream = tokio::time::timeout(self.connect, connecting).await;
        let stream = stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let socket = Arc::new(stream.into_inner());
        let (sender, line) = http1::handshake(TokioIo::new(Socket(Arc::clone(&socket)))).await?;
        Ok(Box::new(Open { sender, line: Some(line), fault: None, socket }))
    }
}

/// One connection. Boxed where it moves: it has some kilobytes.
#[derive(Debug)]
struct Open {
    sender: http1::SendRequest<Payload>,
    /// What reads and writes; gone when it has ended.
    line: Option<http1::Connection<TokioIo<Socket>, Payload>>,
    /// Why it ended, if not as it should.
    fault: Option<hyper::Error>,
    socket: Arc<TcpStream>,
}

impl Open {
    /// Lets the connection read and write what it can.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(line) = &mut self.line else { return Poll::Ready(()) };
        let Poll::Ready(ended) = Pin::new(line).poll(cx) else { return Poll::Pending };
        self.line = None;
        self.fault = ended.err();
        Poll::Ready(())
    }

    /// Whether it can take another request, as far as we know.
    fn is_free(&mut self) -> bool {
        self.poll(&mut Context::from_waker(Waker::noop())).is_pending() && self.sender.is_ready()
    }

    /// Whether the server has neither closed it nor said something unasked. Asks the kernel: our
    /// own knowledge is as old as the connection's last use.
    fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let seen = rustix::net::recv(&*self.socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(seen, Err(rustix::io::Errno::WOULDBLOCK))
    }
}

/// Reads a body; what there is of it is read before the connection's end is told.
fn read(
    body: &mut Incoming,
    open: &mut Open,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
    let frame = match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Pending => {
            let _ = open.poll(cx);
            Pin::new(body).poll_frame(cx)
        }
        ready => ready,
    };
    frame.map(|frame| match frame {
        Some(frame) => Some(frame.map_err(Fault::from)),
        // A connection that broke cannot have told the end.
        None => open.fault.take().map(|fault| Err(fault.into())),
    })
}

/// An answer's body, and the connection on which it comes.
#[derive(Debug)]
pub(super) struct Carried {
    /// Gone when the body has ended.
    body: Option<(Incoming, Box<Open>)>,
    pool: Arc<Pool>,
    /// Whether nobody needs what is left of it.
    settled: bool,
}

impl Carried {
    /// Nobody needs what is left of it; its connection may be used again if that comes soon.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }
}

impl Body for Carried {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let Some((body, open)) = &mut self.body else { return Poll::Ready(None) };
        let frame = read(body, open, cx);
        if let Poll::Ready(None | Some(Err(_))) = frame
            && let Some((_, open)) = self.body.take()
        {
            self.pool.put(open, None);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if let Some((body, open)) = self.body.take()
            && (body.is_end_stream() || self.settled)
        {
            self.pool.put(open, Some(body));
        }
    }
}

/// The connections to one server that nobody uses.
#[derive(Debug)]
struct Pool {
    idle: Mutex<Kept>,
    /// How long one is kept.
    keep: Duration,
}

#[derive(Debug, Default)]
struct Kept {
    /// The one that was used last is at the end.
    open: Vec<Idle>,
    /// Closes those that nobody used for long, as long as there are any.
    sweeper: Option<AbortHandle>,
}

#[derive(Debug)]
struct Idle {
    open: Box<Open>,
    /// What is left of its last answer.
    rest: Option<Incoming>,
    since: Instant,
}

impl Idle {
    /// Reads what has come of the last answer's rest. Whether the connection is worth keeping.
    fn settle(&mut self) -> bool {
        let Some(rest) = &mut self.rest else { return self.open.is_free() };
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..REST {
            match read(rest, &mut self.open, &mut cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) => return false,
                Poll::Ready(None) => {
                    self.rest = None;
                    return self.open.is_free();
                }
                Poll::Pending => return true,
            }
        }
        false
    }

    /// Until when it may stay.
    fn end(&self, keep: Duration) -> Instant {
        self.since + if self.rest.is_some() { TO_END.min(keep) } else { keep }
    }
}

impl Pool {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last, of those that can be used.
    fn take(&self) -> Option<Box<Open>> {
        let now = Instant::now();
        let mut waiting = Vec::new();
        let mut kept = self.kept();
        let found = loop {
            let Some(mut idle) = kept.open.pop() else { break None };
            if idle.end(self.keep) <= now {
                continue;
            }
            if idle.rest.is_some() && !idle.settle() {
                continue;
            }
            if idle.rest.is_some() {
                waiting.push(idle);
            } else if idle.open.is_quiet() {
                break Some(idle.open);
            }
        };
        kept.open.extend(waiting.into_iter().rev());
        found
    }

    /// Keeps a connection for the next request, if it can take one.
    fn put(self: &Arc<Self>, open: Box<Open>, rest: Option<Incoming>) {
        let mut idle = Idle { open, rest, since: Instant::now() };
        if !idle.settle() {
            return;
        }
        // Who drops an answer as the runtime ends needs no connection.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut kept = self.kept();
        kept.open.push(idle);
        if kept.sweeper.is_none() {
            let (pool, keep) = (Arc::downgrade(self), self.keep);
            let sweeping = async move {
                let mut pause = keep;
                loop {
                    tokio::time::sleep(pause).await;
                    let Some(pool) = pool.upgrade() else { return };
                    let mut kept = pool.kept();
                    let now = Instant::now();
                    kept.open.retain(|idle| idle.end(keep) > now);
                    let Some(next) = kept.open.iter().map(|idle| idle.end(keep)).min() else {
                        kept.sweeper = None;
                        return;
                    };
                    pause = next - now;
                }
            };
            kept.sweeper = Some(runtime.spawn(sweeping).abort_handle());
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(sweeper) = self.kept().sweeper.take() {
            sweeper.abort();
        }
    }
}

/// A socket that is read and written by its connection, and asked by [`Open::is_quiet`].
#[derive(Debug)]
struct Socket(Arc<TcpStream>);

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            std::task::ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            std::task::ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            std::task::ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write_vectored(bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = rustix::net::shutdown(&*self.0, rustix::net::Shutdown::Write);
        Poll::Ready(done.map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::site::whole;
    use super::*;
    use crate::error::CallError;

    const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    const BEGUN: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
    const END: &str = "0\r\n\r\n";
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    /// A server that is written by hand, and a way to it.
    struct Peer {
        listener: TcpListener,
        url: Url,
        direct: Arc<Direct>,
    }

    impl Peer {
        async fn new(idle: Duration) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url: Url = format!("http://{}/a?b=c", listener.local_addr().unwrap()).parse().unwrap();
            let settings = RemoteSettings { idle, ..RemoteSettings::default() };
            let direct = Arc::new(Direct::to(&url, &settings).unwrap());
            Self { listener, url, direct }
        }

        /// Begins to ask.
        fn ask(&self) -> tokio::task::JoinHandle<Result<Response, Fault>> {
            let (direct, url) = (Arc::clone(&self.direct), self.url.clone());
            tokio::spawn(async move {
                let sent = Arc::new(AtomicBool::new(false));
                let body = Payload { bytes: Some(Bytes::from_static(b"?")), ticket: None, sent };
                let mut request = Request::new(body);
                *request.method_mut() = http::Method::POST;
                direct.send(&url, request).await
            })
        }

        async fn accept(&self) -> TcpStream {
            self.listener.accept().await.unwrap().0
        }

        /// Asks on a new connection, which is answered so.
        async fn answered(&self, text: &str) -> (Response, TcpStream) {
            let asked = self.ask();
            let mut stream = self.accept().await;
            answer(&mut stream, text).await;
            (asked.await.unwrap().unwrap(), stream)
        }

        /// The same, where the answer is whole and is read.
        async fn used(&self) -> TcpStream {
            let (response, stream) = self.answered(WHOLE).await;
            assert_eq!(whole(response).await.unwrap(), b"ok");
            stream
        }
    }

    /// Reads one request, and answers.
    async fn answer(stream: &mut TcpStream, text: &str) {
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n?") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "it hung up");
        }
        assert!(seen.starts_with(b"POST /a?b=c HTTP/1.1\r\n"));
        stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The whole of what was asked for.
    async fn text(asked: tokio::task::JoinHandle<Result<Response, Fault>>) -> Result<Vec<u8>, CallError> {
        whole(asked.await.unwrap().unwrap()).await
    }

    /// Waits until the other side hangs up.
    async fn hung_up(mut stream: TcpStream) {
        let mut rest = Vec::new();
        // It may also be reset, when something is left unread.
        let read = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await;
        assert!(read.expect("it is closed").is_err() || rest.is_empty());
    }

    #[tokio::test]
    async fn a_connection_is_used_again() {
        let peer = Peer::new(LONG).await;
        let mut stream = peer.used().await;
        for _ in 0..3 {
            let next = peer.ask();
            answer(&mut stream, WHOLE).await;
            assert_eq!(text(next).await.unwrap(), b"ok");
        }
    }

    #[tokio::test]
    async fn requests_at_once_have_connections_of_their_own() {
        let peer = Peer::new(LONG).await;
        let (first, second) = (peer.ask(), peer.ask());
        let (mut one, mut two) = (peer.accept().await, peer.accept().await);
        answer(&mut two, WHOLE).await;
        answer(&mut one, WHOLE).await;
        for asked in [first, second] {
            assert_eq!(text(asked).await.unwrap(), b"ok");
        }
        assert_eq!(peer.direct.pool.kept().open.len(), 2);
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closed_is_not_used() {
        let peer = Peer::new(LONG).await;
        let stream = peer.used().await;
        drop(stream);
        let next = peer.ask();
        answer(&mut peer.accept().await, WHOLE).await;
        assert_eq!(text(next).await.unwrap(), b"ok");
    }

    #[tokio::test]
    async fn what_a_server_says_unasked_ends_the_connection() {
        let peer = Peer::new(LONG).await;
        let mut stream = peer.used().await;
        stream.write_all(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let next = peer.ask();
        answer(&mut peer.accept().await, WHOLE).await;
        assert_eq!(next.await.unwrap().unwrap().status(), 200);
        hung_up(stream).await;
    }

    #[tokio::test]
    async fn an_answer_that_is_dropped_ends_its_connection() {
        let peer = Peer::new(LONG).await;
        let (response, stream) = peer.answered(BEGUN).await;
        drop(response);
        hung_up(stream).await;
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_ends_its_connection() {
        let peer = Peer::new(LONG).await;
        let asked = peer.ask();
        let mut stream = peer.accept().await;
        answer(&mut stream, "").await;
        asked.abort();
        hung_up(stream).await;
    }

    #[tokio::test]
    async fn the_rest_of_a_settled_answer_is_read_when_its_connection_is_needed() {
        let peer = Peer::new(LONG).await;
        let (mut response, mut stream) = peer.answered(BEGUN).await;
        assert_eq!(response.chunk().await.unwrap().unwrap(), "ok");
        assert!(response.settle());
        drop(response);
        // Its end has not come: another connection is made.
        let second = peer.ask();
        let mut other = peer.accept().await;
        answer(&mut other, WHOLE).await;
        let second = second.await.unwrap().unwrap();
        stream.write_all(END.as_bytes()).await.unwrap();
        // Now that it has, both can be used; the second answer is still being read.
        while peer.direct.pool.kept().open.iter_mut().any(|idle| !idle.settle() || idle.rest.is_some()) {
            tokio::task::yield_now().await;
        }
        let third = peer.ask();
        answer(&mut stream, WHOLE).await;
        assert_eq!(text(third).await.unwrap(), b"ok");
        assert_eq!(whole(second).await.unwrap(), b"ok");
    }

    #[tokio::test]
    async fn a_settled_answer_without_an_end_is_not_kept() {
        let peer = Peer::new(SHORT).await;
        let (mut response, stream) = peer.answered(BEGUN).await;
        response.settle();
        drop(response);
        hung_up(stream).await;
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_after_its_time() {
        let peer = Peer::new(SHORT).await;
        let stream = peer.used().await;
        hung_up(stream).await;
        assert!(peer.direct.pool.kept().sweeper.is_none(), "nothing looks at an empty list");
    }

    #[tokio::test]
    async fn nothing_is_left_when_the_way_is_dropped() {
        let peer = Peer::new(LONG).await;
        let stream = peer.used().await;
        let sweeper = peer.direct.pool.kept().sweeper.clone().unwrap();
        drop(peer);
        hung_up(stream).await;
        while !sweeper.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_an_error() {
        let cut = WHOLE.replace("length: 2", "length: 9");
        for text in [BEGUN, &cut] {
            let peer = Peer::new(LONG).await;
            let asked = peer.ask();
            let mut stream = peer.accept().await;
            answer(&mut stream, text).await;
            drop(stream);
            whole(asked.await.unwrap().unwrap()).await.unwrap_err();
            assert!(peer.direct.pool.kept().open.is_empty());
        }
    }

    #[tokio::test]
    async fn an_answer_up_to_the_end_of_the_connection_is_whole() {
        let peer = Peer::new(LONG).await;
        let asked = peer.ask();
        let mut stream = peer.accept().await;
        answer(&mut stream, "HTTP/1.0 200 OK\r\n\r\nok").await;
        drop(stream);
        assert_eq!(text(asked).await.unwrap(), b"ok");
        assert!(peer.direct.pool.kept().open.is_empty());
    }

    #[test]
    fn what_needs_more_goes_another_way() {
        let settings = RemoteSettings::default();
        let to = |url: &str, settings: &RemoteSettings| Direct::to(&url.parse().unwrap(), settings).is_some();
        assert!(to("http://a.example:80/mcp", &settings) && to("http://[::1]:8080", &settings));
        assert!(!to("https://a.example/mcp", &settings) && !to("http://me:word@a.example", &settings));
        let all = Some("socks5://127.0.0.1:1".to_owned());
        let proxies = super::super::Proxies { all, ..Default::default() };
        assert!(!to("http://a.example", &RemoteSettings { proxies, ..settings }));
    }
}
