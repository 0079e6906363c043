//! Where a server is, and what goes with each request to it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_types::{Env, RemoteTransport};
use url::Url;

use crate::error::SignInError;

/// A server at a URL, with everything expanded.
#[derive(Clone)]
pub struct Endpoint {
    /// Its address.
    pub url: Url,
    /// Which of MCP's two HTTP transports it speaks.
    pub transport: RemoteTransport,
    /// Headers of every request to it. They never show.
    pub headers: Env,
    /// A file of certificates (PEM) that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Who puts `Authorization` on its requests; `None` leaves that to the headers.
    pub signer: Option<Arc<dyn Signer>>,
}

/// Without what may be secret: of the URL only where it leads.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("origin", &self.url.origin().ascii_serialization())
            .field("transport", &self.transport)
            .field("headers", &self.headers)
            .field("ca_file", &self.ca_file)
            .field("signer", &self.signer.is_some())
            .finish()
    }
}

/// Signs the hub in at one server.
#[async_trait]
pub trait Signer: Send + Sync + fmt::Debug {
    /// The bearer token for the next request, refreshed before it expires; `None` sends none.
    ///
    /// # Errors
    /// There is no token and none can be had.
    async fn token(&self) -> Result<Option<String>, SignInError>;

    /// Learns that the server refused a request with 401, or with 403 and a challenge
    /// (`WWW-Authenticate`). `token` is what went with that request: of a hundred requests that are
    /// refused at once with the same token, one renews it. Says whether the request is worth trying
    /// once more.
    ///
    /// # Errors
    /// It is not, for this reason.
    async fn refused(&self, token: Option<&str>, challenge: Option<&str>) -> Result<bool, SignInError>;
}
