//! One hub per space: joining the one that runs, or being it.

use std::time::{Duration, Instant};

use dormouse::{Event, Space};
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

use crate::client::{HubClient, NoAnswer};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::host::{Host, Stay};
use crate::output::Output;
use crate::place::Place;

/// How long another hub of the space may take to open, or to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often to look whether it has.
const GLANCE: Duration = Duration::from_millis(20);

/// A hub to talk to, for one command.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) client: HubClient,
    /// The hub itself, where this process is it.
    host: Option<Host>,
}

impl Visit {
    /// Joins the hub of the space; without one, this process becomes it until [`Visit::end`].
    pub(crate) async fn begin(place: &Place, output: Output) -> Result<Self, Failure> {
        let space = place.space()?;
        let socket = space.socket();
        let patient_until = Instant::now() + PATIENCE;
        loop {
            match HubClient::connect(&socket).await {
                Ok(client) => {
                    for flag in place.flags_of_a_hub() {
                        output.talk(&format!(
                            "note: a hub runs in this space with its own settings; {flag} has no effect"
                        ));
                    }
                    return Ok(Self { client, host: None });
                }
                Err(NoAnswer::Foreign) => return Err(foreign(&space)),
                Err(NoAnswer::Nobody) => {}
            }
            let config = place.config(&space)?;
            if let Some(host) = Host::open(&space, config, Stay::OneCommand).await? {
                return Ok(Self { client: HubClient::inside(host.inside()), host: Some(host) });
            }
            if Instant::now() >= patient_until {
                return Err(silent(&space));
            }
            // It is opening, or ending: soon there is a socket, or no lock.
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// What happens in the hub from now on, where this process is it.
    pub(crate) fn events(&self) -> Option<Receiver<Event>> {
        self.host.as_ref().map(|host| host.hub().events())
    }

    /// Ends what was begun.
    pub(crate) async fn end(self, haste: &CancellationToken) {
        let Self { client, host } = self;
        drop(client);
        if let Some(host) = host {
            host.end(haste).await;
        }
    }
}

/// Becomes the hub of the space for long. A hub that another command is for its lifetime is
/// waited for; one that stays is not.
pub(crate) async fn become_hub(place: &Place, config: dormouse::Config) -> Result<Host, Failure> {
    /// Longer than nearly every single command.
    const COMMAND: Duration = Duration::from_secs(10);
    let space = place.space()?;
    let patient_until = Instant::now() + COMMAND;
    loop {
        if let Some(host) = Host::open(&space, config.clone(), Stay::Long).await? {
            return Ok(host);
        }
        if Instant::now() >= patient_until {
            let message = format!("another hub serves the space {}", space.root().display());
            return Err(Failure::new(Exit::NoHub, message)
                .hint("every command joins it; to serve with other settings, end it first"));
        }
        tokio::time::sleep(GLANCE).await;
    }
}

fn foreign(space: &Space) -> Failure {
    let message = format!("the hub of the space {} belongs to another user", space.root().display());
    Failure::new(Exit::NoHub, message).hint("name a space of your own with --space")
}

fn silent(space: &Space) -> Failure {
    let message = format!("another hub holds the space {} and does not answer", space.root().display());
    Failure::new(Exit::NoHub, message).hint("end that process; the space is free as soon as it is gone")
}
