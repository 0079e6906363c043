//! Listens: on a TCP port, and on the space's own socket.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, UnixListener, lookup_host};
use tracing::warn;

use crate::domain::{Hub, open_files};
use crate::routes::router;
use crate::seats::{Seated, seats};
use crate::settings::{Door, HttpSettings};

/// How long open requests may go on once the hub ends; a bit longer than calls may.
const GRACE: Duration = Duration::from_secs(12);

/// Why the hub cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The host has no address.
    #[error("`{host}` is no address of this machine")]
    Host {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Everybody in the network could use it.
    #[error("{address} can be reached from elsewhere, and no token exists")]
    NeedsToken {
        /// The address.
        address: SocketAddr,
    },
    /// Another program listens there.
    #[error("another program listens on {address}")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The system does not let it.
    #[error("cannot listen on {address}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket cannot be made.
    #[error("cannot make the socket {}", .path.display())]
    Socket {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A port that is bound, or a socket that is made; nobody is answered yet.
#[derive(Debug)]
pub struct Listening {
    listener: Listener,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener, SocketAddr),
    Local(UnixListener, SocketFile),
}

/// Takes the file away at the end.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listening {
    /// Binds a port. Port 0 takes any that is free.
    ///
    /// # Errors
    /// [`ListenError`], also where others could reach the hub and it has no token.
    pub async fn on(hub: &Hub, host: &str, port: u16) -> Result<Self, ListenError> {
        let unknown = |source| ListenError::Host { host: host.to_owned(), source };
        let mut addresses = lookup_host((host, port)).await.map_err(unknown)?;
        let address = addresses.next().ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))?;
        if !address.ip().is_loopback() && hub.tokens().is_empty() {
            return Err(ListenError::NeedsToken { address });
        }
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse { address },
            _ => ListenError::Tcp { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok(Self { listener: Listener::Tcp(listener, bound) })
    }

    /// Makes the space's socket, for its owner only. Whoever calls this holds the space's lock,
    /// so a socket that is there is left from an earlier life.
    ///
    /// # Errors
    /// [`ListenError::Socket`]
    pub fn at(path: &Path) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Socket { path: path.to_owned(), source };
        let listener = private_socket(path).map_err(failed)?;
        Ok(Self { listener: Listener::Local(listener, SocketFile(path.to_owned())) })
    }

    /// The bound address; `None` for a socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Tcp(_, bound) => Some(*bound),
            Listener::Local(..) => None,
        }
    }

    /// Answers until `settings.ending` is cancelled; then takes no new requests, ends the
    /// streams of events, and returns when open requests are answered, or after a grace.
    ///
    /// # Errors
    /// When the system does not let it.
    pub async fn serve(self, hub: Hub, settings: HttpSettings) -> io::Result<()> {
        let ending = settings.ending.clone();
        match self.listener {
            Listener::Tcp(listener, bound) => {
                let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
                    if let Err(error) = stream.set_nodelay(true) {
                        warn!(%error, "answers may come a little late");
                    }
                });
                let listener = Seated::new(listener, seats(open_files::limit()).network);
                let router: Router = router(hub, settings, Door::Tcp(bound));
                let serving =
                    axum::serve(listener, router).with_graceful_shutdown(ending.clone().cancelled_owned());
                bounded(serving.into_future(), ending).await
            }
            Listener::Local(listener, _file) => {
                let router: Router = router(hub, settings, Door::Local);
                let listener = Seated::new(listener, seats(open_files::limit()).local);
                let serving =
                    axum::serve(listener, router).with_graceful_shutdown(ending.clone().cancelled_owned());
                bounded(serving.into_future(), ending).await
            }
        }
    }
}

/// Waits for the end, but not for ever once it was asked for.
async fn bounded(
    serving: impl Future<Output = io::Result<()>>,
    ending: tokio_util::sync::CancellationToken,
) -> io::Result<()> {
    let too_late = async {
        ending.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = serving => ended,
        () = too_late => {
            warn!("requests were still open when the hub ended");
            Ok(())
        }
    }
}

/// A socket that only its owner can open. It is made beside its place, closed to others, and
/// moved there: at no moment can anybody else connect.
fn private_socket(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;

    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&beside)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&beside, path)?;
    Ok(listener)
}
