//! A package's examples, which are programs that check what they show.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs every example of the package in this folder to its end; how many there were.
///
/// # Panics
/// When one fails, or was not built: cargo builds them together with a package's tests.
pub fn run_examples(package: &Path) -> usize {
    let mut ran = 0;
    for source in std::fs::read_dir(package.join("examples")).expect("the package has examples") {
        let source = source.unwrap().path();
        if source.extension().is_none_or(|kind| kind != "rs") {
            continue;
        }
        let name = source.file_stem().unwrap();
        let done = Command::new(built().join(name))
            .env_remove("DORMOUSE_SPACE")
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{name:?} was not built ({error}); run all tests of its package"));
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{name:?}: {}\n{said}", done.status);
        ran += 1;
    }
    ran
}

/// Where cargo puts examples: beside the folder of the tests' own programs.
fn built() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    me.ancestors().nth(2).expect("tests lie in `deps`").join("examples")
}
