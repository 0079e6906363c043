//! From a URL to a server whose tools are known.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use dormouse_types::Features;
use rmcp::RoleClient;
use rmcp::service::{RunningService, serve_directly};
use tokio::sync::watch;

use super::desk::Desk;
use super::line::Line;
use super::open::unlisted;
use super::{Connection, Ending, Inner, Offers, after};
use crate::error::{Phase, StartError, StartFault};
use crate::launch::{Control, Exit, ExitHandle};
use crate::remote::{Endpoint, Hello, Link, RemoteClient, connect};
use crate::tail::Tail;
use crate::wire::{Wire, info};

/// How long the end of a session may take to tell when nobody waits for it.
const TO_PART: Duration = Duration::from_secs(2);

impl Connection {
    /// Connects to a server at a URL and makes itself known: handshake, all lists.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left of the connection.
    pub async fn open_url(
        client: &RemoteClient,
        endpoint: &Endpoint,
        deadline: Duration,
    ) -> Result<Self, StartError> {
        Self::open_url_with(client, endpoint, deadline, Offers::default()).await
    }

    /// [`open_url`](Self::open_url), with offers to the server.
    ///
    /// Dropping the future ends what was begun.
    ///
    /// # Errors
    /// As [`open_url`](Self::open_url).
    pub async fn open_url_with(
        client: &RemoteClient,
        endpoint: &Endpoint,
        deadline: Duration,
        offers: Offers,
    ) -> Result<Self, StartError> {
        let until = after(deadline);
        let wire = Wire::new();
        let failed = |phase, fault| StartError {
            phase,
            fault,
            exit: None,
            stderr: Vec::new(),
            noise: wire.noise.read(),
        };
        let hello = Hello { info: info(), capabilities: offers.capabilities() };
        let connected = tokio::time::timeout_at(until, connect(client, endpoint, hello, &wire)).await;
        let (link, transport) = connected
            .unwrap_or(Err(StartFault::TimedOut { after: deadline }))
            .map_err(|fault| failed(Phase::Handshake, fault))?;
        let unfinished = link.closed.clone().drop_guard();
        let desk = Desk { wire: Arc::clone(&wire) };
        let service = serve_directly::<RoleClient, _, _, io::Error, _>(desk, transport, None);
        let (ending, asked) = watch::channel(None);
        let (told, seen) = watch::channel(None);
        let inner = Inner {
            pid: None,
            exit: ExitHandle::new(seen, Arc::clone(&link) as Arc<dyn Control>),
            line: Line::Http(Arc::clone(&link)),
            wire: Arc::clone(&wire),
            tail: Tail::none(),
            features: RwLock::new(Arc::new(Features::default())),
            list_faults: Mutex::new(Arc::new([])),
            subscriptions: Default::default(),
        };
        // Here, since the listing below may find that it has ended.
        tokio::spawn(look_after(Arc::clone(&link), service, told, asked));
        let connection = Self { inner: Arc::new(inner), ending: Arc::new(ending) };
        let listed = connection.inner.list(until).await;
        let listed = listed.map_err(|error| failed(Phase::Listing, unlisted(&error, deadline)))?;
        let inner = &connection.inner;
        *inner.features.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(listed.features);
        *inner.list_faults.lock().unwrap_or_else(PoisonError::into_inner) = listed.faults.into();
        unfinished.disarm();
        Ok(connection)
    }
}

/// There is no process to ask: both end the connection.
impl Control for Link {
    fn terminate(&self) {
        self.closed.cancel();
    }

    fn kill(&self) {
        self.closed.cancel();
    }
}

/// Looks after one connection until it is over: by the wish to end it, by its last handle being
/// dropped, or from the server's side.
async fn look_after(
    link: Arc<Link>,
    service: RunningService<RoleClient, Desk>,
    told: watch::Sender<Option<Exit>>,
    mut ending: watch::Receiver<Option<Ending>>,
) {
    let mut until = after(TO_PART);
    loop {
        tokio::select! {
            () = link.closed.cancelled() => break,
            changed = ending.changed() => match (changed, *ending.borrow_and_update()) {
                (Ok(()), Some(asked)) => {
                    until = until.min(asked.kill);
                    break;
                }
                (Ok(()), None) => {}
                (Err(_), _) => break,
            },
        }
    }
    link.closed.cancel();
    // Ends at once: rmcp's loop sees the end of its transport.
    let _ = service.waiting().await;
    let _ = tokio::time::timeout_at(until, link.part()).await;
    told.send_replace(Some(Exit::Closed));
}
