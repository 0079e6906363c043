//! The way to a hub: its socket, and on it a stream of lines.

use std::path::Path;
use std::time::Duration;

use dormouse_gateway::stdio::Lines;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::UnixStream;

use crate::client::{self, NoAnswer};
use crate::failure::Failure;

/// The longest line of a hub: the answers to a batch come in one.
const LONGEST: usize = 256 * 1024 * 1024;

/// How long a hub may take to say that it is there.
const GREETING: Duration = Duration::from_secs(5);

/// What the stream is: messages a line each, and between them lines of the hub that begin with
/// `#` and tell what became of those that it got.
const PROTOCOL: &str = "mcp-bridge";
const SESSION: &str = "mcp-session-id";

/// A stream to a hub.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) from_hub: Lines<ReadHalf<TokioIo<Upgraded>>>,
    pub(crate) to_hub: WriteHalf<TokioIo<Upgraded>>,
    /// The session that it is, or will be once the client greets.
    pub(crate) session: String,
}

/// Why there is no stream.
#[derive(Debug)]
pub(crate) enum NoLink {
    /// Nobody listens, or whoever did is going away.
    Nobody,
    /// Somebody else's process listens.
    Foreign,
    /// The hub says why.
    Refused(Failure),
}

impl From<NoAnswer> for NoLink {
    fn from(none: NoAnswer) -> Self {
        match none {
            NoAnswer::Nobody => Self::Nobody,
            NoAnswer::Foreign => Self::Foreign,
        }
    }
}

impl Link {
    /// Opens a stream to the hub that listens on a socket.
    pub(crate) async fn open(socket: &Path, path: &str, session: Option<&str>) -> Result<Self, NoLink> {
        let opened = tokio::time::timeout(GREETING, Self::ask(socket, path, session));
        opened.await.unwrap_or(Err(NoLink::Nobody))
    }

    async fn ask(socket: &Path, path: &str, session: Option<&str>) -> Result<Self, NoLink> {
        let stream = client::reach(socket).await?;
        let (mut sender, connection) = greet(stream).await?;
        // Ends with the sender, or with the stream that comes of it.
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, PROTOCOL);
        if let Some(session) = session {
            request = request.header(SESSION, session);
        }
        let request = request.body(Empty::new()).map_err(|_| NoLink::Nobody)?;
        let response = sender.send_request(request).await.map_err(|_| NoLink::Nobody)?;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => {}
            // It is ending; another hub comes.
            StatusCode::SERVICE_UNAVAILABLE => return Err(NoLink::Nobody),
            _ => {
                let response = response.map(|body| body.map_err(Into::into).boxed_unsync());
                return Err(NoLink::Refused(client::refused(response).await));
            }
        }
        let session = response.headers().get(SESSION).and_then(|name| name.to_str().ok());
        let session = session.ok_or(NoLink::Nobody)?.to_owned();
        let stream = hyper::upgrade::on(response).await.map_err(|_| NoLink::Nobody)?;
        let (from_hub, to_hub) = tokio::io::split(TokioIo::new(stream));
        Ok(Self { from_hub: Lines::up_to(LONGEST, from_hub), to_hub, session })
    }
}

type Greeted = (http1::SendRequest<Empty<Bytes>>, http1::Connection<TokioIo<UnixStream>, Empty<Bytes>>);

async fn greet(stream: UnixStream) -> Result<Greeted, NoLink> {
    http1::handshake(TokioIo::new(stream)).await.map_err(|_| NoLink::Nobody)
}
