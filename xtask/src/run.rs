//! Commands: shown before they run, and an error when they fail.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::root;

/// The cargo that runs us, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A program in the root of the workspace.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// Shows the command, runs it on our terminal and fails unless it succeeds.
pub(crate) fn must_run(command: &mut Command) -> Result<()> {
    show(command);
    let status = command.status().with_context(|| format!("cannot start {}", name(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", name(command));
    }
    Ok(())
}

/// Shows the command and runs it; each line that it prints goes to our output and to `read`.
/// Returns whether it succeeded.
pub(crate) fn run_reading(command: &mut Command, mut read: impl FnMut(&str)) -> Result<bool> {
    show(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {}", name(command)))?;
    let output = child.stdout.take().expect("its output is a pipe");
    let mut terminal = std::io::stdout().lock();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read its output")?;
        terminal.write_all(&line).and_then(|()| terminal.write_all(b"\n"))?;
        read(&String::from_utf8_lossy(&line));
    }
    terminal.flush()?;
    Ok(child.wait()?.success())
}

/// Runs a command quietly and returns what it printed, or an error with what it complained about.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", name(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", name(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one line for people.
pub(crate) fn line(command: &Command) -> String {
    let mut words = vec![name(command)];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

fn show(command: &Command) {
    println!("$ {}", line(command));
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let short = program.strip_prefix(root()).ok().or_else(|| program.file_name().map(Path::new));
    short.unwrap_or(program).to_string_lossy().into_owned()
}
