//! From a fixture to a connection.

use std::time::Duration;

use dormouse_protocol::{Connection, Endpoint, RemoteClient, RemoteSettings, StartError};
use dormouse_testing::HttpServer;
use dormouse_testing::scripted::Scripted;
use dormouse_types::{Env, RemoteTransport};

use crate::shared::LONG;

/// What can be connected to.
pub(crate) trait At {
    fn endpoint(&self) -> Endpoint;
}

impl At for HttpServer {
    fn endpoint(&self) -> Endpoint {
        let url = self.url();
        let sse = url.ends_with("/sse");
        let transport = if sse { RemoteTransport::Sse } else { RemoteTransport::StreamableHttp };
        Endpoint { transport, ..endpoint(&url) }
    }
}

impl At for Scripted {
    fn endpoint(&self) -> Endpoint {
        endpoint(&self.url())
    }
}

pub(crate) fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        url: url.parse().unwrap(),
        transport: RemoteTransport::StreamableHttp,
        headers: Env::default(),
        ca_file: None,
        signer: None,
    }
}

pub(crate) fn client() -> RemoteClient {
    RemoteClient::new(RemoteSettings::default()).unwrap()
}

pub(crate) async fn open(endpoint: &Endpoint) -> Connection {
    Connection::open_url(&client(), endpoint, LONG).await.unwrap()
}

pub(crate) async fn open_error(endpoint: &Endpoint, deadline: Duration) -> StartError {
    Connection::open_url(&client(), endpoint, deadline).await.unwrap_err()
}
