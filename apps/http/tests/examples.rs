//! Each example is a program that checks what it shows; here they all run.

use std::path::Path;

#[test]
fn every_example_runs_to_its_end() {
    let ran = dormouse_testing::run_examples(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(ran >= 1, "only {ran} examples were found");
}
