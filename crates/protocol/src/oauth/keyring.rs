//! Grants in the system's keyring: one secret for each folder of sign-ins.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use keyring::{Entry, Error};

const SERVICE: &str = "dormouse";
/// A keyring that is locked asks its owner, and on a machine without a screen it asks for ever.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub(super) struct Keyring {
    entry: Arc<Entry>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")
    }
}

impl Keyring {
    /// The keyring, if there is one and it can be read.
    pub(super) fn find(folder: &Path) -> Option<Self> {
        if !has_bus() {
            return None;
        }
        let folder = std::path::absolute(folder).ok()?;
        let (sender, found) = mpsc::sync_channel(1);
        // On a thread of its own, which a service that does not answer keeps and nobody waits for.
        let spawned = std::thread::Builder::new().name("keyring".to_owned()).spawn(move || {
            let _ = sender.send(Self::open(&folder));
        });
        spawned.ok()?;
        found.recv_timeout(PATIENCE).ok()?
    }

    fn open(folder: &Path) -> Option<Self> {
        let entry = Entry::new(SERVICE, &folder.to_string_lossy()).ok()?;
        let keyring = Self { entry: Arc::new(entry) };
        keyring.read().ok().map(|_| keyring)
    }

    pub(super) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        match self.entry.get_secret() {
            Ok(text) => Ok(Some(text)),
            Err(Error::NoEntry) => Ok(None),
            Err(_) => Err(io::Error::other("the keyring cannot be read")),
        }
    }

    pub(super) fn write(&self, text: &[u8]) -> io::Result<()> {
        self.entry.set_secret(text).map_err(|_| io::Error::other("the keyring does not take them"))
    }
}

/// Whether there is a session's D-Bus to ask; without one the look would only take time.
fn has_bus() -> bool {
    if cfg!(target_os = "macos") || std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some() {
        return true;
    }
    std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|folder| Path::new(&folder).join("bus").exists())
}
