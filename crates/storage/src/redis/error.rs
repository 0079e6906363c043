//! What Redis and fred say, in our words. No password is part of any of it.

use std::sync::Arc;

use fred::error::{Error, ErrorKind};

use crate::StorageError;

/// Why a Redis could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is none. It is not repeated, since a password may be part of it.
    #[error("the address of Redis is not valid: {reason}")]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// The space's id cannot be part of a key.
    #[error("`{id}` is no id of a space: 1 to 100 of A-Z a-z 0-9 _ - are")]
    SpaceId {
        /// The id.
        id: String,
    },
    /// Nothing answers there.
    #[error("Redis at {server} cannot be reached: {reason}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why, in words.
        reason: String,
    },
    /// It answers, and refuses: a wrong password, no rights.
    #[error("Redis at {server} refused: {reason}")]
    Refused {
        /// Host and port.
        server: String,
        /// Its words.
        reason: String,
    },
    /// It knows too little.
    #[error("the Redis at {server} is too old: version 7 or newer is needed")]
    TooOld {
        /// Host and port.
        server: String,
    },
    /// A newer Dormouse wrote there.
    #[error(
        "the space in Redis has format {found}, and this version knows up to {known}: a newer Dormouse wrote it"
    )]
    Newer {
        /// Its format.
        found: u64,
        /// The newest format that is known here.
        known: u64,
    },
}

impl OpenError {
    pub(super) fn new(server: &str, error: &Error) -> Self {
        let server = server.to_owned();
        if error.details().contains("compiling script") {
            return Self::TooOld { server };
        }
        match told(error) {
            StorageError::Refused { reason } => Self::Refused { server, reason },
            StorageError::Unreachable { reason } => Self::Unreachable { server, reason },
            other => Self::Unreachable { server, reason: other.to_string() },
        }
    }
}

/// What a caller is told about a failed command.
pub(super) fn told(error: &Error) -> StorageError {
    let details = error.details();
    let refused = |reason: &str| StorageError::Refused { reason: reason.to_owned() };
    let unreachable = |reason: &str| StorageError::Unreachable { reason: reason.to_owned() };
    match details.split_whitespace().next().unwrap_or_default() {
        "WRONGPASS" => return refused("the user or the password is wrong"),
        "NOAUTH" => return refused("it asks for a password"),
        "NOPERM" => return refused("the user may not do this (NOPERM)"),
        "READONLY" => return refused("it is a read-only replica"),
        "OOM" => return refused("it is out of memory"),
        "MISCONF" => return refused("it cannot save to its disk, and so takes no writes (MISCONF)"),
        "NOREPLICAS" => return refused("too few of its replicas are there (NOREPLICAS)"),
        "MOVED" => return refused("it is a cluster: its address begins with redis-cluster://"),
        "LOADING" => return unreachable("it still loads its data"),
        "CLUSTERDOWN" => return unreachable("the cluster is down"),
        "MASTERDOWN" => return unreachable("its master is down"),
        "BUSY" | "TRYAGAIN" => return unreachable("it is busy"),
        _ => {}
    }
    match error.kind() {
        ErrorKind::Timeout => unreachable("no answer in time"),
        ErrorKind::IO if details.contains("ConnectionRefused") => unreachable("nobody listens there"),
        ErrorKind::IO if details.contains("Certificate") => unreachable("its certificate is not trusted"),
        ErrorKind::IO => unreachable("the connection broke, or could not be made"),
        ErrorKind::Canceled | ErrorKind::Routing | ErrorKind::Cluster | ErrorKind::Backpressure => {
            unreachable("the connection broke")
        }
        ErrorKind::Tls => unreachable(&format!("no secure connection: {details}")),
        ErrorKind::Sentinel => unreachable(&format!("the sentinels name no master: {details}")),
        // An answer that asks for a password on a handshake, in older words.
        ErrorKind::Auth => refused("the user or the password is wrong"),
        ErrorKind::Config => refused(details),
        ErrorKind::InvalidArgument if details.starts_with("WRONGTYPE") => {
            refused("another program uses the keys of this space (WRONGTYPE)")
        }
        ErrorKind::Unknown if details.contains("failed write attempts") || details.contains("route") => {
            unreachable("the connection broke")
        }
        ErrorKind::Unknown if details.contains("not initialized") => unreachable("the connection is closed"),
        ErrorKind::Unknown => refused(details),
        _ => StorageError::Engine { doing: "understand Redis", source: Arc::new(error.clone()) },
    }
}
