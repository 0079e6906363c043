//! Servers that are reached by a transport which the program brings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dormouse_protocol::{Address, Connection, Offers, Transport};
use dormouse_types::{Env, Remote};

use crate::error::StartFault;
use crate::starter::expanded;

/// The transports that a program brings, by the schemes of the URLs that they reach.
pub type Transports = BTreeMap<String, Arc<dyn Transport>>;

/// Connects to a server by the transport of its URL.
pub(crate) async fn open(
    transports: &Transports,
    remote: &Remote,
    deadline: Duration,
    ready: impl FnOnce(),
) -> Result<Connection, StartFault> {
    // Before anything is expanded: a variable chooses no transport.
    let scheme = remote.url.split_once("://").map_or("", |(scheme, _)| scheme);
    let Some(transport) = transports.get(scheme) else {
        return Err(StartFault::Needs(format!("no transport was given to the hub for `{scheme}://`")));
    };
    let headers = remote.headers.0.iter().map(|(name, value)| Ok((name.clone(), expanded(value)?)));
    let headers = Env(headers.collect::<Result<_, StartFault>>()?);
    let address = Address { url: expanded(&remote.url)?, headers };
    ready();
    Connection::open_by(&**transport, &address, deadline, Offers::ALL).await.map_err(StartFault::Start)
}
