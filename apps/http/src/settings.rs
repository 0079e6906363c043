//! How the hub listens, and whom it lets in.

use std::net::SocketAddr;
use std::sync::Arc;

use dormouse::Http;
use dormouse_telemetry::Telemetry;
use tokio_util::sync::CancellationToken;

use crate::guests::Guests;
use crate::mcp::SharedGateway;

/// Where requests come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A TCP port, bound to this address.
    Tcp(SocketAddr),
    /// The space's own socket, which only its owner can open: no token is asked for.
    Local,
}

/// How the hub listens, and whom it lets in.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Names under which the hub may be called, beside `localhost` and the bound address.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may call it, such as `https://chat.example`.
    pub allowed_origins: Vec<String>,
    /// Issuers of OAuth tokens that MCP clients are told of, for a proxy before the hub that takes
    /// theirs. The hub itself takes its own tokens only.
    pub authorization_servers: Vec<String>,
    /// The largest body that is read.
    pub max_body_bytes: usize,
    /// Whether a token is needed even on loopback. Once a token exists, it is.
    pub require_token: bool,
    /// What `/metrics` shows; without it there is no such path.
    pub telemetry: Option<Arc<Telemetry>>,
    /// Cancelled when the hub ends: streams of events end then.
    pub ending: CancellationToken,
    /// Who is at the space's socket.
    pub guests: Guests,
    /// For a hub in the background: cancelled when another process wants to be the hub.
    pub retire: Option<CancellationToken>,
    /// What MCP clients talk to, the same behind every door.
    pub gateway: SharedGateway,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            authorization_servers: Vec::new(),
            // Arguments may hold a document; a server's own limit for a message is 16 MiB.
            max_body_bytes: 4 * 1024 * 1024,
            require_token: false,
            telemetry: None,
            ending: CancellationToken::new(),
            guests: Guests::default(),
            retire: None,
            gateway: SharedGateway::default(),
        }
    }
}

impl From<&Http> for HttpSettings {
    fn from(config: &Http) -> Self {
        Self {
            allowed_hosts: config.allowed_hosts.clone(),
            allowed_origins: config.allowed_origins.clone(),
            authorization_servers: config.authorization_servers.clone(),
            max_body_bytes: config.max_body_bytes,
            ..Self::default()
        }
    }
}
