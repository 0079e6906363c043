//! From an endpoint to a link that rmcp can speak over.

use std::sync::{Arc, RwLock};

use dormouse_types::RemoteTransport;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::handshake::{self, Hello};
use super::header::Repeated;
use super::legacy;
use super::link::{HttpTransport, Link, Way};
use super::site::Site;
use super::{Endpoint, RemoteClient};
use crate::error::StartFault;
use crate::wire::Wire;

/// Messages on their way from the streams to rmcp. Streams wait when it is full.
const MESSAGES: usize = 64;

/// Shakes hands with a server at a URL. The link ends when its token is cancelled.
pub(crate) async fn connect(
    client: &RemoteClient,
    endpoint: &Endpoint,
    hello: Hello,
    wire: &Arc<Wire>,
) -> Result<(Arc<Link>, HttpTransport), StartFault> {
    let site = Site::new(client, endpoint).await.map_err(|why| StartFault::Unreachable { why })?;
    let (greeting, way, events) = match endpoint.transport {
        RemoteTransport::StreamableHttp => {
            let (greeting, session) = handshake::shake(&site, &hello).await?;
            let way = Way::Streamable {
                session: RwLock::new(Arc::new(session)),
                renewing: tokio::sync::Mutex::new(()),
                repeated: RwLock::new(Repeated::new()),
            };
            (greeting, way, None)
        }
        RemoteTransport::Sse => {
            let (greeting, events, post) = legacy::shake(&site, &hello).await.map_err(handshake::fault)?;
            (greeting, Way::Events { post }, Some(events))
        }
        RemoteTransport::Own => {
            let why = "it is reached by no transport of MCP".to_owned();
            return Err(StartFault::Unreachable { why });
        }
    };
    wire.set_greeting(greeting);
    let (sender, incoming) = mpsc::channel(MESSAGES);
    let closed = CancellationToken::new();
    let link = Arc::new(Link { site, wire: Arc::clone(wire), incoming: sender, closed, hello, way });
    // Both end with the connection.
    match events {
        Some(events) => tokio::spawn(legacy::read(Arc::clone(&link), events)),
        None => tokio::spawn(Arc::clone(&link).listen()),
    };
    Ok((Arc::clone(&link), HttpTransport { link, incoming }))
}
