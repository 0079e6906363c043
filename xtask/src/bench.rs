//! Runs benchmarks: each `benches/NAME.rs` of a package is one part, found by its name.
//!
//! A part prints its own figures; this task prints what they were measured on. Benchmarks are
//! never tests: a figure depends on the machine and on who else uses it.

use std::fs;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::run::{capture, cargo, line, must_run, program};
use crate::workspace::{Metadata, root};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The parts to run; all of them when none is named. `build` is only run when named.
    parts: Vec<String>,
    /// Lists the parts and runs nothing.
    #[arg(long)]
    list: bool,
    /// What the parts themselves are told.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// A benchmark and the package that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    package: String,
    name: String,
}

/// Builds from nothing in a folder of its own; takes minutes, so only when named.
const BUILD: &str = "build";

/// The task `bench`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let known = parts(&Metadata::members()?);
    if options.list {
        for part in &known {
            println!("{:<12} {}", part.name, part.package);
        }
        println!("{BUILD:<12} clean build time and binary size");
        return Ok(());
    }
    let chosen = choose(&known, &options.parts)?;
    machine();
    for part in chosen {
        let mut command = cargo();
        command.args(["bench", "--package", &part.package, "--bench", &part.name, "--"]);
        println!("\n── {}", part.name);
        must_run(command.args(&options.arguments))?;
    }
    if options.parts.iter().any(|part| part == BUILD) {
        build()?;
    }
    Ok(())
}

fn parts(metadata: &Metadata) -> Vec<Part> {
    let mut found = Vec::new();
    for package in metadata.own() {
        let benches = package.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "bench"));
        found.extend(benches.map(|target| Part { package: package.name.clone(), name: target.name.clone() }));
    }
    found
}

fn choose(known: &[Part], wanted: &[String]) -> Result<Vec<Part>> {
    let names = || known.iter().map(|part| part.name.as_str()).chain([BUILD]).collect::<Vec<_>>().join(", ");
    if wanted.is_empty() {
        if known.is_empty() {
            bail!("there is no benchmark but {}", names());
        }
        return Ok(known.to_vec());
    }
    let mut chosen = Vec::new();
    for name in wanted.iter().filter(|name| *name != BUILD) {
        match known.iter().find(|part| part.name == *name) {
            Some(part) => chosen.push(part.clone()),
            None => bail!("no benchmark is named `{name}`; there are {}", names()),
        }
    }
    Ok(chosen)
}

/// Says what the figures were measured on.
fn machine() {
    let proc = |file: &str| fs::read_to_string(format!("/proc/{file}")).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let unknown = || "unknown".to_owned();
    let asked = |mut command: std::process::Command| {
        capture(&mut command)
            .map_or_else(|_| unknown(), |said| said.lines().next().unwrap_or_default().to_owned())
    };
    let git = || {
        let mut command = program("git");
        command.args(["describe", "--always", "--dirty"]);
        command
    };
    let rustc = || {
        let mut command = program("rustc");
        command.arg("--version");
        command
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("command: cargo xtask {}", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
    println!("machine: {cores} × {}", field(&proc("cpuinfo"), "model name").unwrap_or_else(unknown));
    println!("memory:  {}", field(&proc("meminfo"), "MemTotal").unwrap_or_else(unknown));
    println!("kernel:  {}", proc("version").split(" (").next().unwrap_or_default());
    println!("load:    {}", proc("loadavg").trim());
    println!("rustc:   {}", asked(rustc()));
    println!("commit:  {}", asked(git()));
}

/// A clean release build of the binary: its time and its size.
fn build() -> Result<()> {
    println!("\n── {BUILD}");
    let target = Metadata::members()?.target_directory.join("bench-build");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    let mut command = cargo();
    command.args(["build", "--release", "--locked"]).env("CARGO_TARGET_DIR", &target);
    let started = Instant::now();
    must_run(&mut command)?;
    let seconds = started.elapsed().as_secs_f64();
    let size = fs::metadata(target.join("release/dormouse"))?.len();
    fs::remove_dir_all(&target)?;
    println!("{} in {}: {seconds:.0} s", line(&command), root().display());
    println!("dormouse: {:.1} MiB", size as f64 / f64::from(1 << 20));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<Part> {
        vec![Part { package: "dormouse-scan".into(), name: "scan".into() }]
    }

    #[test]
    fn all_parts_run_unless_some_are_named() {
        assert_eq!(choose(&known(), &[]).unwrap(), known());
        assert_eq!(choose(&known(), &["scan".into()]).unwrap(), known());
        assert!(choose(&known(), &["build".into()]).unwrap().is_empty());
    }

    #[test]
    fn an_unknown_part_is_an_error_that_lists_the_known() {
        let error = choose(&known(), &["scna".into()]).unwrap_err().to_string();
        assert_eq!(error, "no benchmark is named `scna`; there are scan, build");
    }
}
