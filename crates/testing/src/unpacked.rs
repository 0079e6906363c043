//! Programs that `cargo xtask setup` unpacks where the machine lacks them.
//!
//! A program is looked for in `target/test-envs`, then on `PATH`. Where it is in neither place the
//! test fails.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of unpacked packages, which may not be there.
#[derive(Debug)]
pub struct Unpacked {
    folder: PathBuf,
}

impl Unpacked {
    /// The folder of this name in `test-envs`.
    pub fn named(name: &str) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
        Self { folder: target.join("test-envs").join(name) }
    }

    /// A file of the packages, if it was unpacked.
    pub fn file(&self, inside: &str) -> Option<PathBuf> {
        Some(self.folder.join(inside)).filter(|file| file.exists())
    }

    /// Where a program is.
    pub fn program(&self, name: &str) -> PathBuf {
        let on_path = || {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
        };
        self.file(&format!("usr/bin/{name}"))
            .or_else(on_path)
            .unwrap_or_else(|| panic!("there is no {name}: run `cargo xtask setup`"))
    }

    /// A command that finds the libraries that were unpacked too.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        let libraries = self.libraries();
        if !libraries.is_empty() {
            command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap());
        }
        command
    }

    /// The folders of libraries that were unpacked.
    ///
    /// Some packages still have their libraries in `/lib`; some libraries have a folder for their own.
    pub fn libraries(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for place in ["usr/lib", "lib"].map(|place| self.folder.join(place)) {
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
}

fn folders(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect()
}

fn holds_libraries(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("lib") && name.contains(".so")
    })
}
