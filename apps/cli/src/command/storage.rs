//! `storage`: what the hub remembers, taken out, put in, and moved.
//!
//! Taking out asks the hub, as every command does. Putting in and moving need a space without a
//! hub, which would not notice that its records change under it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dormouse::dump::{DumpError, Dumped};
use dormouse::{IdleError, IdleSpace, LockError, MigrateError, OpenError};
use serde_json::json;
use tokio::io::{AsyncBufRead, BufReader};

use super::{Run, or_stdin};
use crate::args::StorageVerb;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(run: &Run, verb: StorageVerb) -> Result<Exit, Failure> {
    match verb {
        StorageVerb::Export { file } => export(run, &file).await,
        StorageVerb::Import { file } => run.unless_stopped(import(run, &file)).await,
        StorageVerb::Migrate { to } => run.unless_stopped(migrate(run, to)).await,
    }
}

fn is_standard(file: &Path) -> bool {
    file == Path::new("-")
}

async fn export(run: &Run, file: &Path) -> Result<Exit, Failure> {
    if !is_standard(file) && file.symlink_metadata().is_ok() {
        let message = format!("{} exists already", file.display());
        return Err(Failure::new(Exit::Refused, message).hint("an export makes a new file"));
    }
    run.with_hub(async |hub| {
        let lines = hub.get_text("/storage/export").await?;
        match is_standard(file) {
            true => run.output.text(&lines)?,
            false => {
                write(file, &lines).map_err(|error| {
                    let message = format!("cannot write {}", file.display());
                    Failure::new(Exit::Unexpected, message).caused_by(&error)
                })?;
                run.output.talk(&format!("{} holds conversations: keep it to yourself", file.display()));
            }
        }
        Ok(Exit::Ok)
    })
    .await
}

/// Makes the file in one step, for its owner only.
fn write(file: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = (|| {
        let mut new = fs::File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        // A link, unlike a rename, takes no place that is taken.
        fs::hard_link(&beside, file)
    })();
    let _ = fs::remove_file(&beside);
    written
}

async fn import(run: &Run, file: &Path) -> Result<Exit, Failure> {
    let mut reader: Box<dyn AsyncBufRead + Unpin + Send> = match is_standard(file) {
        true => Box::new(BufReader::new(tokio::io::stdin())),
        false => {
            let opened = tokio::fs::File::open(file).await.map_err(|error| {
                let exit = match error.kind() {
                    io::ErrorKind::NotFound => Exit::Unknown,
                    _ => Exit::Arguments,
                };
                Failure::new(exit, format!("cannot read {}", file.display())).caused_by(&error)
            })?;
            Box::new(BufReader::new(opened))
        }
    };
    let idle = idle(run).await?;
    let loaded = idle.load(&mut *reader).await;
    idle.close().await;
    told(run, loaded.map_err(|error| not_loaded(&error))?, "taken in")
}

async fn migrate(run: &Run, to: String) -> Result<Exit, Failure> {
    let is_typed = to != "-";
    let to = or_stdin(to)?.trim().to_owned();
    let idle = idle(run).await?;
    let copied = idle.migrate(&to).await;
    idle.close().await;
    let copied = copied.map_err(|error| match &error {
        MigrateError::SamePlace | MigrateError::Memory => Failure::of(Exit::Refused, &error),
        MigrateError::Target(source) => Failure::of(exit_of(source), &error),
        MigrateError::Dump(source) => not_loaded(source),
    })?;
    let exit = told(run, copied, "copied")?;
    let settings = run.place.space()?.settings();
    let shown = if is_typed && !to.contains('@') { format!("\"{to}\"") } else { "that address".to_owned() };
    run.output.talk(&format!("the hub goes there once {} says `storage = {shown}`", settings.display()));
    Ok(exit)
}

/// The space without a hub. One that another command is, for its lifetime, is waited for.
async fn idle(run: &Run) -> Result<IdleSpace, Failure> {
    const COMMAND: Duration = Duration::from_secs(3);
    const GLANCE: Duration = Duration::from_millis(20);
    let space = run.place.space()?;
    let config = run.place.config(&space)?;
    if config.storage == "memory" {
        let failure = Failure::new(Exit::Refused, "the space keeps nothing: its storage is `memory`");
        return Err(failure.hint("set `storage`, or say --storage"));
    }
    let patient_until = Instant::now() + COMMAND;
    loop {
        match IdleSpace::open(space.clone(), config.clone()).await {
            Ok(idle) => return Ok(idle),
            Err(IdleError::Open(OpenError::Lock(LockError::Held { .. })))
                if Instant::now() < patient_until =>
            {
                tokio::time::sleep(GLANCE).await;
            }
            Err(error) => {
                let failure = Failure::of(exit_of(&error), &error);
                return Err(match exit_of(&error) {
                    Exit::Refused => failure.hint("end every hub that serves it, and try again"),
                    _ => failure,
                });
            }
        }
    }
}

fn exit_of(error: &IdleError) -> Exit {
    match error {
        IdleError::Open(OpenError::Lock(LockError::Held { .. })) | IdleError::InUse { .. } => Exit::Refused,
        IdleError::Open(_) | IdleError::Others(_) => Exit::Configuration,
    }
}

fn not_loaded(error: &DumpError) -> Failure {
    let exit = match error {
        DumpError::Storage(_) | DumpError::Write(_) => Exit::Unexpected,
        DumpError::Read(_)
        | DumpError::NoDump
        | DumpError::Newer { .. }
        | DumpError::Line { .. }
        | DumpError::UnknownTable { .. }
        | DumpError::Incomplete { .. } => Exit::Arguments,
    };
    Failure::of(exit, error)
}

fn told(run: &Run, Dumped { records, conversations }: Dumped, what: &str) -> Result<Exit, Failure> {
    match run.output.json {
        true => run.output.value(&json!({ "records": records, "conversations": conversations }))?,
        false => run.output.talk(&format!("{what}: {records} records and {conversations} conversations")),
    }
    Ok(Exit::Ok)
}
