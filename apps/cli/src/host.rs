//! Being the hub: for one command, or for as long as `serve` runs.
//!
//! # Invariants
//!
//! * Only the holder of the space's lock touches the socket's file, so a stale one is replaced
//!   without asking.
//! * A client that was greeted is served: a hub that ends takes nobody new, and waits for those
//!   whom it took.

use std::convert::Infallible;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dormouse::{Config, Hub, LockError, OpenError, Space};
use dormouse_http::{Door, Guests, HttpSettings};
use dormouse_telemetry::Telemetry;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tracing::debug;

use crate::client::Inside;
use crate::exit::Exit;
use crate::failure::Failure;

/// How long a client that was greeted may take until it asks; then it is let go.
const HESITATION: Duration = Duration::from_secs(2);

/// What kind of hub this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// For one command: nothing is prepared that it does not need.
    OneCommand,
    /// Until it is told to end.
    Long,
    /// Until its last client has gone, or another process wants to be the hub.
    Background,
}

/// The hub of a space, in this process.
#[derive(Debug)]
pub(crate) struct Host {
    hub: Hub,
    http: HttpSettings,
    /// Nobody new is let in.
    closing: CancellationToken,
    door: JoinHandle<()>,
    socket: PathBuf,
}

impl Host {
    /// Opens the space's hub and its socket. `Ok(None)`: another process is the hub.
    pub(crate) async fn open(space: &Space, config: Config, stay: Stay) -> Result<Option<Self>, Failure> {
        // Each client that stays takes one, and each server several.
        let open_files = dormouse::open_files::raise();
        let telemetry = Telemetry::new().map_err(|error| Failure::of(Exit::Unexpected, &error))?;
        let mut http = HttpSettings::from(&config.http);
        let builder = Hub::builder()
            .space(space.root())
            .config(config)
            .meter(telemetry.meter())
            .prepare_ahead(stay != Stay::OneCommand);
        http.telemetry = Some(Arc::new(telemetry));
        http.retire = (stay == Stay::Background).then(CancellationToken::new);
        let hub = match builder.open().await {
            Ok(hub) => hub,
            Err(OpenError::Lock(LockError::Held { .. })) => return Ok(None),
            Err(error) => return Err(not_opened(&error)),
        };
        let socket = space.socket();
        let listener = match bind(&socket) {
            Ok(listener) => listener,
            Err(error) => {
                hub.shutdown().await;
                let message = format!("cannot listen on {}", socket.display());
                return Err(Failure::new(Exit::Configuration, message).caused_by(&error));
            }
        };
        let closing = CancellationToken::new();
        let router = dormouse_http::router(hub.clone(), http.clone(), Door::Local);
        let service = TowerToHyperService::new(router);
        let (guests, ending) = (http.guests.clone(), http.ending.clone());
        let seats = dormouse_http::seats(open_files).local;
        let door = tokio::spawn(listen(listener, service, (guests, seats), closing.clone(), ending));
        Ok(Some(Self { hub, http, closing, door, socket }))
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// How it listens, for a further door.
    pub(crate) fn http(&self) -> &HttpSettings {
        &self.http
    }

    /// This hub as a service, to be asked without a socket.
    pub(crate) fn inside(&self) -> Inside {
        let router = dormouse_http::router(self.hub.clone(), self.http.clone(), Door::Local);
        // A router takes bodies of many kinds; this is the one that the client sends.
        BoxCloneSyncService::new(ServiceExt::<Request<Full<Bytes>>>::map_response(router, |response| {
            response.map(|body| body.map_err(Into::into).boxed_unsync())
        }))
    }

    /// Ends the hub once those who joined it are done, or as soon as there is haste.
    pub(crate) async fn end(self, haste: impl Future<Output = ()>) {
        // First the file: who comes now finds no socket, and waits for the lock.
        let _ = std::fs::remove_file(&self.socket);
        self.closing.cancel();
        self.http.guests.dismiss();
        let mut door = self.door;
        tokio::select! {
            _ = &mut door => {}
            // Those who joined see their requests fail; `shutdown` lets running calls finish.
            () = haste => {}
        }
        self.http.ending.cancel();
        if !door.is_finished() {
            // What was taken a moment ago may not have begun, and would be refused.
            let _ = tokio::time::timeout(HESITATION, self.http.guests.gone()).await;
        }
        self.hub.shutdown().await;
        if !door.is_finished() {
            // Answers of calls that have just finished are on their way.
            let _ = tokio::time::timeout(HESITATION, &mut door).await;
            door.abort();
        }
    }
}

/// A socket that only its owner can open, at its place from the first moment on.
fn bind(socket: &Path) -> io::Result<UnixListener> {
    let mut beside = socket.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&beside)?;
    std::fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
    std::fs::rename(&beside, socket)?;
    Ok(listener)
}

/// Serves every connection until it is closed by its client, and ends after the last one once
/// nobody new is let in. As long as all seats are taken, clients wait.
async fn listen<S, B>(
    listener: UnixListener,
    service: S,
    (present, seats): (Guests, usize),
    closing: CancellationToken,
    ending: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let mut guests = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = closing.cancelled() => break,
            Some(_) = guests.join_next(), if !guests.is_empty() => continue,
            accepted = async {
                present.fewer_than(seats).await;
                listener.accept().await
            } => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    debug!(%error, "a client did not get in");
                    // Too many open files is the likely reason; at once would be a busy loop.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        let (connection, guest) = (connection.with_upgrades(), present.enter());
        let (closing, ending) = (closing.clone(), ending.clone());
        guests.spawn(async move {
            let _guest = guest;
            let mut connection = std::pin::pin!(connection);
            let last_request = async {
                closing.cancelled().await;
                tokio::select! {
                    () = tokio::time::sleep(HESITATION) => {}
                    () = ending.cancelled() => {}
                }
            };
            tokio::select! {
                _ = connection.as_mut() => return,
                () = last_request => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        });
    }
    drop(listener);
    while guests.join_next().await.is_some() {}
    // Streams of MCP outlive the connections that they began as.
    present.gone().await;
}

fn not_opened(error: &OpenError) -> Failure {
    let exit = match error {
        OpenError::Lock(LockError::Held { .. }) => Exit::NoHub,
        OpenError::Space { .. }
        | OpenError::Lock(LockError::Unwritable { .. })
        | OpenError::Config(_)
        | OpenError::Unknown { .. }
        | OpenError::Storage(_)
        | OpenError::Tokens(_)
        | OpenError::Records(_)
        | OpenError::Registry(_)
        | OpenError::Orchestrator(_) => Exit::Configuration,
        #[cfg(feature = "redis")]
        OpenError::Redis(_) => Exit::Configuration,
        #[cfg(feature = "remote")]
        OpenError::Remote(_) => Exit::Configuration,
        OpenError::Python(_) | OpenError::Keeper(_) => Exit::NoHub,
    };
    let failure = Failure::of(exit, error);
    match error {
        OpenError::Python(_) => {
            failure.hint("install Python 3.11 or newer, or name one in `python.interpreter`")
        }
        OpenError::Lock(LockError::Unwritable { .. }) => failure.hint("name another folder with --space"),
        _ => failure,
    }
}
