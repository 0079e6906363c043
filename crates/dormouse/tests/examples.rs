//! Each example is a program that checks what it shows; here they all run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where cargo puts examples: beside the folder of the tests' own programs. It builds them
/// together with the tests.
fn built() -> PathBuf {
    let me = std::env::current_exe().expect("a test has a program");
    me.ancestors().nth(2).expect("it lies in `deps`").join("examples")
}

#[test]
fn every_example_runs_to_its_end() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut ran = 0;
    for source in std::fs::read_dir(sources).expect("the examples are there") {
        let source = source.expect("an example").path();
        if source.extension().is_none_or(|kind| kind != "rs") {
            continue;
        }
        let name = source.file_stem().expect("a file has a name");
        let done = Command::new(built().join(name))
            .env_remove("DORMOUSE_SPACE")
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{name:?} was not built ({error}); run `cargo test -p dormouse`"));
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{name:?}: {}\n{said}", done.status);
        ran += 1;
    }
    assert!(ran >= 8, "only {ran} examples were found");
}
