//! One hub per space: joining the one that runs, or being it.

use std::time::{Duration, Instant};

use dormouse::{Config, Event, Space};
use dormouse_http::wire::HealthReport;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

use crate::background::Begun;
use crate::bridge::{Link, NoLink};
use crate::claim::Claim;
use crate::client::{HubClient, NoAnswer};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::host::{Host, Stay};
use crate::output::Output;
use crate::place::Place;

/// How long another hub of the space may take to open, or to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a hub in the background may take to make way: a bit longer than it gives its calls.
const RETIREMENT: Duration = Duration::from_secs(60);
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
                    without_effect(place, output);
                    return Ok(Self { client, host: None });
                }
                Err(NoAnswer::Foreign) => return Err(foreign(&space)),
                Err(NoAnswer::Nobody) => {}
            }
            let config = place.config(&space)?;
            if Claim::exists(&space) {
                // Somebody is about to serve the space.
                if Instant::now() >= patient_until + RETIREMENT {
                    return Err(silent(&space));
                }
                tokio::time::sleep(GLANCE).await;
                continue;
            }
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
            host.end(haste.cancelled()).await;
        }
    }
}

/// Becomes the hub of the space for long. A hub that another command is for its lifetime is
/// waited for, and one in the background is asked to make way; one that stays is not.
pub(crate) async fn become_hub(place: &Place, config: Config, output: Output) -> Result<Host, Failure> {
    /// Longer than nearly every single command.
    const COMMAND: Duration = Duration::from_secs(10);
    let space = place.space()?;
    let mut patient_until = Instant::now() + COMMAND;
    let (mut claim, mut asked) = (None, false);
    loop {
        if let Some(host) = Host::open(&space, config.clone(), Stay::Long).await? {
            return Ok(host);
        }
        claim = claim.or_else(|| Claim::make(&space));
        // Without a claim, another background hub would come before us.
        if claim.is_some() && retire(&space).await && !asked {
            asked = true;
            patient_until = Instant::now() + RETIREMENT;
            output.talk("taking the space over from the hub in the background, once what runs there is done");
        }
        if Instant::now() >= patient_until {
            let message = format!("another hub serves the space {}", space.root().display());
            return Err(Failure::new(Exit::NoHub, message)
                .hint("every command joins it; to serve with other settings, end it first"));
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Asks the hub of the space to make way; whether it does.
async fn retire(space: &Space) -> bool {
    let Ok(mut hub) = HubClient::connect(&space.socket()).await else { return false };
    match hub.get::<HealthReport>("/health").await {
        Ok(health) if health.background => hub.tell("/retire").await.is_ok(),
        _ => false,
    }
}

/// Becomes the hub of the space in the background; `None` where there is one already.
pub(crate) async fn become_background_hub(place: &Place, config: Config) -> Result<Option<Host>, Failure> {
    let space = place.space()?;
    let patient_until = Instant::now() + PATIENCE;
    loop {
        if !Claim::exists(&space)
            && let Some(host) = Host::open(&space, config.clone(), Stay::Background).await?
        {
            return Ok(Some(host));
        }
        // It is opening, or ending, or about to be taken over; who wants a hub comes again.
        if HubClient::connect(&space.socket()).await.is_ok() || Instant::now() >= patient_until {
            return Ok(None);
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Opens a stream of MCP to the hub of the space; where none runs, one is started in the
/// background.
pub(crate) async fn link(
    place: &Place,
    space: &Space,
    path: &str,
    session: Option<&str>,
    output: Output,
) -> Result<Link, Failure> {
    let socket = space.socket();
    let mut patient_until = Instant::now() + PATIENCE;
    let mut begun: Option<Begun> = None;
    loop {
        match Link::open(&socket, path, session).await {
            Ok(link) => {
                // Said once, of the first hub.
                if begun.is_none() && session.is_none() {
                    without_effect(place, output);
                }
                return Ok(link);
            }
            Err(NoLink::Foreign) => return Err(foreign(space)),
            Err(NoLink::Refused(failure)) => return Err(failure),
            Err(NoLink::Nobody) => {}
        }
        if Claim::exists(space) {
            // That process has a patience of its own.
            patient_until = Instant::now() + PATIENCE;
        } else if let Some(hub) = &mut begun {
            if hub.has_ended()? {
                begun = None;
            }
        } else {
            begun = Some(Begun::start(place, space)?);
        }
        if Instant::now() >= patient_until {
            return Err(silent(space));
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Says which flags only a new hub could follow.
fn without_effect(place: &Place, output: Output) {
    for flag in place.flags_of_a_hub() {
        let note = format!("note: a hub runs in this space with its own settings; {flag} has no effect");
        output.talk(&note);
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
