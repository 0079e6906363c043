//! A real keyring for the tests, without root where it is missing: gnome-keyring and a D-Bus.
//!
//! The test looks in `target/test-envs/keyring` first, then on `PATH`; where a program is in
//! neither place it fails.

use std::path::Path;

use anyhow::Result;

use crate::debian::{Needed, unpacked_program};
use crate::run::capture;

/// Makes sure that there are `dbus-run-session` and `gnome-keyring-daemon`.
pub(crate) fn need_keyring(target: &Path) -> Result<()> {
    let needed = Needed { name: "keyring", packages: &["gnome-keyring", "dbus"], version };
    needed.provide(target).map(drop)
}

/// Asks the keyring for its version within a session; `None` if either cannot run.
fn version(folder: &Path) -> Option<String> {
    let mut session = unpacked_program(folder, "dbus-run-session").ok()?;
    // A bus of the machine knows where its configuration is.
    let bus = folder.join("usr/bin/dbus-daemon");
    if bus.exists() {
        session.arg("--dbus-daemon").arg(bus);
        session.arg("--config-file").arg(folder.join("usr/share/dbus-1/session.conf"));
    }
    let keyring = unpacked_program(folder, "gnome-keyring-daemon").ok()?;
    read_version(&capture(session.arg("--").arg(keyring.get_program()).arg("--version")).ok()?)
}

/// Reads `gnome-keyring-daemon: 42.1`, with more below.
fn read_version(said: &str) -> Option<String> {
    Some(said.lines().find_map(|line| line.strip_prefix("gnome-keyring-daemon:"))?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyring_says_its_version() {
        let said = "gnome-keyring-daemon: 42.1\ntesting: enabled\n";
        assert_eq!(read_version(said).as_deref(), Some("42.1"));
        assert_eq!(read_version("42.1"), None);
    }
}
