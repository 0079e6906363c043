//! Servers at URLs: from an entry to a connection, with the variables put in.
//!
//! Without the feature `remote` there is none of it, and such a server says so.

#[cfg(feature = "remote")]
mod endpoint;

#[cfg(feature = "remote")]
use std::path::PathBuf;
use std::time::Duration;

use dormouse_protocol::Connection;
#[cfg(feature = "oauth")]
use dormouse_protocol::SignIns;
#[cfg(feature = "remote")]
use dormouse_protocol::{Offers, RemoteClient};
use dormouse_types::{Remote, RemoteTransport, Scope};

use crate::error::StartFault;
#[cfg(feature = "oauth")]
use crate::sign_in::Logins;

#[cfg(feature = "oauth")]
pub(crate) use endpoint::Place;

/// How servers at URLs are reached.
#[derive(Debug)]
pub(crate) struct Remotes {
    #[cfg(feature = "remote")]
    client: RemoteClient,
    #[cfg(feature = "remote")]
    space: PathBuf,
    #[cfg(feature = "oauth")]
    pub(crate) sign_ins: SignIns,
    #[cfg(feature = "oauth")]
    pub(crate) logins: Logins,
}

/// Why a server at a URL is not reached by a program that leaves them out.
pub(crate) const NOT_BUILT: &str = "it is at a URL, and this program was built without the feature `remote`";

impl Remotes {
    /// Whether this program can reach such a server at all.
    pub(crate) fn can_reach(remote: &Remote) -> bool {
        cfg!(feature = "remote") || remote.transport == RemoteTransport::Own
    }
}

#[cfg(feature = "remote")]
impl Remotes {
    pub(crate) fn new(client: RemoteClient, settings: &crate::settings::Settings) -> Self {
        #[cfg(feature = "oauth")]
        let sign_ins = SignIns::open(&settings.state.join("sign-ins"), client.clone());
        #[cfg(feature = "oauth")]
        let sign_ins = if settings.keyring { sign_ins } else { sign_ins.keeping_in_file() };
        Self {
            client,
            space: settings.space.clone(),
            #[cfg(feature = "oauth")]
            sign_ins,
            #[cfg(feature = "oauth")]
            logins: Logins::default(),
        }
    }

    /// Connects to a server at a URL.
    pub(crate) async fn open(
        &self,
        owner: &Scope,
        remote: &Remote,
        deadline: Duration,
        ready: impl FnOnce(),
    ) -> Result<Connection, StartFault> {
        let endpoint = self.endpoint(owner, remote)?;
        ready();
        let opened = Connection::open_url_with(&self.client, &endpoint, deadline, Offers::ALL).await;
        opened.map_err(StartFault::Start)
    }
}

#[cfg(not(feature = "remote"))]
impl Remotes {
    pub(crate) fn new() -> Self {
        Self {}
    }

    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(crate) async fn open(
        &self,
        _: &Scope,
        _: &Remote,
        _: Duration,
        _: impl FnOnce(),
    ) -> Result<Connection, StartFault> {
        Err(StartFault::Needs(NOT_BUILT.to_owned()))
    }
}
