//! MCP client connections: what runs a server and what speaks with it.
//!
//! A [`Launcher`] makes processes; the [`Keeper`] is the one that sees to their end, [`Direct`] the
//! one for where no keeper can run. A
//! [`Connection`] is one running server: handshake, lists, calls with a way back, its end.
//! [`Environments`] are the Python environments that scripts run in.
//!
//! # Invariants
//!
//! * No process, and no process's process, outlives its server or the hub.
//! * Nothing that a server says is lost, and nothing that it does costs other servers more than
//!   their share of the machine.
//! * No policy: when to start, to stop or to try again is decided above this crate.

mod connection;
mod direct;
mod environment;
mod error;
mod keeper;
mod launch;
#[cfg(feature = "oauth")]
mod oauth;
pub mod open_files;
mod program;
#[cfg(feature = "remote")]
mod remote;
mod tail;
mod transport;
mod wire;

pub use connection::{Connection, ListFault, Offers, read_result};
pub use direct::Direct;
pub use error::{CallError, Phase, SignInError, StartError, StartFault};
pub use keeper::{Keeper, KeeperError};
pub use launch::{Control, Exit, ExitHandle, LaunchError, Launched, Launcher};
#[cfg(feature = "oauth")]
pub use oauth::{KeptIn, SignInState, SignIns, SigningIn};
pub use program::{Program, allowed_env};
#[cfg(feature = "remote")]
pub use remote::{Endpoint, Proxies, RemoteClient, RemoteError, RemoteSettings, Signer};
pub use transport::{Address, Channel, Transport, TransportError};
pub use wire::Noise;

pub use environment::{EnvironmentError, EnvironmentSettings, Environments, Garbage, InstallFault};
