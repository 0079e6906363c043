//! Everything that CI runs. Each part runs even when an earlier one failed; the end says which.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::redis::FEATURE;
use crate::run::{capture, cargo, must_run};
use crate::workspace::Metadata;
use crate::{conformance, deny, layers, test, tidy};

/// What to leave out.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Leaves the tests out, for whoever ran them just before.
    #[arg(long)]
    no_test: bool,
}

type Part = (&'static str, fn() -> Result<()>);

/// The cheap parts first.
const PARTS: &[Part] = &[
    ("fmt", fmt),
    ("layers", layers),
    ("tidy", tidy),
    ("deny", deny),
    ("clippy", clippy),
    ("lean", lean),
    ("doc", doc),
];

fn run_parts(parts: &[Part]) -> Result<()> {
    let mut told = Vec::new();
    let mut failed = Vec::new();
    for (name, part) in parts {
        println!("\n── {name}");
        let started = Instant::now();
        let done = part();
        let seconds = started.elapsed().as_secs_f64();
        match done {
            Ok(()) => told.push(format!("ok     {name:<11} {seconds:>6.0} s")),
            Err(error) => {
                println!("{error:#}");
                told.push(format!("FAILED {name:<11} {seconds:>6.0} s"));
                failed.push(*name);
            }
        }
    }
    println!("\n{}", told.join("\n"));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// The task `check`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut parts = PARTS.to_vec();
    if options.no_test {
        println!("tests: left out, as asked by --no-test");
    } else {
        parts.push(("test", test::run));
    }
    parts.push(("conformance", conformance::check));
    run_parts(&parts)
}

fn fmt() -> Result<()> {
    must_run(cargo().args(["fmt", "--all", "--check"]))
}

fn layers() -> Result<()> {
    none(&layers::violations(&Metadata::members()?)?)
}

fn tidy() -> Result<()> {
    none(&tidy::violations(&Metadata::members()?)?)
}

/// What can be left out of the library and of its HTTP interface, and taken by itself.
fn lean() -> Result<()> {
    for package in ["dormouse", "dormouse-http"] {
        for feature in ["", "redis", "remote", "oauth", "keyring"] {
            let only = ["check", "-p", package, "--no-default-features", "--features", feature];
            must_run(cargo().args(only))?;
        }
    }
    Ok(())
}

/// Warnings are errors here. By clippy's own arguments: `RUSTFLAGS` would build everything again.
fn clippy() -> Result<()> {
    must_run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        FEATURE,
        "--",
        "-D",
        "warnings",
    ]))
}

fn doc() -> Result<()> {
    must_run(cargo().env("RUSTDOCFLAGS", "-D warnings").args([
        "doc",
        "--workspace",
        "--no-deps",
        "--features",
        FEATURE,
    ]))
}

fn deny() -> Result<()> {
    let findings = deny::violations(&Metadata::locked()?)?;
    for note in &findings.notes {
        println!("note: {note}");
    }
    none(&findings.errors)?;
    advisories();
    Ok(())
}

/// Advisories come from a database that not every machine reaches: told, never required.
fn advisories() {
    if capture(cargo().args(["deny", "--version"])).is_err() {
        println!("advisories: not run, cargo-deny is not installed (optional: `cargo install cargo-deny`)");
        return;
    }
    match must_run(cargo().args(["deny", "check", "advisories"])) {
        Ok(()) => println!("advisories: none"),
        Err(error) => println!("advisories: {error} (optional: not counted)"),
    }
}

fn none(violations: &[String]) -> Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    bail!("{}", violations.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_part_is_named_and_does_not_stop_the_others() {
        fn good() -> Result<()> {
            Ok(())
        }
        fn bad() -> Result<()> {
            bail!("no")
        }
        assert!(run_parts(&[("good", good)]).is_ok());
        let error = run_parts(&[("bad", bad), ("good", good), ("worse", bad)]).unwrap_err();
        assert_eq!(error.to_string(), "failed: bad, worse");
    }
}
