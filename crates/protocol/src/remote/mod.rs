//! Servers at a URL: streamable HTTP and the older HTTP+SSE.
//!
//! A [`RemoteClient`] holds the pools of HTTP connections; an [`Endpoint`] says where a server is
//! and what goes with each request; `Connection::open_url` makes a connection of both.
//!
//! # Invariants
//!
//! * What a server answers reaches the connection as the JSON that it is.
//! * No message of an error shows a header, a query string or a token.
//! * One answer takes at most so much memory, whatever the server sends.
//! * A request is sent again only when the server cannot have acted on it.

mod client;
mod connect;
mod direct;
mod endpoint;
mod handshake;
mod header;
mod legacy;
mod link;
mod response;
mod site;
mod sse;

pub use self::client::{Proxies, RemoteClient, RemoteError, RemoteSettings};
pub(crate) use self::connect::connect;
pub use self::endpoint::{Endpoint, Signer};
pub(crate) use self::handshake::Hello;
pub(crate) use self::link::Link;
