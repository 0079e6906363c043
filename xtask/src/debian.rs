//! Programs from Debian's packages, without root: downloaded and unpacked into a folder of ours.
//!
//! Nothing is installed. apt says which packages the machine lacks, so no list of libraries here
//! grows old with a release. What was unpacked goes before what is installed, here and in the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{capture, must_run, program};

/// A program that a test needs, and how to come by it.
pub(crate) struct Needed<'a> {
    /// What it is called in messages, and its folder in `test-envs`.
    pub(crate) name: &'static str,
    /// The packages that hold it; what they need is found.
    pub(crate) packages: &'a [&'a str],
    /// Runs it from the folder if it is unpacked there, else from `PATH`, and reads its version.
    pub(crate) version: fn(&Path) -> Option<String>,
}

impl Needed<'_> {
    /// Makes sure that it runs, and returns its version.
    pub(crate) fn provide(&self, target: &Path) -> Result<String> {
        let Self { name, packages, version } = *self;
        let folder = target.join("test-envs").join(name);
        let is_unpacked = folder.exists();
        if let Some(version) = version(&folder) {
            println!("{name}: ready ({version}, {})", if is_unpacked { "unpacked" } else { "installed" });
            return Ok(version);
        }
        if is_unpacked {
            println!("{name}: what was unpacked does not run; it is removed");
            clear(&folder)?;
            return self.provide(target);
        }
        println!("{name}: is not installed; unpacking Debian's packages");
        unpack(&folder, packages).with_context(|| {
            format!("{name} is missing; install {}, then run this again", packages.join(" and "))
        })?;
        let Some(version) = version(&folder) else {
            bail!("{name} in {} does not run", folder.display());
        };
        println!("{name}: ready ({version}, unpacked)");
        Ok(version)
    }
}

/// A program of the folder if it is unpacked there, else of `PATH`, with the folder's libraries.
pub(crate) fn unpacked_program(folder: &Path, name: &str) -> Result<Command> {
    let ours = folder.join("usr/bin").join(name);
    let mut command = if ours.exists() { program(ours) } else { program(name) };
    let libraries = libraries(folder);
    if !libraries.is_empty() {
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?);
    }
    Ok(command)
}

/// Some packages still have their libraries in `/lib`; some libraries have a folder for their own.
pub(crate) fn libraries(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for place in ["usr/lib", "lib"].map(|place| folder.join(place)) {
        for one in folders(&place) {
            found.extend(folders(&one).into_iter().filter(|inner| holds_libraries(inner)));
            found.push(one);
        }
        if place.is_dir() {
            found.push(place);
        }
    }
    found
}

fn folders(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect()
}

fn holds_libraries(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("lib") && name.contains(".so")
    })
}

/// Downloads what these packages need here and unpacks it. An interruption leaves no folder.
fn unpack(folder: &Path, packages: &[&str]) -> Result<()> {
    let new = folder.with_extension("new");
    let downloads = new.join("packages");
    let download = |options: &[String]| {
        clear(&downloads)?;
        fs::create_dir_all(&downloads).with_context(|| format!("cannot make {}", downloads.display()))?;
        let missing = missing(options, packages)?;
        must_run(
            program("apt-get").args(options).args(["-qq", "download"]).args(missing).current_dir(&downloads),
        )
    };
    clear(&new)?;
    if let Err(error) = download(&[]) {
        // The machine's own lists of packages are missing or old; ours are made without root.
        println!("{error:#}\nasking for new lists of packages");
        let lists = folder.with_file_name("apt");
        let options = own_lists(&lists)?;
        must_run(program("apt-get").args(&options).args(["-qq", "update"]))?;
        download(&options)?;
        clear(&lists)?;
    }
    for entry in fs::read_dir(&downloads)? {
        capture(program("dpkg").arg("-x").arg(entry?.path()).arg(&new))?;
    }
    clear(&downloads)?;
    fs::rename(&new, folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// The packages that an installation of these would bring, as far as they matter.
fn missing(options: &[String], packages: &[&str]) -> Result<Vec<String>> {
    let mut simulation = program("apt-get");
    simulation.args(options).args(["-s", "install", "--no-install-recommends"]).args(packages);
    let missing = to_unpack(&capture(&mut simulation)?, packages);
    if missing.is_empty() {
        bail!("{} are installed, and do not run", packages.join(" and "));
    }
    Ok(missing)
}

/// Reads `Inst NAME (…` and `Inst NAME [old] (…`; keeps the programs and the libraries.
///
/// Fonts, icons and an init are for a system. The C library belongs to the machine's loader.
fn to_unpack(simulation: &str, packages: &[&str]) -> Vec<String> {
    let matters = |name: &str| {
        (name.starts_with("lib") && name != "libc6") || packages.iter().any(|start| name.starts_with(start))
    };
    let names = simulation.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    names.filter(|name| matters(name)).map(str::to_owned).collect()
}

/// Options that let apt keep its lists and caches in a folder of ours.
fn own_lists(folder: &Path) -> Result<Vec<String>> {
    // Descriptions in other words are nothing that we read.
    let mut options = vec!["-o".to_owned(), "Acquire::Languages=none".to_owned()];
    for (option, name, inside) in
        [("Dir::State::Lists", "lists", "partial"), ("Dir::Cache", "cache", "archives/partial")]
    {
        let place = folder.join(name);
        fs::create_dir_all(place.join(inside)).with_context(|| format!("cannot make {}", place.display()))?;
        options.extend(["-o".to_owned(), format!("{option}={}", place.display())]);
    }
    Ok(options)
}

/// Removes a folder, if it is there.
fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_libraries_are_unpacked_and_nothing_else() {
        let simulation = "\
NOTE: This is only a simulation!
Reading package lists...
The following NEW packages will be installed:
  dbus gnome-keyring
Inst systemd (252.39-1~deb12u2 Debian:12.15/oldstable [amd64])
Inst dbus-daemon (1.14.10-1~deb12u1 Debian:12.15/oldstable [amd64]) []
Inst libc6 [2.36-9] (2.36-9+deb12u14 Debian:12.15/oldstable [amd64])
Inst libglib2.0-0 [2.74.6-2] (2.74.6-2+deb12u8 Debian:12.15/oldstable [amd64])
Inst fonts-dejavu-core (2.37-6 Debian:12.15/oldstable [all])
Inst gnome-keyring (42.1-1+b2 Debian:12.15/oldstable [amd64])
Conf gnome-keyring (42.1-1+b2 Debian:12.15/oldstable [amd64])
";
        assert_eq!(
            to_unpack(simulation, &["gnome-keyring", "dbus"]),
            ["dbus-daemon", "libglib2.0-0", "gnome-keyring"]
        );
    }

    #[test]
    fn libraries_are_looked_for_in_both_places() {
        let folder = tempfile::tempdir().unwrap();
        for place in ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
        }
        fs::write(folder.path().join("usr/lib/file"), "").unwrap();
        for (place, file) in [("pulseaudio", "libpulsecommon-16.1.so"), ("pkcs11", "keyring.so")] {
            let place = folder.path().join("usr/lib/x86_64-linux-gnu").join(place);
            fs::create_dir(&place).unwrap();
            fs::write(place.join(file), "").unwrap();
        }
        let found = [
            "usr/lib/x86_64-linux-gnu/pulseaudio",
            "usr/lib/x86_64-linux-gnu",
            "usr/lib",
            "lib/x86_64-linux-gnu",
            "lib",
        ];
        assert_eq!(libraries(folder.path()), found.map(|place| folder.path().join(place)));
        assert!(libraries(&folder.path().join("none")).is_empty());
    }
}
