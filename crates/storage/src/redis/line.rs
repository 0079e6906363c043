//! One connection to Redis that comes back by itself, and says meanwhile that it is down.
//!
//! # Invariants
//!
//! * No command waits for ever, and none is sent twice: who retries is the caller.
//! * While the line is down nothing is sent. A call waits for it within its time; if it has been
//!   down for longer than that already, calls fail at once.

use std::future::Future;
use std::time::Duration;

use fred::clients::SubscriberClient;
use fred::prelude::*;
use fred::types::{ConnectHandle, RespVersion};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::error::told;
use crate::StorageError;

/// How often a line that is down is tried.
const RETRY: Duration = Duration::from_millis(250);
/// How often a quiet line is asked whether it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The only maker of clients. Left alone, fred neither reconnects nor gives up on a command.
pub(super) fn builder(mut config: Config, command_timeout: Duration) -> Builder {
    config.version = RespVersion::RESP3;
    config.fail_fast = true;
    let mut builder = Builder::from_config(config);
    let mut policy = ReconnectPolicy::new_exponential(0, 50, 2_000, 2);
    policy.set_jitter(50);
    builder.set_policy(policy);
    builder.with_performance_config(|config| {
        // The timeout of single commands is not looked at by scripts, this one is.
        config.default_command_timeout = command_timeout;
        config.broadcast_channel_capacity = 1024;
    });
    builder.with_connection_config(|config| {
        config.connection_timeout = command_timeout;
        config.internal_command_timeout = command_timeout;
        // A second try of a written command could do it twice.
        config.max_command_attempts = 1;
        config.tcp.nodelay = Some(true);
        config.unresponsive.max_timeout = Some(command_timeout * 2);
        config.unresponsive.interval = (command_timeout / 2).max(Duration::from_millis(100));
    });
    builder
}

/// Why a line is down.
#[derive(Debug, Clone)]
pub(super) struct Down {
    since: Instant,
    why: StorageError,
}

/// Whether a line is down, for who uses it and who watches it.
#[derive(Debug, Clone)]
pub(super) struct Light(watch::Sender<Option<Down>>);

impl Light {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(super) fn is_up(&self) -> bool {
        self.0.borrow().is_none()
    }

    pub(super) fn down(&self, why: StorageError) {
        self.0.send_modify(|down| match down {
            Some(known) => known.why = why,
            None => *down = Some(Down { since: Instant::now(), why }),
        });
    }

    pub(super) fn up(&self) {
        self.0.send_if_modified(|down| down.take().is_some());
    }
}

/// A connection for commands.
#[derive(Debug)]
pub(super) struct Line {
    client: Client,
    light: Light,
    within: Duration,
    tasks: [JoinHandle<()>; 2],
    connection: ConnectHandle,
}

impl Line {
    /// Connects; `probe` is a key of the space, asked for as a heartbeat.
    pub(super) async fn open(builder: &Builder, within: Duration, probe: String) -> Result<Self, Error> {
        let client = builder.build()?;
        let connection = timeout(within * 2, client.init()).await.map_err(|_| silent())??;
        let light = Light::new();
        let tasks = [
            tokio::spawn(watch_events(client.clone(), light.clone())),
            tokio::spawn(heartbeat(client.clone(), light.clone(), probe)),
        ];
        Ok(Self { client, light, within, tasks, connection })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn is_up(&self) -> bool {
        self.light.is_up() && self.client.is_connected()
    }

    /// Waits until the line is up, then for the answer.
    pub(super) async fn run<T>(
        &self,
        command: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StorageError> {
        self.ready().await?;
        // A little longer than fred's own limit, which also takes back what was not sent yet.
        let answer = timeout(self.within + Duration::from_millis(250), command).await;
        match answer.unwrap_or_else(|_| Err(silent())) {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let told = told(&error);
                if matches!(error.kind(), ErrorKind::Timeout) {
                    self.light.down(told.clone());
                }
                if error.details().starts_with("READONLY") && self.client.client_config().server.is_sentinel()
                {
                    // It was the master. The heartbeat asks the sentinels for the new one.
                    self.light.down(told.clone());
                }
                Err(told)
            }
        }
    }

    /// Waits until the line is up, within its time.
    pub(super) async fn ready(&self) -> Result<(), StorageError> {
        let deadline = Instant::now() + self.within;
        let mut light = self.light.0.subscribe();
        loop {
            let why = match &*light.borrow_and_update() {
                None => return Ok(()),
                Some(down) if down.since.elapsed() > self.within => return Err(down.why.clone()),
                Some(down) => down.why.clone(),
            };
            if timeout_at(deadline, light.changed()).await.is_err() {
                return Err(why);
            }
        }
    }

    /// Says goodbye and ends.
    pub(super) async fn close(&self) {
        if self.is_up() {
            let _ = timeout(self.within, self.client.quit()).await;
        }
        self.end();
    }

    fn end(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.connection.abort();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.end();
    }
}

pub(super) fn silent() -> Error {
    Error::new(ErrorKind::Timeout, "no answer")
}

async fn watch_events(client: Client, light: Light) {
    let (mut errors, mut connected) = (client.error_rx(), client.reconnect_rx());
    loop {
        // Errors first: what was connected anew after an error is up.
        tokio::select! {
            biased;
            error = errors.recv() => match error {
                Ok((error, _)) => light.down(told(&error)),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            again = connected.recv() => match again {
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => light.up(),
                Err(broadcast::error::RecvError::Closed) => return,
            },
        }
    }
}

/// Asks from time to time, since not every end of a connection is seen, nor every new beginning.
async fn heartbeat(client: Client, light: Light, probe: String) {
    let mut state = light.0.subscribe();
    loop {
        let is_down = state.borrow_and_update().is_some();
        if is_down {
            sleep(RETRY).await;
        } else {
            let _ = timeout(HEARTBEAT, state.changed()).await;
            if state.borrow().is_some() {
                continue;
            }
        }
        let was_master = matches!(&*state.borrow(), Some(Down { why: StorageError::Refused { .. }, .. }));
        if is_down && was_master && client.is_connected() {
            let _ = client.force_reconnection().await;
        }
        match client.hget::<Option<String>, _, _>(probe.as_str(), "version").await {
            Ok(_) => light.up(),
            Err(error) => light.down(told(&error)),
        }
    }
}

/// The client of the feed, made like the others.
pub(super) async fn subscriber(
    builder: &Builder,
    within: Duration,
) -> Result<(SubscriberClient, ConnectHandle), Error> {
    let client = builder.build_subscriber_client()?;
    let connection = timeout(within * 2, client.init()).await.map_err(|_| silent())??;
    Ok((client, connection))
}
