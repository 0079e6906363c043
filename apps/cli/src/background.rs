//! Starting a hub in the background, for as long as it has clients.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use dormouse::Space;
use tokio::process::{Child, Command};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::place::Place;

/// A log that is longer is put aside before the next hub begins.
const LONG: u64 = 1024 * 1024;

/// A hub that was started, as long as it has not said that it failed.
#[derive(Debug)]
pub(crate) struct Begun {
    child: Child,
    log: PathBuf,
    /// How long the log was before.
    from: u64,
}

impl Begun {
    /// Starts a hub of the space, in a process that outlives this one. It ends at once where
    /// another one is the hub.
    pub(crate) fn start(place: &Place, space: &Space) -> Result<Self, Failure> {
        let failed = |error: &io::Error| {
            let message = "cannot start a hub in the background";
            Failure::new(Exit::NoHub, message).caused_by(error)
        };
        std::fs::create_dir_all(space.state()).map_err(|error| failed(&error))?;
        let log = space.state().join("hub.log");
        if std::fs::metadata(&log).is_ok_and(|log| log.len() > LONG) {
            let _ = std::fs::rename(&log, log.with_extension("log.1"));
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&log)
            .map_err(|error| failed(&error))?;
        let from = file.seek(SeekFrom::End(0)).map_err(|error| failed(&error))?;
        let output = || -> io::Result<Stdio> { Ok(file.try_clone()?.into()) };
        let mut command = Command::new(program().map_err(|error| failed(&error))?);
        command.arg("--space").arg(space.root()).args(["serve", "--background"]).current_dir(space.root());
        for (flag, value) in [("--storage", &place.storage), ("--model", &place.model)] {
            if let Some(value) = value {
                command.arg(flag).arg(value);
            }
        }
        command.stdin(Stdio::null());
        command.stdout(output().map_err(|error| failed(&error))?);
        command.stderr(output().map_err(|error| failed(&error))?);
        let child = command.spawn().map_err(|error| failed(&error))?;
        Ok(Self { child, log, from })
    }

    /// Whether it has ended: because another process is the hub, or with its failure.
    pub(crate) fn has_ended(&mut self) -> Result<bool, Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(false),
            Ok(Some(status)) if status.success() => Ok(true),
            // Whoever told it to end meant that one hub.
            Ok(Some(status)) if status.code().is_none() => Ok(true),
            Ok(Some(_)) => Err(self.failure()),
            Err(error) => Err(Failure::new(Exit::Unexpected, "lost sight of the hub").caused_by(&error)),
        }
    }

    fn failure(&self) -> Failure {
        /// More than any error has.
        const LINES: usize = 12;
        let mut said = String::new();
        if let Ok(mut log) = File::open(&self.log)
            && log.seek(SeekFrom::Start(self.from)).is_ok()
        {
            let _ = log.take(LONG).read_to_string(&mut said);
        }
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
        let failure = Failure::new(Exit::NoHub, "the hub in the background did not start").because([last]);
        failure.hint(format!("its words are in {}", self.log.display()))
    }
}

/// This program, also where its file was replaced while it ran.
fn program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let replaced = program.to_str().and_then(|path| path.strip_suffix(" (deleted)"));
    Ok(replaced.map(PathBuf::from).unwrap_or(program))
}
